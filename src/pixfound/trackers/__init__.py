"""Trackers: where a finished run is published."""
