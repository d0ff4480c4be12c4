"""Small data sets in every layout that is read, as people have them: written by pillow, nibabel, SimpleITK, numpy."""

import json
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

from small_scans import OBLIQUE, volume, write_nifti
from whichloss.data.views import Volume


def write_layouts(folder: Path, chance: np.random.Generator) -> None:
    """Everything that the examples of readers of files name."""
    write_numbered_zip(folder / "cells.zip", chance)
    write_classes(folder / "kinds", chance)
    write_domains(folder / "sites", chance)
    write_bowl(folder / "bowl", chance)
    write_tables(folder, chance)
    write_heads(folder / "heads", chance)
    write_nnunet(folder / "Dataset001_Heads", chance)
    write_decathlon(folder / "Task99_Heads", chance)
    write_splits(folder, chance)


def grey(chance: np.random.Generator, height: int = 12, width: int = 14) -> np.ndarray:
    return chance.integers(0, 256, (height, width), dtype=np.uint8)


def put(path: Path, pixels: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def blob(pixels: np.ndarray) -> np.ndarray:
    """A mask that a network can learn: what is bright."""
    return (pixels > 140).astype(np.uint8)


def write_numbered_zip(path: Path, chance: np.random.Generator, count: int = 6) -> None:
    """Images, and masks of 16 bit in which objects are numbered, in a folder inside an archive."""
    work = path.parent / "unpacked"
    for i in range(count):
        pixels = grey(chance)
        put(work / "inside" / "images" / f"c{i}.png", pixels)
        put(work / "inside" / "numbered" / f"c{i}.png", (blob(pixels) * (1 + pixels.astype(np.uint16) % 9)))
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(work.rglob("*.png")):
            archive.write(file, file.relative_to(work))
        archive.writestr("__MACOSX/inside/images/._c0.png", b"nothing")


def write_classes(folder: Path, chance: np.random.Generator, count: int = 6) -> None:
    """Dark and bright images of patients p0, p1, ..., two of each."""
    for number, name in enumerate(("bright", "dark")):
        for i in range(count):
            pixels = (grey(chance) // 2 + 127 * (1 - number)).astype(np.uint8)
            put(folder / name / f"p{i // 2}{'ab'[number]}_{i}.png", pixels)


def write_domains(folder: Path, chance: np.random.Generator, count: int = 4) -> None:
    for domain in ("north", "south"):
        write_classes(folder / domain, chance, count)
    put(folder / "south" / "dark" / "p7b_9.png", np.dstack([grey(chance)] * 3))


def write_bowl(folder: Path, chance: np.random.Generator, count: int = 4) -> None:
    """The Data Science Bowl's form: one picture, RGBA or grey, of any size, and one mask for each nucleus."""
    for i in range(count):
        height, width = 20 + i, 24
        pixels = grey(chance, height, width)
        shown = np.dstack([pixels] * 3 + [np.full_like(pixels, 255)]) if i % 2 else pixels
        put(folder / f"case{i}" / "images" / f"case{i}.png", shown)
        for k, corner in enumerate(((2, 3), (11, 12))):
            mask = np.zeros((height, width), np.uint8)
            mask[corner[0] : corner[0] + 5, corner[1] : corner[1] + 6] = 255
            put(folder / f"case{i}" / "masks" / f"m{k}.png", mask)


def write_tables(folder: Path, chance: np.random.Generator, count: int = 8) -> None:
    """A table of classes, one of masks, and one of ages."""
    rows = ["id,group,path,label,fold,domain,subgroup"]
    outlines, ages = ["path,label"], ["path,label,group"]
    for i in range(count):
        pixels = (grey(chance) // 2 + 127 * (i % 2)).astype(np.uint8)
        put(folder / "listed" / f"i{i}.png", pixels)
        put(folder / "listed" / f"m{i}.png", blob(pixels) * 255)
        rows.append(f"case{i},p{i // 2},listed/i{i}.png,{['dark', 'bright'][i % 2]},{i // 2 % 2},site{i // 4},")
        outlines.append(f"listed/i{i}.png,listed/m{i}.png")
        ages.append(f"listed/i{i}.png,{30 + 3.5 * i},p{i}")
    for name, lines in (("cases", rows), ("outlines", outlines), ("ages", ages)):
        (folder / f"{name}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def heads(chance: np.random.Generator, count: int = 4) -> list[tuple[Volume, Volume]]:
    """Volumes of other sizes, spacings and directions each, and their masks of 0, 1 and 2."""
    directions = (np.eye(3), OBLIQUE, OBLIQUE @ np.diag([-1.0, 1.0, 1.0]), np.eye(3)[:, [2, 0, 1]])
    found = []
    for i in range(count):
        values = chance.integers(-900, 900, (9 + i, 14, 16 + i), dtype=np.int16)
        shape = {"spacing": (1.0, 1.2, 2.5 + 0.1 * i), "origin": (5.0 * i, -4.0, 30.0), "direction": directions[i % 4]}
        found.append((volume(values, **shape), volume(np.digitize(values, (200, 600)).astype(np.int16), **shape)))
    return found


def write_heads(folder: Path, chance: np.random.Generator, count: int = 4) -> None:
    (folder / "images").mkdir(parents=True)
    (folder / "masks").mkdir()
    for i, (image, mask) in enumerate(heads(chance, count)):
        write_nifti(folder / "images" / f"head{i}.nii.gz", image)
        write_nifti(folder / "masks" / f"head{i}_seg.nii.gz", mask)


def write_nnunet(folder: Path, chance: np.random.Generator, count: int = 4) -> None:
    (folder / "imagesTr").mkdir(parents=True)
    (folder / "labelsTr").mkdir()
    for i, (image, mask) in enumerate(heads(chance, count)):
        for channel in range(2):
            write_nifti(folder / "imagesTr" / f"head_{i:03d}_{channel:04d}.nii.gz", image)
        write_nifti(folder / "labelsTr" / f"head_{i:03d}.nii.gz", mask)
    facts = {"channel_names": {"0": "T1", "1": "T2"}, "labels": {"background": 0, "ventricle": 1, "tumour": 2},
             "numTraining": 4, "file_ending": ".nii.gz"}  # fmt: skip
    (folder / "dataset.json").write_text(json.dumps(facts), encoding="utf-8")


def write_decathlon(folder: Path, chance: np.random.Generator, count: int = 4) -> None:
    """With a fourth axis of channels."""
    import nibabel

    (folder / "imagesTr").mkdir(parents=True)
    (folder / "labelsTr").mkdir()
    training = []
    for i, (image, mask) in enumerate(heads(chance, count)):
        write_nifti(folder / "labelsTr" / f"head_{i}.nii.gz", mask)
        affine = nibabel.load(folder / "labelsTr" / f"head_{i}.nii.gz").affine
        both = np.stack([image.values.T, image.values.T // 2], -1)
        nibabel.save(nibabel.Nifti1Image(both, affine), folder / "imagesTr" / f"head_{i}.nii.gz")
        training.append({"image": f"./imagesTr/head_{i}.nii.gz", "label": f"./labelsTr/head_{i}.nii.gz"})
    facts = {"modality": {"0": "T1", "1": "T2"}, "labels": {"0": "background", "1": "ventricle", "2": "tumour"},
             "training": training, "test": ["./imagesTs/head_9.nii.gz"]}  # fmt: skip
    (folder / "dataset.json").write_text(json.dumps(facts), encoding="utf-8")


def write_splits(folder: Path, chance: np.random.Generator, times: int = 1) -> None:
    """MedMNIST's form, and Keras'."""
    arrays = {}
    for part, n in (("train", 9 * times), ("val", 3 * times), ("test", 6 * times)):
        arrays |= {
            f"{part}_images": chance.integers(0, 256, (n, 10, 10, 3), dtype=np.uint8),
            f"{part}_labels": (np.arange(n) % 3)[:, None].astype(np.uint8),
        }
    np.savez(folder / "medmnist.npz", **arrays)
    np.savez(folder / "keras.npz", x_train=arrays["train_images"][..., 0], y_train=arrays["train_labels"][:, 0],
             x_test=arrays["test_images"][..., 0], y_test=arrays["test_labels"][:, 0])  # fmt: skip
