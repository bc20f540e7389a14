"""Judges of free answers: `pixfound.interfaces.Judge`."""
