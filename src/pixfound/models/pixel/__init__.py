"""Pixel-level MLLMs: LISA, GLaMM, Sa2VA, RGA3."""
