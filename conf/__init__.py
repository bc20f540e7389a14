"""The configuration tree, importable as `pixfound.conf`."""
