"""Expectations about who counts how much: images, classes, batches, weights, what is ignored."""

from copy import deepcopy
from dataclasses import fields, replace
from typing import Any

import torch
from torch import Tensor, nn

from whichloss.core import Foreign, Loss

from .conduct import Subject, expected, fail
from .promise import Inapplicable
from .readings import EXCLUSIVE, MASKED, QUANTITY, YES_OR_NO, Reading, ask, parameter, takes

WEIGHTS = {"weight", "weights", "sample_weight", "pixel_weight", "voxel_weight", "weight_map", "mask"}


@expected
def does_not_care_about_the_order_of_the_images(subject: Subject) -> None:
    for reading in subject.readings:
        answer = reading.answer(images=3)
        z, order = reading.tame(answer), torch.arange(len(answer)).roll(1)
        before, after = reading.value(z, answer), reading.value(z[order], answer[order])
        if not _close(before, after):
            fail(f"{_n(before)} became {_n(after)} with the images in another order", reading, z, answer)


@expected
def does_not_care_how_classes_are_numbered(subject: Subject) -> str | None:
    """Weights of classes are renumbered with them. Where the background is left out, it stays class 0."""
    remark, tried = None, 0
    for reading in subject.readings:
        if reading.classes < 2 or reading.form is QUANTITY or reading.form is MASKED:
            continue
        tried += 1
        answer = reading.answer()
        z = reading.tame(answer)
        before = reading.value(z, answer)
        names = torch.arange(reading.classes).roll(1)
        renamed = _renumbered(reading, names)
        after = renamed.value(z[:, names], _renamed(reading, answer, names))
        if _close(before, after):
            continue
        names = torch.cat([torch.zeros(1, dtype=torch.long), torch.arange(1, reading.classes).roll(1)])
        after = _renumbered(reading, names).value(z[:, names], _renamed(reading, answer, names))
        if _close(before, after):
            remark = f"class 0 is no class like the others: the background is left out, or weighs otherwise ({reading})"
            continue
        why = f"{_n(before)} became {_n(after)} when the classes were numbered otherwise, in output and target alike"
        fail(why, reading, z, answer)
    if not tried:
        raise Inapplicable("it has one class")
    return remark


@expected
def does_not_care_where_elements_lie(subject: Subject) -> str | None:
    remark, tried = None, 0
    for reading in subject.readings:
        if not reading.space:
            continue
        tried += 1
        answer = reading.answer()
        z = reading.tame(answer)
        order = torch.randperm(z[0, 0].numel(), generator=torch.Generator().manual_seed(2))
        before = reading.value(z, answer)
        after = reading.value(_shuffled(z, order, reading), _shuffled(answer, order, reading))
        if not _close(before, after):
            remark = f"it sees where elements lie: {_n(before)} became {_n(after)} when they were shuffled"
    if not tried:
        raise Inapplicable("it takes no images")
    return remark


@expected
def is_the_mean_over_its_batch(subject: Subject) -> str | None:
    remarks: dict[str, None] = {}
    for reading in subject.readings:
        answer = reading.answer()
        z = reading.tame(answer)
        once, twice = reading.value(z, answer), reading.value(torch.cat([z, z]), torch.cat([answer, answer]))
        if _close(2 * once, twice):
            remarks["it is a sum: the same batch twice over has twice the value"] = None
        elif not _close(once, twice):
            remarks[f"the same batch twice over has {_n(twice)} for {_n(once)}"] = None
        if reading.space:
            images = [reading.value(z[at : at + 1], answer[at : at + 1]) for at in range(len(z))]
            pooled = sum(images) / len(images)
            if not _close(once, torch.as_tensor(pooled)) and _close(once, twice):
                remarks[f"a batch is more than the mean of its images: {_n(once)}, not {_n(pooled)}"] = None
    return "; ".join(remarks)


@expected
def is_the_same_while_nothing_is_ignored(subject: Subject) -> None:
    """With `ignore_index` and nothing to ignore, against without it."""
    tried = 0
    for reading in subject.readings:
        without = _without_ignoring(reading)
        if without is None:
            continue
        tried += 1
        answer = reading.answer()
        z = reading.tame(answer)
        value, plain = reading.value(z, answer), without.value(z, answer)
        if not _close(value, plain):
            times = float(value) / float(plain) if float(plain) else float("nan")
            classes = f", the number of channels ({reading.classes})" if abs(times - reading.classes) < 1e-4 else ""
            why = (
                f"nothing is ignored, and {_n(value)} is {times:.4g} times the {_n(plain)} that it is without an"
                f" ignored index{classes}: the sum and the count of elements do not fit"
            )
            fail(why, reading, z, answer)
    if not tried:
        raise Inapplicable("it takes no ignored index that can be left out")


@expected
def sees_nothing_of_what_is_ignored(subject: Subject) -> None:
    """As if those elements were not there: neither in the sum nor in the count."""
    tried = 0
    for reading in subject.readings:
        index = ignored_index(reading)
        if index is None or not reading.space or reading.form is QUANTITY:
            continue
        answer = reading.answer()
        z = reading.tame(answer)
        gone = torch.zeros_like(answer, dtype=torch.bool).movedim(-1, 0)
        gone[-2:] = True
        target = reading.target(answer)
        spaced = gone.movedim(0, -1)
        spaced = spaced.unsqueeze(1) if spaced.ndim < target.ndim else spaced
        marked = torch.where(spaced, torch.full_like(target, index), target)
        try:
            value = ask(reading.loss, reading.shown(z), marked)
        except Exception:  # an index that this target cannot hold
            continue
        tried += 1
        expected_ = reading.value(z[..., :-2], answer[..., :-2])
        if not _close(value, expected_):
            why = f"{_n(value)} with some elements of index {index}, and {_n(expected_)} without these elements"
            fail(why, reading, z, answer)
    if not tried:
        raise Inapplicable("it takes no ignored index")


@expected
def takes_a_weight_of_one_for_none_and_of_zero_for_absent(subject: Subject) -> None:
    name = parameter(subject.loss, WEIGHTS)
    if name is None:
        raise Inapplicable("it takes no weight of elements")
    tried = 0
    for reading in subject.readings:
        answer = reading.answer()
        z = reading.tame(answer)
        shown, target = reading.shown(z), reading.target(answer)
        for like in (shown[:, 0], shown[:, :1], shown):
            try:
                ones = ask(subject.loss, shown, target, **{name: torch.ones_like(like)})
            except Exception:
                continue
            tried += 1
            plain = reading.value(z, answer)
            if not _close(ones, plain):
                fail(f"{_n(ones)} with {name} = 1 everywhere, and {_n(plain)} without it", reading, z, answer)
            if reading.space:
                weight = torch.ones_like(like)
                weight[..., -2:] = 0
                value = ask(subject.loss, shown, target, **{name: weight})
                cropped = reading.value(z[..., :-2], answer[..., :-2])
                if not _close(value, cropped):
                    why = f"{_n(value)} with {name} = 0 for some elements, and {_n(cropped)} without these elements"
                    fail(why, reading, z, answer)
            break
    if not tried:
        raise Inapplicable(f"it takes a {name} of a shape that was not found")


@expected
def stays_in_the_range_that_it_should_have(subject: Subject) -> None:
    """The range that was asked for; or 0 to 1, of what calls itself normalised."""
    bounds = subject.range
    if bounds is None and any("normali" in _name(leaf).lower() for leaf in subject.loss.leaves()):
        bounds = (0.0, 1.0)
    if bounds is None:
        raise Inapplicable("no --range was given")
    low, high = bounds
    for reading in subject.readings:
        for seed in range(3):
            answer = reading.answer(seed)
            for z in (reading.tame(answer, seed), *(size * reading.sides(answer) for size in (-16.0, 16.0))):
                value = float(reading.value(z, answer))
                if not low - 1e-6 <= value <= high + 1e-6:
                    fail(f"{value:.4g} is outside of {low:g} to {high:g}", reading, z, answer)


@expected
def equals_what_it_should_be_like(subject: Subject) -> None:
    """Another loss, of which this one should have the values; each is asked in its own way."""
    from .readings import readings

    if subject.like is None:
        raise Inapplicable("no --like was given")
    others, tried = readings(subject.like), 0
    for reading in subject.readings:
        for other in others:
            like = replace(other, classes=reading.classes, space=reading.space)
            same = (reading.form is QUANTITY) == (other.form is QUANTITY)
            if reading.form.exclusive != other.form.exclusive or not same or not takes(like):
                continue
            tried += 1
            ratios = []
            for seed in range(4):
                answer = reading.answer(seed)
                z = reading.tame(answer, seed)
                (one, slope), (two, hill) = reading.slope(z, answer), like.slope(z, answer)
                ratios.append(float(one / two))
                if not (_close(one, two) and _close(slope, hill)):
                    how = _ratio(subject, reading, like)
                    fail(f"{_n(one)} where {subject.like.label} has {_n(two)}: {how}", reading, z, answer)
            break
    if not tried:
        raise Inapplicable(f"{subject.like.label} answers no question that it answers")


def _ratio(subject: Subject, reading: Reading, like: Reading) -> str:
    ratios = []
    for seed in range(8):
        answer = reading.answer(seed)
        z = reading.tame(answer, seed)
        ratios.append(float(reading.value(z, answer)) / float(like.value(z, answer)))
    low, high = min(ratios), max(ratios)
    if high - low < 1e-4 * abs(high):
        return f"it is {high:.5g} times that, always"
    return f"its ratio to that is {low:.4g} to {high:.4g}"


# helpers


def _n(value: Any) -> str:
    return f"{float(value):.5g}"


def _close(one: Tensor, other: Tensor) -> bool:
    rtol = 1e-6 if one.dtype == torch.float64 else 2e-4
    return bool(torch.allclose(one.double(), other.double(), rtol=rtol, atol=rtol * 1e-3))


def _shuffled(x: Tensor, order: Tensor, reading: Reading) -> Tensor:
    axes = len(reading.space)
    return x.flatten(-axes)[..., order].reshape(x.shape)


def _renamed(reading: Reading, answer: Tensor, names: Tensor) -> Tensor:
    return names.argsort()[answer] if reading.form.exclusive else answer[:, names]


def _renumbered(reading: Reading, names: Tensor) -> Reading:
    """The same loss with whatever it holds for each class in the new order."""
    loss = reading.loss
    if not isinstance(loss, Foreign):
        return replace(reading, loss=_own_renumbered(loss, names))
    count = len(names)
    arguments = tuple(
        (name, tuple(value[i] for i in names.tolist()) if isinstance(value, tuple) and len(value) == count else value)
        for name, value in loss.arguments
    )
    if arguments != loss.arguments:
        return replace(reading, loss=replace(loss, arguments=arguments))
    made = loss.made()
    if isinstance(made, nn.Module) and any(one.shape == (count,) for one in made.buffers()):
        made = deepcopy(made)
        for one in made.buffers():
            if one.shape == (count,):
                one.copy_(one[names].clone())
        other = replace(loss)
        other._set("_made", made)
        return replace(reading, loss=other)
    return reading


def _own_renumbered(loss: Loss, names: Tensor) -> Loss:
    """Fields that hold a number for each class, or for each pair of classes; a class that is left out names none."""

    def renumbered(value: Any) -> Any:
        if isinstance(value, Loss):
            return _own_renumbered(value, names)
        if not isinstance(value, tuple) or len(value) != len(names):
            return value
        rows = [value[at] for at in names.tolist()]
        return tuple(tuple(row[at] for at in names.tolist()) if isinstance(row, tuple) else row for row in rows)

    old = {one.name: getattr(loss, one.name) for one in fields(loss) if one.name != "addends"}
    new = {name: renumbered(value) for name, value in old.items()}
    return loss if new == old else replace(loss, **new)


def _without_ignoring(reading: Reading) -> Reading | None:
    """The same loss without what its arguments say of ignored elements, asked as it then can be."""
    loss = reading.loss
    if not isinstance(loss, Foreign):
        return None
    kept = tuple((name, value) for name, value in loss.arguments if "ignore" not in (name or ""))
    if kept == loss.arguments:
        return None
    other = replace(reading, loss=replace(loss, arguments=kept))
    if reading.form is MASKED:
        other = replace(other, form=YES_OR_NO)
    return other if takes(other) else None


def ignored_index(reading: Reading) -> int | None:
    """The index that a foreign loss says it ignores, in its arguments or as an attribute."""
    if not isinstance(reading.loss, Foreign) or reading.form in (MASKED, EXCLUSIVE[2]):
        return None
    said = {name or "": value for name, value in reading.loss.arguments}
    held = vars(made) if isinstance(made := reading.loss.made(), nn.Module) else {}
    index = said.get("ignore_index", held.get("ignore_index"))
    return index if type(index) is int else None


def _name(loss: Loss) -> str:
    return loss.path if isinstance(loss, Foreign) else ""
