"""Parsers of boxes, points and masks that models write as text: from text to coordinates or masks in image pixels."""
