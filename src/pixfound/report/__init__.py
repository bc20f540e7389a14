"""Outputs for people: the console's table, report.md, the picture sheet."""
