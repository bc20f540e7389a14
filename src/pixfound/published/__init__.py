"""Figures of others, with their sources."""
