"""What the networks of a study answered on cases that they had not seen, written where other programs can read it."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from whichloss.core import UserError
from whichloss.data import Cases
from whichloss.data.files import Entry, FileSet, write_back
from whichloss.data.files.image import Image, read_image
from whichloss.data.subset import Subset
from whichloss.data.views.read import METAIMAGE, NRRD, ending
from whichloss.metrics.thresholded import decide

from .conduct import Prepared
from .facts import ended
from .runs import Run


@dataclass(frozen=True, kw_only=True, eq=False)
class Answers:
    """Of one run on its test part."""

    run: Run
    cases: list[int]  # in the data set
    outputs: Tensor  # (n, C, *S), float32
    decided: Tensor  # (n, *S): class indices; in regression the quantity


def write_predictions(prepared: Prepared, folder: Path) -> int:
    """For each loss and seed of the cell that decides; how many files.

    Masks in the space of the input, `folder/LOSS/seed0/CASE.nii.gz` and the like, each class at the threshold that the
    primary metric tuned on the inner split. Otherwise `folder/predictions.csv`. From the outputs that the store keeps:
    networks are not kept, and nothing is computed anew. A case is answered by the run that tested it.
    """
    data = prepared.study.decides[0]
    cases = prepared.data[data]
    found = list(_answers(prepared, cases))
    if not found:
        raise UserError(f"no run of {prepared.study.name} has finished in {prepared.store.folder}")
    if cases.task.kind != "segmentation":
        return _write_table(prepared, found, cases, folder / "predictions.csv")
    reader = data.data if isinstance(data, Subset) else data
    if not isinstance(reader, FileSet):
        raise UserError(
            f"{data.label} is no data set of files, in whose space masks could be written\n"
            f"  the outputs of each run are in {prepared.store.folder}/runs/*/*/outputs.safetensors"
        )
    return _write_masks(prepared, found, cases, reader, folder)


def _answers(prepared: Prepared, cases: Cases) -> Iterator[Answers]:
    study = prepared.study
    data, network, stress = study.decides
    for run, record in ended(prepared.final, prepared.store):
        same = (run.data, run.network, " + ".join(map(repr, run.stress))) == (data, network, stress)
        if same and record["outcome"] == "finished":
            kept = prepared.store.outputs(run.key)
            outputs = kept["test"].float()
            at = record["scores"].get(repr(study.primary), {}).get("at", 0.0)
            decided = outputs[:, 0] if cases.task.kind == "regression" else decide(outputs, cases.task, at)
            yield Answers(run=run, cases=kept["test_cases"].tolist(), outputs=outputs, decided=decided)


def _write_masks(prepared: Prepared, found: list[Answers], cases: Cases, reader: FileSet, folder: Path) -> int:
    entries = {one.id: one for one in reader.entries(prepared.shelf.roots)}
    places = {at: one for one in found for at in one.cases}
    count = 0
    for at in sorted(places):  # each input is read once
        entry = entries[cases.ids[at]]
        image = read_image(entry.images, reader.window)
        for one in found:
            if at in one.cases:
                to = folder / _plain(prepared, one.run) / f"seed{one.run.seed}" / f"{entry.id}{_ending(entry, image)}"
                write_back(one.decided[one.cases.index(at)].to(torch.int16).numpy(), image, to, reader.spacing)
                count += 1
    return count


def _ending(entry: Entry, image: Image) -> str:
    """Of the mask: that of its image, where masks can have it."""
    kind = ending(Path(entry.images[0].name))
    if image.volume is None:
        return ".png"
    return kind if kind in (*METAIMAGE, *NRRD) else ".nii.gz"


def _write_table(prepared: Prepared, found: list[Answers], cases: Cases, path: Path) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    classes = cases.task.classes
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["loss", "seed", "fold", "case", "group", "truth", "answer",
                        *(f"output {k}" for k in range(found[0].outputs.shape[1]))])  # fmt: skip
        for one in found:
            for at, outputs, said in zip(one.cases, one.outputs.tolist(), one.decided.tolist(), strict=True):
                truth = cases.labels[at].item()
                shown = [classes[int(each)] for each in (truth, said)] if classes else [repr(truth), repr(said)]
                label = prepared.study.labels[repr(one.run.loss)]
                table.writerow([label, one.run.seed, one.run.fold, cases.ids[at], cases.groups[at], *shown, *outputs])
    return 1


def _plain(prepared: Prepared, run: Run) -> str:
    """The label of a loss as the name of a folder."""
    label = prepared.study.labels[repr(run.loss)]
    return "".join(mark if mark.isalnum() or mark in "-_.=" else "_" for mark in label).strip("_")
