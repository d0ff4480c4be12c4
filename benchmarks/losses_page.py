"""The page of `benchmarks.losses`, from its lines. No measured number stands here."""

from collections.abc import Iterator, Sequence

from benchmarks.losses_tables import (
    LARGE,
    Line,
    apart,
    beside,
    compared,
    compiling,
    counted,
    growth,
    memory,
    slower,
    table,
    times,
)
from benchmarks.pairs import GROWTH, PAIRS
from benchmarks.steps import ALIKE, MOST, SAME

FULL = ("usual", "huge pages")  # ways with a table of their own


def page(lines: Sequence[Line]) -> str:
    """Raises ValueError where no process came so far as to say what it runs on."""
    ways = {line["way"]: line for line in lines if "machine" in line}
    if not ways:
        raise ValueError("nothing was measured")
    return "\n".join(_page(ways, [line for line in lines if "pair" in line])) + "\n"


def _page(ways: dict[str, Line], every: list[Line]) -> Iterator[str]:
    of = {way: [line for line in every if line["way"] == way and line["part"] == "pairs"] for way in ways}
    timed = {way: lines for way, lines in of.items() if any("ratios" in line for line in lines)}
    yield from ("# Speed beside other libraries", "")
    yield (
        "A step is the value of a loss and its gradient at the logits. Ours, and what means the same in MONAI, PyTorch"
        " or pytorch-metric-learning, take steps in turn in one process. `make bench` measures all of this anew and"
        " writes this page; `python -m benchmarks.losses --help` says how to measure one loss at one shape.\n"
    )
    if any(one["machine"]["quick"] for one in ways.values()):
        yield "**From a quick run: few rounds, small shapes only.**\n"
    elif not set(FULL) <= set(ways):
        yield f"**A part of it only: {', '.join(ways)}.**\n"
    yield from _machine(next(iter(ways.values())))
    yield from ("", "## In short", "", *(f"- **{way}**: {one['what']}; {_kernels(one)}" for way, one in ways.items()))
    yield from ("", *counted(timed), "", "At 2 the peer takes twice as long as ours.", "")
    yield from ("## Where a peer is faster", "", *_slower(timed))
    full = {way: lines for way, lines in timed.items() if way in FULL}
    for way, lines in full.items():
        yield from ("", f"## Time: {way}", "", *times(lines, ways[way]["machine"]["bytes a second"]))
    if full:
        yield (
            "\nMilliseconds, medians; and peer / ours within each round, the median in bold, with its quartiles."
            " Where nothing stands for the peer, none of these libraries has the loss. Bound: what it takes to read"
            " logits and target twice and to write the gradient, at the speed of copying a large tensor in the same"
            " process; a write counts twice, since what is written is read first."
        )
    if others := {way: lines for way, lines in timed.items() if way not in FULL}:
        yield from ("", "## Time: other ways", "", *beside(others))
        yield "\nMilliseconds of ours, and in brackets peer / ours, the median; neither compiled."
    if large := [line for line in of.get("memory", []) if line["bytes"]["logits"] >= LARGE]:
        yield from ("", "## Memory", "", *memory(large))
        yield (
            "\nBy how much the process grows at most during a step, the gradient included, in multiples of the logits."
            " It is read from the operating system (resident memory), so that what compiled code and other libraries"
            " allot counts as well, in a process that gives back at once whatever it frees."
        )
    if compiled := [line for line in of.get("usual", []) if line["compile_s"]]:
        yield from ("", "## Seconds to compile", "", *compiling(compiled))
        yield "\n`torch.compile` as it comes, with nothing cached, by one process: the first step, less a later one."
    if grown := [line for line in every if line["part"] in GROWTH]:
        yield from ("", "## Ten times as much", "", *growth(grown, ways["usual"]["machine"]["bytes a second"]))
        yield f"\nMilliseconds of `{PAIRS[0].ours}` and of `{PAIRS[0].peer}`."
    yield from ("", "## What is compared", "", *compared({line["pair"] for line in every}))
    yield (
        "\nC is the number of classes. The smooth of both is the same: it stands beside TP here, and beside 2 TP in"
        " MONAI's Dice. What is compared under `torch.compile` as well: "
        + ", ".join(pair.name for pair in PAIRS if pair.compiled) + ".\n"
    )  # fmt: skip
    yield from _apart(every)
    yield from ("", "## How it is measured", "")
    yield (
        "Each way is a process. In it, pair after pair: a first step of each candidate, in which values and gradients"
        " are compared (the largest difference in proportion to the largest entry; what differs by more than"
        f" {ALIKE:g} is not timed), a second one, and then up to {MOST} rounds, in each of which every candidate takes"
        " one step: ours, the peer's, and both under `torch.compile`. `logits.grad` is None before each step. Logits"
        " are normal random numbers of standard deviation 2, and targets are random, too, all in float32 and indices in"
        " int64. Ratios hold better than milliseconds, which drift with what else the machine does."
    )


def _machine(way: Line) -> Iterator[str]:
    machine = way["machine"]
    load = ", ".join(f"{one:.2f}" for one in machine["load"]) or "unknown"
    rows = {
        "processor": f"{machine['cpu']}, {machine['cores']} cores, {machine['level']}",
        "system": f"{machine['system']}, Python {machine['python']}",
        "versions": ", ".join(f"{name} {version}" for name, version in machine["versions"].items()),
        "date": machine["date"],
        "load average at the start": f"{load} (1, 5 and 15 minutes)",
        "copying": f"{machine['bytes a second'] / 1e9:.0f} GB/s",
    }
    return (f"- {name}: {what}" for name, what in rows.items())


def _kernels(way: Line) -> str:
    machine = way["machine"]
    found = machine["kernels"] if machine["asked of kernels"] == "auto" else None
    return f"threads: {machine['threads']}, " + (f"kernels `{found}`" if found else "no compiled kernels")


def _slower(timed: dict[str, list[Line]]) -> Iterator[str]:
    rows = slower(timed)
    if rows:
        yield from table(["way", "loss", "shape", "compiled", "peer / ours", "peer, ms", "ours, ms"], rows)
    else:
        yield "Nowhere among these."


def _apart(every: list[Line]) -> Iterator[str]:
    near, far = apart(every, SAME)
    yield f"Values and gradients agree to {near:.0e}, in proportion{', but for these:' if far else '.'}"
    if far:
        head = ["loss", "shape", "which from ours", "value", "gradient", "error of ours", "error of the peer"]
        yield from ("", *table(head, far))
        yield "\nErrors of the value, against our plain formula in float64."
