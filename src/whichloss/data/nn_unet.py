"""nnU-Net's raw data sets."""

import json
from dataclasses import replace
from typing import Any, Self

from whichloss.core import UserError, location

from .cases import Cases
from .files import Entry, FileSet
from .files.file_set import masks_of
from .files.place import Place, above, find_place, inside, some
from .find import Root


class NnUnet(FileSet):
    """`Dataset001_NAME/` with `dataset.json`, `imagesTr/CASE_0000.nii.gz`, `_0001` for each channel, and
    `labelsTr/CASE.nii.gz`; also with other endings, as `file_ending` says: .png, .mha, .nrrd.

    Classes are called as `labels` says, and voxels labelled `ignore` have no say. Regions, labels that are lists of
    numbers, are not read. Cases of `imagesTs` have no labels and are not used.

    Source: nnU-Net, documentation/dataset_format.md (version 2).
    """

    path: str = location()

    @classmethod
    def examples(cls) -> list[Self]:
        return [cls(path="Dataset001_Heads", spacing=(3.0, 1.5, 1.5), size=(8, 16, 16))]

    def entries(self, root: Root = None) -> list[Entry]:
        place = find_place(self.path, root)
        facts = read_json(place)
        ending, channels = (
            facts.get("file_ending", ".nii.gz"),
            len(facts.get("channel_names", facts.get("modality", "1"))),
        )
        images = {one.name: one for one in inside(_folder(place, "imagesTr"))}
        found = []
        for mask in inside(_folder(place, "labelsTr")):
            if not mask.name.endswith(ending):
                continue
            case = mask.name.removesuffix(ending)
            files = [f"{case}_{channel:04d}{ending}" for channel in range(channels)]
            if missing := [one for one in files if one not in images]:
                raise UserError(f"{place}: case {case!r} has no image {some(missing)} in imagesTr")
            found.append(Entry(id=case, images=tuple(images[one] for one in files), label=(mask,)))
        if not found:
            raise UserError(f"{place}: labelsTr has no files that end in {ending!r}, as dataset.json says they do")
        return found

    def cases(self, entries: Any) -> Cases:
        return named_classes(self, entries, class_numbers(self, above(above(masks_of(entries[0])[0]))))


def class_numbers(data: FileSet, place: Place) -> dict[str, int]:
    """The number of each label, 0 to K - 1, and of `ignore`."""
    labels = read_json(place).get("labels", {})
    if not isinstance(labels, dict) or not labels:
        raise UserError(f"{place / 'dataset.json'} names no labels")
    if labels and all(isinstance(one, str) for one in labels.values()):  # of the first version: {"0": "background"}
        labels = {name: int(number) for number, name in labels.items()}
    if regions := [name for name, number in labels.items() if not isinstance(number, int)]:
        raise UserError(
            f"{data.label}: {some(map(repr, regions))} are regions, made of several labels, which are not read\n"
            "  remedy: a dataset.json in which each label is one number"
        )
    return labels


def named_classes(data: FileSet, entries: Any, numbers: dict[str, int]) -> Cases:
    """The cases, with the classes called as the data set says."""
    ignored = numbers.get("ignore")
    reader = data if ignored is None or data.ignore is not None else replace(data, ignore=ignored)
    cases = FileSet.cases(reader, entries)
    names = {number: name for name, number in numbers.items() if name != "ignore"}
    if data.above is None and sorted(names) == list(range(len(cases.task.classes))):
        cases = replace(cases, task=replace(cases.task, classes=tuple(names[at] for at in sorted(names))))
    return cases


def read_json(place: Place) -> dict[str, Any]:
    """dataset.json in a folder."""
    file = place / "dataset.json"
    try:
        facts = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, KeyError, ValueError) as error:
        raise UserError(f"{file} cannot be read as JSON: {error}") from error
    if not isinstance(facts, dict):
        raise UserError(f"{file} must hold names and values, {{...}}")
    return facts


def _folder(place: Place, name: str) -> Place:
    if not (place / name).is_dir():
        raise UserError(f"{place} has no folder {name!r}; a data set of nnU-Net has imagesTr and labelsTr")
    return place / name
