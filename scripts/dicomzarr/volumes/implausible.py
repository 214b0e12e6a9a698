"""Numbers of a frame that it cannot have: a date in place of a quantity, or a window far outside its values.

Counters and clocks (Instance Number, Acquisition Time ...) sort frames and are never written as they are, so they stay.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from dicomzarr.dicom.dates_in_numbers import FIRST_DATE, any_date, may_be_date
from dicomzarr.volumes.model import Frame

FLAG: Final = "implausible_number"
RESCALE_FLAG: Final = "rescale_incomplete"  # a rescale that was not used: stored values are not physical ones
_MANY_DIGITS: Final = 1e6  # a day or a month may lack its zero: seven digits are too many beyond the values
_TIMES: Final = 4  # how far a number may be beyond the values that it is about
# Times in seconds that the header gives in milliseconds.
_MILLISECONDS: Final = ("frame_reference_time_s", "temporal_offset_s")
# Causes that are quantities, not counters or clocks.
_QUANTITIES: Final = ("_ms", "_mm", "_percent", "b_value")


def without_implausible(frame: Frame) -> Frame:
    """Return a frame without numbers that may be dates or other ids, flagged `implausible_number` if it had one.

    Parameters
    ----------
    frame : Frame

    Returns
    -------
    Frame
        The same frame if there is no such number.

    Notes
    -----
    A number of less than seven digits is always kept. A window is dropped if it reads as a date, or lies beyond four
    times the largest rescaled value; a rescale or a mapping to real world values if it reads as a date, if its slope
    has seven digits, or if its intercept has and lies beyond four times the largest stored integer. Round numbers, such
    as 1e6, convert units and are kept. A legitimate window of 32-bit data may read as a date: the window is a hint for
    display, and one whole number in 27 of that size does.
    """
    largest = float(1 << frame.bits_stored) if frame.dtype[1] in "iu" else float("inf")
    changes: dict[str, Any] = {}
    rescale = frame.rescale
    of_stored = largest if math.isfinite(largest) else 0.0
    if rescale is not None and _is_no_mapping(rescale, of_stored):
        changes["rescale"] = rescale = None
    if frame.window:
        slope, intercept = rescale or (1.0, 0.0)
        limit = abs(slope) * largest + abs(intercept)
        window = tuple(w for w in frame.window if not any_date(w) and not any(_is_beyond(n, limit) for n in w))
        if len(window) < len(frame.window):
            changes["window"] = window
    if frame.real_world is not None and _is_no_mapping(frame.real_world, of_stored):
        changes["real_world"] = None
    for name, values in (("causes", frame.causes), ("constants", frame.constants)):
        dates = _dates(values, all_names=name == "constants")
        if dates:
            changes[name] = {key: value for key, value in values.items() if key not in dates}
    if not changes:
        return frame
    flags = {*frame.flags, FLAG} | ({RESCALE_FLAG} if "rescale" in changes else set())
    return replace(frame, **changes, flags=tuple(sorted(flags)))


def _is_no_mapping(pair: tuple[float, float], largest: float) -> bool:
    """Return whether slope and intercept can be no mapping of stored values up to `largest`."""
    slope, intercept = pair
    if abs(slope) < _MANY_DIGITS and abs(intercept) < _MANY_DIGITS:  # nearly all
        return False
    is_beyond = not _is_round(intercept) and _is_beyond(intercept, largest)
    return any_date(pair) or (abs(slope) >= _MANY_DIGITS and not _is_round(slope)) or is_beyond


def _is_round(number: float) -> bool:
    """Return whether a number has three digits, or fewer, that are not the zeros at its end: 1e6 converts a unit."""
    return float(f"{number:.2e}") == number


def _is_beyond(number: float, largest: float) -> bool:
    return abs(number) >= _MANY_DIGITS and abs(number) > _TIMES * largest


def _dates(values: Mapping[str, float], *, all_names: bool) -> set[str]:
    """Return the names of the quantities that read as a date."""
    dates = {name for name in _MILLISECONDS if name in values and may_be_date(round(1000 * values[name], 3))}
    return dates | {
        name
        for name, value in values.items()
        if abs(value) >= FIRST_DATE and may_be_date(value) and (all_names or name.endswith(_QUANTITIES))
    }
