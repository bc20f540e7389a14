"""Boxes and points that models say in text: pure functions from a text to coordinates in image pixels."""
