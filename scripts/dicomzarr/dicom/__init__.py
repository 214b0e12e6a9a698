"""Knowledge of the DICOM standard: value representations, transfer syntaxes, SOP classes, header values. No I/O."""
