"""Attributes that arrays and masks can have: name -> what values it may have. Their meanings: docs/outputs.md."""

from __future__ import annotations

_NUMBER, _NUMBERS, _YES, _COUNT = "a number", "a list of numbers", "true or false", "a whole number"
_WORD, _WORDS = "a word of a closed list", "words of a closed list"
_BY_NAME = "numbers under names of a closed list"

# `dicomzarr` of an image.
OF_IMAGES = {
    "acquisition": f"{_BY_NAME}, and words of closed lists",
    "affine_lps": "16 numbers, millimetres",
    "affine_residual_mm": _NUMBER,
    "bits_allocated": _COUNT,
    "bits_stored": _COUNT,
    "decoder": "names of decoders with versions",
    "dose_grid_scaling": _NUMBER,
    "dose_units": "GY or RELATIVE",
    "flags": _WORDS,
    "group": "a keyed id, or none",
    "kind": _WORD,
    "lossy": _YES,
    "missing_slices": _COUNT,
    "modality": "a defined term of Modality (0008,0060), OTHER or nothing",
    "modality_lut": "a table of numbers",
    "mosaic": f"true, or {_BY_NAME}",
    "one_file": "true, or numbers of frames",
    "orientation_lps": "six numbers between -1 and 1",
    "origin_lps": "three numbers, millimetres",
    "padding_range_limit": _NUMBER,
    "padding_value": _NUMBER,
    "palette": "tables of numbers",
    "photometric": "a defined term of Photometric Interpretation (0028,0004) or OTHER",
    "photometric_source": "defined terms of Photometric Interpretation (0028,0004) or OTHER",
    "positions_lps": "three numbers for each slice, millimetres",
    "positions_mm": "a number for each slice, millimetres",
    "real_world_value": "pairs of numbers",
    "rescale": "pairs of numbers",
    "spacing_source": "keywords of DICOM attributes",
    "split_by": _WORDS,
    "t_axis": f"{_WORDS}, and numbers",
    "transfer_syntax": "UIDs of standard transfer syntaxes",
    "unreadable_numbers": "keywords of DICOM attributes",
    "window": "pairs of numbers",
    "window_function": "defined terms of VOI LUT Function (0028,1056)",
}
# `dicomzarr` of a mask.
OF_MASKS = {
    "affine_lps": "16 numbers, millimetres",
    "algorithm": "manual, semi-automatic or automatic",
    "code": "a scheme and a code of the table of codes of this project",
    "counts": _BY_NAME,
    "flags": _WORDS,
    "foreground": _BY_NAME,
    "form": "a defined term of DICOM, or CLOSED_PLANAR",
    "kind": "SEG or RTSTRUCT",
    "mask": "a name of the vocabulary, or unnamed, and a number",
    "maximum_fraction": _COUNT,
    "name": "a name of the vocabulary or of the configuration; or nothing",
    "outside": "a number between 0 and 1",
    "voxels": _COUNT,
}
# `ome`, of all of them: OME-Zarr 0.5.
OF_OME = {
    "image-label": "colours, a name of the vocabulary, and a path in the dataset",
    "labels": "keyed ids, or names of masks",
    "multiscales": "names and units of axes, numbers, and a keyed id",
    "omero": "numbers, colours, and a modality",
    "version": "the version of OME-Zarr",
}
