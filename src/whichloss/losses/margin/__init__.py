"""Losses whose formula sees signed margins, or cosines with a margin between them."""
