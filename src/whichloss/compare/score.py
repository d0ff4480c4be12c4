"""One score as a file has it, before anything is averaged."""

from typing import NamedTuple


class Score(NamedTuple):
    """What one loss scored: on one case, or, without a case, on a whole test fold.

    origin says where it stands, for messages. None stands for what a file does not say.
    """

    loss: str
    metric: str
    value: float | None  # None: undefined on this case; without a case: the run failed
    origin: str
    fold: int | None = None
    seed: int = 0
    case: str = ""
    group: str = ""  # the patient of the case
    part: str = ""  # the class or label that was scored; a run's score is the mean over these
    data: str = ""
    network: str = ""
    stress: str = ""
    split: str = "test"
    unit: str = ""
    n_train: int | None = None
    n_test: int | None = None
    higher_is_better: bool | None = None
    run: str = ""
    tested: frozenset[str] = frozenset()  # of a score without a case: the patients that it rests on, where known
