"""The tables of `benchmarks.losses_page`, and how their numbers are written."""

import re
from collections.abc import Iterable, Iterator, Sequence
from statistics import median
from typing import Any

from benchmarks.pairs import FORMS, GROWTH, PAIRS
from benchmarks.steps import bound

Line = dict[str, Any]
KINDS = {"peer / ours": "neither", "peer compiled / ours compiled": "both", "peer compiled / ours": "the peer"}
LARGE = 2**23  # bytes of logits; of fewer the memory of a process says little
NUMBER = re.compile(r"(\**[\d.]+\**( \([^)]*\))?)?")  # and what follows it in brackets
KNOWN = {pair.name: pair for pair in PAIRS}


def counted(timed: dict[str, list[Line]]) -> Iterator[str]:
    """For each way how often ours is faster, and by how much."""
    rows = []
    for way, lines in timed.items():
        for kind, words in KINDS.items():
            found = [line["ratios"][kind][1] for line in lines if kind in line["ratios"]]
            if found:
                least, middle, most = map(_times, (min(found), median(found), max(found)))
                rows.append([way, words, len(found), sum(one > 1 for one in found), least, middle, most])
    return table(["way", "compiled", "compared", "ours faster", "peer / ours: least", "median", "most"], rows)


def slower(timed: dict[str, list[Line]]) -> list[list[str]]:
    """Wherever a peer is faster."""
    return [
        [way, *_head(line), words, _ratio(line["ratios"][kind]), *(_ms(line, name) for name in kind.split(" / "))]
        for way, lines in timed.items()
        for line in lines
        for kind, words in KINDS.items()
        if kind in line["ratios"] and line["ratios"][kind][1] < 1
    ]


def times(lines: list[Line], speed: float) -> Iterator[str]:
    """Milliseconds and ratios; speed: bytes a second."""
    head = ["loss", "shape", "bound", "ours", "peer", "peer / ours"]
    head += ["ours compiled", "peer compiled", "compiled: peer / ours"]
    rows = []
    for line in lines:
        moves = KNOWN[line["pair"]].form in ("classes", "one-hot", "yes or no")
        row = [*_head(line), number(1e3 * bound(line["bytes"], speed)) if moves else ""]
        for more in ("", " compiled"):
            row += [_ms(line, f"ours{more}"), _ms(line, f"peer{more}")]
            row += [_ratio(line["ratios"].get(f"peer{more} / ours{more}"))]
        rows.append(row)
    return table(head, rows)


def beside(timed: dict[str, list[Line]]) -> Iterator[str]:
    """A column for each way."""
    found = {(line["pair"], tuple(line["shape"]), way): line for way, lines in timed.items() for line in lines}
    rows = []
    for pair, shape in dict.fromkeys((pair, shape) for pair, shape, _ in found):
        cells = [found.get((pair, shape, way)) for way in timed]
        rows.append([pair, _shape(shape), *("" if line is None else _brief(line) for line in cells)])
    return table(["loss", "shape", *timed], rows)


def _brief(line: Line) -> str:
    ratio = line["ratios"].get("peer / ours")
    return _ms(line, "ours") + ("" if ratio is None else f" ({_times(ratio[1])})")


def memory(lines: list[Line]) -> Iterator[str]:
    names = ("ours", "peer", "ours compiled", "peer compiled")
    rows = [[*_head(line), *(_cell(line, "peak", name, ".2f") for name in names)] for line in lines]
    return table(["loss", "shape", *names], rows)


def compiling(lines: list[Line]) -> Iterator[str]:
    names = ("ours compiled", "peer compiled")
    rows = [[*_head(line), *(_cell(line, "compile_s", name) for name in names)] for line in lines]
    return table(["loss", "shape", "ours", "peer"], rows)


def growth(lines: list[Line], speed: float) -> Iterator[str]:
    rows: list[list[str]] = []
    for what in GROWTH:
        before: Line | None = None
        for line in (one for one in lines if one["part"] == what):
            rows.append([what, _shape(line["shape"]), number(1e3 * bound(line["bytes"], speed))])
            for name in ("ours", "peer"):
                known = before is not None and name in line["ms"] and name in before["ms"]
                rows[-1] += [_ms(line, name), _times(line["ms"][name] / before["ms"][name]) if known and before else ""]
            before = line
    return table(["ten times the", "shape", "bound", "ours", "times the last", "peer", "times the last"], rows)


def compared(names: set[str]) -> Iterator[str]:
    shown = [pair for pair in PAIRS if pair.name in names]
    peers = [f"`{pair.peer}`" if pair.peer else "none of these has it" for pair in shown]
    rows = [[pair.name, f"`{pair.ours}`", peer, FORMS[pair.form]] for pair, peer in zip(shown, peers, strict=True)]
    return table(["loss", "ours", "peer", "target"], rows)


def apart(lines: list[Line], within: float) -> tuple[float, list[list[str]]]:
    """How far values and gradients are from ours at most, and a row for each candidate that is farther than allowed."""
    near, rows = 0.0, {}
    for line in lines:
        for name, both in line.get("differs", {}).items():
            if all(one <= within for one in both):
                near = max(near, *both)
            else:
                errors = [line.get("errors", {}).get(one) for one in ("ours", "peer")]
                cells = ["" if one is None else f"{one:.1e}" for one in (*both, *errors)]
                rows.setdefault((*_head(line), name), cells)
    return near, [[*place, *cells] for place, cells in rows.items()]


# cells


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> Iterator[str]:
    """Columns of numbers stand on the right, and those of nothing are left out."""
    texts = [list(map(str, row)) for row in rows]
    kept = [at for at in range(len(head)) if any(row[at] for row in texts)]
    head, texts = [head[at] for at in kept], [[row[at] for at in kept] for row in texts]
    numbers = [all(NUMBER.fullmatch(row[at]) for row in texts) for at in range(len(head))]
    yield f"| {' | '.join(head)} |"
    yield f"|{'|'.join('---:' if one else '---' for one in numbers)}|"
    for row in texts:
        yield f"| {' | '.join(row)} |"


def number(x: float) -> str:
    return f"{x:.0f}" if x >= 100 else f"{x:.3g}"


def _head(line: Line) -> list[str]:
    return [line["pair"], _shape(line["shape"])]


def _shape(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))


def _ms(line: Line, name: str) -> str:
    return _cell(line, "ms", name)


def _cell(line: Line, what: str, name: str, written: str = "") -> str:
    if name in line["failed"]:
        return f"fails: {line['failed'][name]}"
    found = line[what].get(name)
    return "" if found is None else format(found, written) if written else number(found)


def _times(x: float) -> str:
    return f"{x:.0f}" if x >= 20 else f"{x:.1f}" if x >= 2 else f"{x:.2f}"


def _ratio(ratio: list[float] | None) -> str:
    if ratio is None:
        return ""
    low, middle, high = map(_times, ratio)
    return f"**{middle}** ({low} to {high})"
