"""Photometric interpretations: samples per pixel, and how many of them are stored.

References
----------
DICOM PS3.3 C.7.6.3.1.2, retired ones included.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from dicomzarr.vocabulary.allow_list import OTHER


class PhotometricInterpretation(NamedTuple):
    """One defined term of Photometric Interpretation (0028,0004).

    Attributes
    ----------
    samples : int
        Samples per Pixel (0028,0002) that it requires.
    stored : int
        Samples that uncompressed data hold for two pixels: fewer than `2 * samples` if chroma is subsampled.
    is_extracted : bool
        Whether such images become arrays.
    """

    name: str
    samples: int
    stored: int
    is_extracted: bool = True


PHOTOMETRIC: Mapping[str, PhotometricInterpretation] = {
    row.name: row
    for row in (
        PhotometricInterpretation("MONOCHROME1", 1, 2),
        PhotometricInterpretation("MONOCHROME2", 1, 2),
        PhotometricInterpretation("PALETTE COLOR", 1, 2),
        PhotometricInterpretation("RGB", 3, 6),
        PhotometricInterpretation("HSV", 3, 6, is_extracted=False),
        PhotometricInterpretation("ARGB", 4, 8, is_extracted=False),
        PhotometricInterpretation("CMYK", 4, 8, is_extracted=False),
        PhotometricInterpretation("YBR_FULL", 3, 6),
        PhotometricInterpretation("YBR_FULL_422", 3, 4),
        PhotometricInterpretation("YBR_PARTIAL_422", 3, 4),
        PhotometricInterpretation("YBR_PARTIAL_420", 3, 3),
        PhotometricInterpretation("YBR_ICT", 3, 6),
        PhotometricInterpretation("YBR_RCT", 3, 6),
        PhotometricInterpretation("XYB", 3, 6),
    )
}


PALETTE: Final = "PALETTE COLOR"  # to no other image does a palette apply (PS3.3 C.7.6.3.1.5, C.7.9)
GREY: Final = frozenset({"MONOCHROME1", "MONOCHROME2"})  # to no other image does a Modality LUT apply (PS3.3 C.11.1)


def known_photometric(value: str) -> str:
    """Return a value of Photometric Interpretation (0028,0004) that may leave `private/`.

    Parameters
    ----------
    value : str
        From the header, which may hold any text.

    Returns
    -------
    str
        The value if it is a key of `PHOTOMETRIC`, else `OTHER`.
    """
    return value if value in PHOTOMETRIC else OTHER
