"""A study from Python does what the command line does."""

from pathlib import Path

import numpy as np
import pandas
import pytest

from small_studies import TINY, cli, execute_here, tiny_study, write_study, write_tiny
from whichloss.core import UserError
from whichloss.stats import read


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("whichloss.study.conduct.execute", execute_here)
    write_tiny(tmp_path)


def test_results_are_the_table_that_the_command_writes(tmp_path: Path) -> None:
    study = tiny_study(secondary=["Accuracy()"])
    assert cli("run", write_study(tmp_path, secondary=["Accuracy()"]), "--store", tmp_path / "command").code == 0
    study.run(tmp_path / "python", roots=[tmp_path])
    written = tmp_path / "command" / "studies" / "tiny"
    table = study.results(tmp_path / "python", roots=[tmp_path])
    rows = read(written / "results.csv")
    assert [tuple(row) for row in table.itertuples(index=False)] == [tuple(row) for row in rows]
    assert {name: kind.kind for name, kind in table.dtypes.items() if kind.kind in "fi"} == {
        "fold": "i", "seed": "i", "n_train": "i", "n_test": "i", "value": "f",
    }  # fmt: skip

    page = study.report(tmp_path / "python", roots=[tmp_path])
    assert page == tmp_path / "python" / "studies" / "tiny" / "report.html"
    for name in ("results.csv", "verdict.json", "study.yaml"):
        assert page.with_name(name).read_bytes() == (written / name).read_bytes()


def test_a_run_without_a_value_is_not_a_number(tmp_path: Path) -> None:
    study = tiny_study(training=TINY["training"] | {"optimizer": "SGD(lr=1e30)"})
    study.run(tmp_path / "store", roots=[tmp_path])
    table = study.results(tmp_path / "store", roots=[tmp_path])
    assert table[table.split == "test"].value.isna().any() and table[table.split == "chance"].value.notna().all()
    assert (table.stress == "").all() and table.unit.map(lambda one: isinstance(one, str)).all()


def test_what_is_finished_is_enough(tmp_path: Path) -> None:
    tiny_study(losses=["Logistic()"]).run(tmp_path / "store", roots=[tmp_path])
    both = tiny_study()
    table = both.results(tmp_path / "store", roots=[tmp_path])
    assert isinstance(table, pandas.DataFrame) and len(table.run.unique()) == 2 and np.isfinite(table.value).all()
    assert both.report(tmp_path / "store", roots=[tmp_path]).exists()


def test_nothing_finished_is_a_mistake(tmp_path: Path) -> None:
    for answer in (tiny_study().results, tiny_study().report):
        with pytest.raises(UserError, match="no run of tiny has ended"):
            answer(tmp_path / "store", roots=[tmp_path])
