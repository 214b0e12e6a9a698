"""Stage `extract_batch`: the arrays of the series of one batch."""
