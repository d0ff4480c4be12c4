"""A record becomes one HTML file that needs nothing else: no network, no fonts, no second file."""

import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from importlib.resources import files
from math import isfinite
from typing import Any

from whichloss.report import figures, supplement, tables, use, words
from whichloss.report.inks import inks
from whichloss.report.record import Picture, Record

PICTURES = 1_500_000  # bytes of all pictures of a page
FEW = 40  # facts of a section of the provenance that stand below each other


def page(record: Record) -> str:
    """The whole report as one string. The same record gives the same bytes."""
    from markupsafe import Markup

    return render("page.html.jinja", record=record, plotly=Markup(_plotly()), **contents(record))


def render(template: str, **content: Any) -> str:
    """A template of this folder with our style and script, as one string."""
    from jinja2 import Environment, FunctionLoader, StrictUndefined
    from markupsafe import Markup, escape

    def breakable(text: str) -> Markup:
        """Lets a long name break where a reader would: Dice(|smooth=|1.0)."""
        return Markup("<wbr>").join(map(escape, re.split(r"(?<=[(,=_/])|(?<=\.)(?=[A-Za-z])", text)))

    environment = Environment(
        loader=FunctionLoader(_own), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.policies["json.dumps_kwargs"] = {"sort_keys": False, "allow_nan": False}
    environment.filters["breakable"] = breakable
    environment.globals["meaning"] = words.meaning
    css, script = Markup(_own("page.css")), Markup(_own("page.js"))
    html = environment.get_template(template).render(css=css, script=script, **content)
    return html.encode("utf-8", "replace").decode("utf-8")  # a crash message may hold half a character


def contents(record: Record) -> dict[str, Any]:
    """What the template places, already in words, tables and figures."""
    verdict = record.verdict
    losses = [loss["label"] for loss in verdict["losses"]]
    labels = {**record.labels, **{loss["loss"]: loss["label"] for loss in verdict["losses"]}}
    ink = inks([*losses, *(curve.loss for curve in record.curves)], verdict["baseline_label"])
    compared = [c for _, c in tables.ranked(verdict) if c is not None]
    best = [loss["label"] for loss in verdict["losses"] if loss["in_best_set"]]
    forest = figures.forest(verdict, compared, ink) if compared else None
    curves = figures.curves(record.curves, ink, [verdict["baseline_label"], *best])
    beside = supplement.parts(verdict, ink)
    drawn = [forest, *(part.figure for part in beside), *curves]
    return {
        "verdict": jsonable(verdict),
        "beside": beside,
        "undecided": supplement.undecided(verdict) if beside else [],
        "facts": tables.design(verdict),
        "forest": forest,
        "reasons": [(c["label"], c["decision"], c["reason"]) for c in compared if c["reason"]],
        "overview": tables.overview(verdict, ink),
        "details": tables.details(verdict, compared, ink) if compared else None,
        "others": tables.others(record.results, verdict, labels, ink, record.meanings),
        "curves": curves,
        "pictures": album(record.pictures),
        "left_out": len(record.pictures) - len(affordable(record.pictures)),
        "drawings": {f.id: {"data": f.data, "layout": f.layout} for f in drawn if f},
        "costs": tables.costs(record.costs, verdict["baseline_label"], ink) if record.costs else None,
        "failures": tables.failures(record.failures, labels, ink) if record.failures else None,
        "meanings": words.meanings(verdict),
        "advice": words.advice(verdict),
        "tuned": use.told(verdict, record.recipes),
        "snippets": use.snippets(verdict, record.recipes, record.ours),
        "settings": tables.settings(record.recipes, labels, ink),
        "few": FEW,
    }


def affordable(pictures: Sequence[Picture]) -> list[Picture]:
    """The first so many that the page stays small enough to be sent."""
    kept, total = [], 0
    for one in pictures:
        total += len(one.png)
        if total > PICTURES:
            break
        kept.append(one)
    return kept


def album(pictures: Sequence[Picture]) -> dict[str, list[dict[str, Any]]]:
    """Title -> its pictures: caption, width and height in pixels, and the PNG in base 64."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for one in affordable(pictures):
        width, height = (int.from_bytes(one.png[at : at + 4], "big") for at in (16, 20))  # where a PNG has them
        shown = {"caption": one.caption, "width": width, "height": height, "png": b64encode(one.png).decode()}
        groups.setdefault(one.title, []).append(shown)
    return groups


def jsonable(value: Any) -> Any:
    """JSON has no NaN: a number that is none becomes null."""
    if isinstance(value, Mapping):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(item) for item in value]
    return None if isinstance(value, float) and not isfinite(value) else value


def _own(name: str) -> str:
    return files("whichloss.report").joinpath(name).read_text("utf-8")


def _plotly() -> str:
    from plotly.offline import get_plotlyjs

    return get_plotlyjs().replace("</script", "<\\/script")
