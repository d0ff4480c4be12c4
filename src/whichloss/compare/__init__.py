"""The same verdict and page for scores that were computed elsewhere: files in, one table, verdict, page.

    compared = compare_tables(Asked(("dice=dice/fold_*/summary.json", "ce=ce/fold_*/summary.json"), rope=0.01, ...))
    print(*compared.verdict.sentences, sep="\\n")

One reader to a file: `tidy`, `nnunet`, `mist`, `luna16`. Nothing here trains, and nothing here loads torch.
"""

from whichloss.compare.asked import Asked
from whichloss.compare.conduct import Compared, compare_tables
from whichloss.compare.score import Score

__all__ = ["Asked", "Compared", "Score", "compare_tables"]
