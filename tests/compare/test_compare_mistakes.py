"""Each mistake is one message with its place and a remedy, exit code 2, and nothing written."""

import json
from pathlib import Path

import pytest

from small_studies import cli

ASK = ("--baseline=ce", "--rope=0.01")
HEAD = "loss,fold,dice,n_train,n_test\n"
GOOD = "ce,0,0.7,80,20\ndice,0,0.8,80,20\nce,1,0.7,80,20\ndice,1,0.8,80,20\n"


def refused(folder: Path, *arguments: object) -> str:
    answer = cli("compare", *arguments, here=folder)
    assert answer.code == 2, answer.out
    assert answer.err.startswith("whichloss: ") and "Traceback" not in answer.err
    assert answer.out == "" and not list(folder.glob("whichloss-compare/*"))
    return answer.err


TABLES = {
    "empty": ("", "scores.csv: is empty"),
    "header alone": (HEAD, "has a header and nothing below it"),
    "no loss": ("fold,dice\n0,0.7\n", "line 1: no column loss"),
    "no metric": ("loss,fold,note\nce,0,fine\n", "no column value, and no column of numbers"),
    "a text among numbers": (HEAD + GOOD + "ce,2,bad,80,20\n", "line 6, column dice: 'bad'; write a number"),
    "fold": (HEAD + GOOD + "ce,x,0.7,80,20\n", "line 6, column fold: 'x'; write a whole number"),
    "n_train": (HEAD + GOOD + "ce,2,0.7,many,20\n", "line 6, column n_train: 'many'"),
    "negative": (HEAD + GOOD + "ce,2,0.7,-3,20\n", "line 6, column n_train: '-3'; write a whole number such as 12"),
    "a comma in a name": (HEAD + GOOD + "T(a=1, b=2),2,0.7,80,20\n", "line 6: 6 fields for 5 columns; quote"),
    "no name": (HEAD + GOOD + ",2,0.7,80,20\n", "line 6, column loss: ''; fill it in"),
    "twice": (HEAD + GOOD + "ce,1,0.9,80,20\n", "ce, fold 1, seed 0: two values of dice; keep one; scores of single"),
    "a column twice": ("loss,loss,dice\nce,ce,1\n", "line 1: column 'loss' comes twice"),
    "semicolons": ("loss;fold;dice\nce;0;0,7\n", "is one column; save it with commas"),
    "unequal sizes": (HEAD + GOOD + "ce,2,0.7,80,20\ndice,2,0.8,81,20\n", "is not the same for all losses"),
    "two sizes": ("loss,fold,metric,value,n_train,n_test\nce,0,a,1,80,20\nce,0,b,1,81,20\n", "says 80, 81"),
    "split": ("loss,fold,split,dice\nce,0,val,0.7\n", "column split: 'val'; write one of test, chance, train"),
    "direction": ("loss,fold,dice,higher_is_better\nce,0,0.7,up\n", "column higher_is_better: 'up'; write true"),
    "failed without chance": (HEAD + GOOD + "ce,2,,80,20\ndice,2,0.8,80,20\n", "does not say what chance scores"),
    "infinite": (HEAD + GOOD + "ce,2,inf,80,20\ndice,2,0.8,80,20\n", "a mean needs finite scores"),
    "no sizes": ("loss,fold,dice\nce,0,0.7\ndice,0,0.8\n", "nobody says how many cases were tested"),
    "several metrics": ("loss,fold,dice,iou,n_train,n_test\nce,0,.7,.6,8,2\ndice,0,.7,.6,8,2\n", "--metric iou"),
    "seeds": ("loss,seed,dice,n_train,n_test\nce,0,.7,8,2\nce,1,.7,8,2\ndice,0,.7,8,2\n", "say how they were made"),
    "a line break": ('loss,fold,dice,n_train,n_test\n"a\nb",0,.7,8,2\nce,0,.7,8,2\n', "a text holds a line break"),
}  # fmt: skip


@pytest.mark.parametrize("name", TABLES)
def test_a_table_that_cannot_be_right(tmp_path, name):
    text, message = TABLES[name]
    (tmp_path / "scores.csv").write_text(text)
    assert message in refused(tmp_path, "scores.csv", *ASK)


OPTIONS = {
    "no rope": (["--baseline=ce"], "--rope is missing: the smallest difference that matters"),
    "negative rope": (["--baseline=ce", "--rope=-1"], "rope is -1.0"),
    "no baseline": (["--rope=0.01"], "--baseline is missing: the loss that all others are compared with; one of ce"),
    "another baseline": (["--rope=0.01", "--baseline=mse"], "--baseline mse: no such loss in the tables, which"),
    "another metric": ([*ASK, "--metric=auc"], "--metric auc: not in the tables, which have\n  --metric dice"),
    "two designs": ([*ASK, "--draws", "--given"], "--draws and --given exclude each other"),
    "n-train": ([*ASK, "--n-train=lots"], "--n-train lots: write a number of cases such as 80, or rest"),
    "n-train differs": ([*ASK, "--n-train=70"], "--n-train is 70, and the table says 80 for ce, fold 0"),
    "undefined": ([*ASK, "--undefined=nan"], "--undefined nan: write what a case without a value counts"),
    "excluded alone": ([*ASK, "--excluded=x.csv"], "--excluded goes with --annotations"),
    "annotations alone": ([*ASK, "--annotations=x.csv"], "--annotations needs --cases"),
    "no such list": ([*ASK, "--cases=x.csv"], "x.csv: cannot be read (No such file or directory)"),
    "another file": ([*ASK, "other.csv"], "other.csv: no such file"),
    "the same file": ([*ASK, "./scores.csv"], "is named twice"),
    "a name too many": ([*ASK, "x=scores.csv"], "has a column 'loss', and the command calls it 'x'"),
}  # fmt: skip


@pytest.mark.parametrize("name", OPTIONS)
def test_an_option_that_cannot_be_right(tmp_path, name):
    (tmp_path / "scores.csv").write_text(HEAD + GOOD)
    words, message = OPTIONS[name]
    assert message in refused(tmp_path, "scores.csv", *words)


def test_a_metric_whose_direction_is_unknown(tidy, tmp_path):
    tidy(header="loss,fold,volume,n_train,n_test")
    assert "volume: say which way is better: --higher-is-better or --lower-is-better" in refused(
        tmp_path, "scores.csv", *ASK
    )


def test_the_table_and_the_command_say_opposite_directions(tmp_path):
    text = "loss,fold,dice,n_train,n_test,higher_is_better\nce,0,.7,8,2,true\ndice,0,.7,8,2,true\n"
    (tmp_path / "scores.csv").write_text(text)
    assert "the command the opposite" in refused(tmp_path, "scores.csv", *ASK, "--lower-is-better")


def test_nobody_says_how_many_were_trained_on(tmp_path):
    (tmp_path / "s.csv").write_text("loss,case,dice\nce,a,.7\nce,b,.8\ndice,a,.7\ndice,b,.9\n")
    assert "--n-train rest  all cases of the other folds" in refused(tmp_path, "s.csv", *ASK)
    assert "--n-train rest counts the cases of the other folds" in refused(tmp_path, "s.csv", *ASK, "--n-train=rest")


def test_losses_on_other_cases_are_not_compared(nnunet):
    folder = nnunet()
    file = folder / "dice/fold_1/validation/summary.json"
    content = json.loads(file.read_text())
    content["metric_per_case"].pop()
    file.write_text(json.dumps(content))
    message = refused(folder, "ce=ce/*/*/summary.json", "dice=dice/*/*/summary.json", *ASK, "--n-train=rest")
    assert "fold 1 of seed 0: dice has no Dice for 1 of the 5 scores that ce has: case_14 (label 1)" in message


def test_files_of_one_fold_twice(nnunet):
    folder = nnunet()
    (folder / "ce/other").mkdir()
    (folder / "ce/fold_0/validation/summary.json").rename(folder / "ce/other/summary.json")
    (folder / "ce/another").mkdir()
    (folder / "ce/another/summary.json").write_bytes((folder / "ce/other/summary.json").read_bytes())
    message = refused(folder, "ce=ce/*o*/summary.json", "dice=dice/*/*/summary.json", *ASK, "--n-train=rest")
    assert "ce, fold 0, seed 0, case case_00: two values of Dice; keep one" in message
    assert "ce/another/summary.json" in message and "ce/other/summary.json" in message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not JSON"),
        ("[]", "is not a summary.json of nnU-Net"),
        ('{"results": {}}', "is not a summary.json of nnU-Net"),
        ('{"metric_per_case": [{"metrics": {"1": {"Dice": "x"}}, "prediction_file": "a.mha"}]}', "'x' is not a number"),
    ],
)  # fmt: skip
def test_a_summary_that_is_none(tmp_path, text, message):
    (tmp_path / "summary.json").write_text(text)
    assert message in refused(tmp_path, "ce=summary.json", *ASK)


def test_forms_without_a_name_need_one(nnunet, mist):
    folder = nnunet()
    assert "is of the form nnU-Net, which does not name the loss; write NAME=" in refused(
        folder, "ce/fold_0/validation/summary.json", *ASK
    )
    assert "is of the form MIST" in refused(mist, "ce/results.csv", *ASK)


def test_lists_of_cases_that_do_not_fit(nnunet):
    folder = nnunet()
    (folder / "cases.csv").write_text("case,fold\ncase_00,0\n")
    words = ("ce=ce/*/*/summary.json", "dice=dice/*/*/summary.json", *ASK, "--n-train=rest", "--cases=cases.csv")
    assert "the case 'case_01' is not in cases.csv" in refused(folder, *words)
    (folder / "cases.csv").write_text("case,fold\ncase_00,3\n")
    assert "was tested in fold 0, and cases.csv says 3" in refused(folder, *words)
    (folder / "cases.csv").write_text("case,fold\ncase_00,3\ncase_00,3\n")
    assert "'case_00' stands there more than once" in refused(folder, *words)
    (folder / "cases.csv").write_text("name,fold\ncase_00,3\n")
    assert "line 1: no column case" in refused(folder, *words)


def test_candidates_that_cannot_be_scored(luna16):
    words = ("ce=ce.csv", "dice=dice.csv", *ASK, "--n-train=rest", "--metric=CPM")
    assert "--annotations FILE" in refused(luna16, *words)
    scored = (*words, "--annotations=annotations.csv", "--cases=scans.csv")
    whole = (luna16 / "scans.csv").read_text()
    (luna16 / "scans.csv").write_text("\n".join(whole.splitlines()[:-2]) + "\n")
    assert "scans.csv has no such scan" in refused(luna16, *scored)
    (luna16 / "scans.csv").write_text(whole.replace(",3\n", ",2\n").replace("1.3.6.15,2", "1.3.6.15,3"))
    assert "fold 3: no lesion of annotations.csv is in its 1 scans" in refused(luna16, *scored)
    (luna16 / "scans.csv").write_text(whole)
    (luna16 / "annotations.csv").write_text("seriesuid,coordX,coordY,coordZ\na,1,2,3\n")
    assert "annotations.csv, line 1: no column diameter_mm" in refused(luna16, *scored)
    (luna16 / "annotations.csv").write_text("seriesuid,coordX,coordY,coordZ,diameter_mm\n1.3.6.0,1,2,x,9\n")
    assert "annotations.csv, line 2, column coordZ: 'x'" in refused(luna16, *scored)


def test_bytes_that_are_no_text(tmp_path):
    (tmp_path / "s.csv").write_bytes(b"loss,dice\n\xff\xfe,1\n")
    assert "is not UTF-8 text" in refused(tmp_path, "s.csv", *ASK)
    (tmp_path / "s.json").write_bytes(b"\xff\xfe")
    assert "is not UTF-8 text" in refused(tmp_path, "x=s.json", *ASK)
    (tmp_path / "good.csv").write_text(HEAD + GOOD)
    assert "s.csv: is not UTF-8 text" in refused(tmp_path, "good.csv", *ASK, "--cases=s.csv")


def test_a_table_is_never_written_over(tidy, tmp_path):
    tidy().rename(tmp_path / "results.csv")
    before = (tmp_path / "results.csv").read_bytes()
    answer = cli("compare", "results.csv", *ASK, "--out", ".", here=tmp_path)
    assert answer.code == 2 and "results.csv would be written over" in answer.err
    assert (tmp_path / "results.csv").read_bytes() == before and not (tmp_path / "report.html").exists()


def test_a_study_is_never_written_over(tidy, tmp_path):
    tidy()
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "protocol.json").write_text("{}")
    answer = cli("compare", "scores.csv", *ASK, "--out", "study", here=tmp_path)
    assert answer.code == 2 and "is the folder of a study" in answer.err


def test_a_folder_that_cannot_be_written(tidy, tmp_path):
    tidy()
    answer = cli("compare", "scores.csv", *ASK, "--out", "scores.csv", here=tmp_path)
    assert answer.code == 2 and "--out scores.csv: cannot be written to" in answer.err
