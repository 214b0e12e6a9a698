"""Stage `extract_batch`: write the arrays of the series of one batch."""
