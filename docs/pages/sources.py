"""references.bib in words."""

import re
import unicodedata
from dataclasses import dataclass
from importlib.resources import files

ACCENTS = {"'": "\u0301", "`": "\u0300", '"': "\u0308", "^": "\u0302", "~": "\u0303", "v": "\u030c", "c": "\u0327"}


@dataclass(frozen=True)
class Source:
    """One entry of the bibliography."""

    key: str
    kind: str
    fields: dict[str, str]

    @property
    def authors(self) -> str:
        names = [" ".join(reversed(name.split(", ", 1))) for name in self.fields.get("author", "").split(" and ")]
        if names[-1] == "others":
            return f"{', '.join(names[:-1])} et al."
        return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"

    @property
    def short(self) -> str:
        """As a sentence names it: Lin et al. 2017."""
        last = [name.split(",")[0].split()[-1] for name in self.fields.get("author", "").split(" and ") if name]
        year = self.fields.get("year", "")
        if not last:
            return self.fields["title"]
        several = f"{last[0]} and {last[1]}" if len(last) == 2 and last[1] != "others" else f"{last[0]} et al."
        return f"{last[0] if len(last) == 1 else several} {year}".rstrip()

    @property
    def text(self) -> str:
        """As a list of references has it, in Markdown."""
        at = self.fields
        place = at.get("journal") or at.get("booktitle") or at.get("publisher") or at.get("note", "")
        issue = at.get("volume", "") + (f"({at['number']})" if "number" in at else "")
        where = ", ".join(part for part in (" ".join(filter(None, (place, issue))), at.get("pages", "")) if part)
        if "eprint" in at:
            where += f":{at['eprint']}" if place == "arXiv" else f", arXiv:{at['eprint']}"
        parts = [self.authors, f"*{at['title']}*", where, at.get("year", "")]
        doi = f" [doi:{at['doi']}](https://doi.org/{at['doi']})" if "doi" in at else ""
        return ". ".join(part.rstrip(".") for part in parts if part) + "." + doi


def sources() -> dict[str, Source]:
    """All entries, by key."""
    text = files("whichloss").joinpath("references.bib").read_text(encoding="utf-8")
    found = re.finditer(r"^@(\w+)\{([^,\s]+),(.*?)^\}", text, re.DOTALL | re.MULTILINE)
    return {key: Source(key, kind, _fields(body)) for kind, key, body in (one.groups() for one in found)}


def _fields(body: str) -> dict[str, str]:
    return {name: _plain(value) for name, value in re.findall(r"^\s*(\w+)\s*=\s*\{(.*)\},?\s*$", body, re.MULTILINE)}


def _plain(latex: str) -> str:
    r"""TeX's accents and braces as plain letters.

    >>> _plain(r"Doll{\'a}r and {\v{S}}, {D}ice \& co, 1--13")
    'Dollár and Š, Dice & co, 1–13'
    """  # noqa: RUF002

    def accented(found: re.Match[str]) -> str:
        return unicodedata.normalize("NFC", found[2] + ACCENTS[found[1]])

    text = re.sub(r"\\(['`\"^~]|[vc](?=\{))\{?\\?([A-Za-z])\}?", accented, latex)
    return text.replace("\\&", "&").replace("\\o", "ø").replace("--", "\u2013").replace("{", "").replace("}", "")


def cited(markdown: str, up: str = "") -> str:
    """[@key] as a link to the list of references; raises KeyError where no source has that key."""
    known = sources()

    def link(found: re.Match[str]) -> str:
        return f"([{known[found[1]].short}]({up}references.md#{found[1]}))"

    return re.sub(r"\[@(\w+)\]", link, markdown)


def references_page() -> str:
    lines = ["# References", "", "The sources of formulas, metrics, data and statistics.", ""]
    for key, source in sorted(sources().items(), key=lambda one: one[1].short.lower()):
        lines += [f'<p id="{key}" markdown>{source.text}</p>', ""]
    return "\n".join(lines)
