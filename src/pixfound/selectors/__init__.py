"""Selectors: each module chooses the candidate for the referring expression."""
