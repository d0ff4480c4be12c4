"""The order of work: sequences wait for their last run, and nothing is computed twice."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from whichloss.study.agenda import Agenda, single


@dataclass(frozen=True)
class Fake:
    key: str


def sequence(*keys: str) -> Any:
    """A job whose runs come one after another."""

    def job(attempted: Callable[[Any], bool]) -> Fake | None:
        return next((one for one in map(Fake, keys) if not attempted(one)), None)

    return job


def drain(agenda: Agenda) -> list[str]:
    done = []
    while (run := agenda.take()) is not None:
        done.append(run.key)
        agenda.ended(run)
    return done


def never(key: str) -> bool:
    return False


def test_a_sequence_goes_on_before_another_begins():
    assert drain(Agenda([sequence("a0", "a1", "a2"), sequence("b0", "b1")], never)) == ["a0", "a1", "a2", "b0", "b1"]


def test_finished_runs_are_skipped():
    finished = {"a0", "b1"}
    assert drain(Agenda([sequence("a0", "a1"), sequence("b0", "b1")], finished.__contains__)) == ["a1", "b0"]


def test_a_failed_run_is_tried_as_often_as_configured_and_not_for_ever():
    assert drain(Agenda([single(Fake("a"))], never, retries=2)) == ["a", "a", "a"]
    assert drain(Agenda([single(Fake("a"))], never)) == ["a"]


def test_a_run_that_two_jobs_need_is_computed_once():
    agenda = Agenda([sequence("shared", "a1"), sequence("shared", "b1")], never)
    first = agenda.take()
    assert first == Fake("shared")
    got: list[Any] = []
    waiting = threading.Thread(target=lambda: got.append(agenda.take()))
    waiting.start()
    waiting.join(0.2)
    assert waiting.is_alive(), "the second job must wait for the run that the first one has taken"
    agenda.ended(first)
    waiting.join(10)
    assert got == [Fake("a1")]
    assert agenda.take() == Fake("b1")


def test_a_wave_is_all_that_need_not_wait():
    agenda = Agenda([sequence("a0", "a1"), sequence("b0", "b1"), sequence("a0", "c1"), sequence()], never)
    assert agenda.ready(1) == [Fake("a0")]
    assert agenda.ready(5) == [Fake("b0")], "the third job waits for what the first has taken"
    assert agenda.ready(5) == []
    agenda.ended(Fake("a0"))
    assert agenda.ready(5) == [Fake("a1"), Fake("c1")]
    for key in ("b0", "a1", "c1"):
        agenda.ended(Fake(key))
    assert agenda.ready(5) == [Fake("b1")]
    agenda.ended(Fake("b1"))
    assert agenda.ready(5) == [] and agenda.take() is None


def test_many_threads_do_every_run_once():
    jobs = [sequence(*(f"{job}-{at}" for at in range(5))) for job in range(40)]
    agenda, done = Agenda(jobs, never), []

    def work() -> None:
        while (run := agenda.take()) is not None:
            done.append(run.key)
            agenda.ended(run)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(done) == sorted(f"{job}-{at}" for job in range(40) for at in range(5))
