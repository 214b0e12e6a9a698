"""Closed vocabularies: rules, reasons, flags, findings, errors. No logic, no I/O, no imports from other packages."""
