"""Clients of OpenAI-compatible chat endpoints, of which a judge and a model are made."""
