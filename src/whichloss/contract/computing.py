"""Expectations about computing: derivatives, extreme and half-precise numbers, memory, the compiler."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from math import prod
from time import perf_counter

import torch
from torch import Tensor

from whichloss.core import Foreign, UserError

from .conduct import Subject, expected, fail
from .promise import Broken, Inapplicable, Trial
from .readings import BARE, EXCLUSIVE, QUANTITY, SIGNED, Reading, ask, target_first
from .shares import _close, _n

LARGE = 128**3  # elements on which sums in float32 must still hold
SECONDS = 20.0  # that one value of a large image may take


@expected
def has_the_gradient_of_its_values(subject: Subject) -> None:
    """Against central differences along random directions, in float64."""
    tried = 0
    for reading in subject.readings:
        if reading.dtype != torch.float64:
            continue
        answer = reading.answer()
        for seed in range(3):
            tried += 1
            z = reading.tame(answer, seed)
            z = z + 1e-3 * torch.linspace(0, 1, z.numel(), dtype=z.dtype).reshape(
                z.shape
            )  # where few terms have a corner
            value, slope = reading.slope(z, answer)
            if not bool(slope.isfinite().all()):
                fail(
                    f"its gradient holds NaN or inf at ordinary logits, and its value is {_n(value)}",
                    reading,
                    z,
                    answer,
                )
            for direction in (reading.tame(answer, 100 + seed), reading.tame(answer, 200 + seed)):
                told, seen = float((slope * direction).sum()), []
                for step, room in _steps(reading, z, answer):
                    ahead, behind = (float(reading.value(z + by * direction, answer)) for by in (step, -step))
                    seen.append((ahead - behind) / (2 * step))
                    if abs(seen[-1] - told) <= room * (abs(told) + abs(float(value)) + 1e-3):
                        break
                else:
                    why = f"along one direction the value changes by {seen[-1]:.5g}, and the gradient says {told:.5g}"
                    fail(why, reading, z, answer)
    if not tried:
        raise Inapplicable("it takes no float64, and float32 is too coarse for differences")


def _steps(reading: Reading, z: Tensor, answer: Tensor) -> list[tuple[float, float]]:
    """Steps of differences, and the error allowed at each; coarse ones for who computes in float32 whatever comes."""
    fine = [(1e-6, 1e-5), (1e-4, 1e-3)]
    cast = torch.equal(reading.value(z, answer), reading.value(z.float().to(z.dtype), answer))
    return [(1e-2, 1e-2)] if cast else fine


@expected
def stays_finite_at_ordinary_logits(subject: Subject) -> str | None:
    """In float32, value and gradient, up to 20: right, wrong, with classes missing, nothing there and all there."""
    remarks: dict[str, None] = {}
    for reading in (replace(one, dtype=torch.float32) for one in subject.readings):
        faults: dict[str, tuple[Tensor, Tensor]] = {}
        for word, answer in _answers(reading):
            sides = answer if reading.form is QUANTITY else reading.sides(answer)
            for size, sign in ((size, sign) for size in (0.0, 1.0, 8.0, 20.0, 100.0, 1e4) for sign in (1, -1)):
                z, how = (sign * size * sides).float(), "right" if sign > 0 else "wrong"
                where = f"where {word} and answers are {how} by {size:g}" if size else f"where {word} and logits are 0"
                value, slope = reading.slope(z, answer)
                if bool(value.isfinite()) and bool(slope.isfinite().all()):
                    steep = float(slope.abs().max())
                    if size <= 20 and steep > 1e3 and reading.form is not QUANTITY:
                        remarks[f"its gradient is {steep:.2g} {where}"] = None
                    continue
                what = "gradient" if bool(value.isfinite()) else "value"
                if size <= 20:
                    faults.setdefault(f"{what} {where}", (z, answer))
                else:
                    remarks[f"its {what} is NaN or infinite {where}"] = None
        if faults:
            z, answer = next(iter(faults.values()))
            fail(f"NaN or infinite in float32: its {', its '.join(list(faults)[:3])}", reading, z, answer)
    return "; ".join(list(remarks)[:3])


def _answers(reading: Reading) -> list[tuple[str, Tensor]]:
    usual = reading.answer()
    if reading.form is QUANTITY:
        return [("quantities are asked for", usual.float())]
    nothing = torch.zeros_like(usual)
    everything = torch.full_like(usual, reading.classes - 1) if reading.form.exclusive else torch.ones_like(usual)
    found = [("nothing is there", nothing), ("all is mixed", usual), ("everything is there", everything)]
    return [(word, answer if reading.form.exclusive else answer.float()) for word, answer in found]


@expected
def still_teaches_who_is_wholly_wrong(subject: Subject) -> str | None:
    remark = None
    for reading in subject.readings:
        if reading.form is QUANTITY:
            continue
        answer = reading.answer()
        for size in (4.0, 8.0, 16.0):
            _, slope = reading.slope(-size * reading.sides(answer), answer)
            if not bool(slope.any()) and remark is None:
                remark = f"its gradient is exactly 0 for answers that are wrong by {size:g}: they are never put right"
    return remark


@expected
def sums_large_images_without_cancellation(subject: Subject) -> None:
    """A small lesion in a large image: float32 against float64."""
    tried = 0
    for reading in subject.readings[-1:]:
        if not reading.space or reading.dtype != torch.float64 or reading.form in (QUANTITY, SIGNED):
            continue
        side = round(LARGE ** (1 / len(reading.space)))
        space = (side,) * len(reading.space)
        try:
            started = perf_counter()
            _lesion(reading, tuple(max(1, one // 4) for one in space), torch.float64)
            if (perf_counter() - started) * 4 ** len(space) > SECONDS:
                raise Inapplicable(f"one value of {side}^{len(space)} elements would take more than {SECONDS:g} s")
            single, exact = (_lesion(reading, space, dtype) for dtype in (torch.float32, torch.float64))
        except UserError as error:
            raise Inapplicable(f"it refuses large images: {error}") from None
        tried += 1
        if not abs(single - exact) <= 1e-3 * max(abs(exact), 1e-3):
            size = " x ".join(map(str, space))
            why = (
                f"{size} elements, a background of probability 0.0001 and 30 voxels of 0.02: {single:.5g} in float32,"
                f" {exact:.5g} in float64; large sums are subtracted from each other"
            )
            made = _lesion_code(reading, space)
            raise Broken(why, Trial(reading.loss, torch.tensor(single), torch.tensor(exact), str(reading), made))
    if not tried:
        raise Inapplicable("it takes no image in float64")


def _lesion(reading: Reading, space: tuple[int, ...], dtype: torch.dtype) -> float:
    reading = replace(reading, space=space, dtype=dtype)
    flat = torch.zeros(prod(space), dtype=torch.long)
    flat[:30] = 1
    lesion = flat.reshape(1, *space)
    answer = lesion if reading.form.exclusive else lesion.unsqueeze(1).expand(1, reading.classes, *space).to(dtype)
    p = torch.where(lesion == 1, 0.02, 1e-4).to(torch.float64)
    z = torch.zeros((1, reading.classes, *space), dtype=torch.float64)
    z[:] = p.logit().unsqueeze(1)
    if reading.form.exclusive:
        z[:, 0] = 0.0
    with torch.no_grad():
        return float(reading.value(z.to(dtype), answer))


def _lesion_code(reading: Reading, space: tuple[int, ...]) -> str:
    """What `_lesion` does, for anybody to run."""
    link = {
        "logits": "output",
        "probabilities": f"output.{'softmax(1)' if reading.form.exclusive else 'sigmoid()'}",
        "log-probabilities": "output.log_softmax(1)",
        "distances": "torch.nn.functional.softplus(-output)",
    }[reading.link]
    count = reading.classes
    target = {
        EXCLUSIVE[0]: "answer",
        EXCLUSIVE[1]: "answer.unsqueeze(1)",
        EXCLUSIVE[2]: f"torch.nn.functional.one_hot(answer, {count}).movedim(-1, 1)",
        BARE: "answer",
    }.get(reading.form, f"answer.unsqueeze(1).expand(1, {count}, *answer.shape[1:])")
    cast = "target" if reading.form in EXCLUSIVE[:2] else "target.to(dtype)"
    return "\n".join(
        [
            f"p = torch.full({(1, count, *space)}, 1e-4, dtype=torch.float64)",
            "p.flatten(2)[..., :30] = 0.02",
            "output = p.logit()",
            *(["output[:, 0] = 0"] if reading.form.exclusive else []),
            f"output = {link}{'[:, 0]' if reading.form is BARE else ''}",
            f"answer = torch.zeros({(1, *space)}, dtype=torch.long)",
            "answer.flatten()[:30] = 1",
            f"target = {target}",
            "for dtype in (torch.float32, torch.float64):",
            f"    print(dtype, loss(output.to(dtype), {cast}).item())",
        ]
    )


@expected
def keeps_half_precision_finite(subject: Subject) -> str | None:
    """Never a fault: who passes plain float16 to a loss that says nothing of it was promised nothing."""
    remarks: dict[str, None] = {}
    refused = 0
    for reading in subject.readings:
        for dtype in (torch.float16, torch.bfloat16):
            half = replace(reading, dtype=dtype)
            name = str(dtype).removeprefix("torch.")
            sums = dtype == torch.float16 and reading is subject.readings[-1] and len(reading.space) == 2
            large = replace(half, space=(384, 384)) if sums else None  # more than 65504 elements say yes
            for one, word in ((half, ""), (large, " on 384 x 384")):
                if one is None:
                    continue
                answer = one.answer(images=1 if word else 2)
                answer = answer if one.form.exclusive else answer.to(dtype)
                sides = one.sides(answer).to(dtype)
                cases = [(2.2 * sides, "right by 2.2")]
                cases = cases if word else [(20 * sides, "right by 20"), (-20 * sides, "wrong by 20")]
                for z, size in cases:
                    try:
                        value, slope = one.slope(z, answer)
                    except Exception:
                        refused += 1
                        continue
                    if not bool(value.isfinite() and slope.isfinite().all()):
                        what = "value" if not bool(value.isfinite()) else "gradient"
                        remarks[f"its {what} is NaN or infinite in {name}{word}, at logits that are {size}"] = None
    if refused and not remarks:
        return "it takes no half precision"
    return "; ".join(remarks)


@expected
def does_not_care_how_its_input_lies_in_memory(subject: Subject) -> None:
    for reading in subject.readings:
        answer = reading.answer()
        z = reading.tame(answer)
        before = reading.value(z, answer)
        strided = z.repeat_interleave(2, -1)[..., ::2]
        turned = z.transpose(0, -1).contiguous().transpose(0, -1)
        lays = [strided, turned, *([z.contiguous(memory_format=torch.channels_last)] if z.ndim == 4 else [])]
        for lain in lays:
            after = reading.value(lain, answer)
            if not _close(before, after):
                fail(f"{_n(before)} became {_n(after)} where the output lies otherwise in memory", reading, z, answer)


@expected
def leaves_output_and_target_alone(subject: Subject) -> None:
    for reading in subject.readings:
        answer = reading.answer()
        z = reading.tame(answer)
        shown, target = reading.shown(z).clone(), reading.target(answer).clone()
        before = shown.clone(), target.clone()
        ask(reading.loss, shown, target)
        if not (torch.equal(shown, before[0]) and torch.equal(target, before[1])):
            fail("it changed its own input", reading, z, answer)


@expected
def gives_the_same_value_twice(subject: Subject) -> None:
    for reading in subject.readings:
        answer = reading.answer()
        z = reading.tame(answer)
        (one, slope), (two, hill) = reading.slope(z, answer), reading.slope(z, answer)
        if not (_close(one, two) and _close(slope, hill)):
            fail(f"{_n(one)} the first time, and {_n(two)} the second", reading, z, answer)


@expected
def is_the_same_under_autocast(subject: Subject) -> str | None:
    remark = None
    for reading in (replace(one, dtype=torch.float32) for one in subject.readings):
        answer = reading.answer()
        answer = answer if reading.form.exclusive else answer.float()
        z = reading.tame(answer)
        plain = reading.value(z, answer)
        try:
            with torch.autocast("cpu", dtype=torch.bfloat16):
                cast = reading.value(z, answer)
        except Exception as error:
            return f"it raises {type(error).__name__} under autocast"
        if abs(float(cast) - float(plain)) > 1e-4 * max(1e-3, abs(float(plain))):
            remark = f"{_n(cast)} under autocast, {_n(plain)} without"
    return remark


@expected
def compiles_to_one_graph(subject: Subject) -> str | None:
    for reading in subject.readings[:1]:
        answer = reading.answer()
        z = reading.tame(answer)
        shown, target = reading.shown(z), reading.target(answer)
        loss, pair = reading.loss, (target, shown) if target_first(reading.loss) else (shown, target)
        call: Callable[..., Tensor] = loss.made() if isinstance(loss, Foreign) else partial(loss.__call__)
        torch._dynamo.reset()
        try:
            fast = torch.compile(call, fullgraph=True, backend="eager")(*pair)
        except Exception as error:
            lines = [line.strip() for line in str(error).splitlines() if line.strip()]
            return f"torch.compile makes no single graph of it: {lines[0] if lines else type(error).__name__}"
        finally:
            torch._dynamo.reset()
        plain = reading.value(z, answer)
        if not _close(fast, plain):
            fail(f"{_n(fast)} compiled, {_n(plain)} not compiled", reading, z, answer)
    return None
