"""Entries of the bibliography, by key."""

import re
from collections.abc import Iterable
from importlib.resources import files


def bibliography(keys: Iterable[str]) -> str:
    """BibTeX of these keys, each once, in their order; keys that nobody knows are left out."""
    text = files("whichloss").joinpath("references.bib").read_text(encoding="utf-8")
    entries = {match[1]: match[0] for match in re.finditer(r"^@\w+\{([^,\s]+),.*?^\}", text, re.DOTALL | re.MULTILINE)}
    return "\n\n".join(entries[key] for key in dict.fromkeys(keys) if key in entries) + "\n"
