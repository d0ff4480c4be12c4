"""The report card of a loss, through the command line: each fault by its own sentence, and sound losses without one."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import whichloss
from small_studies import cli

TESTS = Path(__file__).parents[1]
ELSEWHERE = os.environ | {"PYTHONPATH": str(Path(whichloss.__file__).parents[1])}  # the library, from any folder
FAULTY = "faulty_losses:"

# the loss, and what the report must say of it
FAULTS = [
    ("combo", r"nothing is there, and the value falls from -0\.4\d+ to -0\.\d+ as more and more is found"),
    ("NormalizedReverseCrossEntropy", r"\d+\.\d+ is outside of 0 to 1"),
    (
        "PenaltyGeneralizedDice",
        r"a wholly right answer scores -0\.1667 .* a formula for 0 to 1 was given something neg",
    ),
    ("GeneralizedDice", r"one class of 3 is absent: .*: nothing is learned of the others"),
    ("lovasz_softmax", r"0\.\d+ became 0\.\d+ when the classes were numbered otherwise"),
    ("SigmoidFocal(ignore_index=255)", r"nothing is ignored, .* is 3 times .* the number of channels \(3\)"),
    ("SoftmaxFocal(include_background=False)", r"sure the network is of class 0: that channel is left out before"),
    ("SubtractiveDice", r"1\.00\d+ in float32, 0\.99\d+ in float64; large sums are subtracted"),
    ("FocalTversky", r"NaN or infinite in float32: its gradient where nothing is there"),
    ("FocalOfProbabilities", r"a right answer of probability 1 scores 0\.05\d+, .* takes a probability for something"),
    ("RegionEntropy(use_ignore_label=True)", r"nothing is ignored, .* is 3 times .* the number of channels \(3\)"),
]

SOUND = [
    "torch.nn:CrossEntropyLoss()",
    "torch.nn:CrossEntropyLoss(label_smoothing=0.1)",
    "torch.nn:BCEWithLogitsLoss()",
    "torch.nn:BCELoss()",
    "torch.nn:MSELoss()",
    "torch.nn:L1Loss()",
    "torch.nn:HuberLoss()",
    "torch.nn:MultiMarginLoss()",
    "torch.nn:SoftMarginLoss()",
    "torch.nn:KLDivLoss()",
    "torch.nn:NLLLoss()",
    "torch.nn:SmoothL1Loss()",
    "torch.nn:MultiLabelSoftMarginLoss()",
    "torch.nn:MultiLabelMarginLoss()",
    "torch.nn:HingeEmbeddingLoss()",
    "torch.nn:PoissonNLLLoss()",
    f"{FAULTY}make()",
    f"{FAULTY}soundly_weighted",
    f"{FAULTY}SigmoidFocal()",
    f"{FAULTY}SoftmaxFocal()",
    f"{FAULTY}RegionEntropy()",
    "monai.losses:DiceLoss()",
    "monai.losses:DiceLoss(sigmoid=True)",
    "monai.losses:DiceLoss(softmax=True, to_onehot_y=True)",
    "monai.losses:DiceLoss(softmax=True, include_background=False)",
    "monai.losses:DiceLoss(softmax=True, to_onehot_y=True, weight=[1, 2, 5])",
    "monai.losses:DiceCELoss(softmax=True)",
    "monai.losses:TverskyLoss(sigmoid=True)",
    "monai.losses:FocalLoss()",
    "monai.losses:FocalLoss(use_softmax=True)",
    "monai.losses:GeneralizedDiceLoss(softmax=True)",
    "monai.losses:GeneralizedDiceLoss(sigmoid=True)",
    "monai.losses:MaskedDiceLoss(sigmoid=True)",
    "monai.losses:DiceFocalLoss(sigmoid=True)",
    "monai.losses:GeneralizedDiceFocalLoss(softmax=True, to_onehot_y=True)",
    "monai.losses:MCCLoss(sigmoid=True)",
    "monai.losses:BoundaryLoss(softmax=True, to_onehot_y=True)",
    "monai.losses:HausdorffDTLoss(softmax=True, to_onehot_y=True)",
    "monai.losses:SoftDiceclDiceLoss()",
]


def one_line(text: str) -> str:
    return " ".join(text.split())


def card(*words: str) -> tuple[int, dict]:
    answer = cli("check", *words, "--json")
    assert answer.err == "" or "Traceback" not in answer.err
    return answer.code, json.loads(answer.out)


def said(found: dict, *status: str) -> str:
    return " | ".join(one["why"] for one in found["findings"] if one["status"] in status)


@pytest.mark.parametrize(("loss", "sentence"), FAULTS, ids=[loss for loss, _ in FAULTS])
def test_a_published_fault_is_named(loss: str, sentence: str) -> None:
    code, found = card(FAULTY + loss)
    assert (code, found["verdict"]) == (1, "faulty")
    assert re.search(sentence, said(found, "broken"))


@pytest.mark.parametrize("loss", SOUND)
def test_a_sound_loss_is_not_turned_down(loss: str) -> None:
    code, found = card(loss)
    assert said(found, "broken") == ""
    assert (code, found["verdict"], found["count"]["broken"]) == (0, "sound", 0)


@pytest.mark.parametrize(
    ("loss", "sentence"),
    [
        ("monai.losses:FocalLoss(to_onehot_y=True, use_softmax=True, ignore_index=255)", "the number of channels (3)"),
        (
            "monai.losses:FocalLoss(use_softmax=True, include_background=False)",
            "left out before the classes are compared",
        ),
    ],
)
def test_the_library_itself_has_the_fault(loss: str, sentence: str) -> None:
    code, found = card(loss)
    assert code == 1 and sentence in said(found, "broken")


def test_in_half_precision_a_fault_is_a_remark_unless_asked_for() -> None:
    loss = f"{FAULTY}AsymmetricMultiLabel()"
    code, found = card(loss)
    sentence = "its value is NaN or infinite in float16, at logits that are wrong by 20"
    assert code == 0 and sentence in said(found, "remark")
    assert "it is a sum" in said(found, "remark")
    code, found = card(loss, "--strict")
    assert (code, found["verdict"]) == (1, "faulty") and sentence in said(found, "remark")


def test_a_factor_is_told_by_another_loss() -> None:
    loss, meant = f"{FAULTY}NormalizedReverseCrossEntropy()", f"{FAULTY}ReverseCrossEntropyAsMeant()"
    code, found = card(loss, "--like", meant)
    assert code == 1 and "it is 81 times that, always" in said(found, "broken")
    code, found = card(meant, "--like", meant, "--range", "0", "1")
    assert code == 0


@pytest.mark.parametrize(
    ("loss", "like"),
    [
        ("torch.nn:CrossEntropyLoss()", "CrossEntropy()"),
        ("CrossEntropy()", "torch.nn:CrossEntropyLoss()"),
        ("torch.nn:BCELoss()", "CrossEntropy(classes='independent')"),  # each is asked in its own way
        ("torch.nn:MSELoss()", "SquaredError()"),
    ],
)
def test_the_same_loss_by_another_name_is_like_it(loss: str, like: str) -> None:
    code, found = card(loss, "--like", like)
    status = {one["promise"]: one["status"] for one in found["findings"]}
    assert (code, status["equals_what_it_should_be_like"]) == (0, "kept")


def test_another_loss_is_not_like_it() -> None:
    code, found = card("torch.nn:CrossEntropyLoss()", "--like", "Focal()")
    assert code == 1 and "its ratio to that is" in said(found, "broken")


def test_a_range_that_is_left_is_a_fault() -> None:
    code, found = card("torch.nn:CrossEntropyLoss()", "--range", "0", "1")
    assert code == 1 and "is outside of 0 to 1" in said(found, "broken")


# ours


@pytest.mark.parametrize(
    "loss",
    [
        "Dice",
        "Dice(smooth=1e-5) + CrossEntropy()",
        "Lorenz(lift='top_rival')",
        "Tversky(fp=0.3, fn=0.7, over='batch')",
        "AdaptiveLog(Dice())",
        "SquaredError()",
        "Triplet()",
        "0.5 * torch.nn:CrossEntropyLoss() + Dice()",
    ],
)
def test_ours_are_sound(loss: str) -> None:
    code, found = card(loss)
    assert (code, said(found, "broken")) == (0, "")


def test_a_loss_of_ones_own_is_sound() -> None:
    """From the folder in which its package lies, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "whichloss", "check", "mylosses.soft:Soft(temperature=0.5)"],
        capture_output=True, text=True, cwd=TESTS.parent / "examples", env=ELSEWHERE,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert "sound. None of the" in done.stdout and "Traceback" not in done.stdout


def test_a_wrong_loss_of_ones_own_breaks_its_promises() -> None:
    code, found = card("wrong_losses:ReturnsTheScore()")
    names = {one["promise"] for one in found["findings"] if one["status"] == "broken"}
    assert code == 1
    assert {"has_the_golden_values_of_its_card", "scores_right_answers_better_than_wrong_ones"} <= names


# what is printed


def test_the_report_in_words() -> None:
    answer = cli("check", f"{FAULTY}lovasz_softmax")
    assert (answer.code, answer.err) == (1, "")
    text = one_line(answer.out)
    assert text.startswith("faulty_losses:lovasz_softmax: faulty. 1 of the ")
    assert "takes logits class indices (N, *S); C = 3; output (N, C), (N, C, H, W), (N, C, D, H, W)" in text
    assert "BROKEN does not care how classes are numbered" in text
    assert "times torch's cross-entropy" in text and "1 thread" in text
    assert "* value," in answer.out and "\x1b" not in answer.out


def test_probabilities_are_called_that() -> None:
    answer = cli("check", "monai.losses:DiceLoss()")
    assert "takes probabilities: it was given those of a sigmoid, and is judged as a loss of probabilities" in one_line(
        answer.out
    )


def test_the_python_that_is_told_shows_the_fault(tmp_path: Path) -> None:
    """Run as it stands, in a process of its own."""
    _, found = card(f"{FAULTY}lovasz_softmax")
    (fault,) = [one for one in found["findings"] if one["status"] == "broken"]
    script = tmp_path / "shows.py"
    script.write_text(fault["python"])
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, env={"PYTHONPATH": str(TESTS), "PATH": ""}
    )
    assert done.returncode == 0, done.stderr
    told = float(re.match(r"(\S+) became", fault["why"])[1])
    assert float(re.search(r"tensor\((\S+?),", done.stdout)[1]) == pytest.approx(told, abs=1e-4)


@pytest.mark.parametrize("loss", ["SubtractiveDice()", "FocalTversky()", "SigmoidFocal(ignore_index=255)", "combo"])
def test_every_python_that_is_told_runs(loss: str) -> None:
    _, found = card(FAULTY + loss)
    told = [one["python"] for one in found["findings"] if "python" in one]
    assert told
    for code in told:
        exec(compile(code, "<told>", "exec"), {})


def test_the_python_of_a_promise_of_ours_raises_it() -> None:
    _, found = card("wrong_losses:DetachesItsGradient()")
    fault = next(one for one in found["findings"] if one["promise"] == "has_the_gradient_of_its_value")
    with pytest.raises(AssertionError, match="has_the_gradient_of_its_value"):
        exec(compile(fault["python"], "<told>", "exec"), {})


def test_json_is_one_object_and_nothing_else_whatever_a_loss_prints(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "chatty.py").write_text(
        "import warnings\nfrom torch.nn.functional import cross_entropy\n"
        "def loss(output, target):\n    print('hello')\n    warnings.warn('watch out')\n"
        "    return cross_entropy(output, target)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    answer = cli("check", "chatty:loss", "--json")
    found = json.loads(answer.out)
    assert answer.code == 0 and "hello" not in answer.out and "watch out" not in answer.err
    assert {one["status"] for one in found["findings"]} <= {"broken", "remark", "kept", "not applicable"}
    assert found["cost"]["threads"] >= 1 and found["versions"]["torch"]


def test_the_page_needs_nothing_else_and_escapes_what_others_wrote(tmp_path: Path) -> None:
    page = tmp_path / "check.html"
    answer = cli("check", f"{FAULTY}Crashes()", "--html", str(page))
    text = page.read_text(encoding="utf-8")
    assert answer.code == 1 and f"page: {page}" in one_line(answer.out)
    assert "the cat sat on &lt;b&gt;the&lt;/b&gt; keyboard" in text and "<b>the</b>" not in text
    assert not re.search(r"""(?:src|href)\s*=\s*["'](?!data:|#)""", text) and "<script" not in text
    assert "prefers-color-scheme: dark" in text and "@media print" in text


def test_the_page_shows_curve_faults_and_code(tmp_path: Path) -> None:
    page = tmp_path / "check.html"
    cli("check", f"{FAULTY}lovasz_softmax", "--html", str(page))
    text = page.read_text(encoding="utf-8")
    assert text.count("<polyline") == 2 and "lovasz_softmax" in text
    assert "torch.tensor(" in text and "numbered otherwise" in text
    assert "Not applicable" in text and "times torch&#39;s cross-entropy" in text


# what the user can do wrong


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["Dise()"], "no loss is called 'Dise'; did you mean 'Dice'?"),
        (["Dice(smoth=1)"], "Dice has no field 'smoth'"),
        (["no_such_module:Loss"], "cannot import no_such_module:Loss: ModuleNotFoundError"),
        ([f"{FAULTY}NoSuchLoss"], "cannot import faulty_losses:NoSuchLoss: AttributeError"),
        ([f"{FAULTY}NUMBER"], "faulty_losses:NUMBER is int, not a class or a function"),
        ([f"{FAULTY}Crashes(a=1)"], "cannot be made: TypeError: Crashes.__init__() got an unexpected keyword argument"),
        (["monai.losses:DiceLoss(sigmoid=True, softmax=True)"], "cannot be made: ValueError"),
        (
            ["torch.nn:BCEWithLogitsLoss(reduction='none')"],
            'choose the reduction that gives one, such as reduction="mean"',
        ),
        (["torch.nn:TripletMarginLoss"], "is called with anchor, positive and negative, and a loss is tried with"),
        (["torch.nn:CosineEmbeddingLoss"], "is called with input1, input2 and target"),
        (["Dice()", "--like", "Dise()"], "no loss is called 'Dise'"),
        (["Dice()", "--range", "1", "0"], "--range 1 0: the first must be the lower end"),
        (["torch.nn:L1Loss()", "--html", "no/such/folder/x.html"], "cannot write no/such/folder/x.html"),
        ([], "Missing argument 'LOSS'"),
    ],
)
def test_a_mistake_is_one_message(words: list[str], sentence: str) -> None:
    answer = cli("check", *words)
    assert (answer.code, answer.out) == (2, "")
    assert sentence in one_line(answer.err) and "Traceback" not in answer.err


def test_a_file_that_does_not_import_is_a_mistake_with_its_line(tmp_path: Path, monkeypatch) -> None:
    """As the file of unified-focal-loss, which has an indentation error."""
    (tmp_path / "unified.py").write_text("def combo_loss(alpha=0.5):\n    def loss(y_true, y_pred):\n  return 0\n")
    monkeypatch.syspath_prepend(tmp_path)
    answer = cli("check", "unified:combo_loss")
    assert (answer.code, answer.out) == (2, "")
    assert "cannot import unified:combo_loss: IndentationError" in answer.err and "line 3" in answer.err


def test_a_module_in_the_current_folder_is_found(tmp_path: Path) -> None:
    (tmp_path / "here.py").write_text(
        "from torch.nn.functional import mse_loss\n\ndef loss(a, b): return mse_loss(a, b)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", "from whichloss.cli.main import main; main()", "check", "here:loss"],
        capture_output=True, text=True, cwd=tmp_path, env=ELSEWHERE,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("here:loss: sound.")


def test_help_says_what_a_fault_is() -> None:
    text = one_line(cli("check", "--help").out)
    assert "A fault (exit code 1) is a wrong order" in text and "is a remark, and no fault" in text
