"""Every promise for every loss: those of the registry as they show themselves, and what can be made of them."""

from importlib.util import find_spec

import pytest

from whichloss import parse, registry
from whichloss.contract import PROMISES
from whichloss.core import Loss, MarginLoss

OURS = {name: cls for name, cls in registry(Loss).items() if cls.__module__.startswith("whichloss.")}
MARGINS = [
    name
    for name, cls in OURS.items()
    if issubclass(cls, MarginLoss) and cls.__module__.startswith("whichloss.losses.margin")
]
LIFTS = ["one_versus_one", "each_rival", "top_rival", "sum_to_zero", "ranking"]

LOSSES = [
    *(example for cls in OURS.values() for example in cls.examples()),
    *(parse(f"{name}(lift={lift!r})") for name in MARGINS for lift in LIFTS),
    *map(
        parse,
        [
            # the readings of paper 002
            "Hinge(per_class='sum')",
            "Tangent(per_class='sum')",
            "Lorenz(lift='each_rival', per_class='sum')",
            "Logistic(lift='one_versus_one', per_class='sum')",
            "SquaredHinge(scores='softmax')",
            "Lorenz(lift='top_rival', scores='softmax')",
            "SquaredHinge(targets='zero_one')",
            "Hinge(scores='softmax', targets='zero_one', per_class='sum')",
            # the fields of regions
            "Dice(over='batch')",
            "Jaccard(over='batch')",
            "Tversky(over='batch', smooth=0.5)",
            "Dice(over='ranks')",
            "Dice(smooth=0)",
            "Jaccard(smooth=0)",
            "Tversky(smooth=0, over='batch')",
            "Dice(smooth=1e-5)",
            "Dice(empty='skip')",
            "Dice(empty='zero')",
            "Dice(empty='volume')",
            "Dice(smooth=0, empty='skip', over='batch')",
            "Dice(background=False)",
            "Dice(class_weight=[1, 2, 5])",
            "Dice(class_weight=[0, 2, 5], over='batch', empty='zero')",
            # said, not left to the target
            "CrossEntropy(classes='independent', positive_weight=0.2)",
            "Focal(classes='exclusive', gamma=0)",
            "LDAM(counts=(1, 1, 1), scale=1)",
            "BiTempered(t1=0, t2=0.5)",
            "NegativeLearning(classes='exclusive', labels='complementary')",
            "Normalized(GeneralizedCrossEntropy(q=1.0, classes='independent'))",
            "Dice(classes='independent')",
            # margins between directions, and similarities
            "CosFace(scale=1, margin=0)",
            "ArcFace(scale=2, margin=1.2)",
            "NTXent(temperature=1)",
            "MultiSimilarity(alpha=1, beta=10, threshold=0, normalize=False)",
            # sums, and what is wrapped
            "CrossEntropy() + 0.5 * Dice()",
            "0.25 * CrossEntropy() + 0.5 * Dice(over='batch', smooth=0.5)",
            "Hinge(lift='each_rival') + 2 * Focal()",
            "0.1 * CrossEntropy() + ReverseCrossEntropy()",
            "Normalized(CrossEntropy()) + ReverseCrossEntropy()",
            "AdaptiveLog(Normalized(Focal(gamma=0.5)))",
            "AdaptiveLog(Dice() + CrossEntropy())",
            "AdaptiveLog(Dice(over='batch', smooth=0.5))",
            "AdaptiveLog(Tangent(per_class='sum'))",
            "FocalPower(Tversky(), exponent=0.5)",
            "FocalPower(Tversky(), exponent=3)",
            "FocalPower(Dice(smooth=0), exponent=0.1)",
            "FocalPower(AdaptiveLog(Jaccard(empty='skip')), exponent=0.75)",
            "2 * FocalPower(CrossEntropy() + Dice()) + Lorenz()",
        ],
    ),
]


@pytest.fixture(autouse=True)
def _whatever_the_size(monkeypatch):
    """The kernels, where there are any, take small batches too; `plain()` within a promise is what they are held to."""
    if find_spec("whichloss.kernels"):
        monkeypatch.setattr("whichloss.kernels.fuse.LEAST", 0)
        monkeypatch.setattr("whichloss.kernels.fuse.FEWEST", 1)
        monkeypatch.setattr("whichloss.kernels.pairs.CELLS", 0)
        monkeypatch.setattr("whichloss.kernels.pairs.LEAST", 3)


@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.__name__)
@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.label)
def test_promise(loss, promise):
    promise(loss)


def test_every_loss_of_the_library_is_here():
    assert {type(loss) for loss in LOSSES} >= set(OURS.values())
    assert len(OURS) >= 13
