"""Boxes, points and masks that models say in text: from a text to coordinates, or a mask, in image pixels."""
