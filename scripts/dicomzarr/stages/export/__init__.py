"""Stages `export_png`, `export_npz`, `export_nifti`, `export_preview`."""
