"""Losses of other libraries under their origin's name, with that library's numbers where these are finite."""
