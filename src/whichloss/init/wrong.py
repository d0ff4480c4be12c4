"""What looks wrong in the data: what a study would stumble over, and what its results would suffer from."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from whichloss.data.files.place import some

from .copies import near, same
from .look import Seen

RARE = 20  # times as many cases in the largest class as in the smallest
UNEVEN = 3  # times as wide a spacing in one volume as in another
COPIED = 0.03  # share of images that are copies, beyond which folds leak and a study refuses to run


@dataclass(frozen=True)
class Finding:
    """Something to look at; where it `stops`, a study cannot run before it is mended."""

    text: str
    stops: bool = False


def findings(seen: Seen, groups: Sequence[str], folds: int) -> list[Finding]:
    """groups: the patient of each case, as far as they are known or guessed."""
    return [*_unread(seen), *_labels(seen, groups, folds), *_masks(seen), *_images(seen), *_twice(seen, groups)]


def _unread(seen: Seen) -> Iterator[Finding]:
    if seen.broken:
        lines = "".join(f"\n    {one.splitlines()[0]}" for one in seen.broken[:5])
        more = f"\n    and {len(seen.broken) - 5} more" if len(seen.broken) > 5 else ""
        yield Finding(f"{len(seen.broken)} cases cannot be read, or do not fit:{lines}{more}", stops=True)


def _labels(seen: Seen, groups: Sequence[str], folds: int) -> Iterator[Finding]:
    both = sorted({g for g, s in zip(groups, seen.sides, strict=True) if s == "train"}
                  & {g for g, s in zip(groups, seen.sides, strict=True) if s == "test"})  # fmt: skip
    if both:
        yield Finding(
            f"{len(both)} patients are in train and in test: {some(both)}; the split that the data bring leaks, and the"
            " study draws folds instead"
        )
    if seen.kind != "classification":
        return
    if len(seen.classes) < 2:
        yield Finding(f"all cases are of one class, {next(iter(seen.classes))!r}; at least two are needed", stops=True)
        return
    patients = Counter(label for label, _ in {(one, g) for one, g in zip(seen.labels, groups, strict=True)})
    for name, count in sorted(patients.items(), key=lambda one: str(one[0])):
        if count < folds:
            yield Finding(
                f"class {name!r} has {count} {'patients' if count != 1 else 'patient'}, and each of {folds} folds needs"
                " one to test: add cases, join classes, or leave it out",
                stops=True,
            )
    (most, many), (least, few) = seen.classes.most_common()[0], seen.classes.most_common()[-1]
    if many > RARE * few:
        yield Finding(f"{many} cases of {most!r} and {few} of {least!r}: accuracy says little here")


def _masks(seen: Seen) -> Iterator[Finding]:
    if seen.kind != "segmentation":
        return
    empty = [seen.ids[one.at] for one in seen.facts if not any(value > 0 for value in one.values)]
    full = [seen.ids[one.at] for one in seen.facts if 0.0 not in one.values]
    if len(empty) == len(seen.facts):
        yield Finding("all masks are empty: nothing is above 0", stops=True)
        return
    if empty:
        yield Finding(
            f"{len(empty)} masks are empty, such as {some(empty, 3)}: a Dice of 1 needs an empty answer there"
        )
    if full:
        yield Finding(f"{len(full)} masks have no background, such as {some(full, 3)}")
    forms = Counter(_form(tuple(one.values)) for one in seen.facts)
    if {"0 and 1", "0 and 255"} <= forms.keys():
        yield Finding(
            f"{forms['0 and 1']} masks hold 0 and 1, {forms['0 and 255']} hold 0 and 255; all above 0 is foreground"
        )


def _form(values: tuple[float, ...]) -> str:
    above = {one for one in values if one}
    return "0 and 1" if above == {1.0} else "0 and 255" if above == {255.0} else "other" if above else "empty"


def _images(seen: Seen) -> Iterator[Finding]:
    blank = [seen.ids[one.at] for one in seen.facts if one.mark is None]
    if blank:
        yield Finding(f"{len(blank)} images are blank, one grey value all over: {some(blank, 3)}")
    channels = Counter(one.channels for one in seen.facts)
    if len(channels) > 1:
        held = ", ".join(f"{count} with {number}" for number, count in sorted(channels.items()))
        known = channels.keys() <= {1, 3}
        yield Finding(f"images differ in channels: {held}" + ("; all become 3" if known else ""), stops=not known)
    if len({len(one.shape) for one in seen.facts}) > 1:
        yield Finding("pictures and volumes are mixed; a study needs one kind", stops=True)
    spacings = sorted({one.spacing for one in seen.facts if one.spacing})
    if spacings and any(max(along) > UNEVEN * min(along) for along in zip(*spacings, strict=True)):
        yield Finding(f"spacings differ by more than {UNEVEN} times, from {spacings[0]} to {spacings[-1]} mm (z, y, x)")


def _twice(seen: Seen, groups: Sequence[str]) -> Iterator[Finding]:
    marks = [one.mark for one in seen.facts]
    at = [one.at for one in seen.facts]
    copies = [[at[one] for one in group] for group in same(marks)]
    if copies:
        count = sum(len(one) - 1 for one in copies)
        apart = [one for one in copies if len({groups[case] for case in one}) > 1]
        leaking = sum(map(len, apart)) > COPIED * len(at)
        pair = " is ".join(repr(seen.ids[one]) for one in copies[0][:2])
        yield Finding(
            f"{count} images stand there twice, to the last bit: {pair}"
            + _sides(seen, copies) + ("; leave out all but one of each, or give them one group" if apart else ""),
            stops=leaking,
        )  # fmt: skip
    if disagreeing := [one for one in copies if seen.labels and len({seen.labels[case] for case in one}) > 1]:
        one = disagreeing[0]
        yield Finding(
            f"{len(disagreeing)} images have two labels: {seen.ids[one[0]]!r} is {seen.labels[one[0]]!r}, and its copy"
            f" {next(seen.ids[k] for k in one if seen.labels[k] != seen.labels[one[0]])!r} is not"
        )
    pairs = [(at[one], at[other]) for one, other in near([one.thumbnail for one in seen.facts], marks)]
    pairs = [(one, other) for one, other in pairs if groups[one] != groups[other]]
    if pairs and len(pairs) < len(at):  # where most images look alike, as of one organ, it says nothing
        shown = "; ".join(f"{seen.ids[one]!r} and {seen.ids[other]!r}" for one, other in pairs[:3])
        yield Finding(f"{len(pairs)} pairs of images look nearly the same: {shown}")


def _sides(seen: Seen, copies: list[list[int]]) -> str:
    over = sum(len({seen.sides[case] for case in one}) > 1 for one in copies)
    return f", {over} of them in train and in test" if over else ""
