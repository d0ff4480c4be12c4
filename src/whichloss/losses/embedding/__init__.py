"""Losses whose formula sees the cases of a batch beside each other: pairs, triplets, similarities."""
