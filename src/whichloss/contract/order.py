"""Expectations about order: what is right scores better than what is wrong, whatever the formula.

A gradient that is the derivative of a wrong formula passes every comparison with finite differences; these do not.
"""

from collections.abc import Iterator
from itertools import product
from math import prod

import torch
from torch import Tensor

from whichloss.core import Foreign, Loss

from .conduct import Subject, expected, fail
from .promise import Broken, Inapplicable
from .readings import QUANTITY, Reading, compares

SIZES = tuple(round(0.5 * 2 ** (at / 8), 2) for at in range(41))  # of logits, to 16
MAPS = 16  # ways to take each class for another that are tried one by one
ROOM = 0.05  # of the distance from right to wrong: as much as a smoothing term may shift an order


def _asking(subject: Subject) -> Iterator[Reading]:
    """The readings that ask a question with right and wrong answers."""
    found = [one for one in subject.readings if one.form is not QUANTITY]
    if not found:
        raise Inapplicable("it is for quantities, not for answers")
    return iter(found)


def best_size(reading: Reading, answer: Tensor) -> float:
    """How sure a right answer is best: some losses punish who is too sure."""
    sides = reading.sides(answer)

    def value(at: int) -> float:
        return float(reading.value(SIZES[at] * sides, answer))

    coarse = min(range(0, len(SIZES), 8), key=value)
    return SIZES[min(range(max(0, coarse - 7), min(len(SIZES), coarse + 8)), key=value)]


def _wrong(reading: Reading, answer: Tensor) -> list[Tensor]:
    """Sides of answers that are wrong everywhere: every other class at once, and one other class for each."""
    found, classes = [-reading.sides(answer)], reading.classes
    if not reading.form.exclusive:
        return found
    maps = product(*([taken for taken in range(classes) if taken != true] for true in range(classes)))
    if (classes - 1) ** classes > MAPS:
        maps = ([(true + by) % classes for true in range(classes)] for by in range(1, classes))
    return found + [reading.sides(torch.tensor(taken)[answer]) for taken in maps]


def _sees_places(reading: Reading) -> bool:
    """Whether shuffled elements have another value: what it measures are distances, contours or skeletons."""
    if not reading.space:
        return False
    answer = reading.answer()
    before = reading.value(reading.tame(answer), answer)
    return not torch.allclose(before, _moved(reading, answer), rtol=1e-4, atol=1e-6)


def _moved(reading: Reading, answer: Tensor) -> Tensor:
    z, order = reading.tame(answer), torch.randperm(prod(reading.space), generator=torch.Generator().manual_seed(2))
    return reading.value(*(x.flatten(-len(reading.space))[..., order].reshape(x.shape) for x in (z, answer)))


@expected
def scores_right_answers_better_than_wrong_ones(subject: Subject) -> str | None:
    remark = None
    for reading in _asking(subject):
        for seed, share in ((0, 0.5), (1, 0.75), (2, 0.25)):
            answer = reading.answer(seed, share=share)
            size = best_size(reading, answer)
            right = float(reading.value(size * reading.sides(answer), answer))
            for z, word in [
                (torch.zeros_like(reading.tame(answer)), "no answer"),
                *((size * side, "a wholly wrong answer") for side in _wrong(reading, answer)),
            ]:
                value = float(reading.value(z, answer))
                if value == right and (word == "no answer" or _sees_places(reading)):
                    remark = f"{word} may score no worse than a right one, {right:.4g} ({reading})"
                elif not right < value:
                    fail(f"a right answer scores {right:.4g}, and {word} {value:.4g}", reading, z, answer)
    return remark


@expected
def scores_nothing_better_than_a_right_answer(subject: Subject) -> None:
    for reading in _asking(subject):
        answer = reading.answer()
        size = best_size(reading, answer)
        right = float(reading.value(size * reading.sides(answer), answer))
        room = 1e-4 * abs(float(reading.value(-size * reading.sides(answer), answer)) - right) + 1e-9
        for z in _tried(reading, answer, size):
            value = float(reading.value(z, answer))
            if value < right - room:
                fail(f"a right answer scores {right:.4g}, and one with errors {value:.4g}", reading, z, answer)


@expected
def scores_nothing_worse_than_a_wholly_wrong_answer(subject: Subject) -> str | None:
    remark = None
    for reading in _asking(subject):
        answer, size = reading.answer(), 6.0
        right = float(reading.value(best_size(reading, answer) * reading.sides(answer), answer))
        wrong = max(float(reading.value(size * side, answer)) for side in _wrong(reading, answer))
        for z in _tried(reading, answer, size):
            value = float(reading.value(z, answer))
            if value > wrong + ROOM * abs(wrong - right) + 1e-9:
                why = f"a wholly wrong answer scores {wrong:.4g}, and one that is partly right {value:.4g}, worse"
                if not _sees_places(reading):
                    fail(why, reading, z, answer)
                remark = why
    return remark


@expected
def is_never_worse_for_being_more_right(subject: Subject) -> str | None:
    """From wholly wrong to right, all at once and element by element."""
    remarks: dict[str, None] = {}
    for reading in _asking(subject):
        answer = reading.answer()
        size = best_size(reading, answer)
        sides = reading.sides(answer)
        path = [at * sides for at in torch.linspace(-8, size, 49, dtype=torch.float64).tolist()]
        try:
            _falls(reading, answer, path, 1e-4, "all answers grow more right")
        except Broken as rise:
            if not _sees_places(reading):
                raise
            remarks[str(rise)] = None
        places = _places(reading)
        for wrong in _wrong(reading, answer):
            steps = [
                size * torch.where(places < count, sides, wrong.to(sides)) for count in range(int(places.max()) + 2)
            ]
            try:
                _falls(reading, answer, steps, ROOM, "")
            except _Rises as rise:
                remarks[f"it rises by {rise.by:.3g} where one wrong element of several is put right ({reading})"] = None
        late = float(reading.value(32 * sides, answer)) - float(reading.value(size * sides, answer))
        if late > 1e-3 * abs(float(reading.value(-size * sides, answer))) + 1e-6:
            remarks[f"being surer than {size:.2g} of a right answer costs: {late:.3g} more at 32 ({reading})"] = None
    return "; ".join(remarks)


@expected
def asks_nothing_of_a_right_answer(subject: Subject) -> str | None:
    """0, or -1 of a score with its sign turned. Smoothed labels are a reason to ask for more."""
    if _smooths(subject.loss):
        raise Inapplicable("labels are smoothed, so that no answer is quite right")
    remark = None
    for reading in _asking(subject):
        answer = reading.answer()
        sides = reading.sides(answer)
        values = [float(reading.value(size * sides, answer)) for size in (*SIZES, 32.0, 100.0, 1e4)]
        right, nothing = min(values), float(reading.value(0 * sides, answer))
        wrong, far = (float(reading.value(-size * sides, answer)) for size in (16.0, 64.0))
        z = SIZES[-1] * sides
        if right > ROOM * abs(nothing) + 1e-6:
            sure = (
                "a right answer of probability 1" if reading.link == "probabilities" else "a right answer at its best"
            )
            taken = ": it takes a probability for something else" if reading.link == "probabilities" else ""
            fail(f"{sure} scores {right:.4g}, and no answer at all {nothing:.4g}{taken}", reading, z, answer)
        bounded = abs(far - wrong) < 1e-3 * abs(wrong - right) + 1e-9
        if right < -1e-6 and bounded and wrong < 1e-6 and abs(right + 1) > 1e-2:
            why = (
                f"a wholly right answer scores {right:.4g} and a wholly wrong one {wrong:.4g}: the first should be 0,"
                " as of a loss, or -1, as of a score with its sign turned; a formula for 0 to 1 was given something"
                " negative"
            )
            fail(why, reading, z, answer)
        if right < -1e-6:
            remark = f"it is negative: a right answer scores {right:.4g}, as of a score with its sign turned"
    return remark


@expected
def does_not_reward_false_positives_on_an_empty_image(subject: Subject) -> str | None:
    remark = None
    for reading in _asking(subject):
        answer = torch.zeros_like(reading.answer())
        right = reading.sides(answer)
        found = _one(right, 1) if reading.form.exclusive else -right
        sure = min(8.0, best_size(reading, answer))
        path = [
            torch.where(found == right, sure * right, at * found)
            for at in torch.linspace(-sure, 8, 33, dtype=torch.float64).tolist()
        ]
        values = [float(reading.value(z, answer)) for z in path]
        spread = max(values) - min(values)
        for z, value in zip(path, values, strict=True):
            if value < values[0] - 1e-4 * spread - 1e-9:
                fell = f"from {values[0]:.4g} to {value:.4g}"
                fail(f"nothing is there, and the value falls {fell} as more and more is found", reading, z, answer)
        if spread < 1e-6 and remark is None:
            remark = f"on an empty image false positives cost nothing: {values[-1]:.4g} whatever is found ({reading})"
    return remark


@expected
def learns_where_one_class_is_absent(subject: Subject) -> str | None:
    remark, tried = None, 0
    for reading in _asking(subject):
        if reading.classes < 3:
            continue
        tried += 1
        answer = _without_last(reading, reading.answer())
        right, wrong = reading.sides(answer), reading.rivals(answer)
        if reading.form.exclusive:
            wrong = reading.sides(1 - answer)  # one of the two classes that are there for the other
        best = best_size(reading, answer)
        values = [float(reading.value(best * sides, answer)) for sides in (right, wrong)]
        _, slope = reading.slope(reading.tame(answer), answer)
        flat = float(slope.abs().max()) < 1e-12
        if flat or not values[0] < values[1] - 1e-9:
            why = (
                f"one class of {reading.classes} is absent: right answers score {values[0]:.4g}, wrong ones"
                f" {values[1]:.4g}, and the largest slope is {float(slope.abs().max()):.2g}"
                f"{': nothing is learned of the others' * flat}"
            )
            if not _sees_places(reading):
                fail(why, reading, reading.tame(answer), answer)
            remark = why
    if not tried:
        raise Inapplicable("it has no three classes")
    return remark


@expected
def sees_which_class_is_taken_for_another(subject: Subject) -> None:
    """A softmax compares all classes: raising one of them where another is true must show."""
    tried = 0
    for reading in subject.readings:
        if not reading.form.exclusive or reading.classes < 3 or not compares(reading):
            continue
        tried += 1
        answer = reading.answer()
        z = reading.tame(answer)
        before = float(reading.value(z, answer))
        for true in answer.unique().tolist():
            told = {
                taken: _raised(reading, z, answer, true, taken) for taken in range(reading.classes) if taken != true
            }
            values = {taken: float(reading.value(x, answer)) for taken, x in told.items()}
            same = [at for at, value in values.items() if abs(value - before) < 1e-9 * max(1, abs(before))]
            if same and len(same) < len(values):  # a class that counts for nothing shows nothing of any
                why = (
                    f"where class {true} is true, the value stays {before:.4g} however sure the network is of class"
                    f" {same[0]}: that channel is left out before the classes are compared"
                )
                fail(why, reading, told[same[0]], answer)
    if not tried:
        raise Inapplicable("it has no softmax")


@expected
def is_least_at_its_target(subject: Subject) -> None:
    """For quantities: the nearer the better, on either side."""
    found = [one for one in subject.readings if one.form is QUANTITY]
    if not found:
        raise Inapplicable("it is not for quantities")
    for reading in found:
        answer = reading.answer()
        direction = reading.tame(answer)
        for sign in (1.0, -1.0):
            path = [answer + sign * at * direction for at in torch.linspace(8, 0, 33, dtype=torch.float64).tolist()]
            _falls(reading, answer, path, 1e-6, "the output comes nearer to its target")


# helpers


class _Rises(Exception):
    def __init__(self, by: float) -> None:
        self.by = by


def _falls(reading: Reading, answer: Tensor, path: list[Tensor], room: float, while_: str) -> None:
    values = [float(reading.value(z.to(reading.dtype), answer)) for z in path]
    spread = max(values) - min(values)
    for z, before, value in zip(path[1:], values, values[1:], strict=False):
        if value > before + room * spread + 1e-9:
            if not while_:
                raise _Rises(value - before)
            fail(f"it rises from {before:.4g} to {value:.4g} while {while_}", reading, z.to(reading.dtype), answer)


def _tried(reading: Reading, answer: Tensor, size: float) -> Iterator[Tensor]:
    """Answers of all sorts: at random, undecided, right in part, and one for all."""
    sides = reading.sides(answer)
    for seed in range(12):
        random = torch.Generator().manual_seed(seed)
        share = torch.rand(sides[:, :1].shape, generator=random)
        yield reading.tame(answer, seed).clamp(-size, size)
        for wrong in _wrong(reading, answer):
            yield size * torch.where(share < (seed + 1) / 13, wrong.to(sides), sides)
    yield 0 * sides
    for channel in range(reading.classes):
        yield size * _one(sides, channel)


def _one(sides: Tensor, channel: int) -> Tensor:
    """One channel says yes everywhere, the others no."""
    one = -torch.ones_like(sides)
    one[:, channel] = 1
    return one


def _raised(reading: Reading, z: Tensor, answer: Tensor, true: int, taken: int) -> Tensor:
    """The same logits, sure of one class where another is true."""
    raised = z.clone()
    raised[:, taken][answer == true] += 12.0
    return raised


def _places(reading: Reading) -> Tensor:
    """The elements in an order of chance, of a shape that spreads over the channels."""
    like = reading.answer()
    shape = like.shape if like.ndim < 2 + len(reading.space) else (len(like), *reading.space)
    order = torch.randperm(like.new_zeros(shape).numel(), generator=torch.Generator().manual_seed(3))
    return order.reshape(shape).unsqueeze(1)


def _without_last(reading: Reading, answer: Tensor) -> Tensor:
    if reading.form.exclusive:
        return answer % 2
    kept = answer.clone()
    kept[:, -1] = 0
    return kept


def _smooths(loss: Loss) -> bool:
    """Whether a field or an argument that is not 0 is called label smoothing, or a wrapper is."""
    if "LabelSmoothing(" in repr(loss):
        return True
    for leaf in loss.leaves():
        said = [*leaf.arguments, *getattr(leaf.made(), "__dict__", {}).items()] if isinstance(leaf, Foreign) else []
        said = said or list(vars(leaf).items())
        if any("label_smooth" in (name or "") and isinstance(value, float) and value > 0 for name, value in said):
            return True
    return False
