"""Checks (gates) that a model must pass before its attention is trusted, and the certificate of their results."""
