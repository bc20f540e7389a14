"""Selectors: each module decides which candidate stands for the referring expression."""
