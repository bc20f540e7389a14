"""Paired comparisons of finished runs: the command `pixfound-compare`. Nothing here needs torch."""
