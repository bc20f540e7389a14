"""Noun phrase finders: `pixfound.interfaces.PhraseFinder`."""
