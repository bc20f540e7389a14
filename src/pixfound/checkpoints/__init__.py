"""Checkpoints: locating, loading, conversion of published names."""
