"""How somebody's loss wants to be asked: which target it takes, and whether its output is logits or probabilities.

A callable does not say. It is told from what it does: under the right reading of it, right answers score better than
none and than wrong ones, and being surer of them does not pay for ever; a loss of logits has a slope outside 0 to 1.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from inspect import Parameter, signature
from itertools import chain
from math import prod
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from whichloss.core import EmbeddingLoss, Foreign, Loss, UserError

from .problems import one_hot

SPACES = ((4, 3), (4, 3, 3), ())  # an image, a volume, a case without space: the first that is taken is examined
LINKS = ("logits", "log-probabilities", "probabilities")
FIRST_TARGET = {"y_true", "target", "targets", "truth", "label", "labels", "true", "gt", "ground_truth"}
FIRST_OUTPUT = {"y_pred", "pred", "preds", "prediction", "input", "inputs", "output", "outputs", "logits", "y_hat"}


@dataclass(frozen=True)
class Form:
    """What is asked, and what the target looks like. An answer is (N, *S) of classes, or (N, C, *S) of 0 and 1."""

    name: str
    exclusive: bool
    encode: Callable[[Tensor, int, torch.dtype], Tensor]


def _hot(answer: Tensor, classes: int, dtype: torch.dtype) -> Tensor:
    return one_hot(answer, classes).to(dtype)


def _listed(answer: Tensor, classes: int, dtype: torch.dtype) -> Tensor:
    numbers = torch.where(answer > 0, torch.arange(classes).reshape(-1, *[1] * (answer.ndim - 2)), classes)
    return numbers.sort(1).values.masked_fill(numbers.sort(1).values == classes, -1)


EXCLUSIVE = (
    Form("class indices (N, *S)", True, lambda answer, classes, dtype: answer),
    Form("class indices (N, 1, *S)", True, lambda answer, classes, dtype: answer.unsqueeze(1)),
    Form("one-hot classes (N, C, *S)", True, _hot),
)
YES_OR_NO = Form("yes or no for each channel", False, lambda answer, classes, dtype: answer.to(dtype))
SIGNED = Form("+1 or -1 for each channel", False, lambda answer, classes, dtype: (2 * answer - 1).to(dtype))
MASKED = Form(
    "yes or no for each channel, and a last channel of what is ignored",
    False,
    lambda answer, classes, dtype: torch.cat([answer, torch.zeros_like(answer[:, :1])], 1).to(dtype),
)
LISTED = Form("the numbers of the channels that are yes, and -1 for the rest", False, _listed)
BARE = Form("yes or no, without channels", False, lambda answer, classes, dtype: answer[:, 0].to(dtype))
QUANTITY = Form("quantities, of the output's shape", False, lambda answer, classes, dtype: answer.to(dtype))


@dataclass(frozen=True)
class Reading:
    """One way to ask a loss. z are logits whatever it takes: it is shown what it wants, made of them."""

    loss: Loss
    form: Form
    link: str
    classes: int
    space: tuple[int, ...]
    dtype: torch.dtype = torch.float64
    sensible: bool = True  # right answers score better than none and than wrong ones

    def value(self, z: Tensor, answer: Tensor) -> Tensor:
        return ask(self.loss, self.shown(z), self.target(answer, z.dtype))

    def slope(self, z: Tensor, answer: Tensor) -> tuple[Tensor, Tensor]:
        """Value and gradient at z."""
        leaf = z.detach().clone().requires_grad_()
        value = self.value(leaf, answer)
        if not value.requires_grad:
            return value, torch.zeros_like(z)
        return value.detach(), torch.autograd.grad(value, leaf)[0]

    def shown(self, z: Tensor) -> Tensor:
        z = z[:, 0] if self.form is BARE else z
        if self.link == "probabilities":
            return z.softmax(1) if self.form.exclusive else z.sigmoid()
        if self.link == "log-probabilities":
            return z.log_softmax(1) if self.form.exclusive else F.logsigmoid(z)
        if self.link == "distances":
            return F.softplus(-z)
        return z

    def target(self, answer: Tensor, dtype: torch.dtype | None = None) -> Tensor:
        made = self.form.encode(answer, self.classes, dtype or self.dtype)
        return made.exp() if self.link == "logarithms" else made.clone()  # who writes to it harms itself

    def answer(self, seed: int = 0, images: int = 2, share: float = 0.5) -> Tensor:
        """Every class in every image, as far as there is room; the share of yes, or of class 0, is given."""
        random = torch.Generator().manual_seed(seed)
        images = images if self.space else max(images, 3 * self.classes)  # cases without space make up one image
        if self.form is QUANTITY:
            return torch.randn((images, self.classes, *self.space), generator=random, dtype=self.dtype)
        rows = 1 if self.form.exclusive else self.classes
        places = torch.rand((images, rows, prod(self.space)), generator=random)
        places = places if self.space else places.transpose(0, 2)
        order, room = places.argsort(-1).argsort(-1), places.shape[-1]
        few = max(1, min(room - max(1, self.classes - 1 if rows == 1 else 1), round(share * room)))
        others = torch.arange(room).remainder(self.classes - 1) + 1 if self.form.exclusive else torch.zeros(1).long()
        found = torch.where(order < few, int(not self.form.exclusive), others[order % len(others)])
        found = found if self.space else found.transpose(0, 2)
        found = found.reshape(images, rows, *self.space)
        return found[:, 0] if self.form.exclusive else found.to(self.dtype)

    def sides(self, answer: Tensor) -> Tensor:
        """+1 where the answer says yes and -1 where it says no, of the shape of z."""
        yes = one_hot(answer, self.classes) if self.form.exclusive else answer
        return (2 * yes - 1).to(self.dtype)

    def rivals(self, answer: Tensor) -> Tensor:
        """The sides of a wholly wrong answer that is one: the next class for each."""
        return self.sides((answer + 1) % self.classes if self.form.exclusive else 1 - answer)

    def tame(self, answer: Tensor, seed: int = 1) -> Tensor:
        """Ordinary logits."""
        random = torch.Generator().manual_seed(seed)
        like = (len(answer), self.classes, *self.space)
        z = 2 * torch.randn(like, generator=random, dtype=torch.float64)
        return ((100 * z).round() / 100).to(self.dtype)  # two digits, so that a report can spell them

    def __str__(self) -> str:
        return f"{self.form.name}, {self.link}"


def ask(loss: Loss, output: Tensor, target: Tensor, **more: Any) -> Tensor:
    """The value; a function that names its target first is given it first."""
    if isinstance(loss, Foreign) and (more or target_first(loss)):
        pair = (target, output) if target_first(loss) else (output, target)
        return loss.made()(*pair, **more)
    return loss(output, target, **more)


def target_first(loss: Loss) -> bool:
    return tuple(_parameters(loss))[:2] in {(one, other) for one in FIRST_TARGET for other in FIRST_OUTPUT}


def parameter(loss: Loss, names: set[str]) -> str | None:
    """The first of these names that a foreign loss takes when it is called."""
    return next((name for name in list(_parameters(loss))[2:] if name in names), None)


def needs_of(loss: Loss) -> list[str]:
    """What a foreign loss cannot be called without."""
    places = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)
    found = _parameters(loss).items()
    return [name for name, one in found if one.default is Parameter.empty and one.kind in places]


def _parameters(loss: Loss) -> Mapping[str, Parameter]:
    if not isinstance(loss, Foreign):
        return {}
    made = loss.made()
    try:
        return signature(made.forward if isinstance(made, nn.Module) else made).parameters
    except (TypeError, ValueError):
        return {}


def readings(loss: Loss) -> list[Reading]:
    """The ways in which a loss can be asked; at most one for classes, for channels, for one channel, for quantities."""
    return list(_own(loss)) if _ours(loss) else list(_foreign(loss))


def refusal(loss: Loss) -> str:
    """What a loss says to a plain batch when it takes none: that it gives several numbers, or its first complaint."""
    said = []
    for form in (*EXCLUSIVE, YES_OR_NO):
        reading = Reading(loss, form, "logits", 3, SPACES[0], torch.float32)
        answer = reading.answer()
        try:
            value = reading.value(reading.tame(answer), answer)
            said.append(f"its value is {value}")
        except UserError as error:
            return str(error)
        except Exception as error:
            said.append(f"{type(error).__name__}: {error}")
    return said[-1]


def accepted(reading: Reading) -> list[str]:
    """The shapes of output that it takes, asked in this way."""
    names = {(): "(N, C)", SPACES[0]: "(N, C, H, W)", SPACES[1]: "(N, C, D, H, W)"}
    return [name for space, name in names.items() if takes(replace(reading, space=space))]


def takes_proportions(reading: Reading) -> bool:
    """Whether it takes soft labels: a target of the output's shape, between no and yes, which changes its value."""
    if reading.form in (QUANTITY, SIGNED, MASKED, LISTED) or reading.link == "log-probabilities":
        return False
    answer = reading.answer()
    z = reading.tame(answer)
    loss = reading.loss.asking("exclusive") if reading.form.exclusive and _ours(reading.loss) else reading.loss
    hard = _hot(answer, reading.classes, reading.dtype) if reading.form.exclusive else answer
    hard = hard[:, 0] if reading.form is BARE else hard
    soft = 0.8 * hard + 0.2 / max(2, reading.classes if reading.form.exclusive else 2)
    try:
        one, other = ask(loss, reading.shown(z), hard), ask(loss, reading.shown(z), soft)
    except Exception:
        return False
    return other.ndim == 0 and bool(other.isfinite()) and bool(one != other)


def takes(reading: Reading) -> bool:
    """Whether it gives one finite number."""
    return _number(reading) is not None


def _number(reading: Reading) -> float | None:
    answer = reading.answer()
    try:
        value = reading.value(reading.tame(answer), answer)
        return float(value) if value.ndim == 0 and bool(value.isfinite()) else None
    except Exception:  # somebody's code may refuse in any way
        return None


def _ours(loss: Loss) -> bool:
    return not any(isinstance(leaf, Foreign) for leaf in loss.leaves())


# our own losses say how they want to be asked


def _own(loss: Loss) -> Iterator[Reading]:
    leaves = list(loss.leaves())
    if any(isinstance(leaf, EmbeddingLoss) or not leaf.trains for leaf in leaves):
        return
    if any(getattr(leaf, "labels", "") == "complementary" for leaf in leaves):
        return  # its target says what is not there
    if "regression" in loss.tasks:
        tried = [Reading(loss, QUANTITY, "logits", 3, SPACES[0])]
    else:
        said = {getattr(leaf, "classes", "auto") for leaf in leaves}
        tried = [Reading(loss, YES_OR_NO, "logits", 1, SPACES[0])] if "exclusive" not in said else []
        tried += [Reading(loss.asking("independent"), YES_OR_NO, "logits", 3, SPACES[0])] if tried else []
        tried += [Reading(loss, EXCLUSIVE[0], "logits", 3, SPACES[0])] if "independent" not in said else []
    taken = [next((one for space in SPACES if takes(one := replace(it, space=space))), None) for it in reversed(tried)]
    found = [one for one in taken if one is not None]
    if found and found[0].form.exclusive:  # what compares classes, whatever it is asked, cannot say yes or no
        least = _at_best(found[0])
        found = [one for one in found if one.form.exclusive or _at_best(one) < least + 0.05]
    yield from found


# somebody else's are tried


def _foreign(loss: Loss) -> Iterator[Reading]:
    if sure := [one for one in _shaped(loss, (QUANTITY,), (1, 3), ("logits",)) if _translates(one)]:
        yield sure[0]
        return
    if sure := [one for one in _shaped(loss, (QUANTITY,), (1, 3), ("logarithms",)) if _is_least(one)]:
        yield sure[0]
        return
    several = _counts_of_classes(loss)
    indexed, channels, single, bare = (
        list(_shaped(loss, forms, counts, LINKS))
        for forms, counts in (
            (EXCLUSIVE, several),
            ((YES_OR_NO, SIGNED, MASKED), several),
            ((YES_OR_NO, SIGNED), (1,)),
            ((BARE,), (1,)),
        )
    )
    if any(one.sensible and compares(one) for one in indexed):  # a softmax within asks which class of several
        channels = single = bare = []
    groups = [indexed, channels, single, bare]
    if not any(map(_is_sensible, chain(*groups))):  # less usual ways
        rare = [*_shaped(loss, (SIGNED,), several, ("distances",))]
        rare += [] if any(groups) else _shaped(loss, (LISTED,), several, ("logits",))
        if sure := [one for one in rare if one.sensible]:
            yield sure[0]
            return
    if any(one.sensible for one in channels) and all(one.form is EXCLUSIVE[2] for one in indexed if one.sensible):
        # one-hot classes are then no more than yes and no; unless a softmax cannot answer yes to several
        several = min(map(_at_best, filter(_is_sensible, channels)))
        one = min(map(_at_best, filter(_is_sensible, indexed)), default=several)
        groups = [indexed] if one < several - 1e-3 else groups[1:]
    link = _link(groups)
    best = [found[0] for group in groups if (found := sorted((r for r in group if _votes(r, link)), key=_rank))]
    if len(best) == 1 and best[0].form is EXCLUSIVE[2] and link != "log-probabilities":
        # a target of this shape can say yes to several; what it then does is its own fault
        best += [one for one in channels if one.form is YES_OR_NO and one.link == link and not one.sensible][:1]
    if not best:  # no reading of it makes sense: the most likely one
        best = sorted((one for group in groups for one in group), key=_likely)[:1]
    yield from best[:-1] if len(best) > 1 and best[-1].form is BARE else best


def _link(groups: list[list[Reading]]) -> str:
    """What it takes its output for. Under an activation too many, a right answer does not come to its best."""
    able = [link for link in LINKS if any(_votes(one, link) for group in groups for one in group)]
    for group in groups:
        least = {link: _at_best(one) for link in able for one in group if _votes(one, link)}
        if not {"logits", "probabilities"} <= set(least):
            continue
        logits, probabilities = least["logits"], least["probabilities"]
        if probabilities < logits - 1e-3 or (logits < -1e-2 and abs(probabilities) < 1e-2):  # or beyond its best
            able.remove("logits")
            break
    return able[0] if able else "logits"


def _is_sensible(reading: Reading) -> bool:
    return reading.sensible


def _at_best(reading: Reading) -> float:
    answer = reading.answer()
    return min(float(reading.value(size * reading.sides(answer), answer)) for size in (1.0, 4.0, 16.0))


def _votes(reading: Reading, link: str) -> bool:
    return reading.sensible and reading.link == link and (link != "log-probabilities" or reading.form.exclusive)


def _rank(reading: Reading) -> int:
    return SPACES.index(reading.space)


def _likely(reading: Reading) -> tuple[bool, bool, bool, int, int]:
    """A loss whose slope ends at 0 and 1 is one of probabilities; a target of the output's shape says yes and no."""
    beyond = reading.link == "logits" and not _slopes_beyond_one(reading)
    wild = reading.form in (EXCLUSIVE[2], SIGNED)
    return reading.link == "log-probabilities", beyond, wild, LINKS.index(reading.link), -reading.classes


def _shaped(loss: Loss, forms: tuple[Form, ...], counts: tuple[int, ...], links: tuple[str, ...]) -> Iterator[Reading]:
    for form in forms:
        for link in links:
            every = (
                Reading(loss, form, link, count, space, dtype)
                for count in counts
                for space in SPACES
                for dtype in (torch.float64, torch.float32)
            )
            found = next((one for one in every if takes(one)), None)
            if found is not None:
                yield replace(found, sensible=_makes_sense(found))


def _counts_of_classes(loss: Loss) -> tuple[int, ...]:
    said: list[int] = []
    for leaf in loss.leaves():
        if isinstance(leaf, Foreign):
            said += [v for name, v in leaf.arguments if "class" in (name or "") and isinstance(v, int) and v > 1]
            said += [len(v) for _, v in leaf.arguments if isinstance(v, tuple) and len(v) > 1]
            made = leaf.made()
            if isinstance(made, nn.Module):
                said += [v for name, v in vars(made).items() if "class" in name and type(v) is int and v > 1]
                said += [v.numel() for v in made.buffers() if v.ndim == 1 and v.numel() > 1]
    return tuple(dict.fromkeys([*said, 3, 2]))


def _makes_sense(reading: Reading) -> bool:
    if reading.form is QUANTITY:
        return True
    if reading.link == "logits" and not _slopes_beyond_one(reading):
        return False
    try:
        return all(_prefers_right(reading, seed, share) for seed, share in ((0, 0.5), (1, 0.75), (2, 0.25)))
    except Exception:
        return False


def _prefers_right(reading: Reading, seed: int, share: float) -> bool:
    answer = reading.answer(seed, share=share)
    sides = reading.sides(answer)
    right = [float(reading.value(size * sides, answer)) for size in (0.0, 1.0, 4.0, 8.0, 16.0)]
    wrongs = [
        min(float(reading.value(size * side, answer)) for side in (-sides, reading.rivals(answer))) for size in (4, 16)
    ]
    best = min(right[1:])
    fine = best <= right[0] and right[2] < wrongs[0]
    fine = fine and right[3] - right[4] <= 0.1 * (right[0] - best) + 1e-3  # it does not pay for ever
    fine = fine and right[4] - best < 0.2 * (wrongs[1] - best)  # and does not cost like being wrong
    if not reading.form.exclusive:  # both a yes and a no are told apart from their opposites
        for of in (0, 1):
            part = torch.where(answer == of, sides, 0.0)
            fine = fine and float(reading.value(4 * part, answer)) < float(reading.value(-4 * part, answer))
    # a loss of probabilities, of log-probabilities that are no log-probabilities, would not end at its best
    return fine and (reading.link != "log-probabilities" or right[4] > -1e-4)


def _slopes_beyond_one(reading: Reading) -> bool:
    """Whether it has a slope at some logits below 0 and at some above 1; a loss of probabilities may have neither."""
    below = above = False
    for seed in range(3):
        answer = reading.answer(seed)
        z = reading.tame(answer, seed)
        try:
            _, slope = reading.slope(z, answer)
        except Exception:
            return False
        below = below or bool(((z < 0) & (slope != 0)).any())
        above = above or bool(((z > 1) & (slope != 0)).any())
    return below and above


def compares(reading: Reading) -> bool:
    """Whether only differences between channels count, as under a softmax."""
    if reading.link == "probabilities":
        return False
    answer = reading.answer()
    z = reading.tame(answer)
    shift = torch.linspace(-1, 1, len(z), dtype=z.dtype).reshape(-1, *[1] * (z.ndim - 1))
    one, other = reading.value(z, answer), reading.value(z + shift, answer)
    return reading.link == "logits" and torch.allclose(one, other, rtol=1e-4, atol=1e-6)


def _translates(reading: Reading) -> bool:
    """Whether it is a function of the residual that is least at the target: a loss for quantities."""
    answer, step = reading.answer(), 3.7
    z = reading.tame(answer)
    try:
        moved = torch.allclose(reading.value(z, answer), reading.value(z + step, answer + step), rtol=1e-4, atol=1e-6)
    except Exception:
        return False
    return moved and _is_least(reading)


def _is_least(reading: Reading) -> bool:
    """Whether it is least at the target."""
    answer = reading.answer()
    try:
        best = float(reading.value(answer, answer))
        return all(best < float(reading.value(answer + by, answer)) for by in (-1, -0.1, 0.1, 1))
    except Exception:
        return False
