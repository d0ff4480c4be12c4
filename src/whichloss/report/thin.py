"""Fewer points for a curve that is drawn: to the eye, those left out lie on the line through the others."""

from collections.abc import Collection, Sequence
from itertools import pairwise
from math import floor, log10


def thin(x: Sequence[float], y: Sequence[float], tolerance: float, marks: Collection[float] = ()) -> list[int]:
    """Which points to keep, so that the line through them is nowhere farther than `tolerance` (in y) from any other.

    Both ends stay, the least and the greatest y, and the points at `marks`. Between them the farthest point is kept
    until none is too far: the method of Douglas and Peucker, with distances along y. x does not fall.
    """
    if len(y) < 3:
        return list(range(len(y)))
    places = range(len(y))
    kept = {0, len(y) - 1, min(places, key=y.__getitem__), max(places, key=y.__getitem__)}
    kept |= {at for at in places if any(abs(x[at] - mark) < 1e-9 for mark in marks)}
    spans = list(pairwise(sorted(kept)))
    while spans:
        first, last = spans.pop()
        far, at = 0.0, first
        for between in range(first + 1, last):
            distance = _distance(x, y, first, last, between)
            if distance > far:
                far, at = distance, between
        if far > tolerance:
            kept.add(at)
            spans += [(first, at), (at, last)]
    return sorted(kept)


def _distance(x: Sequence[float], y: Sequence[float], first: int, last: int, at: int) -> float:
    """Of a point from the chord between two others; any number from a chord that stands upright."""
    if x[last] == x[first]:
        return float("inf")
    share = (x[at] - x[first]) / (x[last] - x[first])
    return abs(y[at] - y[first] - share * (y[last] - y[first]))


def rounded(y: float, span: float) -> float:
    """To five digits of a span, which is finer than any screen."""
    return round(y, 5 - floor(log10(span))) if span > 0 else y
