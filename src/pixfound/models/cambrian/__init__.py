"""Cambrian-1 (arXiv 2406.16860): four vision towers, the Spatial Vision Aggregator and a Llama."""

TOWERS = ("siglip", "clip", "dinov2", "convnext")
