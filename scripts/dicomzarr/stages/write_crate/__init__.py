"""`ro-crate-metadata.json`: the dataset and the run that made it, as a Provenance Run Crate."""
