"""Read numbers that are written in forms DICOM does not allow, where they have one meaning only.

PS3.5 6.2 allows a DS digits, a sign, a point and an exponent E. Writers that follow the locale of the system put a
comma for the point; some old programs put D for E, and some end a value of several numbers with a backslash.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Final

# Largest plausible value of attributes in mm, or without a unit: decides what a comma before three digits means.
_LARGEST: Final[Mapping[str, float]] = {
    "ImagePositionPatient": 9999.0,
    "ImageOrientationPatient": 999.0,
    "DiffusionGradientOrientation": 999.0,
    "PixelSpacing": 999.0,
    "ImagerPixelSpacing": 999.0,
    "NominalScannedPixelSpacing": 999.0,
    "SliceThickness": 999.0,
    "SpacingBetweenSlices": 999.0,
    "EstimatedRadiographicMagnificationFactor": 999.0,
}
_STANDARD: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_COMMA: Final = re.compile(r"[+-]?(\d*),(\d+)([eEdD][+-]?\d+)?", re.ASCII)
_POINT: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([dD][+-]?\d+)", re.ASCII)


def read_nonstandard(parts: Sequence[str], keyword: str = "") -> list[float] | None:
    """Return the numbers of a value of which at least one is not written as DICOM wants it.

    A comma is a decimal comma unless it may separate thousands: ``0,143``, ``12,5`` and ``1,2345`` have one meaning,
    ``1,234`` has two. A value of several numbers is read as one: a decimal comma anywhere in it settles the others, and
    so does an attribute that cannot be as large as the second meaning says. A value with points and commas is refused.
    Empty parts behind the last number hold nothing, and move no number; one before it leaves open what is missing.

    Parameters
    ----------
    parts : sequence of str
        The numbers of one value.
    keyword : str
        Attribute, which may bound the numbers.

    Returns
    -------
    list of float, or None
        One for each part up to the last that is not empty; None if a part is no number, or the numbers have more than
        one meaning.
    """
    stripped = [part.lstrip(" ").rstrip(" \0") for part in parts]
    while stripped and not stripped[-1]:
        stripped.pop()
    if any("," in part for part in stripped):
        commas = [_COMMA.fullmatch(part) for part in stripped]
        plain = [part.lstrip("+-").isdigit() and part.isascii() for part in stripped]
        if not all(comma or whole for comma, whole in zip(commas, plain, strict=True)):
            return None
        matches = [comma for comma in commas if comma is not None]
        if not any(_settles(match, _LARGEST.get(keyword, math.inf)) for match in matches):
            return None
        stripped = [part.replace(",", ".") for part in stripped]
    elif not all(_STANDARD.fullmatch(part) or _POINT.fullmatch(part) for part in stripped):
        return None
    numbers = [float(part.replace("d", "e").replace("D", "e")) for part in stripped]
    return numbers if numbers and all(map(math.isfinite, numbers)) else None


def _settles(match: re.Match[str], largest: float) -> bool:
    """Return whether the comma of a number cannot separate thousands."""
    whole, fraction, exponent = match[1], match[2], match[3]
    grouped = len(fraction) == 3 and 1 <= len(whole) <= 3 and not whole.startswith("0") and not exponent
    return not grouped or float(whole + fraction) > largest
