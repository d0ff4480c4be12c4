"""What of a study goes into a paper: tables, figures, a paragraph on methods, and the references of its losses."""

import csv
import io
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from .inks import Ink, inks
from .numerals import Number, percent, plain, real
from .record import Curve, Record
from .supplement import parts
from .tables import Cell, Table, others, overview

# the light theme of page.css, and matplotlib's words for its dashes and markers
COLOURS = ("#404040", "#2e49d0", "#ea5226", "#104966", "#b75d76", "#587a00", "#5788c2")
DASHES = {"solid": "-", "dash": "--", "dot": ":", "dashdot": "-."}
MARKERS = {"circle": "o", "square": "s", "diamond": "D", "triangle-up": "^"}
SPECIAL = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "\u00b1": r"$\pm$",
           "\u2212": "$-$", "\u2191": r"$\uparrow$", "\u2193": r"$\downarrow$", "\u00d7": r"$\times$",
           "\u2013": "--"} | {one: "\\" + one for one in "&%$#_{}"}  # fmt: skip


def write_paper(record: Record, folder: Path) -> list[Path]:
    """Writes all of it; what was written. Figures need matplotlib.

    overview.{csv,md,tex}, other-N and those beside the verdict (outlook, sensitivity, secondary, ...) of the tables,
    differences, critical-difference and curve-N.{svg,pdf} of the figures, methods.md, losses.bib. As long as runs are
    missing, each name begins with "interim-".
    """
    folder.mkdir(parents=True, exist_ok=True)
    verdict = record.verdict
    labels = {**record.labels, **{loss["loss"]: loss["label"] for loss in verdict["losses"]}}
    named = [*(loss["label"] for loss in verdict["losses"]), *(curve.loss for curve in record.curves)]
    ink = inks(named, verdict["baseline_label"])
    written: list[Path] = []

    def to(name: str) -> Path:
        written.append(folder / (f"interim-{name}" if verdict["interim"] else name))
        return written[-1]

    beside = [table for part in parts(verdict, ink) for table in part.tables]
    for table in (overview(verdict, ink), *beside, *others(record.results, verdict, labels, ink, record.meanings)):
        for ending, form in (("csv", as_csv), ("md", as_markdown), ("tex", as_latex)):
            to(f"{table.id}.{ending}").write_text(form(table), encoding="utf-8")
    for name, content in (("methods.md", methods(record)), ("losses.bib", record.bibliography)):
        to(name).write_text(content, encoding="utf-8")
    _figures(record, ink, to)
    return written


# tables


def cells(table: Table) -> Iterator[list[str]]:
    """Head and rows, as they are read."""
    yield [title for title, _ in table.head]
    yield from ([_read(cell) for cell in row] for row in table.rows)


def _read(cell: Cell) -> str:
    return "".join(one.text if isinstance(one, Number) else one for one in cell.pieces).strip()


def as_csv(table: Table) -> str:
    """Numbers as they were measured, with a plain minus sign, for spreadsheets."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow([title for title, _ in table.head])
    for row in table.rows:
        rows.writerow([repr(cell.key) if _single(cell) else _read(cell).replace("\u2212", "-") for cell in row])
    return text.getvalue()


def _single(cell: Cell) -> bool:
    """Whether a cell is one number and nothing else."""
    return len(cell.pieces) == 1 and isinstance(cell.pieces[0], Number) and cell.key is not None


def as_markdown(table: Table) -> str:
    head, *rows = ([one.replace("|", r"\|") for one in line] for line in cells(table))
    rule = ["---:" if kind == "number" else "---" for _, kind in table.head]
    return "\n".join("| " + " | ".join(line) + " |" for line in (head, rule, *rows)) + "\n"


def as_latex(table: Table) -> str:
    """A table of booktabs."""
    head, *rows = ([latex(one) for one in line] for line in cells(table))
    columns = "".join("r" if kind == "number" else "l" for _, kind in table.head)
    lines = [" & ".join(line) + r" \\" for line in (head, *rows)]
    return "\n".join([
        r"\begin{table}", r"  \centering", rf"  \caption{{{latex(table.caption)}}}",
        rf"  \begin{{tabular}}{{{columns}}}", r"    \toprule", f"    {lines[0]}", r"    \midrule",
        *(f"    {line}" for line in lines[1:]), r"    \bottomrule", r"  \end{tabular}", r"\end{table}", "",
    ])  # fmt: skip


def latex(text: str) -> str:
    return "".join(SPECIAL.get(one, one) for one in text)


# methods


def methods(record: Record) -> str:
    """What was done, in the words of a methods section; nothing that was found."""
    verdict, protocol = record.verdict, record.provenance.get("Protocol", {})
    labels = [loss["label"] for loss in verdict["losses"]]
    cited = [f"{label} [@{record.sources[label]}]" if label in record.sources else label for label in labels]
    cell = verdict["cell"]
    data = record.labels.get(str(cell.get("data")), str(cell.get("data") or ""))
    rope = real(verdict["rope"])
    said = [
        f"We compared {len(labels)} loss functions ({', '.join(cited)}) under one protocol, with"
        f" {verdict['baseline_label']} as the baseline.",
        f"The data were {data}" + (f" under {_label(record, cell['stress'])}." if cell.get("stress") else "."),
        *(
            sentence.format(**protocol) + "."
            for sentence, key in (
                ("The network was {network}", "network"),
                ("It was trained with {optimizer} for {stages}", "optimizer"),
                ("Mixup: {mixup}", "mixup"),
                ("The design was {design}", "design"),
                ("An inner split, {inner split}, was set aside", "inner split"),
                ("Tuning: {tuning}", "tuning"),
            )
            if protocol.get(key)
        ),
        f"The primary metric was {verdict['primary_label']}; all losses shared folds, seeds, initial weights and the"
        f" order of the data, and were compared in {real(verdict['design']['pairs']) or 0:g} pairs of runs.",
        _error(verdict["design"]["kind"]),
        f"Comparisons with the baseline have simultaneous {percent(verdict['confidence'])} confidence intervals"
        f" (Bonferroni, {len(verdict['comparisons'])} comparisons); the losses that may be the best are given by"
        " comparisons with the best of the others (Hsu).",
        "" if rope is None else f"Differences within \u00b1{plain(rope)} were regarded as too small to matter.",
        "A run that failed counts as chance.",
        "Interim: not every planned run is finished, and every difference is over the pairs that are."
        if verdict["interim"]
        else "",
        *(part.methods for part in parts(verdict, inks(labels, verdict["baseline_label"]))),
        f"Computed with whichloss ({_machine(record)}).",
    ]  # fmt: skip
    return re.sub(r"\s+", " ", " ".join(filter(None, said))) + "\n"


def _label(record: Record, text: Any) -> str:
    return record.labels.get(str(text), str(text))


def _error(kind: str) -> str:
    if "re-drawn" in kind or "refold" in kind:
        return ("Standard errors allow for training sets that overlap between folds and seeds (Nadeau and Bengio's"
                " correction of the resampled t test).")  # fmt: skip
    if "fold" in kind or kind == "fixed":
        return "Seeds were averaged within folds; standard errors allow for training sets that overlap between folds."
    if "draw" in kind:
        return "Training sets were drawn independently, so that standard errors are those of a paired t test over them."
    return "The split of the data was given, so that intervals are for seeds on this split alone."


def _machine(record: Record) -> str:
    facts = record.provenance.get("Machine", {})
    return ", ".join(f"{name} {facts[name]}" for name in ("whichloss", "torch", "python", "device") if name in facts)


# figures


def _figures(record: Record, ink: Mapping[str, Ink], to: Callable[[str], Path]) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    with pyplot.rc_context({"svg.hashsalt": "whichloss", "pdf.fonttype": 42, "font.size": 9}):
        for name, figure in _drawn(record, ink, pyplot):
            for ending, none in (("svg", {"Date": None}), ("pdf", {"CreationDate": None})):
                figure.savefig(to(f"{name}.{ending}"), metadata=none)
            pyplot.close(figure)


def _drawn(record: Record, ink: Mapping[str, Ink], pyplot: Any) -> Iterator[tuple[str, Any]]:
    if any(real(c["difference"]) is not None for c in record.verdict["comparisons"]):
        yield "differences", _forest(record.verdict, ink, pyplot)
    if ranking := (record.verdict.get("supplement") or {}).get("ranking"):
        yield "critical-difference", _ranks(ranking, ink, pyplot)
    for at, title in enumerate(dict.fromkeys(curve.title for curve in record.curves)):
        yield f"curve-{at}", _curves([c for c in record.curves if c.title == title], ink, pyplot)


def _forest(verdict: Mapping[str, Any], ink: Mapping[str, Ink], pyplot: Any) -> Any:
    shown = [c for c in verdict["comparisons"] if real(c["difference"]) is not None]
    figure, axes = pyplot.subplots(figsize=(5, 0.8 + 0.4 * len(shown)), layout="constrained")
    if (rope := real(verdict["rope"])) is not None:
        axes.axvspan(-rope, rope, color="#dddddd", lw=0)
    axes.axvline(0, color="#888888", lw=0.8)
    for y, c in enumerate(reversed(shown)):
        one = ink[c["label"]]
        if real(c["low"]) is not None:
            axes.plot([c["low"], c["high"]], [y, y], color=COLOURS[one.hue], ls=DASHES[one.dash])
        filled = c["decision"] in ("better", "worse", "equal")
        axes.plot(c["difference"], y, MARKERS[one.marker], color=COLOURS[one.hue], mfc=None if filled else "white")
    axes.set_yticks(range(len(shown)), [_verbatim(c["label"]) for c in reversed(shown)])
    unit = f" ({verdict['unit']})" if verdict["unit"] else ""
    if verdict["interim"]:
        axes.set_title("Interim: runs are missing", fontsize=9)
    axes.set_xlabel(_verbatim(f"difference to {verdict['baseline_label']} in {verdict['primary_label']}{unit}"))
    return figure


def _ranks(ranking: Mapping[str, Any], ink: Mapping[str, Ink], pyplot: Any) -> Any:
    """The critical difference diagram: a rule as long as the difference, ranks, and bars that join what is closer."""
    labels, means = ranking["labels"], dict(zip(ranking["losses"], ranking["mean_ranks"], strict=True))
    joined = [group for group in ranking["groups"] if len(group) > 1]
    figure, axes = pyplot.subplots(figsize=(5, 1.2 + 0.3 * len(labels) + 0.15 * len(joined)), layout="constrained")
    critical = ranking["critical_difference"]
    axes.plot([1, 1 + critical], [-1, -1], "|-", color="#404040")
    axes.annotate(f"critical difference {plain(round(critical, 2))}", (1, -1.25), fontsize=8)
    for y, (label, mean) in enumerate(zip(labels, means.values(), strict=True)):
        axes.plot(mean, y, MARKERS[ink[label].marker], color=COLOURS[ink[label].hue])
    for at, group in enumerate(joined):
        y = len(labels) - 0.3 + 0.4 * at
        axes.plot([means[group[0]], means[group[-1]]], [y, y], color="black", lw=3, solid_capstyle="butt")
    axes.set_yticks(range(len(labels)), [_verbatim(label) for label in labels])
    axes.set(xlabel="mean rank, 1 is best", ylim=(len(labels) + 0.4 * len(joined), -2), xlim=(0.8, None))
    return figure


def _curves(group: Sequence[Curve], ink: Mapping[str, Ink], pyplot: Any) -> Any:
    figure, axes = pyplot.subplots(figsize=(5, 3.5), layout="constrained")
    for curve in group:
        one = ink[curve.loss]
        axes.fill_between(curve.x, curve.low, curve.high, color=COLOURS[one.hue], alpha=0.14, lw=0)
        axes.plot(curve.x, curve.mean, color=COLOURS[one.hue], ls=DASHES[one.dash], label=_verbatim(curve.loss))
    axes.set(xlabel=_verbatim(group[0].x_label), ylabel=_verbatim(group[0].y_label))
    axes.grid(alpha=0.25)
    axes.legend(fontsize=7)
    return figure


def _verbatim(text: str) -> str:
    """Matplotlib reads formulas between dollars, and leaves labels with an underscore first out of legends."""
    text = text.replace("$", r"\$")
    return "\u200b" + text if text.startswith("_") else text
