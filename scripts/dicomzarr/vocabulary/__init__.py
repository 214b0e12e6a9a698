"""Closed lists of words: rules, reasons, flags, findings, errors. No logic, no I/O; imports nothing of ours."""
