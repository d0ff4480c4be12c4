"""`whichloss init PATH`: look at somebody's own data, and write a study of them that runs as it is.

layout.py which reader a folder or file is for · look.py what is in the cases · patients.py who they are of, by their
names · copies.py the same image twice, or nearly · wrong.py what looks wrong · guess.py task, losses, network, metric ·
budget.py cases and epochs that end in time · write.py the study file
"""

from .guess import Guess as Guess
from .guess import guess as guess
from .layout import recognise as recognise
from .look import Seen as Seen
from .look import look as look
from .write import as_study as as_study
from .wrong import Finding as Finding
from .wrong import findings as findings
