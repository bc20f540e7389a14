"""Paired benchmarks: each module holds one, a `Sequence` of `pixfound.types.Example`."""
