"""Training of the miniature models that are shipped with the package."""
