"""Numbers of a header that may be a date, and so may identify a patient. Pure; no I/O."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

FIRST_YEAR, LAST_YEAR = 1850, 2099
FIRST_DATE, _LAST = FIRST_YEAR * 10_000 + 101, LAST_YEAR * 10_000 + 1231
_CLOCKS = ((1, ()), (10_000, (60, 24)), (1_000_000, (60, 60, 24)))  # nothing, HHMM or HHMMSS after the date


def may_be_date(number: float) -> bool:
    """Return whether a number reads as a date.

    Parameters
    ----------
    number : float
        Finite. Its sign and its fraction do not matter.

    Returns
    -------
    bool
        True if its whole part is YYYYMMDD, a day from 1850 to 2099, alone or followed by HHMM or HHMMSS.

    References
    ----------
    DICOM PS3.5 6.2 (DA, DT). One whole number in 27 between 18,500,101 and 20,991,231 is a date.
    """
    if -FIRST_DATE < number < FIRST_DATE:  # nearly all
        return False
    whole = abs(int(number))
    for factor, limits in _CLOCKS:
        day, clock = divmod(whole, factor)
        if FIRST_DATE <= day <= _LAST:
            for limit in limits:
                clock, part = divmod(clock, 100)
                if part >= limit:
                    return False
            return _is_day(day)
    return False


def _is_day(day: int) -> bool:
    try:
        date(day // 10_000, day // 100 % 100, day % 100)
    except ValueError:
        return False
    return True


def any_date(numbers: Iterable[float]) -> bool:
    """Return whether one of several numbers reads as a date.

    Parameters
    ----------
    numbers : iterable of float
        Finite.

    Returns
    -------
    bool
        As `may_be_date`.
    """
    return any(map(may_be_date, numbers))
