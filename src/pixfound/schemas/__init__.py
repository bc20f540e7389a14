"""JSON Schemas of the files that a run writes."""
