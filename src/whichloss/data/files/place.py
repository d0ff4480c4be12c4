"""Where files lie: in folders, or in .zip archives that are read like folders."""

import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import cast

from whichloss.core import UserError

from ..find import Root, find_file

Place = Path | zipfile.Path
_NOT_DATA = (".", "__MACOSX", "whichloss-runs")


def find_place(path: str, root: Root = None) -> Place:
    """The file or folder, found as `find_file` does; `a.zip` is the folder of what it holds, `a.zip/b` a folder in it.

    Nothing is unpacked: files are read out of the archive, which need not be compressed.
    """
    parts = Path(path).parts
    for end, part in enumerate(parts, start=1):
        if part.lower().endswith(".zip"):
            archive = find_file(Path(*parts[:end]), root)
            if archive.is_file():
                return _inside(archive, parts[end:])
    return find_file(path, root)


def _inside(archive: Path, parts: tuple[str, ...]) -> Place:
    try:
        place = zipfile.Path(archive)
    except (zipfile.BadZipFile, OSError) as error:
        raise UserError(f"{archive} cannot be read as a .zip archive: {error}") from error
    for part in parts:
        place = place / part
    if parts and not place.exists():
        raise UserError(
            f"{archive} holds no {'/'.join(parts)!r}; it has {some(one.name for one in inside(zipfile.Path(archive)))}"
        )
    return place


def inside(folder: Place) -> list[Place]:
    """What a folder holds, by name; nothing hidden, and no store of runs that lies beside the data."""
    found: Iterable[Place] = folder.iterdir()
    return sorted((one for one in found if not one.name.startswith(_NOT_DATA)), key=lambda one: one.name)


def folders(place: Place) -> list[Place]:
    return [one for one in inside(place) if one.is_dir()]


def beside(place: Place, *parts: str) -> Place:
    """A file or folder below a place, by its relative path."""
    for part in parts:
        for step in Path(part).parts:
            place = above(place) if step == ".." else place / step
    return place


def above(place: Place) -> Place:
    """The folder that a file or folder lies in."""
    return cast(Place, place.parent)  # of an archive, too, whatever its type says


def some(names: Iterable[str], most: int = 5) -> str:
    """The first few, and how many more."""
    names = list(names)
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
