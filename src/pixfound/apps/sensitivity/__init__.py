"""Prompt sensitivity: the variation of a model's figures under perturbations of its input."""
