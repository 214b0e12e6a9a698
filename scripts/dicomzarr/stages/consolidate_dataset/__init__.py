"""Stage `consolidate_dataset`: accounts of the source and tables of the dataset."""
