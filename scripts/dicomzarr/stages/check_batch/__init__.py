"""Stage `check_batch`: read back every array of a batch and give verdicts on its depth and size."""
