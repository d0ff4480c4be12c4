"""The verdict and its table as Markdown, for a document that must not go stale: one command writes it again."""

from whichloss.stats import read
from whichloss.study import facts
from whichloss.study.conduct import Conducted, Prepared
from whichloss.study.measures import heading, title
from whichloss.study.study import Study


def as_markdown(prepared: Prepared, done: Conducted) -> str:
    study, verdict = prepared.study, done.verdict.to_json()
    comparisons = {one["loss"]: one for one in verdict["comparisons"]}
    unit = f" {verdict['unit']}" if verdict["unit"] else ""
    lower, plus = ("", "") if verdict["higher_is_better"] else (" (lower is better)", " (plus is better)")
    lines = [
        f"# {study.name}",
        "",
        f"**{study.question}**",
        "",
        *(f"{sentence}  " for sentence in verdict["sentences"]),
        "",
        *(f"*{warning}*  " for warning in verdict["warnings"]),
        "",
        f"Mean and standard deviation of {title(study.primary)}{unit and f' in{unit}'}{lower} over"
        f" {verdict['design']['pairs']} runs a loss; difference to {verdict['baseline_label']}{plus} with simultaneous"
        f" {verdict['confidence']:.0%} interval; rope {study.rope:g}{unit}.",
        "",
        "| loss | mean | sd | failed | difference | interval | decision | cannot be told from the best |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for loss in verdict["losses"]:
        one = comparisons.get(loss["loss"])
        cells = ["", "", "baseline"] if one is None else [
            _signed(one["difference"]), f"{_signed(one['low'])} to {_signed(one['high'])}", one["decision"],
        ]  # fmt: skip
        lines.append(
            f"| `{loss['label']}` | {_number(loss['mean'])} | {_number(loss['sd'])} | {loss['failed']} |"
            f" {cells[0]} | {cells[1]} | {cells[2]} | {'yes' if loss['in_best_set'] else 'no'} |"
        )
    lines += ["", *_secondary(prepared, done), *_conditions(prepared)]
    return "\n".join(lines) + "\n"


def _secondary(prepared: Prepared, done: Conducted) -> list[str]:
    """Means of the other metrics, which decide nothing."""
    study = prepared.study
    cell = done.verdict.to_json()["cell"]
    rows = [
        row
        for row in read(done.report.parent / "results.csv")
        if row.split == "test" and all(getattr(row, name) == cell[name] for name in ("data", "network", "stress"))
    ]
    others = [metric for metric in study.metrics if metric != study.primary]
    if not others:
        return []
    units = {row.metric: row.unit for row in rows}
    heads = [heading(one, units.get(repr(one), "")) for one in others]
    lines = ["Descriptive, deciding nothing:", "", "| loss | " + " | ".join(heads) + " |"]
    lines.append("|---" * (len(others) + 1) + "|")
    for loss in study.losses:
        cells = []
        for metric in others:
            values = [
                row.value
                for row in rows
                if row.loss == repr(loss) and row.metric == repr(metric) and row.value is not None
            ]
            cells.append(_number(sum(values) / len(values)) if values else "")
        lines.append(f"| `{study.labels[repr(loss)]}` | " + " | ".join(cells) + " |")
    return [*lines, ""]


def _conditions(prepared: Prepared) -> list[str]:
    study = prepared.study
    found = facts.ended(prepared.final, prepared.store)
    seconds = [record["seconds"] for _, record in found if record.get("seconds") is not None]
    beside = {name: value for _, record in found for name, value in record["beside"].items() if name != "source"}
    return [
        f"Data: {', '.join(f'`{one.label}` ({len(cases.ids)} cases)' for one, cases in prepared.data.items())}.",
        f"Network: {', '.join(f'`{one.label}`' for one in study.network)}.",
        f"Optimizer: `{study.training.optimizer.label}`, {study.training.schedule.label.lower()} rate,"
        f" {'; '.join(f'{stage.epochs} epochs of batch {stage.batch}' for stage in study.training.plan)}.",
        *_tuned(study),
        f"Computed with {', '.join(f'{name} {value}' for name, value in sorted(beside.items()))};"
        f" {sum(seconds) / max(1, len(seconds)):.0f} s a run, {sum(seconds) / 60:.0f} min of one worker in all.",
    ]


def _tuned(study: Study) -> list[str]:
    if study.tune is None:
        return []
    over = ", ".join(f"{name} {one}" for name, one in study.tune.over.items())
    where = "once, on patients who are not tested on" if study.tune.where == "once" else "in each training part"
    return [f"Tuned: {study.tune.budget} for each loss {where}, the published settings first; {over}."]


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _signed(value: float | None) -> str:
    return "?" if value is None else f"{value:+.4f}"
