"""Images and masks in folders: pairs, sizes, values, patients."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from whichloss.core import UserError, parse
from whichloss.data import DataSet
from whichloss.data.folder import Folder

CHANCE = np.random.default_rng(0)


def put(folder: Path, name: str, pixels: np.ndarray, **options: Any) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(folder / name, **options)


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    """Three grey images with masks of 0 and 255, 8 x 6."""
    for name in "abc":
        put(tmp_path, f"images/{name}.png", CHANCE.integers(0, 256, (8, 6), dtype=np.uint8))
        put(tmp_path, f"masks/{name}.png", np.array([0, 255], np.uint8)[CHANCE.integers(0, 2, (8, 6))])
    return tmp_path


def load(folder: Path, **fields):
    return Folder(path=str(folder), **fields).load()


def test_pairs_by_name(pairs: Path) -> None:
    (pairs / "images" / "notes.txt").touch()
    cases = load(pairs)
    assert cases.ids == cases.groups == ("a", "b", "c")
    assert (cases.task.kind, cases.task.channels, cases.task.size) == ("segmentation", 1, (8, 6))
    for i, name in enumerate("abc"):
        assert np.allclose(cases.images[i, 0], np.asarray(Image.open(pairs / "images" / f"{name}.png")) / 255)
        assert np.array_equal(cases.labels[i], np.asarray(Image.open(pairs / "masks" / f"{name}.png")) > 0)


def test_it_says_the_same_as_the_arrays(root: Path) -> None:
    """The two readers on the same pixels."""
    folder = parse(r"Folder('cells', group='^(p\\d+)_')", DataSet).load(root)
    arrays = parse("Arrays('cells.npz')", DataSet).load(root)
    assert folder.images.equal(arrays.images)
    assert folder.labels.equal(arrays.labels)
    assert folder.groups == ("p0", "p0", "p1", "p1", "p2", "p2", "p3", "p3")


def test_a_mask_or_an_image_without_the_other_is_named(pairs: Path) -> None:
    (pairs / "masks" / "b.png").unlink()
    put(pairs, "masks/z.png", np.zeros((8, 6), np.uint8))
    with pytest.raises(UserError) as caught:
        load(pairs)
    assert "no mask for b.png" in str(caught.value)
    assert "no image for z.png" in str(caught.value)


def test_many_unpaired_are_counted(pairs: Path) -> None:
    for i in range(8):
        put(pairs, f"images/extra{i}.png", np.zeros((8, 6), np.uint8))
    with pytest.raises(UserError, match=r"no mask for extra0.png, .*extra4.png and 3 more"):
        load(pairs)


def test_two_files_of_one_name(pairs: Path) -> None:
    put(pairs, "images/a.jpg", np.zeros((8, 6), np.uint8))
    with pytest.raises(UserError, match=r"has both a\.jpg and a\.png"):
        load(pairs)


def test_an_image_and_its_mask_have_one_size(pairs: Path) -> None:
    put(pairs, "masks/b.png", np.zeros((6, 8), np.uint8))
    with pytest.raises(UserError, match=r"b\.png is 8 x 6 \(height x width\), its mask b\.png is 6 x 8"):
        load(pairs, size=4)


def test_images_of_different_sizes_need_one(pairs: Path) -> None:
    put(pairs, "images/c.png", np.zeros((9, 7), np.uint8))
    put(pairs, "masks/c.png", np.zeros((9, 7), np.uint8))
    with pytest.raises(UserError, match=r"a\.png is 8 x 6 \(height x width\), c\.png is 9 x 7.*size=\(H, W\)"):
        load(pairs)
    assert load(pairs, size=(5, 4)).images.shape == (3, 1, 5, 4)
    assert load(pairs, size=5).labels.shape == (3, 5, 5)


def test_grey_and_colour_do_not_mix(pairs: Path) -> None:
    put(pairs, "images/b.png", np.zeros((8, 6, 3), np.uint8))
    with pytest.raises(UserError, match=r"a\.png has 1 channels and b\.png has 3; save all images as grey"):
        load(pairs)


def test_resizing_is_bilinear_for_images_and_nearest_for_masks(tmp_path: Path) -> None:
    """By hand: twice as wide, a pixel centre lies a quarter of the way to its neighbour; the mask only repeats."""
    for name in "ab":
        put(tmp_path, f"images/{name}.png", np.array([[0, 200]], np.uint8))
        put(tmp_path, f"masks/{name}.png", np.array([[0, 255]], np.uint8))
    cases = load(tmp_path, size=(1, 4))
    assert np.allclose(cases.images[0, 0, 0] * 255, [0, 50, 150, 200], atol=0.51)
    assert cases.labels[0, 0].tolist() == [0, 0, 1, 1]
    put(tmp_path, "images/a.png", np.array([[0, 60000]], np.uint16))
    put(tmp_path, "images/b.png", np.array([[0, 60000]], np.uint16))
    assert np.allclose(load(tmp_path, size=(1, 4)).images[0, 0, 0] * 65535, [0, 15000, 45000, 60000], atol=0.1)


def test_one_size_is_one_text() -> None:
    square = Folder(path="a", size=128)  # pyright: ignore[reportArgumentType]
    assert square == Folder(path="a", size=(128, 128)) == parse("Folder('a', size=[128, 128])", DataSet)
    assert "size=(128, 128)" in repr(square)


def test_modes_of_images(tmp_path: Path) -> None:
    grey = CHANCE.integers(0, 256, (4, 5), dtype=np.uint8)
    colour = CHANCE.integers(0, 256, (4, 5, 3), dtype=np.uint8)
    see_through = np.dstack([colour, np.full((4, 5), 9, np.uint8)])
    deep = CHANCE.integers(0, 65536, (4, 5), dtype=np.uint16)
    real = CHANCE.random((4, 5)).astype(np.float32)
    for stored, ending, wanted in (
        (grey, "png", grey[None] / 255),
        (colour, "png", colour.transpose(2, 0, 1) / 255),
        (see_through, "png", colour.transpose(2, 0, 1) / 255),
        (deep, "png", deep[None] / 65535),
        (deep, "tif", deep[None] / 65535),
        (real, "tiff", real[None]),
        (grey > 99, "png", grey[None] > 99),
    ):
        for old in tmp_path.glob("images/*"):
            old.unlink()
        for name in "ab":
            put(tmp_path, f"images/{name}.{ending}", stored)
            put(tmp_path, f"masks/{name}.png", np.eye(4, 5, dtype=np.uint8))
        assert np.allclose(load(tmp_path).images[1], wanted, atol=1e-7), (ending, stored.dtype)


def test_modes_of_masks(tmp_path: Path) -> None:
    """Black and white, grey, three equal channels: all the same mask. Mixed, too."""
    mask = CHANCE.integers(0, 2, (4, 5)).astype(bool)
    white = np.uint8(255) * mask
    for name, stored in zip("abcd", (mask, white, np.dstack([white] * 3), white.astype(np.uint16)), strict=True):
        put(tmp_path, f"images/{name}.png", np.zeros((4, 5), np.uint8))
        put(tmp_path, f"masks/{name}.png", stored)
    assert all(np.array_equal(label, mask) for label in load(tmp_path).labels)


def test_a_mask_in_colour_is_refused(pairs: Path) -> None:
    put(pairs, "masks/b.png", CHANCE.integers(0, 256, (8, 6, 3), dtype=np.uint8))
    with pytest.raises(UserError, match="is in colour; a mask has one channel"):
        load(pairs)


def test_wrong_mask_values_name_the_file(pairs: Path) -> None:
    put(pairs, "masks/b.png", np.array([[0, 7, 255] * 2] * 8, np.uint8))
    with pytest.raises(UserError, match=r"wrong mask values: found 0, 7, 255; 7 is first met in 'masks/b\.png'"):
        load(pairs)


def test_patients_are_found_in_names(pairs: Path) -> None:
    assert load(pairs, group="([ab]|c)").groups == ("a", "b", "c")
    with pytest.raises(UserError, match=r"group='\^\(\[ab\]\)' finds no patient in the name 'c'"):
        load(pairs, group="^([ab])")
    with pytest.raises(UserError, match="finds no patient in the name 'c'"):
        load(pairs, group="(a|b)?")


def test_a_wrong_expression_for_patients_is_refused_at_once() -> None:
    with pytest.raises(UserError, match="is no regular expression"):
        Folder(path="a", group="(p")
    with pytest.raises(UserError, match="in brackets"):
        Folder(path="a", group="p[0-9]+")


def test_folders_and_files_that_are_not_there_or_cannot_be_read(pairs: Path) -> None:
    with pytest.raises(UserError, match="has no folder 'photos'; it has images, masks"):
        load(pairs, images="photos")
    (pairs / "empty").mkdir()
    with pytest.raises(UserError, match="has no pictures"):
        load(pairs, masks="empty")
    with pytest.raises(UserError, match="there is no"):
        load(pairs / "nowhere")
    (pairs / "images" / "a.png").write_text("no picture")
    with pytest.raises(UserError, match=r"a\.png cannot be read as a picture"):
        load(pairs)
    (pairs / "images" / "a.png").unlink()
    pages = [Image.new("L", (6, 8))] * 2
    pages[0].save(pairs / "images" / "a.tif", save_all=True, append_images=pages[1:])
    with pytest.raises(UserError, match=r"a\.tif holds 2 pictures"):
        load(pairs)
    Image.new("CMYK", (6, 8)).save(pairs / "images" / "a.tif")
    with pytest.raises(UserError, match="mode CMYK are not read"):
        load(pairs)


def test_skin_lesions(shared: Path, tmp_path: Path) -> None:
    from zipfile import ZipFile

    with ZipFile(shared / "isic2018" / "isic2018_task1_256.zip") as archive:
        names = [Path(name).stem for name in archive.namelist() if name.startswith("images/I")][:6]
        archive.extractall(tmp_path, [f"{kind}.{end}".replace("*", name) for name in names
                                      for kind, end in (("images/*", "jpg"), ("masks/*", "png"))])  # fmt: skip
    cases = load(tmp_path, size=(192, 256))
    assert cases.ids == tuple(sorted(names))
    assert cases.images.shape == (6, 3, 192, 256)
    assert 0.01 < cases.labels.float().mean() < 0.9
