"""Candidates in CT volumes: layouts of files, lesions, chances, the cache, and what is said about wrong lists."""

import gc
import weakref
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from small_scans import OBLIQUE, ball, chance, painted, volume, write_arrays, write_dicom, write_meta, write_nifti
from whichloss.core import UserError
from whichloss.data import Cases, candidate_views, folds
from whichloss.data.candidate_views import CandidateViews
from whichloss.data.views import Sampler, Volume, grey, read_volume

HEAD = "seriesuid,coordX,coordY,coordZ,class"
MARKS = "seriesuid,coordX,coordY,coordZ,diameter_mm"


def scan(seed: int, direction: np.ndarray = OBLIQUE) -> Volume:
    values = chance(seed).integers(-1000, 800, (12, 30, 28), dtype=np.int16)
    return volume(values, spacing=(0.8, 0.8, 2.0), origin=(-20.0 * seed, 7.0, -100.0), direction=direction)


def spelled(point: Iterable[float]) -> str:
    return ",".join(f"{one:.4f}" for one in point)


def write(path: Path, head: str, *rows: str) -> None:
    path.write_text("\n".join([head, *rows]) + "\n", encoding="utf-8")


def load(folder: Path, **fields) -> Cases:
    given = {"candidates": "candidates.csv", "volumes": "subset*/", "views": 4, "size": 8, **fields}
    return CandidateViews(**given).load(folder)


@pytest.fixture
def luna(tmp_path: Path) -> Path:
    """LUNA16 in small: three series in two subsets, five candidates each, of which two hit the same nodule."""
    rows, marks = [], []
    for k, (subset, name) in enumerate([(0, "1.3.6.1"), (0, "1.3.6.2"), (1, "1.3.6.30")]):
        made = scan(k)
        write_meta(tmp_path / f"subset{subset}" / f"{name}.mhd", made)
        nodule, other = made.world(np.array([[10, 12, 5], [20, 22, 8]]))
        marks += [f"{name},{spelled(nodule)},6.5", f"{name},{spelled(other)},4"]
        near = [nodule + way for way in ((0, 0, 0), (2, 1, 0), (0.5, 0, 30))]
        rows += [f"{name},{spelled(near[0])},1", f"{name},{spelled(near[1])},1"]
        rows += [f"{name},{spelled(point)},0" for point in made.world(np.array([[4, 4, 4], [9, 20, 3], [25, 5, 9]]))]
    write(tmp_path / "candidates.csv", HEAD, *rows)
    write(tmp_path / "annotations.csv", MARKS, *marks)
    return tmp_path


# what a list becomes


def test_luna16(luna: Path):
    cases = load(luna, annotations="annotations.csv")
    assert cases.images.shape == (15 * 4, 3, 8, 8)
    assert (cases.task.kind, cases.task.classes, cases.task.channels) == ("detection", ("no lesion", "lesion"), 3)
    assert cases.labels[::4].tolist() == [1, 1, 0, 0, 0] * 3
    assert Counter(cases.groups) == {"1.3.6.1": 20, "1.3.6.2": 20, "1.3.6.30": 20}
    assert cases.columns["view"] == (0, 1, 2, 3) * 15
    assert cases.columns["scale"] == (30.0, 35.0, 40.0, 45.0) * 15
    assert "subgroup" not in cases.columns and cases.strata is None
    assert 0 <= cases.images.min() < cases.images.max() <= 1
    here = cases.candidates
    assert here is not None
    assert here.volume == cases.groups
    assert len(set(here.candidate)) == 15
    nodules = {lesion for lesion in here.lesion if lesion}
    assert len(nodules) == 3
    assert [volume for volume, _ in here.missed] == ["1.3.6.1", "1.3.6.2", "1.3.6.30"]
    assert not nodules & {lesion for _, lesion in here.missed}
    truth = cases.truth(range(20))  # of the first series: 20 views, and the nodule that nothing hits
    assert truth.shape == (21, 4)
    assert truth[:, 3].tolist() == [0] * 8 + [-1] * 12 + [1]


def test_patients_are_never_split(luna: Path):
    cases = load(luna)
    for fold in folds(cases, k=3, seed=0):
        train, test = ({cases.groups[i] for i in side} for side in (fold.train, fold.test))
        assert train and test and not train & test


def test_pixels_are_those_of_the_sampler(luna: Path):
    data = CandidateViews(candidates="candidates.csv", volumes="subset*/", views=7, size=12, window=(-500, 500))
    cases = data.load(luna)
    made = read_volume(luna / "subset1" / "1.3.6.30.mhd")
    name = cases.candidates.candidate[-1]  # pyright: ignore[reportOptionalMemberAccess]
    point = np.array([[float(one) for one in (luna / "candidates.csv").read_text().split()[-1].split(",")[1:4]]])
    assert cases.ids[-1] == f"{name}#6"
    wanted = grey(Sampler(made)(data.frames([name], point), 12), (-500, 500))[0]
    torch.testing.assert_close(cases.images[-7:], wanted / 255, rtol=0, atol=0)


def test_columns_say_patient_subgroup_candidate_and_lesion(luna: Path):
    lines = (luna / "candidates.csv").read_text().split()
    extra = [
        f"c{k % 5},{'n' if line[-1] == '1' else ''},p{k // 10},{'low' if k < 5 else 'high'}"
        for k, line in enumerate(lines[1:])
    ]
    write(
        luna / "candidates.csv",
        HEAD + ",candidate,lesion,patient,subgroup",
        *map(",".join, zip(lines[1:], extra, strict=True)),
    )
    cases = load(luna)
    assert cases.groups[::20] == ("p0", "p0", "p1")
    assert cases.columns["subgroup"] == cases.strata == ("low",) * 20 + ("high",) * 40
    assert cases.candidates is not None
    assert cases.candidates.candidate[4] == "1.3.6.1/c1"
    assert cases.candidates.lesion[:12] == ("n",) * 8 + ("",) * 4
    marks = (luna / "annotations.csv").read_text().split()
    write(luna / "annotations.csv", MARKS + ",lesion", *(f"{line},{'nm'[k % 2]}" for k, line in enumerate(marks[1:])))
    named = load(luna, annotations="annotations.csv").candidates
    assert named is not None
    assert named.lesion == cases.candidates.lesion
    assert named.missed == (("1.3.6.1", "m"), ("1.3.6.2", "m"), ("1.3.6.30", "m"))


def test_without_annotations_each_positive_is_a_lesion_of_its_own(luna: Path):
    cases = load(luna)
    assert cases.candidates is not None
    assert set(cases.candidates.lesion) == {""} and not cases.candidates.missed
    assert cases.truth(range(20))[:, 3].tolist() == [0] * 4 + [1] * 4 + [-1] * 12


def test_middles_of_annotations_may_be_candidates_too(luna: Path):
    cases = load(luna, annotations="annotations.csv", centres=True)
    assert cases.candidates is not None
    assert len(set(cases.candidates.candidate)) == 15 + 6
    assert not cases.candidates.missed
    assert cases.labels.sum() == 4 * (6 + 6)


@pytest.fixture
def lymph(tmp_path: Path) -> Path:
    """TCIA's CT Lymph Nodes in small: texts of points, and DICOM series two folders below each patient."""
    for k, patient in enumerate(["ABD_LYMPH_001", "ABD_LYMPH_002", "MED_LYMPH_001"]):
        made = scan(k, np.eye(3))
        write_dicom(tmp_path / "CT Lymph Nodes" / patient / "09-14-2014-30274" / "abdominallymphnodes-26828", made)
        points = made.world(np.array([[10, 12, 5], [20, 22, 8], [4, 4, 4], [9, 20, 3]]))
        lines = [spelled(point).replace(",", " ") for point in points]
        near = spelled(points[0] + np.array([4.0, 0, 0])).replace(",", " ")
        texts = {
            "CANDIDATES": {"negCADe_physicalPoints": lines[2:], "posCADe_physicalPoints": [near]},
            "ANNOTATIONS": {"lymphnodes_physicalPoints": lines[:2], "lymphnodes_sizes": ["11.5 15", "10.2"]},
        }
        for part, files in texts.items():
            folder = tmp_path / f"MED_ABD_LYMPH_{part}" / patient
            folder.mkdir(parents=True)
            for name, content in files.items():
                (folder / f"{patient}_{name}.txt").write_text("\n".join(content) + "\n")
    return tmp_path


NODES = {"candidates": "MED_ABD_LYMPH_CANDIDATES", "volumes": "CT Lymph Nodes/*"}


def test_lymph_nodes_of_tcia(lymph: Path):
    cases = load(lymph, **NODES, annotations="MED_ABD_LYMPH_ANNOTATIONS")
    assert len(cases) == 3 * 3 * 4
    assert cases.labels[::4].tolist() == [0, 0, 1] * 3
    assert cases.groups[::12] == ("ABD_LYMPH_001", "ABD_LYMPH_002", "MED_LYMPH_001")
    assert cases.columns["subgroup"][::12] == ("abdominal", "abdominal", "mediastinal")
    assert cases.strata == cases.columns["subgroup"]
    assert cases.candidates is not None
    assert cases.candidates.candidate[8] == "ABD_LYMPH_001/posCADe 0"
    assert len(cases.candidates.missed) == 3
    both = load(lymph, **NODES, annotations="MED_ABD_LYMPH_ANNOTATIONS", centres=True)
    assert both.labels.sum() == 3 * 3 * 4
    assert both.candidates is not None and not both.candidates.missed


def test_files_of_lymph_nodes_that_do_not_fit(lymph: Path):
    sizes = lymph / "MED_ABD_LYMPH_ANNOTATIONS" / "ABD_LYMPH_002" / "ABD_LYMPH_002_lymphnodes_sizes.txt"
    sizes.write_text("10\n")
    with pytest.raises(UserError, match=r"has 2 points, ABD_LYMPH_002_lymphnodes_sizes.txt has 1 sizes"):
        load(lymph, **NODES, annotations="MED_ABD_LYMPH_ANNOTATIONS")
    places = lymph / "MED_ABD_LYMPH_CANDIDATES" / "MED_LYMPH_001" / "MED_LYMPH_001_posCADe_physicalPoints.txt"
    places.write_text("\n1 2\n")
    with pytest.raises(UserError, match=r"posCADe_physicalPoints.txt, row 2: '1 2'; a line has 3 numbers, x y z"):
        load(lymph, **NODES)
    places.unlink()
    with pytest.raises(UserError, match=r"there is no .*MED_LYMPH_001_posCADe_physicalPoints.txt"):
        load(lymph, **NODES)
    with pytest.raises(UserError, match=r"is a folder, and holds no PATIENT/PATIENT_negCADe_.*\n.*name a table"):
        load(lymph, candidates="CT Lymph Nodes", volumes="CT Lymph Nodes/*")


def test_a_bright_lesion_is_in_the_middle_of_every_view(tmp_path: Path):
    """The whole way from two forms of files: LPS and RAS, oblique and straight."""
    at = np.array([12.0, -30.0, 55.0])
    for name, direction in (("oblique", OBLIQUE), ("straight", np.eye(3))):
        made = painted(ball(at), direction=direction, middle=at)
        write_nifti(tmp_path / f"{name}.nii.gz", made)
        write_meta(tmp_path / f"{name}-meta.mha", made)
    dark = ",".join(map(str, at + np.array([0, 12.0, 0])))
    names = ("oblique", "straight", "oblique-meta", "straight-meta")
    rows = [f"{name},{spelled(at)},1" for name in names] + [f"{name},{dark},0" for name in names]
    write(tmp_path / "candidates.csv", HEAD, *rows)
    cases = load(tmp_path, volumes="*", views=8, size=16, scales=(16, 20), shift=1.0)
    lesions = cases.images[cases.labels == 1]
    assert (lesions[..., 6:10, 6:10] == 1).all()
    others = cases.images[cases.labels == 0]
    assert (others[..., 6:10, 6:10] == 0).all()


# chances


def test_other_candidates_and_volumes_change_nothing(luna: Path):
    whole = load(luna)
    lines = (luna / "candidates.csv").read_text().split()
    kept = [lines[k] for k in (13, 2, 1, 15, 4)]  # another order, too
    write(luna / "candidates.csv", HEAD, *kept)
    few = load(luna)
    place = {one: at for at, one in enumerate(whole.ids)}
    assert few.ids[0].startswith("1.3.6.30/")
    assert few.images.equal(whole.images[[place[one] for one in few.ids]])
    assert not load(luna, seed=1).images.equal(few.images)


def test_few_views_begin_many(luna: Path):
    few, many = load(luna, views=3).images, load(luna, views=36).images
    assert few.view(15, 3, -1).equal(many.view(15, 36, -1)[:, :3])
    still = [load(luna, views=n, shift=0.0, scales=(20, 25)).images.view(15, n, -1) for n in (1, 4)]
    assert still[0].equal(still[1][:, :1])


# one volume at a time, and the cache


def test_one_volume_at_a_time_is_in_memory(luna: Path, monkeypatch):
    alive: list[weakref.ref] = []

    def watched(path: Path) -> Volume:
        gc.collect()
        assert not any(one() is not None for one in alive)
        made = read_volume(path)
        alive.append(weakref.ref(made))
        return made

    monkeypatch.setattr(candidate_views, "read_volume", watched)
    seen = []
    data = CandidateViews(candidates="candidates.csv", volumes="subset*/", views=2, size=8)
    data.load(luna, progress=lambda *told: seen.append(told))
    assert len(alive) == 3
    assert seen == [(1, 3, "1.3.6.1"), (2, 3, "1.3.6.2"), (3, 3, "1.3.6.30")]


def never(path: Path) -> Volume:
    raise AssertionError(f"{path} was read")


def test_what_was_computed_is_not_computed_again(luna: Path, cache: Path, monkeypatch):
    fresh = load(luna)
    monkeypatch.setenv("WHICHLOSS_CACHE", "off")
    assert load(luna).digest == fresh.digest
    monkeypatch.setenv("WHICHLOSS_CACHE", str(cache))
    monkeypatch.setattr(candidate_views, "read_volume", never)
    assert load(luna).digest == fresh.digest
    for other in ({"seed": 1}, {"views": 5}, {"window": (-100, 201)}, {"size": 9}, {"interpolation": "cubic"}):
        with pytest.raises(AssertionError, match="was read"):
            load(luna, **other)


def test_another_content_is_computed(luna: Path):
    before = load(luna).images
    made = scan(1)
    write_meta(luna / "subset0" / "1.3.6.2.mhd", replace(made, values=made.values + np.int16(50)))
    after = load(luna).images
    assert after[:20].equal(before[:20]) and after[40:].equal(before[40:])
    assert not after[20:40].equal(before[20:40])


def test_a_damaged_cache_is_computed_again(luna: Path, cache: Path):
    fresh = load(luna)
    for file in cache.rglob("*.safetensors"):
        content = bytearray(file.read_bytes())
        content[-100] ^= 255
        file.write_bytes(content)
    assert load(luna).images.equal(fresh.images)


# what is said about wrong lists


def lists(folder: Path, *rows: str, head: str = HEAD) -> Path:
    """Two volumes, a and b, of 20 x 20 x 20 mm from the origin, and a list."""
    for name in ("a", "b"):
        values = chance().integers(-100, 100, (21, 21, 21), dtype=np.int16)
        write_arrays(folder / "volumes" / f"{name}.npz", volume(values, (1, 1, 1), (0, 0, 0), np.eye(3)))
    write(folder / "candidates.csv", head, *rows)
    return folder


GOOD = ("a,5,5,5,1", "a,9,5,5,0", "b,5,5,5,0")


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        (("a,5,5,x,1",), r"candidates.csv, row 2: coordZ is 'x'; it must be a finite number of millimetres"),
        (("a,5,5,inf,1",), r"row 2: coordZ is 'inf'"),
        (("a,5,5,5,2",), r"row 2: class is '2'; it must be 1 for a lesion, or 0"),
        ((*GOOD, ",5,5,5,1"), r"row 5: the seriesuid is empty"),
        ((*GOOD, "a,5,5,5"), r"row 5 has 4 cells; the first row names 5"),
        ((*GOOD, "c,5,5,5,1"), r"row 5: no volume is called 'c'; there are 2, such as 'a'\n.*absent='leave out'"),
        ((*GOOD, "a,9,5,5.0,0"), r"row 5: candidate 'a/9,5,5' is there already, in .*row 3\n.*column 'candidate'"),
        (GOOD[1:], r"none of 2 candidates is positive \(class 1\); detection is learned from both"),
        (GOOD[:1], r"none of 1 candidates is negative \(class 0\)"),
        ((), r"none of 0 candidates is positive"),
        ((*GOOD, "b,50,5,5,0", "b,51,5,5,0"), r"row 5: the candidate at 50 5 5 mm lies outside of .*b.npz, which "
         r"reaches from 0.0 0.0 0.0 to 20.0 20.0 20.0 mm; so do 2 of its 3 candidates\n  remedy: .*LPS"),
        (("a,-5,-5,5,1", "a,-9,-5,5,0"), r"row 2: .* lies outside .*\n  remedy: these are RAS.*the other sign"),
    ],
)  # fmt: skip
def test_a_wrong_row_is_named(tmp_path: Path, rows: tuple[str, ...], says: str):
    with pytest.raises(UserError, match=says):
        load(lists(tmp_path, *rows), volumes="volumes/*")


def test_what_is_right_is_no_error(tmp_path: Path):
    """Spaces, an empty last row, a mark of the byte order, and the outermost half of a voxel."""
    folder = lists(tmp_path, *GOOD, "b, 20.4 ,-0.4,5 , 1", "", head="\ufeff" + HEAD.replace(",", " ,"))
    assert len(load(folder, volumes="volumes/*")) == 16


def test_missing_columns_are_named(tmp_path: Path):
    folder = lists(tmp_path, *GOOD, head="seriesuid,coordX,coordY,coord_z,class")
    with pytest.raises(
        UserError, match=r"no column 'coordZ'; its first row is .*; is 'coord_z' for 'coordZ' meant\?\n"
    ):
        load(folder, volumes="volumes/*")
    write(folder / "candidates.csv", HEAD.replace(",", ";"), *GOOD)
    with pytest.raises(UserError, match=r"no column 'seriesuid' and no 'coordX'.*\n.*; commas in between"):
        load(folder, volumes="volumes/*")
    (folder / "candidates.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="cannot be read as a table of comma-separated values"):
        load(folder, volumes="volumes/*")


def test_lesions_that_do_not_fit(tmp_path: Path):
    folder = lists(tmp_path, *GOOD)

    def annotated(*marks: str, head: str = MARKS, **fields) -> Cases:
        write(folder / "annotations.csv", head, *marks)
        return load(folder, volumes="volumes/*", annotations="annotations.csv", **fields)

    with pytest.raises(
        UserError, match=r"row 2: this candidate is of class 1 and hits no annotation: there is none in "
    ):
        annotated("b,5,5,5,4")
    with pytest.raises(
        UserError, match=r"the nearest is 4.0 mm away, with a radius of 3.0 mm\n  remedy: within=4.0 take"
    ):
        annotated("a,5,9,5,6")
    assert annotated("a,5,9,5,6", within=4.0).candidates.missed == ()  # pyright: ignore[reportOptionalMemberAccess]
    with pytest.raises(UserError, match=r"annotations.csv, row 2: diameter_mm is '-1'"):
        annotated("a,5,5,5,-1")
    with pytest.raises(UserError, match=r"lesion '5,5,5' of 'a' is annotated twice"):
        annotated("a,5,5,5,4", "a,5,5,5,6")
    lists(folder, "a,5,5,5,1,n", "a,9,5,5,0,", head=HEAD + ",lesion")
    with pytest.raises(UserError, match=r"no annotation of 'a' is called 'n' \(they have no column 'lesion'\)"):
        annotated("a,5,5,5,4")
    lists(folder, "a,5,5,5,1,n", "a,9,5,5,0,n", head=HEAD + ",lesion")
    with pytest.raises(UserError, match=r"row 3: a candidate of class 0 has no lesion, and this has 'n'"):
        annotated("a,5,5,5,4")


def test_two_lesions_within_reach_the_nearest_is_hit(tmp_path: Path):
    folder = lists(tmp_path, *GOOD)
    write(folder / "annotations.csv", MARKS, "a,8,5,5,20", "a,5,6,5,4", "b,1,1,1,5")
    here = load(folder, volumes="volumes/*", annotations="annotations.csv").candidates
    assert here is not None
    assert set(here.lesion) == {"", "5,6,5"}
    assert set(here.missed) == {("a", "8,5,5"), ("b", "1,1,1")}


def test_candidates_without_volumes_may_be_left_out(tmp_path: Path):
    folder = lists(tmp_path, *GOOD, "c,5,5,5,1", "d,5,5,5,0")
    cases = load(folder, volumes="volumes/*", absent="leave out")
    assert len(cases) == 12
    (folder / "volumes" / "a.npz").unlink()
    with pytest.raises(UserError, match=r"none of 1 candidates is positive.*\n.*or more volumes"):
        load(folder, volumes="volumes/*", absent="leave out")


def test_volumes_that_are_not_found(tmp_path: Path):
    folder = lists(tmp_path, *GOOD)
    with pytest.raises(
        UserError, match=r"volumes='scan\*' finds nothing in .*\n.*\n  remedy: a pattern from this folder"
    ):
        load(folder, volumes="scan*")
    with pytest.raises(UserError, match=r"there is no 'scans'; these folders were looked in"):
        load(folder, volumes="scans/*.mhd")
    (folder / "more").mkdir()
    (folder / "volumes" / "a.npz").rename(folder / "more" / "a.npz")
    assert len(load(folder, volumes="*")) == 12
    assert len(load(folder, volumes=str(folder / "*" / "*.npz"))) == 12
    (folder / "volumes" / "a.npz").write_bytes((folder / "more" / "a.npz").read_bytes())
    with pytest.raises(UserError, match=r"two volumes are called 'a': .*a.npz and .*a.npz"):
        load(folder, volumes="*")


def test_volumes_are_looked_for_under_the_root_too(tmp_path: Path):
    folder = lists(tmp_path, *GOOD)
    (folder / "lists").mkdir()
    (folder / "candidates.csv").rename(folder / "lists" / "candidates.csv")
    assert len(load(folder, candidates="lists/candidates.csv", volumes="volumes")) == 12


def test_more_views_than_memory_is_told_before_anything_is_computed(luna: Path, monkeypatch):
    monkeypatch.setattr(candidate_views, "read_volume", never)
    with pytest.raises(
        UserError, match=r"15 candidates with 10000000 views of 512 x 512 take .* GiB, and this machine"
    ):
        load(luna, views=10_000_000, size=512)
