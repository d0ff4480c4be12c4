"""Study files are YAML as people write it, with expressions in it; Python builds the same study."""

from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

import whichloss
from small_studies import TINY, tiny, tiny_study, write_code, write_study
from whichloss.core import Loss, UserError, Value, parse, registry
from whichloss.data import DataSet
from whichloss.data.folder import Folder
from whichloss.metrics import Metric
from whichloss.networks import Network
from whichloss.study.conduct import as_yaml
from whichloss.study.optimizers.optimizer import Optimizer
from whichloss.study.read import load_yaml, read_study
from whichloss.study.study import Stage, Study

KINDS = (Loss, Metric, Network, DataSet, Optimizer)


def registered() -> list[Value]:
    assert whichloss.losses
    return [value for kind in KINDS for cls in registry(kind).values() for value in cls.examples()]


def read_text(folder: Path, text: str, name: str = "asked") -> Study:
    path = folder / f"{name}.yaml"
    path.write_text(text, encoding="utf-8")
    return read_study(path)


# expressions within YAML


def test_commas_of_expressions_do_not_end_entries_of_lists_and_maps() -> None:
    text = "{losses: [Tversky(fp=0.3, fn=0.7), 'Dice()', AdaptiveLog(Dice(over=\"batch\", smooth=0.5))], rope: 1}"
    assert load_yaml(text, "x") == {
        "losses": ["Tversky(fp=0.3, fn=0.7)", "Dice()", 'AdaptiveLog(Dice(over="batch", smooth=0.5))'],
        "rope": 1,
    }


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("a: Folder(\"x\", group='^(P[0-9]+)_')  # by patient", "Folder(\"x\", group='^(P[0-9]+)_')"),
        ("a: [Folder(\"a#b: c\", group='[}{]')]", ["Folder(\"a#b: c\", group='[}{]')"]),
        ("a: 0.25 * CrossEntropy() + 0.5 * Dice(smooth=0.5, over='batch')",
         "0.25 * CrossEntropy() + 0.5 * Dice(smooth=0.5, over='batch')"),
        ("a: [2 * (Dice(smooth=1, empty='skip') + CrossEntropy()), b]",
         ["2 * (Dice(smooth=1, empty='skip') + CrossEntropy())", "b"]),
        ("a: {b: here.there:make(depth=3, width=2), c: here:other}", {"b": "here.there:make(depth=3, width=2)",
                                                                     "c": "here:other"}),
        ("a: 'Dice(empty=''skip'', smooth=0.5)'", "Dice(empty='skip', smooth=0.5)"),
        ('a: "Dice(empty=\'skip\', smooth=0.5)"', "Dice(empty='skip', smooth=0.5)"),
        ('a: "Dice(\n  smooth=0.5, empty=\'skip\')"', "Dice( smooth=0.5, empty='skip')"),
        ("a: Dice(smooth=0.5)  # unlike f(x, y", "Dice(smooth=0.5)"),
        ("# see Dice(a, b: [\na: 1", 1),
        ("a:\n  - Dice(smooth=0.5, empty='skip')\n  # Jaccard(a: b)\n  - Jaccard()",
         ["Dice(smooth=0.5, empty='skip')", "Jaccard()"]),
    ],
)  # fmt: skip
def test_expressions_stand_in_yaml_as_they_are(text: str, meant: Any) -> None:
    assert load_yaml(text, "x") == {"a": meant}


@pytest.mark.parametrize(
    "question",
    [
        "Does it help (at all)?",
        "Is f(x) = max(0, 1 - x) (the hinge, as in [1]) any good",
        "An opening ( without an end, and an end) without an opening :)",
        "Loss(es), metric(s): which",
        "Is it the patient's age (or the patient's weight)?",
    ],
)
def test_parentheses_in_free_text_are_only_text(tmp_path: Path, question: str) -> None:
    quoted = tiny(question="?")
    for spelled in (yaml.safe_dump({"question": question}, width=1000), f"question: {yaml.dump(question)}"):
        text = spelled.strip().removesuffix("...") + "\n" + yaml.safe_dump(quoted).replace("question: '?'\n", "")
        assert read_text(tmp_path, text).question == question
    if ": " not in question:
        assert load_yaml(f"question: {question}  # (comment, it's [here", "x") == {"question": question}


@pytest.mark.parametrize("value", registered(), ids=lambda value: value.label)
def test_every_expression_that_we_know_survives_lists_and_maps(value: Value) -> None:
    for text in (repr(value), value.label):
        assert load_yaml(f"[{text}, {text}]", "x") == [text, text]
        assert load_yaml(f"{{a: {text}, b: [{text}]}}  # {text}", "x") == {"a": text, "b": [text]}
        assert load_yaml(f"a:\n  - {text}\n", "x") == {"a": [text]}
    assert parse(load_yaml(f"[{value!r}]", "x")[0], value.kind()) == value


# what a person may type; characters of private use hide what YAML would read as its own
PRINTED = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc", "Co")), max_size=12)


@given(PRINTED, PRINTED)
@example("", "a(b")
@example("it's", 'a)"b, c: # d')
@example("it's \"x", ")")
@example("", "^(P?[0-9]+)")
@settings(max_examples=200, deadline=None)
def test_whatever_a_path_or_a_name_holds_survives_a_flow_list(path: str, images: str) -> None:
    text = repr(Folder(path=path, images=images))
    assert load_yaml(f"[{text}, {text}]", "x") == [text, text]


WORDS = PRINTED.filter(lambda text: "(" not in text and ")" not in text)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | WORDS
CONTENT = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS, inner, max_size=4), max_leaves=12
)


@given(CONTENT, st.sampled_from([True, False, None]), st.sampled_from([40, 1000]))
@settings(max_examples=150, deadline=None)
def test_yaml_without_parentheses_is_plain_yaml(content: Any, flow: bool | None, width: int) -> None:
    text = yaml.safe_dump(content, default_flow_style=flow, width=width, allow_unicode=True)
    assert load_yaml(text, "x") == yaml.safe_load(text) == content


def test_anchors_and_block_texts_are_plain_yaml_too() -> None:
    text = "a: &one [x, 'y # z']\nb: *one\nc: |\n  two\n  lines # kept\nd: >-\n  folded\n  text\n"
    assert load_yaml(text, "x") == yaml.safe_load(text)


# what people write


@pytest.mark.parametrize("key", ["losses", "data", "network", "secondary"])
def test_a_scalar_where_a_list_is_meant_is_a_list_of_one(tmp_path: Path, key: str) -> None:
    one = {"losses": "Logistic()", "secondary": "Accuracy()"}.get(key) or TINY[key]
    read = read_study(write_study(tmp_path, **{key: one}))
    assert read == read_study(write_study(tmp_path, **{key: [one]}))
    assert len(getattr(read, key)) == 1


def test_a_single_stage_needs_no_list(tmp_path: Path) -> None:
    study = read_study(write_study(tmp_path, training={"stages": {"epochs": 2, "batch": 4}}))
    assert study.training.stages == (Stage(epochs=2, batch=4, rate=1.0),)


@pytest.mark.parametrize("written", ["1e-3", "1.0e-3", "0.001", ".001"])
def test_numbers_are_written_in_any_way(tmp_path: Path, written: str) -> None:
    text = yaml.safe_dump(tiny(rope=7)).replace("rope: 7", f"rope: {written}")
    assert read_text(tmp_path, text).rope == 0.001
    assert read_study(write_study(tmp_path), [f"rope={written}"]).rope == 0.001


def test_the_name_is_that_of_the_file_unless_it_is_said(tmp_path: Path) -> None:
    assert read_study(write_study(tmp_path, name="lungs-2")).name == "lungs-2"
    path = write_study(tmp_path)
    path.write_text(path.read_text() + "name: other\n")
    assert read_study(path).name == "other"


@pytest.mark.parametrize(
    ("text", "key", "line"),
    [
        ("rope: 1\nquestion: a\nrope: 2", "rope", 3),
        ("training:\n  stages: []\n  stages: []", "stages", 3),
        ("design: {folds: 2, seeds: 1, folds: 3}", "folds", 1),
    ],
)
def test_a_key_given_twice_is_refused(text: str, key: str, line: int) -> None:
    with pytest.raises(UserError, match=f"here.yaml, line {line}: the key '{key}' stands twice"):
        load_yaml(text, "here.yaml")


def test_what_is_wrong_is_shown_as_it_was_written() -> None:
    with pytest.raises(UserError) as caught:
        load_yaml("rope: 1\nlosses: [Tversky(fp=0.3, fn=0.7), Dice(): x]]\n", "here.yaml")
    lines = str(caught.value).splitlines()
    assert lines[0].startswith("here.yaml, line 2: ")
    assert lines[1].strip() == "losses: [Tversky(fp=0.3, fn=0.7), Dice(): x]]"
    assert lines[1][lines[2].index("^")] == "]"


# --set


def test_changes_reach_nested_keys_expressions_and_lists(tmp_path: Path) -> None:
    changes = [
        "training.optimizer=SGD(lr=0.1, momentum=0.5)",
        "losses=[Logistic(), Tangent(form='original')]",
        "design.seeds=3",
        "training.stages=[{epochs: 1, batch: 2}, {epochs: 2, batch: 4, rate: 1e-1}]",
        "secondary=Accuracy()",
        "cell.network=" + TINY["network"],
        "question=Is a=b, and if so: why?",
    ]
    with pytest.raises(UserError, match="question: "):  # YAML took it for a key and a value
        read_study(write_study(tmp_path), changes)
    changes[-1] = "question='Is a=b, and if so: why?'"
    study = read_study(write_study(tmp_path), changes)
    assert study == tiny_study(
        study.name,
        training=TINY["training"]
        | {
            "optimizer": "SGD(lr=0.1, momentum=0.5)",
            "stages": [{"epochs": 1, "batch": 2}, {"epochs": 2, "batch": 4, "rate": 0.1}],
        },
        losses=["Logistic()", "Tangent(form='original')"],
        design=TINY["design"] | {"seeds": 3},
        secondary=["Accuracy()"],
        cell={"network": TINY["network"]},
        question="Is a=b, and if so: why?",
    )


def test_a_changed_study_gets_a_name_of_its_own(tmp_path: Path) -> None:
    path = write_study(tmp_path)
    one, other = "rope=0.1", "design.seeds=2"
    names = [read_study(path, changes).name for changes in ([one], [other], [one, other], [other, one], [])]
    assert names[2] == names[3]
    assert names[4] == "tiny"
    assert len(set(names)) == 4
    assert all(name.startswith("tiny-") and len(name) == len("tiny-") + 6 for name in names[:4])
    assert read_study(path, [one], name="mine").name == "mine"
    assert read_study(path, name="mine").name == "mine"
    assert read_study(path, [one]).name == names[0], "the same change is the same study on another day"


# Python and YAML


def test_python_builds_the_study_that_yaml_says(tmp_path: Path) -> None:
    by_text = tiny_study(secondary=["Accuracy()"])
    values = {
        "losses": [parse("Logistic()"), parse("Lorenz()")],
        "baseline": parse("Logistic()"),
        "data": parse(TINY["data"], DataSet),
        "network": [parse(TINY["network"], Network)],
        "primary": parse("RocAuc()", Metric),
        "secondary": parse("Accuracy()", Metric),
        "training": {"optimizer": parse("Adam(lr=0.01)", Optimizer), "stages": Stage(epochs=1, batch=8),
                     "device": "cpu"},
    }  # fmt: skip
    assert read_study(write_study(tmp_path, secondary=["Accuracy()"])) == by_text == tiny_study(**values)
    assert hash(by_text) == hash(tiny_study(**values))
    with pytest.raises(Exception, match="frozen"):
        by_text.rope = 1.0  # type: ignore[misc]


def read_back(study: Study, folder: Path) -> Study:
    return read_text(folder, as_yaml(study), name="anything")


SHIPPED = sorted(one.name[:-5] for one in files("whichloss.studies").iterdir() if one.name.endswith(".yaml"))


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_study_is_read_by_name_and_survives_being_written(tmp_path: Path, name: str) -> None:
    study = read_study(name)
    assert study.name == name
    assert study.baseline == study.losses[0]
    assert read_back(study, tmp_path) == study


def test_every_loss_survives_being_written(tmp_path: Path) -> None:
    ours = [cls for cls in registry(Loss).values() if cls.__module__.startswith("whichloss.")]  # tests define others
    losses = list(dict.fromkeys(loss for cls in ours for loss in cls.examples()))
    mixed = sum(losses[1:9], start=0.5 * losses[0])  # a line far longer than YAML's
    study = tiny_study(losses=[*losses, mixed], baseline=mixed)
    assert read_back(study, tmp_path) == study


def test_somebody_elses_code_survives_being_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    name = write_code(
        tmp_path, "def loss(logits, target, power=2):\n    return (logits - target).abs().pow(power).mean()"
    )
    study = tiny_study(losses=["Logistic()", f"{name}:loss(power=3)", f"0.5 * {name}:loss() + Logistic()"])
    assert read_back(study, tmp_path) == study


@given(question=PRINTED, path=PRINTED, rope=st.floats(0, 1e9), seeds=st.integers(1, 50))
@example("a: [b", "(", 0.0, 1)
@example("f(it's): # no", "x) # y", 0.0, 1)
@settings(max_examples=100, deadline=None)
def test_a_study_survives_being_written(question: str, path: str, rope: float, seeds: int) -> None:
    study = tiny_study(
        question=question, rope=rope, data=[Folder(path=path)], design={"folds": 3, "seeds": seeds, "refold": False}
    )
    content = load_yaml(as_yaml(study), "x")
    assert Study(**content) == study
