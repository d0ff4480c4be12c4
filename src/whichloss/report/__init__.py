"""From plain tables to one offline page. Sees no tensor, no training and no statistics: only a `Record`."""

from whichloss.report.page import page
from whichloss.report.record import Curve, Record

__all__ = ["Curve", "Record", "page"]
