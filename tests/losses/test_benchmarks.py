"""What `make bench` compares means the same on both sides, and its page says what was measured."""

import json
import os
import subprocess
import sys
from argparse import Namespace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks import losses, losses_page, steps
from benchmarks.pairs import GROWTH, PAIRS, Pair, batch, ours, small

for peer in ("monai.losses", "pytorch_metric_learning.losses"):
    pytest.importorskip(peer, reason="the extra dev brings the peers")

ROOT = Path(__file__).parents[2]
MACHINE: dict[str, Any] = {
    "quick": False, "date": "2026-01-01 00:00 UTC", "cpu": "a processor", "cores": 4, "threads": 4, "level": "AVX2",
    "kernels": None, "asked of kernels": "auto", "system": "Linux", "python": "3.11", "versions": {"torch": "2"},
    "load": [0.5, 0.25, 0.0], "bytes a second": 1e9,
}  # fmt: skip


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.name)
def test_what_is_compared_is_the_same(pair: Pair):
    for shape in dict.fromkeys(map(small, pair.shapes)):
        found = steps.measure(pair, shape, False, 0.0, 2)
        assert not found["failed"]
        assert found["differs"].keys() == found["ms"].keys() == {"ours", *(["peer"] if pair.peer else [])}
        assert all(apart <= steps.SAME for both in found["differs"].values() for apart in both)
        assert found["rounds"] == 2 and min(found["ms"].values()) > 0


def test_what_is_not_the_same_is_not_timed():
    pair = Pair("Dice", "Dice()", "classes", (), "monai.losses.DiceLoss(softmax=True, to_onehot_y=True)")
    found = steps.measure(pair, (2, 3, 6, 6), False, 0.0, 2)
    assert found["failed"]["peer"].startswith("is not the same: value apart by")
    assert found["ms"].keys() == {"ours"} and not found["ratios"]
    assert losses.wrong([{"pair": "Dice", "shape": [2, 3, 6, 6], **found}]) == 1


def test_a_gradient_that_is_not_a_number_is_not_the_same():
    value = ours(Pair("cross-entropy", "CrossEntropy()", "classes", ()))
    every = {"ours": value, "peer": lambda x, target: value(x, target) + (0 * x).abs().sqrt().sum()}
    _, differs, failed = steps._first(every, *batch("classes", (4, 3)))
    assert differs["peer"][0] == 0 and failed.keys() == {"peer"}


def test_of_two_that_are_apart_it_is_told_which_errs():
    value = ours(Pair("Dice", "Dice()", "classes", ()))
    every = {"ours": value, "peer": lambda x, target: 1.5 * value(x, target)}
    found = steps._errors(every, *batch("classes", (1, 2, 8, 8)))
    assert found["ours"] < 1e-6 and found["peer"] == pytest.approx(0.5)


def test_a_peer_that_fails_is_named_and_the_others_go_on():
    pair = Pair("cross-entropy", "CrossEntropy()", "classes", (), "torch.nn.TripletMarginLoss()")
    found = steps.measure(pair, (4, 3), False, 0.0, 2)
    assert "TypeError" in found["failed"]["peer"] and found["ms"].keys() == {"ours"}
    assert not losses.wrong([{"pair": pair.name, "shape": [4, 3], **found}])


@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from Linux's /proc")
def test_growth_is_the_peak_and_not_what_remains():
    size = 2**26

    def two_and_then_one() -> torch.Tensor:
        first = torch.ones(size // 4)
        return first + 1

    assert steps.growth(two_and_then_one) == pytest.approx(2 * size, rel=0.02)
    assert steps.growth(lambda: torch.ones(size // 4)) == pytest.approx(size, rel=0.02)


def test_the_bound_by_hand():
    """Logits read twice, the gradient read and written, the target read twice."""
    assert steps.bound({"logits": 100, "target": 50}, 1000.0) == pytest.approx(0.5)


# the page


def line(ms: dict[str, float], ratios: dict[str, list[float]], way: str = "usual", **more: Any) -> dict[str, Any]:
    found = {"ms": ms, "ratios": ratios, "rounds": 7, "compile_s": {}, "differs": {}}
    return place(way) | found | more


def place(way: str) -> dict[str, Any]:
    sizes = {"logits": 10**8, "target": 0}
    return {"way": way, "part": "pairs", "pair": "Dice", "shape": [2, 3, 8, 8], "failed": {}, "bytes": sizes}


def ways(*names: str) -> list[dict[str, Any]]:
    return [{"way": name, "what": f"what {name} is", "machine": MACHINE} for name in names]


def section(made: str, title: str) -> str:
    return made.partition(f"## {title}\n")[2].partition("\n## ")[0]


def test_wherever_a_peer_is_faster_the_page_says_so():
    slow = line({"ours": 4.0, "peer": 1.0}, {"peer / ours": [0.2, 0.25, 0.3]})
    fast = line({"ours": 1.0, "peer": 3.0}, {"peer / ours": [2.9, 3.0, 3.1]}, shape=[9, 9])
    also = line({"ours": 5.0, "peer": 4.5}, {"peer / ours": [0.8, 0.9, 1.1]}, way="one thread", shape=[7, 7])
    made = losses_page.page([*ways("usual", "one thread"), slow, fast, also])
    told = section(made, "Where a peer is faster").splitlines()[3:]
    assert [row for row in told if row] == [
        "| usual | Dice | 2 x 3 x 8 x 8 | neither | **0.25** (0.20 to 0.30) | 1 | 4 |",
        "| one thread | Dice | 7 x 7 | neither | **0.90** (0.80 to 1.10) | 4.5 | 5 |",
    ]
    assert "| usual | neither | 2 | 1 | 0.25 | 1.62 | 3.0 |" in made
    assert "A part of it only: usual, one thread." in made
    complete = losses_page.page([*ways("usual", "huge pages"), fast])
    assert "Nowhere among these." in complete and "A part of it only" not in complete


def test_the_page_shows_failures_memory_growth_and_what_differs():
    failing = {"failed": {"peer": "needs more memory"}, "compile_s": {"ours compiled": 7.0}}
    errors = {"ours": 2e-8, "peer": 1.2e-7}
    lines = [
        *ways("usual", "memory", "AVX2"),
        line({"ours": 2.0, "ours compiled": 1.0}, {}, **failing),
        line(
            {"ours": 2.0, "peer": 3.0},
            {"peer / ours": [1.4, 1.5, 1.6]},
            "AVX2",
            differs={"peer": [1e-7, 3e-4]},
            errors=errors,
        ),
        place("memory") | {"peak": {"ours": 1.25, "peer": 6.0}},
        line({"ours": 2.0, "peer": 4.0}, {}, part="batch", shape=[1, 4]),
        line({"ours": 24.0, "peer": 48.0}, {}, part="batch", shape=[10, 4]),
    ]
    made = losses_page.page(lines)
    assert "| Dice | 2 x 3 x 8 x 8 | 400 | 2 | fails: needs more memory |" in section(made, "Time: usual")
    assert "| Dice | 2 x 3 x 8 x 8 | 2 (1.50) |" in section(made, "Time: other ways")
    assert "| Dice | 2 x 3 x 8 x 8 | 1.25 | 6.00 |" in section(made, "Memory")
    assert "| Dice | 2 x 3 x 8 x 8 | 7 |" in section(made, "Seconds to compile")
    assert "| batch | 10 x 4 | 400 | 24 | 12.0 | 48 | 12.0 |" in section(made, "Ten times as much")
    assert "| Dice | 2 x 3 x 8 x 8 | peer | 1.0e-07 | 3.0e-04 | 2.0e-08 | 1.2e-07 |" in section(
        made, "What is compared"
    )


def test_nothing_measured_is_no_page():
    with pytest.raises(ValueError, match="nothing was measured"):
        losses_page.page([])


def asked(**named: Any) -> Namespace:
    return Namespace(**({"pair": None, "shape": None, "quick": False} | named))


def test_every_pair_is_measured_at_all_of_its_shapes_and_growth_once():
    usual = list(losses.todo(losses.USUAL, asked()))
    whole = [("pairs", pair, shape) for pair in PAIRS for shape in pair.shapes]
    assert usual[: len(whole)] == whole
    assert [(what, shape) for what, _, shape in usual[len(whole) :]] == [
        (what, shape) for what, shapes in GROWTH.items() for shape in shapes
    ]
    for way in losses.WAYS[1:]:
        found = list(losses.todo(way, asked()))
        assert found == (whole if way.everything else [one for one in whole if one[1].main])
    assert {pair.name for _, pair, _ in losses.todo(losses.WAYS[-1], asked(pair="Tversky"))} == {"Tversky"}


def test_what_grows_grows_tenfold():
    for what, shapes in GROWTH.items():
        sizes = [torch.Size(shape).numel() for shape in shapes]
        assert all(after / before == pytest.approx(10, rel=0.02) for before, after in pairwise(sizes)), what


def test_a_shape_without_a_loss_is_refused(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit, match="2"):
        losses.main(["--shape", "2", "3", "8", "8"])
    assert "name it by --pair" in capsys.readouterr().err


def test_from_the_command_to_the_page(tmp_path: Path):
    """A process for a way, a line for the machine and one for each pair and shape, and the page again from them."""
    file, page = tmp_path / "lines.jsonl", tmp_path / "page.md"
    command = [sys.executable, "-m", "benchmarks.losses", "--file", str(file), "--page", str(page)]
    path = os.pathsep.join([str(ROOT / "src"), os.environ.get("PYTHONPATH", "")])
    quick = ["--quick", "--way", "plain", "--pair", "Tversky", "--shape", "2", "3", "4", "4"]
    subprocess.run([*command, *quick], cwd=ROOT, env=os.environ | {"PYTHONPATH": path}, check=True, capture_output=True)
    first, second = (json.loads(line) for line in file.read_text().splitlines())
    assert first["machine"]["asked of kernels"] == "off" and first["machine"]["bytes a second"] > 1e8
    assert second["pair"] == "Tversky" and second["ms"].keys() == {"ours", "peer"}
    made = page.read_text()
    assert made.startswith("# Speed beside other libraries") and "| Tversky | 2 x 3 x 4 x 4 |" in made
    assert "From a quick run" in made
    page.unlink()
    assert losses.main(["--render", "--file", str(file), "--page", str(page)]) == 0
    assert page.read_text() == made
