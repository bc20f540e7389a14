"""Attention over the image: capture, and the generation loop, KV cache and prefix sharing built for it."""
