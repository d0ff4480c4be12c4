"""Cases in files: what all layouts share.

place.py folders, and .zip archives read like folders · entry.py one case as its files lie · picture.py PNG, JPEG, TIFF
and single DICOM images · image.py any file as an array · frame.py how a volume lay before it was brought to the common
orientation and size, and the way back · resize.py linear, nearest, centred · file_set.py the data set that a layout
completes · label_map.py masks written as pictures or volumes
"""

from .entry import Entry as Entry
from .file_set import FileSet as FileSet
from .label_map import write_back as write_back
