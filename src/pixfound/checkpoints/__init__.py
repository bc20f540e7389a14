"""Checkpoints: locating and loading of weights, conversion of published names."""
