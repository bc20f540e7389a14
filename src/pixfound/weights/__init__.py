"""The embedded miniature models."""
