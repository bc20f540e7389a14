"""From records to scores to metrics. Nothing here needs torch."""
