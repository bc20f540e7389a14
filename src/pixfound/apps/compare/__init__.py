"""Paired comparisons of finished runs: the command `pixfound-compare`. Needs no torch."""
