"""2.5-D views: three orthogonal planes through a candidate, out of a CT volume.

volume.py where voxels lie in the world · read.py files and DICOM series · found.py volumes by name · listed.py
candidates and annotations · frames.py how the planes are turned and shifted · sample.py grey values on them · cache.py
what was computed before
"""

from .frames import Frames as Frames
from .frames import draw as draw
from .read import read_volume as read_volume
from .sample import Sampler as Sampler
from .sample import grey as grey
from .volume import Volume as Volume
