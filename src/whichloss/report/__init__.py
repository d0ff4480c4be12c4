"""From plain tables to offline pages. Sees no tensor, no training, no statistics: a `Record`, or what verdicts say."""

from whichloss.report.beside import beside
from whichloss.report.page import page
from whichloss.report.record import Curve, Picture, Recipe, Record

__all__ = ["Curve", "Picture", "Recipe", "Record", "beside", "page"]
