"""Every formula beside an oracle in plain Python: the value, and a gradient that nobody derived.

The gradient of an oracle is a central difference of its value, so that a mistake shared by a formula and its
derivative, which gradcheck cannot see, has nowhere to hide.
"""

import pytest

from oracles_losses import ORACLES, agrees_with_its_oracle
from whichloss import parse, registry
from whichloss.core import Loss


@pytest.mark.parametrize("text", ORACLES)
def test_value_and_gradient_are_those_of_the_oracle(text: str):
    agrees_with_its_oracle(parse, text)


def test_every_formula_that_trains_has_an_oracle():
    """All but the losses of other libraries, which those libraries are the oracle of."""
    known = {type(parse(text)).__name__ for text in ORACLES}
    ours = [cls for cls in registry(Loss).values() if cls.__module__.startswith("whichloss.losses.")]
    assert {cls.__name__ for cls in ours if cls.trains and ".compat." not in cls.__module__} <= known
