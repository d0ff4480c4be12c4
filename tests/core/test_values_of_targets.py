"""What a target and a weight may hold, where looking costs nothing."""

import pytest
import torch

from whichloss import CrossEntropy, Dice, Hinge
from whichloss.core import FieldError, MarginLoss, UserError, positive

LOSSES = [Dice(), CrossEntropy(), Hinge(), Hinge(lift="each_rival")]


@pytest.mark.parametrize("loss", LOSSES, ids=lambda one: one.label)
@pytest.mark.parametrize("value", [255, 3, -1])
def test_an_index_that_is_no_class_is_refused_by_every_loss(loss, value):
    """A forgotten 255 must not quietly become a voxel of no class."""
    logits, target = torch.zeros(2, 3, 4, 4), torch.zeros(2, 4, 4, dtype=torch.long)
    target[1, 2, 2] = value
    with pytest.raises(UserError, match="a label to be left out is named by ignore_index"):
        loss(logits, target)
    assert loss(logits, target, ignore_index=value).isfinite()


@pytest.mark.parametrize("loss", LOSSES, ids=lambda one: one.label)
@pytest.mark.parametrize("value", [-0.1, float("nan")])
def test_a_weight_below_zero_is_refused(loss, value):
    weight = torch.ones(2, 4, 4)
    weight[0, 0, 0] = value
    with pytest.raises(UserError, match="weights must be 0 or more"):
        loss(torch.zeros(2, 3, 4, 4), torch.zeros(2, 4, 4, dtype=torch.long), weight)


def test_zero_one_targets_go_with_one_versus_rest():
    with pytest.raises(FieldError, match="one_versus_rest"):
        Hinge(targets="zero_one", lift="each_rival")


def test_a_field_cannot_have_the_name_of_a_method():
    with pytest.raises(TypeError, match="a field cannot be called 'range'"):

        class Bad(MarginLoss):
            range: float = positive(1.0)
