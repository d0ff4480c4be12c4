"""A metric is a value: named, comparable, picklable, found by name."""

import pickle

import pytest

from whichloss.core import FieldError, find, parse, registry
from whichloss.metrics import Metric
from whichloss.metrics.segmentation.dice import Dice

EXAMPLES = [example for cls in registry(Metric).values() for example in cls.examples()]


def test_all_are_found_by_looking() -> None:
    classes = {"Accuracy", "Dice", "Jaccard", "Recall", "RocAuc", "Specificity"}
    classes |= {"MeanAbsoluteError", "RootMeanSquareError", "FrocArea", "SensitivityAt", "Cpm"}
    assert classes <= set(registry(Metric))
    assert find(Metric, "Dice") is Dice


@pytest.mark.parametrize("metric", EXAMPLES, ids=lambda metric: metric.label)
def test_text_and_pickle_lead_back(metric: Metric) -> None:
    assert parse(repr(metric), Metric) == metric == pickle.loads(pickle.dumps(metric))
    assert hash(parse(repr(metric), Metric)) == hash(metric)


@pytest.mark.parametrize("metric", EXAMPLES, ids=lambda metric: metric.label)
def test_the_card_is_complete(metric: Metric) -> None:
    card = metric.card
    assert card.title
    assert card.source
    assert card.meaning.endswith(".")
    assert card.higher_is_better == (card.tasks != ("regression",))
    assert set(card.tasks) == {"classification", "segmentation"} or card.elsewhere


def test_fields_are_checked_and_defaults_hidden() -> None:
    assert Dice(threshold="natural").label == "Dice(threshold='natural')"
    with pytest.raises(FieldError, match="'tuned', 'natural'"):
        Dice(threshold="best")
