"""Exports: what the arrays of the dataset become for tools that want PNG, NPZ or NIfTI."""
