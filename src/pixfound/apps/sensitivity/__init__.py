"""Prompt sensitivity: how much the figures of one model move when what it is given is varied."""
