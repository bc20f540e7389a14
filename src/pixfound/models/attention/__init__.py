"""Attention: capturing it, and decoding around it."""
