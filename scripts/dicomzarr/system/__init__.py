"""Processes, files, locks and limits. Knows no DICOM."""
