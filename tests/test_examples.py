"""What the README and the examples show still works as shown."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import yaml

from whichloss.study.read import load_yaml, make_study

HOME = Path(__file__).parents[1]
README = (HOME / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_the_python_of_the_readme_runs():
    assert blocks("python")
    for block in blocks("python"):
        exec(compile(block, "README.md", "exec"), {})


def test_the_study_of_the_readme_is_a_study():
    block, _ = blocks("yaml")
    study = make_study(load_yaml(block, "README.md") | {"name": "readme"}, "README.md")
    assert len(study.losses) == 4


def test_the_further_keys_of_the_readme_are_keys_of_a_study():
    block, more = (load_yaml(block, "README.md") for block in blocks("yaml"))
    more["training"] |= block["training"]
    study = make_study(
        block | more | {"name": "readme", "cell": {}, "stress": {"missed_lesions": [0.0, 0.2]}}, "README.md"
    )
    assert study.tune is not None and study.tune.trials == 8
    assert len(study.training.augment) == 3 and study.training.patches is not None
    assert make_study(
        block | {"name": "readme", "stress": more["stress"], "cell": more["cell"]}, "README.md"
    ).cell.stress


def test_the_links_of_the_readme_lead_somewhere():
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", README) if "://" not in link]
    assert links
    assert [link for link in links if not (HOME / link).exists()] == []


def test_the_example_of_a_loss_of_ones_own_runs(tmp_path: Path):
    done = subprocess.run(
        [sys.executable, "-m", "whichloss", "run", str(HOME / "examples" / "mine.yaml"), "--store", str(tmp_path)],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    verdict = json.loads((tmp_path / "studies" / "mine" / "verdict.json").read_text())
    assert [one["label"] for one in verdict["losses"]] == ["Logistic", "Soft", "Soft(temperature=0.1)"]


def test_every_source_that_a_card_cites_is_in_the_bibliography():
    import whichloss
    from whichloss.core import Loss, registry
    from whichloss.data import DataSet
    from whichloss.metrics import Metric
    from whichloss.networks import Network

    assert whichloss.Dice
    known = set(re.findall(r"@\w+\{([^,]+),", (HOME / "src" / "whichloss" / "references.bib").read_text()))
    cited = {
        getattr(getattr(cls, "card", None), "source", "")
        for kind in (Loss, DataSet, Metric, Network)
        for cls in registry(kind).values()
        if cls.__module__.startswith("whichloss.")
    } - {""}
    assert cited <= known
    assert {"barbu2018robust", "maierhein2024metrics"} <= cited


def test_continuous_integration_runs_what_the_readme_says():
    script = (HOME / ".ci" / "run").read_text()
    assert "make check" in script
    assert "make test" in script
    assert "make test" in README
    assert "make demo" in README


def test_the_shipped_studies_are_plain_yaml_to_anyone_else_where_no_expression_has_commas():
    for file in sorted((HOME / "src" / "whichloss" / "studies").glob("*.yaml")):
        assert yaml.safe_load(file.read_text())["question"]


def test_the_page_of_losses_is_the_one_that_the_command_writes(tmp_path: Path):
    """The names, sources and every yes and no; the numbers seen may differ in their last digit between processors."""
    from whichloss.cli.losses_page import losses_page

    def rows(text: str) -> list[list[str]]:
        table = text.split("## In other")[0]
        return [line.split("|")[1:7] for line in table.splitlines() if line.startswith("| `")]

    written = (HOME / "docs" / "losses.md").read_text(encoding="utf-8")
    assert rows(written) == rows(losses_page())
    assert written.split("## In other")[1] == losses_page().split("## In other")[1]
