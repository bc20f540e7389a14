"""Prompts: templates and their perturbations."""
