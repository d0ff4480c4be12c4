"""Each form of scores: what is read, and what it is worth."""

import csv
import json
import os
from pathlib import Path
from statistics import fmean

import numpy as np
import pytest

from small_studies import Answer, cli
from whichloss.compare.froc import Spheres, froc
from whichloss.compare.nnunet import case_of
from whichloss.metrics.detection.matching import Marks, match
from whichloss.metrics.detection.matching import Spheres as TorchSpheres
from whichloss.stats import Row, read


def compared(folder: Path, *arguments: object, code: int = 0) -> Answer:
    """`whichloss compare` in a folder, which goes well."""
    answer = cli("compare", *arguments, here=folder)
    assert answer.code == code, answer.err
    return answer


def rows(folder: Path, metric: str) -> dict[tuple[str, int], Row]:
    table = read(folder / "whichloss-compare" / "results.csv")
    return {(row.loss, row.fold): row for row in table if row.metric == metric}


def verdict(folder: Path) -> dict:
    return json.loads((folder / "whichloss-compare" / "verdict.json").read_text())


NNUNET = ("ce=ce/fold_*/validation/summary.json", "dice=dice/fold_*/validation/summary.json")
NEEDED = ("--baseline", "ce", "--rope", "0.01", "--n-train", "rest")


# nnU-Net


@pytest.mark.parametrize("version", [1, 2])
def test_nnunet_of_both_versions(nnunet, version):
    folder = nnunet(version=version)
    answer = compared(folder, *NNUNET, *NEEDED)
    assert "dice +0.0" in answer.out and "better" in answer.out
    found = rows(folder, "Dice")
    assert {(row.n_train, row.n_test) for row in found.values()} == {(15, 5)}
    content = json.loads((folder / "ce/fold_2/validation/summary.json").read_text())
    every = content["metric_per_case"] if version == 2 else content["results"]["all"]
    values = [(one["metrics"] if version == 2 else one)["1"]["Dice"] for one in every]
    assert found["ce", 2].value == pytest.approx(fmean(values), abs=1e-15)  # without the background
    assert len(found) == 8
    assert not [row for row in read(folder / "whichloss-compare/results.csv") if row.metric != "Dice"]  # TP, FP


def test_several_labels_are_averaged_as_nnunet_averages_its_foreground(nnunet):
    folder = nnunet(labels=("1", "(1, 2)"))
    compared(folder, *NNUNET, *NEEDED, "--metric", "Dice")
    whole, one, two = (rows(folder, name)["dice", 1].value for name in ("Dice", "Dice of 1", "Dice of (1, 2)"))
    assert whole == pytest.approx((one + two) / 2, abs=1e-15)
    compared(folder, *NNUNET, *NEEDED, "--metric", "Dice of (1, 2)")
    assert verdict(folder)["primary"] == "Dice of (1, 2)"


def test_an_empty_reference_is_left_out_for_all_losses_or_counted(nnunet):
    """nnU-Net leaves it out for the loss that marked nothing, and counts 0 for the one that did."""
    folder = nnunet(ce={"case_00": 0.0}, dice={"case_00": float("nan")})
    answer = compared(folder, *NNUNET, *NEEDED)
    assert (
        "Dice is undefined for some loss on 1 case" in answer.out and "left out for all losses: case_00" in answer.out
    )
    left = rows(folder, "Dice")["ce", 0]
    assert left.n_test == 5 and left.value is not None and left.value > 0.5
    answer = compared(folder, *NNUNET, *NEEDED, "--undefined", "1")
    assert "counted 1 where undefined: case_00" in answer.out
    assert rows(folder, "Dice")["ce", 0].value == pytest.approx(left.value * 4 / 5)
    assert rows(folder, "Dice")["dice", 0].value == pytest.approx((4 * fmean(quality_of(folder, "dice")) + 1) / 5)


def quality_of(folder: Path, loss: str) -> list[float]:
    content = json.loads((folder / loss / "fold_0/validation/summary.json").read_text())
    return [one["metrics"]["1"]["Dice"] for one in content["metric_per_case"][1:]]


def test_patients_are_counted_where_a_list_names_them(nnunet):
    folder = nnunet(cases=4)
    lines = [f"case_{fold}{case},P{fold}{case // 2}" for fold in range(4) for case in range(4)]
    (folder / "cases.csv").write_text("\n".join(["case,patient", *lines]) + "\n")
    compared(folder, *NNUNET, *NEEDED, "--cases", "cases.csv")
    assert {(row.n_train, row.n_test) for row in rows(folder, "Dice").values()} == {(6, 2)}


def test_a_patient_in_two_folds_is_told(nnunet):
    folder = nnunet(cases=2)
    lines = [f"case_{fold}{case},P{case}" for fold in range(4) for case in range(2)]
    (folder / "cases.csv").write_text("\n".join(["case,patient", *lines]) + "\n")
    answer = compared(folder, *NNUNET, "--baseline=ce", "--rope=0.01", "--n-train=6", "--cases", "cases.csv")
    assert "Tested in several folds of one seed, and so trained on too: P0, P1." in answer.out


# MIST


def test_mist_with_folds_from_its_own_list(mist):
    compared(mist, "ce=ce/results.csv", "dice=dice/results.csv", *NEEDED, "--metric=dice", "--cases=train_paths.csv")
    found = rows(mist, "dice")
    assert sorted(found) == [(loss, fold) for loss in ("ce", "dice") for fold in range(4)]
    assert {(row.n_train, row.n_test) for row in found.values()} == {(9, 3)}  # statistics are no patients
    with (mist / "ce/results.csv").open() as file:
        mine = [one for one in csv.DictReader(file) if one["id"] in ("P01", "P05", "P09")]
    expected = fmean([fmean(float(one[name]) for one in mine) for name in ("tumor_dice", "edema_dice")])
    assert found["ce", 1].value == pytest.approx(expected, abs=1e-15)
    assert rows(mist, "haus95")["ce", 0].unit == "mm"


def test_mist_without_folds_says_what_is_missing(mist):
    answer = compared(
        mist,
        "ce=ce/results.csv",
        "dice=dice/results.csv",
        "--metric=dice",
        "--baseline=ce",
        "--rope=0.01",
        "--n-train=9",
    )
    assert "Nothing was shown" in answer.out and "only one fold" in answer.out
    assert "--cases train_paths.csv" in answer.out


def test_a_distance_is_better_when_lower(mist):
    compared(mist, "ce=ce/results.csv", "dice=dice/results.csv", *NEEDED, "--metric=haus95", "--cases=train_paths.csv")
    assert verdict(mist)["higher_is_better"] is False


# LUNA16

LUNA16 = ("ce=ce.csv", "dice=dice.csv", "--annotations=annotations.csv", "--excluded=annotations_excluded.csv")


def test_candidates_are_scored_as_the_metrics_score_them(luna16):
    compared(luna16, *LUNA16, "--cases=scans.csv", *NEEDED, "--metric=FROC area")
    found = rows(luna16, "FROC area")
    assert {(row.n_train, row.n_test) for row in found.values()} == {(12, 4)}
    for (loss, fold), row in found.items():
        curve = by_torch(luna16, loss, {f"1.3.6.{at}" for at in range(16) if at % 4 == fold})
        assert row.value == pytest.approx(curve.area(), abs=1e-12)
        assert rows(luna16, "CPM")[loss, fold].value == pytest.approx(curve.cpm(), abs=1e-12)


def test_a_file_for_each_fold_scores_as_one_file_of_all(luna16):
    compared(luna16, *LUNA16, "--cases=scans.csv", *NEEDED, "--metric=CPM", "--out=whole")
    for loss in ("ce", "dice"):
        header, *lines = (luna16 / f"{loss}.csv").read_text().splitlines()
        for fold in range(4):
            folder = luna16 / loss / f"fold_{fold}"
            folder.mkdir(parents=True)
            mine = [line for line in lines if int(line.split(",")[0].rpartition(".")[2]) % 4 == fold]
            (folder / "candidates.csv").write_text("\n".join([header, *mine]) + "\n")
    parts = ("ce=ce/fold_*/candidates.csv", "dice=dice/fold_*/candidates.csv", *LUNA16[2:])
    compared(luna16, *parts, "--cases=scans.csv", *NEEDED, "--metric=CPM", "--out=parts")
    assert (luna16 / "whole/results.csv").read_bytes() == (luna16 / "parts/results.csv").read_bytes()


def by_torch(folder: Path, loss: str, scans: set[str]):
    def columns(name: str) -> tuple[list[str], list[list[float]], list[float]]:
        with (folder / name).open() as file:
            lines = [line for line in list(csv.reader(file))[1:] if line[0] in scans]
        return [x[0] for x in lines], [[float(y) for y in x[1:4]] for x in lines], [float(x[4]) for x in lines]

    lesions, others = (TorchSpheres(*columns(f"annotations{name}.csv")) for name in ("", "_excluded"))
    return match(Marks(*columns(f"{loss}.csv")), lesions, others).froc(volumes=len(scans))


@pytest.mark.parametrize("seed", range(8))
def test_froc_equals_that_of_the_metrics(seed):
    """Equal scores, lesions that are hit twice or never, marks between two lesions, none of any."""
    chance = np.random.default_rng(seed)
    scans, marks, lesions, others = 6, int(chance.integers(0, 60)), 9, 4

    def spheres(count: int, size):
        where = [f"s{at}" for at in chance.integers(0, scans, count)]
        return where, chance.uniform(0, 12, (count, 3)), size

    mine = spheres(marks, chance.integers(0, 6, marks) / 2)
    sick, odd = spheres(lesions, chance.uniform(3, 9, lesions)), spheres(others, np.array([-1.0, -1, 4, 6]))
    ours = froc(Spheres(*mine), Spheres(*sick), Spheres(*odd), scans)
    theirs = match(Marks(*mine), TorchSpheres(*sick), TorchSpheres(*odd)).froc(volumes=scans)
    assert ours.area() == pytest.approx(theirs.area(), abs=1e-12)
    assert ours.area(0.7) == pytest.approx(theirs.area(0.7), abs=1e-12)
    assert ours.cpm() == pytest.approx(theirs.cpm(), abs=1e-12)
    for rate in (0, 1 / 3, 1, 2.5, 100):
        assert ours.sensitivity_at(rate) == pytest.approx(theirs.sensitivity_at(rate), abs=1e-12)


# tables by hand


def test_a_column_for_each_metric_and_one_for_all_metrics_say_the_same(tidy, tmp_path):
    compared(tmp_path, tidy(), "--baseline=ce", "--rope=0.01", "--out=wide")
    with (tmp_path / "scores.csv").open() as file:
        lines = [f"{one['loss']},fold_{one['fold']},dice,{one['dice']},80,20" for one in csv.DictReader(file)]
    (tmp_path / "long.csv").write_text("\n".join(["method,fold,metric,value,n_train,n_test", *lines]) + "\n")
    compared(tmp_path, "long.csv", "--baseline=ce", "--rope=0.01", "--out=long")
    assert (tmp_path / "wide/results.csv").read_bytes() == (tmp_path / "long/results.csv").read_bytes()
    assert (tmp_path / "wide/verdict.json").read_bytes() == (tmp_path / "long/verdict.json").read_bytes()


def test_cases_are_averaged_and_counted_in_patients(tmp_path):
    lines = [
        f"{loss},{fold},c{fold}{case},p{fold}{case // 2},{0.5 + 0.1 * at + 0.01 * case * (fold + 1) + at * fold / 300}"
        for at, loss in enumerate(("ce", "dice"))
        for fold in range(3)
        for case in range(4)
    ]
    (tmp_path / "cases.csv").write_text("\n".join(["loss,fold,case,patient,dice", *lines]) + "\n")
    compared(tmp_path, "cases.csv", *NEEDED)
    row = rows(tmp_path, "dice")["ce", 1]
    assert (row.n_train, row.n_test) == (4, 2)
    assert row.value == pytest.approx(0.5 + 0.01 * 1.5 * 2)


def test_a_loss_that_misses_a_fold_is_named(tidy, tmp_path):
    path = tidy("focal,0,0.8,80,20", "focal,1,0.8,80,20")
    answer = compared(tmp_path, path, "--baseline=ce", "--rope=0.01")
    gone = "focal on fold 2 of seed 0, focal on fold 3 of seed 0, focal on fold 4 of seed 0"
    assert f"Not in the tables, and left out of their comparisons: {gone}." in answer.out
    assert "(Interim)" in answer.out
    assert gone in " ".join(verdict(tmp_path)["warnings"])


def test_the_design_is_that_of_the_command(tmp_path):
    lines = [
        f"{loss},{fold},{seed},{0.7 + 0.03 * at + 0.01 * np.sin(3 * fold + 5 * seed + at)},80,20"
        for at, loss in enumerate(("ce", "dice"))
        for fold in range(3)
        for seed in range(2)
    ]
    (tmp_path / "s.csv").write_text("\n".join(["loss,fold,seed,auc,n_train,n_test", *lines]) + "\n")
    df = {}
    for option in ("--folds-redrawn", "--folds-fixed", "--draws", "--given"):
        answer = compared(tmp_path, "s.csv", "--baseline=ce", "--rope=0.01", option)
        df[option] = verdict(tmp_path)["design"]["df"]
        assert ("on this split." in answer.out) == (option == "--given")
    assert df == {"--folds-redrawn": 5, "--folds-fixed": 2, "--draws": 1, "--given": 1}


def test_exit_codes_of_a_winner_and_of_none(tidy, tmp_path):
    compared(tmp_path, tidy(), "--baseline=ce", "--rope=0.01", "--require-winner")
    compared(tmp_path, tidy("other,0,0.9,80,20"), "--baseline=ce", "--rope=0.01", "--require-winner", code=3)


def test_names_of_cases():
    assert case_of("C:\\a\\b.nii.gz") == "b" and case_of("x.mha") == "x" and case_of("plain") == "plain"


def test_a_real_detector_scores_what_was_published_for_it(tmp_path):
    """3D DPN26 on all 888 scans of LUNA16 (see tests/metrics/test_luna16_froc.py)."""
    shared = Path(os.environ.get("WHICHLOSS_SHARED", Path(__file__).parents[3] / "shared")) / "data" / "luna16_froc"
    if not shared.is_dir():
        pytest.skip("no detections of LUNA16 here; WHICHLOSS_SHARED names the folder that holds data/luna16_froc/")
    with np.load(shared / "dpn26_detections.npz") as found, np.load(shared / "luna16_annotations.npz") as known:
        marks = Spheres(found["scan"].tolist(), found["xyz"], found["prob"])
        lesions = Spheres(known["scan"].tolist(), known["xyz"], known["diameter_mm"])
        others = Spheres(known["excl_scan"].tolist(), known["excl_xyz"], known["excl_diameter_mm"])
    assert froc(marks, lesions, others, 888).cpm() == pytest.approx(0.8420, abs=5e-5)


def test_a_bare_list_of_scans_is_one_split(luna16):
    """As LUNA16's seriesuids.csv: no header, a name to a line."""
    (luna16 / "uids.csv").write_text("".join(f"1.3.6.{at}\n" for at in range(16)))
    compared(
        luna16, *LUNA16, "--cases=uids.csv", "--baseline=ce", "--rope=0", "--n-train=50", "--metric=CPM", "--given"
    )
    assert {(fold, row.n_test) for (_, fold), row in rows(luna16, "CPM").items()} == {(0, 16)}


def test_folds_and_seeds_on_paths(tmp_path):
    for seed in (1, 2):
        for fold in (0, 1):
            for at in (0, 1):
                file = tmp_path / f"run{at}_seed{seed}" / f"fold_{fold}.csv"
                file.parent.mkdir(exist_ok=True)
                file.write_text(f"dice,n_test\n{0.5 + 0.1 * at + 0.01 * seed + 0.02 * fold * at},20\n")
    words = ("ce=run0*/*.csv", "Tversky(fp=0.3, fn=0.7)=run1*/*.csv", "--baseline=ce", "--rope=0.01", "--n-train=80")
    compared(tmp_path, *words, "--folds-redrawn")
    table = read(tmp_path / "whichloss-compare/results.csv")
    assert sorted({(row.seed, row.fold) for row in table}) == [(1, 0), (1, 1), (2, 0), (2, 1)]
    assert verdict(tmp_path)["comparisons"][0]["label"] == "Tversky"


def test_row_numbers_of_pandas_are_no_metric(tidy, tmp_path):
    lines = tidy().read_text().splitlines()
    (tmp_path / "scores.csv").write_text(
        "\n".join([f",{lines[0]}", *(f"{at},{line}" for at, line in enumerate(lines[1:]))])
    )
    compared(tmp_path, "scores.csv", "--baseline=ce", "--rope=0.01")


def test_metrics_that_differ_in_an_argument_keep_it(tmp_path):
    metrics = ("Dice(threshold='tuned')", "Dice(threshold='natural')")
    lines = [
        f"{loss},{fold},{metric},{0.7 + 0.05 * at + 0.002 * fold * at},80,20"
        for metric in metrics
        for at, loss in enumerate(("ce", "dice"))
        for fold in range(3)
    ]
    (tmp_path / "s.csv").write_text("\n".join(["loss,fold,metric,value,n_train,n_test", *lines]) + "\n")
    answer = cli("compare", "s.csv", "--baseline=ce", "--rope=0.01", "--metric=Dice", here=tmp_path)
    assert answer.code == 2 and "--metric Dice fits several" in answer.err
    compared(tmp_path, "s.csv", "--baseline=ce", "--rope=0.01", f"--metric={metrics[0]}")
    assert verdict(tmp_path)["primary_label"] == metrics[0]
