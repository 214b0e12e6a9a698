"""Convert header values to numbers, vectors and times. A malformed value counts as unknown; nothing here raises.

The values come from the header index, as JSON gives them, or from pydicom.
"""

from __future__ import annotations

import math
import re
from collections.abc import MutableSequence
from datetime import date
from functools import lru_cache
from typing import Any, Final

from dicomzarr.dicom.facts import Cosines, Vector

# Coordinates of seven digits, a kilometre and more, count as malformed, mm.
FARTHEST_MM: Final = 999_999.0
# Of the components of a unit vector, whatever a writer multiplied it by; no unit.
LONGEST_DIRECTION: Final = 1e3
# Pixels further apart than 10 m count as malformed, mm.
WIDEST_PIXEL_MM: Final = 1e4


def number(value: object) -> float | None:
    """Return a value as a finite number.

    Parameters
    ----------
    value : object
        Of any VR of numbers; of several values the first counts.

    Returns
    -------
    float or None
        None if it is not a finite number.
    """
    if type(value) is float or type(value) is int:  # as the index gives them
        return float(value) if math.isfinite(value) else None
    if isinstance(value, bytes) or value is None:
        return None
    if not isinstance(value, (str, int, float)) and hasattr(value, "__iter__"):
        value = next(iter(value), None)
    try:
        result = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return None
    return result if math.isfinite(result) else None


def numbers(value: object) -> tuple[float, ...] | None:
    """Return a multi-valued attribute as finite numbers.

    Parameters
    ----------
    value : object
        A list or pydicom's MultiValue.

    Returns
    -------
    tuple of float, or None
        None if any value is not a finite number.
    """
    if value is None or isinstance(value, (str, bytes)):
        return None
    if type(value) is list:  # as the index gives them
        try:
            return tuple(map(float, value)) if all(map(math.isfinite, value)) else None
        except (TypeError, OverflowError):  # not all are plain numbers: convert one by one
            pass
    parts = [number(part) for part in value] if hasattr(value, "__iter__") else [number(value)]
    return None if any(part is None for part in parts) else tuple(part for part in parts if part is not None)


def vector(value: object, largest: float = FARTHEST_MM) -> Vector | None:
    """Return a point, such as Image Position (Patient) (0020,0032).

    Parameters
    ----------
    value : object
        Three numbers.
    largest : float
        Absolute value that no number may exceed, mm.

    Returns
    -------
    tuple of 3 float, or None
        As stored, mm; None if it is not three finite numbers up to `largest`.
    """
    coordinates = numbers(value)
    if coordinates is None or len(coordinates) != 3 or max(map(abs, coordinates)) > largest:
        return None
    return (coordinates[0], coordinates[1], coordinates[2])


def direction_of(value: object) -> Vector | None:
    """Return a direction, such as Diffusion Gradient Orientation (0018,9089).

    Parameters
    ----------
    value : object
        Three numbers.

    Returns
    -------
    tuple of 3 float, or None
        As stored, no unit; None if it is not three finite numbers up to `LONGEST_DIRECTION`.
    """
    return vector(value, LONGEST_DIRECTION)


def cosines_of(value: object) -> Cosines | None:
    """Return Image Orientation (Patient) (0020,0037).

    Parameters
    ----------
    value : object
        Six numbers.

    Returns
    -------
    tuple of 6 float, or None
        Row cosines, then column cosines, as stored; None if it is not six finite numbers.
    """
    cosines = numbers(value)
    if cosines is None or len(cosines) != 6:
        return None
    a, b, c, d, e, f = cosines
    return (a, b, c, d, e, f)


_DATE: Final = re.compile(r"(\d{4})[.-]?(\d\d)[.-]?(\d\d)$", re.ASCII)
_TIME: Final = re.compile(r"(\d\d)(?::?(\d\d)(?::?(\d\d)(\.\d{1,6})?)?)?$", re.ASCII)
_STAMP: Final = re.compile(r"(\d{8})(\d[\d.]*)?([+-]\d{4})?$", re.ASCII)
# Long before any scan: a time with a date is never near one without.
_EPOCH: Final = date(1950, 1, 1).toordinal()


def date_time(day: object, time: object = None) -> float | None:
    """Return a date and time as seconds.

    Parameters
    ----------
    day : object
        A DT value; or, with `time`, a DA value, which may be empty.
    time : object
        A TM value.

    Returns
    -------
    float or None
        Seconds since 1950-01-01, since midnight if there is a time only; None if a value is malformed or has no time.

    References
    ----------
    DICOM PS3.5 section 6.2.
    """
    if day is None and time is None:
        return None
    text, clock = text_of(day), text_of(time)
    zone = 0.0
    if time is None:
        stamp = _STAMP.match(text)
        if stamp is None:
            return None
        text, clock = stamp[1], stamp[2] or ""
        if stamp[3]:
            zone = int(stamp[3][0] + "1") * (int(stamp[3][1:3]) * 3600 + int(stamp[3][3:]) * 60.0)
    seconds = 0.0
    if clock:
        parts = _TIME.match(clock)
        if parts is None:
            return None
        seconds = int(parts[1]) * 3600 + int(parts[2] or 0) * 60 + int(parts[3] or 0) + float(parts[4] or 0)
    elif time is not None:
        return None
    if not text or not clock:
        return seconds if clock else None
    days = _days(text)
    return None if days is None else days * 86400.0 + seconds - zone


@lru_cache(maxsize=1024)
def _days(text: str) -> int | None:
    """Return the days since 1950-01-01 of a DA value, or None if it is malformed."""
    match = _DATE.match(text)
    if match is None:
        return None
    try:
        return date(int(match[1]), int(match[2]), int(match[3])).toordinal() - _EPOCH
    except ValueError:
        return None


def text_of(value: object) -> str:
    """Return a value as text without padding.

    Parameters
    ----------
    value : object
        pydicom splits texts at each backslash, also those that can have one value alone, such as ROI Name (3006,0026).

    Returns
    -------
    str
        Several values are joined by a backslash, as in the file. Empty if the value is None.
    """
    if value is None:
        return ""
    # Lists, and the sequences of pydicom.
    text = "\\".join(map(str, value)) if isinstance(value, MutableSequence) else str(value)
    return text.strip(" \0")


def spacing_of(value: object) -> tuple[float, float] | None:
    """Return Pixel Spacing (0028,0030).

    Parameters
    ----------
    value : object
        Two numbers.

    Returns
    -------
    tuple of 2 float, or None
        Distance between rows, then between columns, mm; None if it is not two positive numbers.
    """
    spacing = numbers(value)
    if spacing is None or len(spacing) != 2 or min(spacing) <= 0 or max(spacing) > WIDEST_PIXEL_MM:
        return None
    return (spacing[0], spacing[1])


def rescale_of(slope: object, intercept: object) -> tuple[float, float] | None:
    """Return the linear modality transformation.

    Parameters
    ----------
    slope, intercept : object
        Rescale Slope (0028,1053) and Rescale Intercept (0028,1052).

    Returns
    -------
    tuple of 2 float, or None
        Slope and intercept; None if either is missing or malformed.
    """
    pair = (number(slope), number(intercept))
    return None if pair[0] is None or pair[1] is None else (pair[0], pair[1])


def windows_of(center: object, width: object) -> tuple[tuple[float, float], ...]:
    """Return the display windows.

    Parameters
    ----------
    center, width : object
        Window Center (0028,1050) and Window Width (0028,1051): one number or several.

    Returns
    -------
    tuple of tuple of 2 float
        Center and width of each window; empty if their numbers differ or a value is malformed.
    """
    centers, widths = _many(center), _many(width)
    return tuple(zip(centers, widths, strict=True)) if centers and len(centers) == len(widths) else ()


def window_function_of(value: object) -> str:
    """Return how a window maps values to grey, where it is not by the usual linear function.

    Parameters
    ----------
    value : object
        VOI LUT Function (0028,1056).

    Returns
    -------
    str
        ``LINEAR_EXACT`` or ``SIGMOID``; empty for ``LINEAR``, which holds also without the attribute.

    References
    ----------
    DICOM PS3.3 C.11.2.1.3.
    """
    return str(value) if value in ("LINEAR_EXACT", "SIGMOID") else ""


def _many(value: object) -> tuple[float, ...]:
    if isinstance(value, (str, int, float)):
        single = number(value)
        return () if single is None else (single,)
    return numbers(value) or ()


def value_of(item: Any, keyword: str) -> Any:
    """Return the value of an attribute.

    Parameters
    ----------
    item : pydicom Dataset
    keyword : str

    Returns
    -------
    object
        None if the attribute is absent, or pydicom cannot convert it.
    """
    try:
        return item.get(keyword)
    except MemoryError:  # the attribute is not absent
        raise
    except Exception:
        return None


def items_of(item: Any, keyword: str) -> list[Any]:
    """Return the items of a sequence.

    Parameters
    ----------
    item : pydicom Dataset
    keyword : str

    Returns
    -------
    list of pydicom Dataset
        Empty if the sequence is absent or malformed, or the attribute is not a sequence.
    """
    value = value_of(item, keyword)
    if value is None or isinstance(value, (str, bytes)) or not hasattr(value, "__iter__"):
        return []
    try:
        return [entry for entry in value if hasattr(entry, "get")]
    except MemoryError:
        raise
    except Exception:
        return []


def first_of(item: Any, keyword: str) -> Any:
    """Return the first item of a sequence.

    Parameters
    ----------
    item : pydicom Dataset
    keyword : str

    Returns
    -------
    pydicom Dataset or None
    """
    return next(iter(items_of(item, keyword)), None)
