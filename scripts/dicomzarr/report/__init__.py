"""The report for people: one self-contained HTML page, made from the dataset's own tables and arrays."""
