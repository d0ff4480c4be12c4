"""Entry: one case as its files lie, before anything is read."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from .place import Place

Label = str | float | tuple[Place, ...]  # a class, a quantity, or masks


@dataclass(frozen=True, kw_only=True)
class Entry:
    """Several images are channels of one; several masks are objects of one, and together say what is foreground."""

    id: str  # different from all others
    images: tuple[Place, ...]
    label: Label
    group: str = ""  # the patient, where the layout says it
    side: str = ""  # "train" or "test", where the layout says it
    stratum: str = ""  # what every fold should hold its share of
    columns: Mapping[str, str] = field(default_factory=dict)  # other facts
