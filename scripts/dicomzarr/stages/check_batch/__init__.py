"""Stage `check_batch`: every array of a batch read back and judged."""
