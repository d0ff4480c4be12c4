"""Optimisers as values, one file each: torch's own, with the fields that a study may set."""
