"""Metrics of one answer per pixel or voxel."""
