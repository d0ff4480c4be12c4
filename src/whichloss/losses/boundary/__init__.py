"""Losses of where elements lie: distances to a boundary, skeletons, erosions."""
