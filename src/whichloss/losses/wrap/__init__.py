"""Losses whose formula sees the value of another loss."""
