"""Findings of a run in the files of other programs: the command `pixfound-export`."""
