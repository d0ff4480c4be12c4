"""The plan is checked when it is made."""

import pickle
from dataclasses import replace

import pytest
from stats_tables import plan_of


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"rope": -0.1}, "0 or more"),
        ({"rope": float("inf")}, "smallest difference that matters"),
        ({"rope": float("nan")}, "smallest difference that matters"),
        ({"rope": True}, "smallest difference that matters"),
        ({"rope": "0.01"}, "smallest difference that matters"),
        ({"baseline": "C"}, "not among the losses"),
        ({"losses": ()}, "not among the losses"),
        ({"losses": ("A", "B", "A")}, "more than once"),
        ({"losses": "AB"}, "tuple of texts"),
        ({"labels": {"A": "B"}}, "label of its own"),
        ({"design": "bootstrap"}, "choose one of refold, fixed, draws, given"),
        ({"confidence": 95}, "below 1"),
        ({"confidence": 0.05}, "at least 0.5"),
        ({"pairs": 0}, "1 or more"),
    ],
)
def test_mistakes_are_named(changes, words):
    with pytest.raises(ValueError, match=words):
        replace(plan_of(), **changes)


def test_a_plan_is_a_value():
    labels = {"A": "Logistic"}
    plan = plan_of(losses=["A", "B"], labels=labels, rope=0)
    labels["A"] = "changed later"
    assert plan == plan_of(labels={"A": "Logistic"}, rope=0.0)
    assert hash(plan) == hash(pickle.loads(pickle.dumps(plan)))
    assert (plan.label("A"), plan.label("B"), plan.rivals) == ("Logistic", "B", ("B",))
