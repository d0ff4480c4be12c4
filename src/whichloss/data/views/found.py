"""Volumes by name: what a pattern finds."""

from collections.abc import Sequence
from pathlib import Path

from whichloss.core import UserError

from ..find import Root, find_file
from .read import ENDINGS, ending


def find_volumes(pattern: str, beside: Path, root: Root = None) -> dict[str, Path]:
    """Files and folders by the names that lists call them by.

    What comes before the first wildcard (`*`, `?`, `[...]`, `**`) is looked for beside the list, then where all files
    of data are. A file of one of ENDINGS is a volume, called as it is without its ending; a folder that holds such
    files stands for them, and any other folder is a DICOM series, in it or below, called as the folder is.
    """
    parts = Path(pattern).expanduser().parts
    fixed = next((k for k, part in enumerate(parts) if any(one in part for one in "*?[")), len(parts))
    base = find_file(Path(*parts[:fixed]), near(beside, root)) if fixed else beside
    matches = sorted(base.glob(str(Path(*parts[fixed:])))) if fixed < len(parts) else [base]
    found: dict[str, Path] = {}
    for path in (volume for match in matches for volume in _volumes(match)):
        name = path.name if path.is_dir() else path.name[: -len(ending(path))]
        if name in found:
            raise UserError(f"volumes={pattern!r}: two volumes are called {name!r}: {found[name]} and {path}")
        found[name] = path
    if not found:
        raise UserError(
            f"volumes={pattern!r} finds nothing in {base}\n"
            f"  a volume is a file ({', '.join(ENDINGS)}) or a folder with the slices of a DICOM series\n"
            "  remedy: a pattern from this folder, such as volumes='subset*/', or a whole one, '/data/luna16/subset*/'"
        )
    return found


def near(beside: Path, root: Root) -> Sequence[str | Path]:
    """Where files are looked for that belong to a list: beside it first."""
    return [beside, *([] if root is None else [root] if isinstance(root, str | Path) else root)]


def _volumes(match: Path) -> list[Path]:
    if match.is_file():
        return [match] if ending(match) else []
    return sorted(one for one in match.iterdir() if one.is_file() and ending(one)) or [match]
