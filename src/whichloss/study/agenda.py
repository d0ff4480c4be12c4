"""Agenda: which run comes next, while workers are busy with others."""

import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable
from itertools import islice

from .runs import Run

Attempted = Callable[[Run], bool]  # whether a run has ended as well as it will in this session of work
Job = Callable[[Attempted], Run | None]  # the next run of a job, or None where the job is done


class Agenda:
    """Jobs, each a sequence of runs: a single one, or the trials of a search, each of which waits for the last.

    Workers take runs and say when these have ended. A run that several jobs need is computed once.
    """

    def __init__(self, jobs: Iterable[Job], finished: Callable[[str], bool], retries: int = 0) -> None:
        self._idle = deque(jobs)
        self._taken: dict[str, list[Job]] = {}  # key of a run being computed: the jobs that wait for it
        self._tried: Counter[str] = Counter()
        self._finished, self._retries = finished, retries
        self._news = threading.Condition()

    def attempted(self, run: Run) -> bool:
        return self._finished(run.key) or self._tried[run.key] > self._retries

    def take(self) -> Run | None:
        """The next run; waits while others may still open new ones. None: there is nothing left to do."""
        with self._news:
            while (run := self._next()) is None and self._taken:
                self._news.wait()
            return run

    def ready(self, most: int) -> list[Run]:
        """The next runs, as many as need not wait; none, while others are being computed, says nothing of the rest."""
        with self._news:
            return list(islice(iter(self._next, None), most))

    def ended(self, run: Run) -> None:
        """Say that a run taken has an outcome, whatever it is. Its jobs go on first, so that searches finish."""
        with self._news:
            self._tried[run.key] += 1
            self._idle.extendleft(reversed(self._taken.pop(run.key)))
            self._news.notify_all()

    def _next(self) -> Run | None:
        while self._idle:
            job = self._idle.popleft()
            run = job(self.attempted)
            if run is None:
                continue
            if run.key in self._taken:  # somebody computes it already
                self._taken[run.key].append(job)
                continue
            self._taken[run.key] = [job]
            return run
        return None


def single(run: Run) -> Job:
    """The job of one run."""
    return lambda attempted: None if attempted(run) else run
