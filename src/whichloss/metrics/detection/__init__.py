"""Metrics of candidates: which lesions are found, at how many false positives per volume."""
