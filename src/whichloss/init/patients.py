"""Whom cases are of, by their names."""

import re
from collections.abc import Sequence

# the first that finds somebody in every name, and fewer than there are names, is taken; and how many it must find
PATTERNS = (
    (r"(TCGA-\w\w-\w{4})", 1),
    (r"(?i)((?:patient|subject|subj|sub|person|pat|pt)[-_ ]?[a-z]{0,4}[-_ ]?\d+)", 1),
    (r"(?:^|/)([A-Za-z]{0,6}\d+)[-_]", 4),  # which may be anything else, too
)


def pattern_of(names: Sequence[str]) -> str | None:
    """A regular expression whose first bracket finds the patient in each name, or None.

    >>> pattern_of([f"patient{i // 3}_slice{i}" for i in range(12)])
    '(?i)((?:patient|subject|subj|sub|person|pat|pt)[-_ ]?[a-z]{0,4}[-_ ]?\\\\d+)'
    """
    for pattern, least in PATTERNS:
        found = [re.search(pattern, name) for name in names]
        if all(found):
            patients = {one[1] for one in found if one}
            if least <= len(patients) < len(names):
                return pattern
    return None
