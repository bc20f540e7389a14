"""Analyses: each module looks at a finished run once more (`pixfound.pipeline.results.Analysis`)."""
