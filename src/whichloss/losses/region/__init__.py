"""Losses whose formula sees soft TP, FP and FN of a region."""
