"""Where files of data are looked for."""

import os
from collections.abc import Sequence
from pathlib import Path

from whichloss.core import UserError

Root = str | Path | Sequence[str | Path] | None


def find_file(path: str | Path, root: Root = None) -> Path:
    """The file or folder itself if the path is absolute; else the first found under root, WHICHLOSS_DATA, here."""
    path = Path(path).expanduser()
    places = _places(root) if not path.is_absolute() else [Path()]
    for place in places:
        if (place / path).exists():
            return place / path
    if path.is_absolute():
        raise UserError(f"there is no {str(path)!r}")
    looked = "\n".join(f"  {place}" for place in places)
    raise UserError(
        f"there is no {str(path)!r}; these folders were looked in:\n{looked}\n"
        "  remedy: name the folder with --data-root or the environment variable WHICHLOSS_DATA, "
        "or put the file into the study's own folder"
    )


def _places(root: Root) -> list[Path]:
    roots = [] if root is None else [root] if isinstance(root, str | Path) else list(root)
    environment = os.environ.get("WHICHLOSS_DATA")
    folders = [Path(one).expanduser().absolute() for one in (*roots, *([environment] if environment else []), ".")]
    return list(dict.fromkeys(folders))
