"""Where image tokens lie in the image."""
