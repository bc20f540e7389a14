"""Preparation and verification of the paper's benchmarks on disk: the command `pixfound-data`."""
