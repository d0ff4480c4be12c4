"""Several losses in one picture."""

from pathlib import Path

from PIL import Image

from small_studies import cli


def test_the_curves_of_paper_000(tmp_path: Path) -> None:
    losses = ["Logistic()", "Hinge()", "SmoothHinge(half_width=0.1)", "Lorenz()", "Tangent()"]
    assert cli("losses", *losses, "--plot", tmp_path / "five.png", here=tmp_path).code == 0
    assert cli("losses", *losses[:2], "--plot", tmp_path / "two.png", here=tmp_path).code == 0
    five, two = (Image.open(tmp_path / f"{name}.png") for name in ("five", "two"))
    assert five.size == two.size == (1500, 500) and five.tobytes() != two.tobytes()


def test_one_picture_has_one_axis(tmp_path: Path) -> None:
    answer = cli("losses", "Lorenz()", "Dice()", "--plot", tmp_path / "x.png", here=tmp_path)
    assert answer.code == 2 and "one axis" in answer.err and not (tmp_path / "x.png").exists()


def test_several_are_for_a_picture(tmp_path: Path) -> None:
    assert cli("losses", "Lorenz()", "Hinge()", here=tmp_path).code == 2
