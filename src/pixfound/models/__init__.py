"""Models: each module adapts one family to `pixfound.interfaces.Model`."""
