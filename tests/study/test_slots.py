"""Slots: how many runs share a GPU, found by doubling, and measured with real workers (here of the CPU)."""

import time
from pathlib import Path

import pytest
import torch

from small_studies import tiny_study, write_tiny
from whichloss.study import slots
from whichloss.study.burst import burst
from whichloss.study.conduct import prepare
from whichloss.study.estimate import estimate
from whichloss.study.slots import ONE, Slots, fullest, measured, slots_of


@pytest.mark.parametrize(
    ("paces", "count", "tried"),
    [
        ([100, 190, 360, 380], 4, 4),  # eight together do hardly more than four
        ([100, 101], 1, 2),  # one fills the device
        ([100, 190, 360, 700, 1400], 16, 5),  # as many as there may be
        ([100, 190, None], 2, 2),  # no room for four
        ([None], 1, 0),
        ([0.0], 1, 0),  # too slow to be seen in so short a time: it is busy
    ],
)
def test_as_many_as_do_clearly_more(paces: list[float | None], count: int, tried: int) -> None:
    by_count: dict[int, float | None] = dict(zip((1, 2, 4, 8, 16), paces, strict=False))
    found = fullest(lambda n: by_count[n], lambda n: n in by_count)
    assert (found.count, len(found.tried)) == (count, tried)
    assert found.speed == ((by_count[count] or 0) / (by_count[1] or 1) if tried else 1.0)


def test_what_a_plan_says_of_them() -> None:
    said = str(Slots(2, ((1, 100.0), (2, 190.4), (4, 195.0))))
    assert said == "2 at a time on a device (batches a second: 100 of 1, 190 of 2, 195 of 4)"


def test_a_burst_counts_the_batches_of_its_seconds(tmp_path: Path) -> None:
    write_tiny(tmp_path)
    prepared = prepare(tiny_study(), tmp_path / "store", [tmp_path])
    run = prepared.runs[0]
    cases = prepared.shelf.of(run)
    once = burst(run, cases, run.split(cases), torch.device("cpu"), 0.0, 0.0)
    assert once["pace"] == 0.0 and once["memory"] > 0
    start = time.monotonic()
    told = burst(run, cases, run.split(cases), torch.device("cpu"), start, start + 0.5)
    assert told["pace"] > 0 and time.monotonic() - start >= 0.5


def test_workers_side_by_side_are_measured_and_keep_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_tiny(tmp_path)
    monkeypatch.setattr(slots, "SECONDS", 0.3)
    monkeypatch.setattr(slots, "GAIN", 0.0)  # whatever the cores of this machine
    prepared = prepare(tiny_study(), tmp_path / "store", [tmp_path])
    found = measured(prepared.runs[0], prepared.store, prepared.shelf.roots, most=2)
    assert found.count == 2 and [count for count, _ in found.tried] == [1, 2]
    assert all(pace > 0 for _, pace in found.tried)
    assert not list((tmp_path / "store").glob("runs/*/*"))


def test_only_many_runs_on_a_gpu_share_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_tiny(tmp_path)
    prepared = prepare(tiny_study(), tmp_path / "store", [tmp_path])
    ask = (prepared.runs * 8, prepared.store, prepared.shelf.roots)
    assert slots_of(*ask) == ONE  # a CPU: its cores are dealt out
    asked: list[int] = []
    monkeypatch.setattr(slots, "gpus", lambda device: 2)
    monkeypatch.setattr(slots.machine, "cores", lambda: 16)
    monkeypatch.setattr(slots, "measured", lambda run, store, roots, most: asked.append(most) or Slots(4, ((1, 1.0),)))
    assert slots_of(*ask).count == 4 and asked == [8]  # half of the cores for each GPU
    assert slots_of(prepared.runs[:2], *ask[1:]) == ONE and len(asked) == 1  # too few to be worth it


def test_the_plan_says_what_was_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_tiny(tmp_path)
    prepared = prepare(tiny_study(), tmp_path / "store", [tmp_path])
    found = Slots(2, ((1, 100.0), (2, 190.0)))
    monkeypatch.setattr("whichloss.study.estimate.slots_of", lambda *_: found)
    monkeypatch.setattr("whichloss.study.estimate.Worker._alive", lambda self: None)
    assert f"\nmeasured: {found}\n" in estimate(prepared, None)
    assert "measured:" not in estimate(prepared, 2)  # who says how many is not told better
