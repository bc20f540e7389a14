"""Records on disk: content-addressed, resumable."""
