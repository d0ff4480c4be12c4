"""2.5-D views of candidates in CT volumes: is there a lesion, or not?"""

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Self

import numpy as np
import torch
from torch import Tensor

from whichloss.core import (
    Candidates,
    FieldError,
    Task,
    UserError,
    choice,
    count,
    flag,
    location,
    nonnegative,
    numbers,
    text,
)

from .cases import Cases
from .dataset import DataSet
from .find import Root, find_file
from .views.cache import VERSION, Cache, cache_folder, digest
from .views.found import find_volumes, near
from .views.frames import PLANES, ROTATIONS, Frames, draw
from .views.listed import Candidate, Listed, matched, of_volumes, read_annotations, read_candidates
from .views.read import read_volume, sources
from .views.sample import INTERPOLATIONS, LEVELS, Sampler
from .views.volume import Volume

Progress = Callable[[int, int, str], None]  # volumes done, volumes in all, and the name of the last


class CandidateViews(DataSet):
    """Candidates for lesions in CT volumes, each seen in many views of three orthogonal planes: 2.5-D.

    A case is one view: axial, coronal and sagittal plane as three channels, through a cube around the candidate that is
    turned at random and shifted by up to `shift` mm. By default 36 views are 4 scales x 3 shifts x 3 rotations, and
    another number is spread evenly; see `views/frames.py`. Chances belong to a candidate: they come from the seed and
    its name (series and place, or what the list calls it), so that other candidates, added or left out, change nothing.
    The first of many views are the few views.

    Hounsfield units within `window` become 256 grey levels from 0 to 1, after interpolation; outside the volume is air.

    LUNA16, `subset0/*.mhd`, ..., `candidates_V2.csv` and `annotations.csv` in the folder luna16:

        CandidateViews("luna16/candidates_V2.csv", volumes="subset*/", annotations="annotations.csv")

    TCIA's CT Lymph Nodes, `CT Lymph Nodes/ABD_LYMPH_001/...dcm`, and its two folders of texts beside it:

        CandidateViews("MED_ABD_LYMPH_CANDIDATES", volumes="CT Lymph Nodes/*", annotations="MED_ABD_LYMPH_ANNOTATIONS")

    Lists of your own have the columns that `views/listed.py` says; volumes are MetaImage, NIfTI, .npz, or DICOM series,
    and are called as the file or folder is. A column `group` or `patient` of the list names the patient, else the
    series does. A positive candidate hits the annotation in whose radius it lies; without annotations it is a lesion of
    its own.

    One volume at a time is in memory, and its views are kept on disk (see `views/cache.py`). All views must fit in
    memory.

    Sources: Roth et al. (2014) and their code for window, planes, 8 bits, shifts of uniform length and B-splines
    ("cubic"); Barbu et al. for 36 views of a candidate. They turn about an axis with uniform positive coordinates and
    leave the first view as it is; here every view is turned, and all rotations are as likely.
    """

    candidates: str = location()
    volumes: str = text("volumes/*")
    annotations: str | None = text(None, optional=True)
    within: float = nonnegative(0.0)  # mm: so near to an annotation a candidate hits it, whatever its radius
    centres: bool = flag(False)  # whether the middles of annotations are candidates, too
    absent: str = choice("refuse", "leave out")  # candidates whose volumes are not there
    views: int = count(36)  # of a candidate
    scales: tuple[float, ...] = numbers((30.0, 35.0, 40.0, 45.0))  # edges of cubes, mm
    shift: float = nonnegative(3.0)  # at most, mm
    shifts: int = count(3)  # different ones at one scale
    rotate: str = choice(*ROTATIONS)
    window: tuple[float, ...] = numbers((-100.0, 200.0))  # black and white, Hounsfield units
    size: int = count(32, low=2)  # of a view, pixels
    interpolation: str = choice(*INTERPOLATIONS)
    seed: int = count(0, low=0)

    @classmethod
    def examples(cls) -> list[Self]:
        return [
            cls(candidates="candidates.csv", volumes="scans/", annotations="annotations.csv", views=4, size=8),
            cls(candidates="candidates.csv", volumes="scans/*", views=3, scales=(12,), interpolation="cubic", size=8),
        ]

    def check(self) -> None:
        if min(self.scales) <= 0:
            raise FieldError(f"CandidateViews: scales are {self.scales}; an edge is longer than 0 mm")
        if len(self.window) != 2 or not self.window[0] < self.window[1]:
            raise FieldError(f"CandidateViews: window is {self.window}; it must be (black, white), the lower first")
        if self.annotations is None and (self.centres or self.within):
            raise FieldError("CandidateViews: centres and within are about annotations, and there are none")

    def load(self, root: Root = None, progress: Progress | None = None) -> Cases:
        path = find_file(self.candidates, root)
        volumes = find_volumes(self.volumes, path.parent, root)
        listed = self._listed(path, volumes, root)
        return self._cases(listed, self._images(listed.candidates, volumes, progress))

    def frames(self, names: Sequence[str], points: np.ndarray) -> Frames:
        """Where the views of candidates with these names, at points (n, 3) in mm, lie."""
        fields = {name: getattr(self, name) for name in ("views", "scales", "shift", "shifts", "rotate", "seed")}
        return draw(names, points, **fields)

    def _listed(self, path: Path, volumes: dict[str, Path], root: Root) -> Listed:
        found = of_volumes(path, read_candidates(path), volumes, self.absent == "leave out")
        if self.annotations is None:
            return Listed(candidates=found, missed=())
        annotations = read_annotations(find_file(self.annotations, near(path.parent, root)))
        return matched(found, annotations, self.within, self.centres)

    def _images(self, found: list[Candidate], volumes: dict[str, Path], progress: Progress | None) -> Tensor:
        """(candidates * views, 3, size, size), volume by volume."""
        shape = (len(found), self.views, len(PLANES), self.size, self.size)
        _refuse_too_many(shape)
        images = torch.empty(shape)
        rows: dict[str, list[int]] = {}
        for row, one in enumerate(found):
            rows.setdefault(one.volume, []).append(row)
        for done, (name, here) in enumerate(rows.items(), start=1):
            made = self._volume_views(volumes[name], [found[row] for row in here])
            for row, views in zip(here, made, strict=True):
                np.divide(views, np.float32(LEVELS), out=images[row].numpy())
            if progress is not None:
                progress(done, len(rows), name)
        return images.flatten(0, 1)

    def _volume_views(self, path: Path, found: Sequence[Candidate]) -> np.ndarray:
        """Grey levels (n, views, 3, size, size), uint8, of candidates in one volume."""
        shape = (len(found), self.views, len(PLANES), self.size, self.size)
        if (folder := cache_folder()) is None:
            return self._computed(path, found, shape)
        cache = Cache(folder)
        try:
            key = self._key(cache.files_digest(sources(path)), found)
        except OSError as error:
            raise UserError(f"{path} cannot be read: {error}") from error
        views = cache.get(key, shape)
        if views is None:
            views = self._computed(path, found, shape)
            cache.keep(key, views)
        return views

    def _computed(self, path: Path, found: Sequence[Candidate], shape: tuple[int, ...]) -> np.ndarray:
        volume = read_volume(path)
        points = np.array([one.point for one in found])
        _refuse_outside(path, volume, points, found)
        views = np.empty(shape, dtype=np.uint8)
        frames = self.frames([one.name for one in found], points)
        for at, levels in Sampler(volume, self.interpolation).batches(frames, self.size, self.window):
            views[at] = levels.numpy()
        return views

    def _key(self, content: str, found: Sequence[Candidate]) -> str:
        """Of the views of candidates in a volume of this content."""
        names = ("views", "scales", "shift", "shifts", "rotate", "window", "size", "interpolation", "seed")
        fields = {name: getattr(self, name) for name in names}
        return digest([VERSION, content, fields, [(one.name, one.point) for one in found]])

    def _cases(self, listed: Listed, images: Tensor) -> Cases:
        found, views = listed.candidates, range(self.views)

        def of(facts: Iterator[str]) -> tuple[str, ...]:
            """A fact about each candidate, for each of its views."""
            return tuple(fact for fact in facts for _ in views)

        names, volumes = of(one.name for one in found), of(one.volume for one in found)
        subgroups = of(one.subgroup for one in found) if any(one.subgroup for one in found) else None
        return Cases(
            images=images,
            labels=torch.tensor([int(one.positive) for one in found]).repeat_interleave(self.views),
            ids=tuple(f"{one.name}#{view}" for one in found for view in views),
            task=Task(
                kind="detection", classes=("no lesion", "lesion"), channels=len(PLANES), size=(self.size, self.size)
            ),
            groups=of(one.group for one in found),
            strata=subgroups,
            columns={
                "view": tuple(views) * len(found),
                "scale": tuple(self.scales[view % len(self.scales)] for view in views) * len(found),
                **({"subgroup": subgroups} if subgroups else {}),
            },
            candidates=Candidates(
                candidate=names, volume=volumes, lesion=of(one.lesion for one in found), missed=listed.missed
            ),
        )


def _refuse_too_many(shape: tuple[int, ...]) -> None:
    needed = int(np.prod(shape, dtype=np.int64)) * 4
    try:
        there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # not on this system
        return
    if needed > there:
        raise UserError(
            f"{shape[0]} candidates with {shape[1]} views of {shape[3]} x {shape[4]} take {needed / 2**30:.0f} GiB,"
            f" and this machine has {there / 2**30:.0f} GiB\n  remedy: fewer views=, or a list of fewer negatives"
        )


def _refuse_outside(path: Path, volume: Volume, points: np.ndarray, found: Sequence[Candidate]) -> None:
    outside = np.flatnonzero(~volume.holds(points))
    if not len(outside):
        return
    first = int(outside[0])
    corners = volume.world(np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)]) * (volume.size - 1))
    low, high = (" ".join(f"{one:.1f}" for one in end) for end in (corners.min(0), corners.max(0)))
    mirrored = bool(volume.holds(points * (-1, -1, 1)).all())
    raise UserError(
        f"{found[first].where}: the candidate at {' '.join(f'{one:g}' for one in points[first])} mm lies outside of"
        f" {path}, which reaches from {low} to {high} mm; so do {len(outside)} of its {len(found)} candidates\n"
        + ("  remedy: these are RAS, as NIfTI has them: write x and y with the other sign, which is LPS" if mirrored
           else "  remedy: coordinates are x y z in the world, LPS, as in ITK and LUNA16; not voxels")
    )  # fmt: skip
