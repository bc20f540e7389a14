"""One reader for benchmarks that are tables: rows of a file, a map from columns to what an example needs."""
