"""The geometry of image tokens: their positions in the pixels of the image."""
