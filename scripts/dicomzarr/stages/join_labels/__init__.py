"""Stage `join_labels`: labels of the user joined with the series."""
