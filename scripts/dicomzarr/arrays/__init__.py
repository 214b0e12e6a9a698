"""Volumes to Zarr arrays and back."""
