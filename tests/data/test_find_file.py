"""Where files are looked for, and in which order."""

from pathlib import Path

import pytest

from whichloss.core import UserError
from whichloss.data import find_file


def test_roots_then_the_environment_then_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    places = [tmp_path / name for name in ("first", "second", "environment", "here")]
    for place in places:
        place.mkdir()
        (place / "a.npz").touch()
    monkeypatch.chdir(places[3])
    monkeypatch.setenv("WHICHLOSS_DATA", str(places[2]))
    for place in places:
        assert find_file("a.npz", places[:2]).parent == place
        (place / "a.npz").unlink()
    with pytest.raises(UserError, match=r"there is no 'a\.npz'"):
        find_file("a.npz", str(places[0]))


def test_an_absolute_path_is_looked_for_nowhere_else(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    assert find_file(tmp_path / "folder", "elsewhere") == tmp_path / "folder"
    with pytest.raises(UserError, match=r"there is no '.*missing'$"):
        find_file(tmp_path / "missing", tmp_path)
