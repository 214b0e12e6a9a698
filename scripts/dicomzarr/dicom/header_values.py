"""Values of a header as numbers, vectors and times: whatever is malformed counts as unknown, and nothing raises.

They come from the header index, as JSON gives them, or from pydicom.
"""

from __future__ import annotations

import math
import re
from datetime import date
from functools import lru_cache
from typing import Any, Final

from dicomzarr.dicom.facts import Cosines, Vector

# Coordinates beyond 10 km are no coordinates, mm.
FARTHEST_MM: Final = 1e7


def number(value: object) -> float | None:
    """Return a finite number, the first of several, or None."""
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
    """Return finite numbers, or None if any is not."""
    if value is None or isinstance(value, (str, bytes)):
        return None
    if type(value) is list:  # as the index gives them
        try:
            return tuple(map(float, value)) if all(map(math.isfinite, value)) else None
        except (TypeError, OverflowError):  # it takes a closer look
            pass
    parts = [number(part) for part in value] if hasattr(value, "__iter__") else [number(value)]
    return None if any(part is None for part in parts) else tuple(part for part in parts if part is not None)


def vector(value: object) -> Vector | None:
    """Return three finite coordinates, mm, or None."""
    found = numbers(value)
    if found is None or len(found) != 3 or max(map(abs, found)) > FARTHEST_MM:
        return None
    return (found[0], found[1], found[2])


def six(value: object) -> Cosines | None:
    """Return six finite numbers, or None."""
    found = numbers(value)
    if found is None or len(found) != 6:
        return None
    a, b, c, d, e, f = found
    return (a, b, c, d, e, f)


_DATE: Final = re.compile(r"(\d{4})[.-]?(\d\d)[.-]?(\d\d)$", re.ASCII)
_TIME: Final = re.compile(r"(\d\d)(?::?(\d\d)(?::?(\d\d)(\.\d{1,6})?)?)?$", re.ASCII)
_STAMP: Final = re.compile(r"(\d{8})(\d[\d.]*)?([+-]\d{4})?$", re.ASCII)
_EPOCH: Final = date(2000, 1, 1).toordinal()


def date_time(day: object, time: object = None) -> float | None:
    """Return seconds since 2000-01-01 of a DT value, or of a DA and a TM value; of a TM alone since midnight.

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
    if not text:
        return seconds if clock else None
    days = _days(text)
    return None if days is None else days * 86400.0 + seconds - zone


@lru_cache(maxsize=1024)
def _days(text: str) -> int | None:
    """Return the days since 2000-01-01 of a DA value, or None where it is none."""
    match = _DATE.match(text)
    if match is None:
        return None
    try:
        return date(int(match[1]), int(match[2]), int(match[3])).toordinal() - _EPOCH
    except ValueError:
        return None


def text_of(value: object) -> str:
    """Return a text without padding, empty where there is none."""
    return "" if value is None else str(value).strip(" \0")


def lengths(value: object) -> tuple[float, float] | None:
    """Return Pixel Spacing (0028,0030): two positive lengths, mm, or None."""
    found = numbers(value)
    if found is None or len(found) != 2 or min(found) <= 0 or max(found) > FARTHEST_MM:
        return None
    return (found[0], found[1])


def rescale_of(slope: object, intercept: object) -> tuple[float, float] | None:
    """Return Rescale Slope (0028,1053) and Intercept (0028,1052), or None where either is missing."""
    pair = (number(slope), number(intercept))
    return None if pair[0] is None or pair[1] is None else (pair[0], pair[1])


def windows_of(center: object, width: object) -> tuple[tuple[float, float], ...]:
    """Return Window Center (0028,1050) and Width (0028,1051) pairwise, none where they do not pair."""
    centers, widths = _many(center), _many(width)
    return tuple(zip(centers, widths, strict=True)) if centers and len(centers) == len(widths) else ()


def _many(value: object) -> tuple[float, ...]:
    if isinstance(value, (str, int, float)):
        one = number(value)
        return () if one is None else (one,)
    return numbers(value) or ()


def value_of(item: Any, keyword: str) -> Any:
    """Return an attribute's value, or None where it is absent or cannot be converted."""
    try:
        return item.get(keyword)
    except Exception:
        return None


def items_of(item: Any, keyword: str) -> list[Any]:
    """Return the items of a sequence; none where it is absent, malformed or something else."""
    value = value_of(item, keyword)
    if value is None or isinstance(value, (str, bytes)) or not hasattr(value, "__iter__"):
        return []
    try:
        return [entry for entry in value if hasattr(entry, "get")]
    except Exception:
        return []


def first_of(item: Any, keyword: str) -> Any:
    """Return the first item of a sequence, or None."""
    return next(iter(items_of(item, keyword)), None)
