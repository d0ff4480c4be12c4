"""Many machines: runs on a cluster that somebody else's engine looks after, with the store on a folder they share.

An engine is one file: it takes runs, and says how they ended. Which runs come next, and all that is done with their
results, is the same as on one machine. What is lost with a machine is tried again by the engine, not by us.
"""

from .engine import Engine, execute_on
from .place import HERE, Place, settings

__all__ = ["HERE", "Engine", "Place", "execute_on", "settings"]
