"""What a study gives for a paper."""

import csv
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from whichloss.report import Record
from whichloss.report.paper import latex, methods, write_paper

SVG, PDF = b"<?xml", b"%PDF"


@pytest.fixture
def written(record: Record, tmp_path: Path) -> Path:
    write_paper(replace(record, bibliography="@article{a,\n}\n", sources={"Lorenz": "a"}), tmp_path)
    return tmp_path


def test_every_figure_in_both_forms(written: Path, record: Record) -> None:
    titles = dict.fromkeys(curve.title for curve in record.curves)
    names = ["differences", *(f"curve-{at}" for at in range(len(titles)))]
    for name in names:
        assert (written / f"{name}.svg").read_bytes().startswith(SVG)
        assert (written / f"{name}.pdf").read_bytes().startswith(PDF)
    assert len(list(written.glob("*.svg"))) == len(list(written.glob("*.pdf"))) == len(names)


def test_the_same_record_gives_the_same_bytes(record: Record, tmp_path: Path) -> None:
    first, second = (write_paper(record, tmp_path / name) for name in ("a", "b"))
    assert [one.read_bytes() for one in first] == [one.read_bytes() for one in second]


def test_files_of_an_interim_study_say_so_in_their_names(record: Record, tmp_path: Path) -> None:
    names = {one.name for one in write_paper(record, tmp_path / "final")}
    interim = replace(record, verdict={**record.verdict, "interim": True})
    assert {one.name for one in write_paper(interim, tmp_path / "interim")} == {f"interim-{name}" for name in names}
    assert {one.name for one in (tmp_path / "interim").iterdir()} == {f"interim-{name}" for name in names}


def test_the_spreadsheet_has_the_numbers_of_the_verdict(written: Path, record: Record) -> None:
    with (written / "overview.csv").open() as file:
        rows = {row["Loss"]: row for row in csv.DictReader(file)}
    for loss in record.verdict["losses"]:
        assert float(rows[loss["label"]]["Mean"]) == loss["mean"]
    for one in record.verdict["comparisons"]:
        row = rows[one["label"]]
        assert float(row["Difference"]) == one["difference"] and row["Decision"].endswith(one["decision"])


def test_markdown_and_latex_have_as_many_rows_and_columns(written: Path, record: Record) -> None:
    markdown = (written / "overview.md").read_text().splitlines()
    tex = [line for line in (written / "overview.tex").read_text().splitlines() if line.endswith(r"\\")]
    assert len(markdown) == 2 + len(record.verdict["losses"]) and len(tex) == 1 + len(record.verdict["losses"])
    assert {line.replace(r"\|", "").count("|") for line in markdown} == {markdown[1].count("|")}
    assert {line.replace(r"\&", "").count("&") for line in tex} == {markdown[1].count("|") - 2}


def test_latex_sees_no_command_in_a_name() -> None:
    assert latex(r"a_b & 50 % {x} \input{y} #1 $z$ ~^") == (
        r"a\_b \& 50 \% \{x\} \textbackslash{}input\{y\} \#1 \$z\$ \textasciitilde{}\textasciicircum{}"
    )


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no pdflatex on this machine")
def test_latex_compiles(written: Path) -> None:
    head = r"\documentclass{article}\usepackage{booktabs}\begin{document}\input{overview.tex}\end{document}"
    (written / "all.tex").write_text(head)
    subprocess.run(["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "all.tex"], cwd=written, check=True)


def test_methods_say_what_was_done_and_not_what_was_found(record: Record, with_verdict: Callable[..., Record]) -> None:
    told = methods(replace(record, sources={"Lorenz": "barbu2018robust"}))
    assert "We compared 5 loss functions" in told and "Lorenz [@barbu2018robust]" in told
    assert "with Logistic as the baseline" in told and "\u00b10.01" in told and "95 %" in told
    for found in ("0.048", "better than", "worse"):
        assert found not in told
    kinds = {
        "refold": "overlap between folds and seeds",
        "draws": "drawn independently",
        "given": "on this split alone",
    }
    for kind, says in kinds.items():
        design = {**record.verdict["design"], "kind": kind}
        assert says in methods(with_verdict(design=design))
