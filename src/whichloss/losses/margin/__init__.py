"""Losses whose formula sees signed margins."""
