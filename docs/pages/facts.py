"""What is measured of a loss, and what its fields mean."""

import inspect
import re
from dataclasses import MISSING, fields
from math import isfinite

from whichloss.cli.losses import family_of
from whichloss.contract import extent, shape
from whichloss.core import Loss, PresetLoss
from whichloss.core.fields import SPEC

from .drawing import spoken

FAMILIES = {
    "margin": ("Margin losses", "How far each score lies on the right side."),
    "likelihood": ("Likelihood losses", "The probability that is given to the truth."),
    "region": ("Region losses", "Soft counts of what was found, missed and invented."),
    "boundary": ("Boundary losses", "Distances from the outline."),
    "embedding": ("Embedding losses", "How near cases lie to each other."),
    "regression": ("Regression losses", "What the output lacks of a quantity."),
    "wrap": ("Wrappers", "Change the value of another loss."),
    "compat": ("Other libraries", "Their losses under their own names, with their numbers."),
}
REACHES = {
    "image": "one case, voxel or image",
    "batch": "the whole batch",
    "pairs": "pairs of elements of the batch: cost grows with the square of their number",
}


def properties(loss: Loss) -> list[tuple[str, str]]:
    """Name and value of each, in words."""
    seen, (low, high), (lowest, highest) = shape(loss), loss.range, extent(loss)
    told = [
        ("family", FAMILIES[family_of(loss)][0].lower()),
        ("tasks", ", ".join(sorted(loss.tasks)) or "none by itself"),
        ("a term looks at", REACHES[loss.reach]),
        ("range", f"{end(low)} to {end(high)}"),
        ("values seen", f"{spoken(lowest)} to {spoken(highest)}, over small problems at logits up to about 60"),
    ]
    if isinstance(loss, PresetLoss):
        plus = f" {'+' if loss.offset > 0 else '-'} {abs(loss.offset):g}" if loss.offset else ""
        told.append(("in our terms", f"`{loss.means.label}`{plus}"))
    if seen is not None:
        told.append(("smooth", "yes" if seen.smooth else "no"))
        told.append(("convex in what the formula sees", "yes" if seen.convex else "no"))
        easy = "no" if seen.easy_from is None else f"from margin {seen.easy_from:.3g} on"
        told.append(("easy cases cost nothing", easy))
    if not loss.trains:
        told.append(("trains", "no: for evaluation only"))
    return told


def end(value: float) -> str:
    return spoken(value) if isfinite(value) else ("\u221e" if value > 0 else "\u2212\u221e")


def meanings(cls: type[Loss]) -> list[tuple[str, str, str]]:
    """Each field, its default, and what it means or may be."""
    notes, rows = comments(cls), []
    own = inspect.get_annotations(cls)
    for one in sorted(fields(cls), key=lambda one: one.name not in own):  # its own first, then those of its family
        default = "needed" if one.default is MISSING else f"`{one.default!r}`"
        spec = one.metadata.get(SPEC)
        allowed = re.sub(r"'([^']*)'", r"`\1`", spec.says) if spec is not None else ""
        rows.append((one.name, default, "; ".join(filter(None, (notes.get(one.name, ""), allowed)))))
    return rows


def comments(cls: type) -> dict[str, str]:
    """What stands behind the fields in the source, of the class or of its family; the nearest counts."""
    told = {"classes": "exclusive: a softmax; independent: a yes/no for each; auto: as the target says"}
    for base in reversed(cls.__mro__):
        if issubclass(base, Loss) and base is not Loss:
            told |= dict(re.findall(r"^    (\w+): [^#\n]*#\s*(.+?)\s*$", inspect.getsource(base), re.MULTILINE))
            listed = inspect.getdoc(base) or ""
            told |= {
                name: " ".join(text.split())
                for name, text in re.findall(r"^(\w+)  +(\S.*(?:\n {6,}\S.*)*)", listed, re.MULTILINE)
                if name in {one.name for one in fields(base)}
            }
    return told
