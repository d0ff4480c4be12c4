"""What a comparison is asked to do: everything that the tables do not say and nobody may guess."""

import shlex
from dataclasses import dataclass
from typing import Literal

from whichloss.stats.plan import Design

DESIGN_OPTIONS: dict[Design, str] = {
    "refold": "--folds-redrawn",
    "fixed": "--folds-fixed",
    "draws": "--draws",
    "given": "--given",
}


@dataclass(frozen=True, kw_only=True)
class Asked:
    """The arguments of `whichloss compare`; None or nothing: not given."""

    tables: tuple[str, ...]
    rope: float | None = None
    baseline: str = ""
    metric: str = ""
    higher_is_better: bool | None = None
    design: Design | None = None
    n_train: int | Literal["rest"] | None = None
    n_test: int | None = None
    undefined: float | None = None
    cases: str = ""
    annotations: str = ""
    excluded: str = ""
    data: str = ""
    network: str = ""
    stress: str = ""
    name: str = "comparison"
    question: str = ""

    def command(self) -> str:
        """The command line that asks the same."""
        lines = [shlex.join(["whichloss", "compare", *self.tables])]
        for option, value in (
            ("--baseline", self.baseline),
            ("--metric", self.metric),
            ("--rope", self.rope),
            ("--n-train", self.n_train),
            ("--n-test", self.n_test),
            ("--undefined", self.undefined),
            ("--cases", self.cases),
            ("--annotations", self.annotations),
            ("--excluded", self.excluded),
            ("--data", self.data),
            ("--network", self.network),
            ("--stress", self.stress),
            ("--name", self.name if self.name != "comparison" else ""),
            ("--question", self.question),
        ):
            if value not in (None, ""):
                lines.append(shlex.join([option, repr(value) if isinstance(value, float) else str(value)]))
        if self.higher_is_better is not None:
            lines.append("--higher-is-better" if self.higher_is_better else "--lower-is-better")
        if self.design is not None:
            lines.append(DESIGN_OPTIONS[self.design])
        return " \\\n    ".join(lines)
