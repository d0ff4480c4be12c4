"""Losses whose formula sees the residual: output minus target."""
