"""What every data set promises."""

import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from whichloss.core import UserError, parse, registry
from whichloss.data import DataSet

SETS = [one for cls in registry(DataSet).values() for one in cls.examples()]


@pytest.fixture(params=SETS, ids=lambda one: one.label)
def data(request: pytest.FixtureRequest) -> DataSet:
    return request.param


def test_all_are_found() -> None:
    ours = {"Arrays", "CandidateViews", "CaseFolders", "ClassFolders", "Decathlon", "Folder", "NnUnet", "Nodules"}
    assert ours | {"SplitArrays", "Subset", "Table"} <= set(registry(DataSet))


def test_the_same_expression_gives_the_same_cases(data: DataSet, root: Path) -> None:
    first, second = data.load(root), data.load(root)
    assert first.digest == second.digest
    assert first.ids == second.ids
    assert first.images.equal(second.images)


def test_text_and_pickle_bring_it_back(data: DataSet) -> None:
    assert parse(repr(data), DataSet) == data
    assert parse(data.label, DataSet) == data
    assert pickle.loads(pickle.dumps(data)) == data


def test_cases_fit_their_task(data: DataSet, root: Path) -> None:
    cases = data.load(root)
    assert cases.images.shape == (len(cases), cases.task.channels, *cases.task.size)
    assert cases.images.is_contiguous()
    assert pickle.loads(pickle.dumps(cases)).digest == cases.digest


def test_another_process_gives_the_same_digest(data: DataSet, root: Path) -> None:
    code = f"from whichloss.core import parse; from whichloss.data import DataSet; print(parse({repr(data)!r}, DataSet).load({str(root)!r}).digest)"  # noqa: E501
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert other.stdout.strip() == data.load(root).digest


def test_wrong_fields_are_the_callers_to_mend() -> None:
    for text in ("Nodules(shape=1.5)", "Nodules(cases=1)", "Nodules(size=20)", "Nodules(size_shift=-6)", "Arrays()",
                 "Arrays('a.npz', dims=4)", "Folder('a', size=(1, 2, 3, 4))", "Folder('a', size=0)",
                 "Folder('a', size=True)", "CandidateViews('a', window=(1, 1))",
                 "CandidateViews('a', window=(0, 1, 2))", "CandidateViews('a', scales=(30, 0))",
                 "CandidateViews('a', within=3)", "CandidateViews('a', size=1)",
                 "Arrays('a.npz', candidate='view')", "Arrays('a.npz', lesion='node')",
                 "Arrays('a.npz', volume='scan', quantity='age')", "LymphNodePhantom(volumes=1)",
                 "LymphNodePhantom(views=0)", "LymphNodePhantom(lesions=0)", "LymphNodePhantom(negatives=0)",
                 "LymphNodePhantom(neighbours=-1)", "LymphNodePhantom(noise=-1)", "Folder('a', channels=2)",
                 "Folder('a', spacing=(1, 1))", "Folder('a', spacing=(1, 0, 1))", "Folder('a', window=(2, 1))",
                 "Folder('a', above=0, ignore=9)",
                 "Folder('a', spacing=(1, 1, 1), size=8)", "ClassFolders('a', levels='domain')",
                 "ClassFolders('a', levels='class/class')", "ClassFolders('a', levels='class/site')",
                 "Table('a.csv', unit='mm')", "SplitArrays('a.npz', dims=4)", "Subset(Folder('a'))",
                 "Subset(Folder('a'), cases=1)", "Subset(Subset(Folder('a'), cases=3), cases=2)",
                 "Subset('a', cases=3)", "Subset(Dice(), cases=3)"):  # fmt: skip
        with pytest.raises(UserError):
            parse(text, DataSet)


def test_importing_the_package_loads_neither_scikit_learn_nor_pillow() -> None:
    code = "import sys, whichloss.data; print({'sklearn', 'PIL', 'scipy', 'pandas'} & set(sys.modules))"
    seen = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert seen.stdout.strip() == "set()"
