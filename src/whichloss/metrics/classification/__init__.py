"""Metrics of one answer per image."""
