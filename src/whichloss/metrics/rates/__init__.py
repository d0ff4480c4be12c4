"""Metrics of one answer per image, pixel or voxel: how often a yes, or a no, is found."""
