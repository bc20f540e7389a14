"""Preparing and verifying the paper's benchmarks on disk: the command `pixfound-data`."""
