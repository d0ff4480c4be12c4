"""What anybody's loss is expected to do, seen from outside: a list of expectations; `conduct` goes through.

A promise of promise.py is made by a loss of ours, which has terms, weights and a card. These are for any callable. One
that is broken is a fault: a wrong order, value or gradient on ordinary input. What its user should know, and may well
be meant, is a remark: NaN in float16, no single graph for the compiler, a sum instead of a mean.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from traceback import extract_tb
from typing import NoReturn

from torch import Tensor

from whichloss.core import Loss

from .promise import Broken, Finding, Inapplicable, Trial
from .readings import Reading, readings, refusal


@dataclass(frozen=True)
class Subject:
    """A loss, and the ways in which it can be asked."""

    loss: Loss
    readings: tuple[Reading, ...]
    like: Loss | None = None  # what it should be equal to
    range: tuple[float, float] | None = None  # what should hold its values


Expectation = Callable[[Subject], str | None]  # gives a remark, or raises Broken or Inapplicable
EXPECTATIONS: list[Expectation] = []


def expected(function: Expectation) -> Expectation:
    EXPECTATIONS.append(function)
    return function


def subject(loss: Loss, like: Loss | None = None, range: tuple[float, float] | None = None) -> Subject:
    return Subject(loss, tuple(readings(loss)), like, range)


def conduct(one: Subject, expectations: Sequence[Expectation] = EXPECTATIONS) -> list[Finding]:
    """What became of each expectation, of all or of some."""
    if not one.readings:
        return [Finding("takes_some_batch", "broken", f"it takes none that was tried; {refusal(one.loss)}")]
    return [_expect(expectation, one) for expectation in expectations]


def _expect(expectation: Expectation, one: Subject) -> Finding:
    name = expectation.__name__
    try:
        remark = expectation(one)
    except Inapplicable as reason:
        return Finding(name, "not applicable", str(reason))
    except Broken as error:
        return Finding(name, "broken", str(error), error.at)
    except Exception as error:  # a loss that crashes has kept nothing
        return Finding(name, "broken", crash(error), _at(error))
    return Finding(name, "remark" if remark else "kept", remark or "")


def fail(why: str, reading: Reading, z: Tensor, answer: Tensor) -> NoReturn:
    raise Broken(f"{why} ({reading})", trial(reading, z, answer))


def trial(reading: Reading, z: Tensor, answer: Tensor) -> Trial:
    return Trial(reading.loss, reading.shown(z).detach(), reading.target(answer, z.dtype), str(reading))


def crash(error: Exception) -> str:
    """The name of an exception, what it says, and the line of somebody's code that raised it."""
    frames = extract_tb(error.__traceback__)
    lines = [one for one in frames if not {"whichloss", "torch"} & set(Path(one.filename).parts)]
    where = f", in {Path(lines[-1].filename).name}:{lines[-1].lineno}" if lines else ""
    return (
        f"it raises {type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else ''}{where}"
    )


def _at(error: Exception) -> Trial | None:
    found, step = None, error.__traceback__
    while step is not None:
        seen = step.tb_frame.f_locals
        if isinstance(reading := seen.get("self"), Reading) and "z" in seen and "answer" in seen:
            found = reading, seen["z"], seen["answer"]
        step = step.tb_next
    return None if found is None else trial(*found)
