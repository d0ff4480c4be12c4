"""Metrics of one quantity per image."""
