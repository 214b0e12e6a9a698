"""Stage `join_labels`: give each series its labels and fixed split."""
