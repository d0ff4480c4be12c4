"""Losses whose formula sees the log-probability of the truth."""
