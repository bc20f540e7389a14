"""Pixel-level MLLMs, which decode masks from the hidden states of [SEG]: LISA, GLaMM, Sa2VA, RGA3."""
