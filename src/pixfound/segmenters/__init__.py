"""Segmenters: each module adapts one family to `pixfound.interfaces.Segmenter`."""
