"""Numbers that may be a date: exactly the days of the calendar from 1850 to 2099, with or without a time."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomzarr.dicom.dates_in_numbers import any_date, may_be_date


def test_every_day_is_a_date_and_no_other_number_of_that_length_is() -> None:
    """PS3.5 6.2, DA: YYYYMMDD; 250 years with 61 leap years (1900 is none)."""
    first, last = date(1850, 1, 1), date(2099, 12, 31)
    days = {int(f"{first + timedelta(number):%Y%m%d}") for number in range((last - first).days + 1)}
    assert {number for number in range(18_490_000, 21_010_000) if may_be_date(number)} == days


@given(
    day=st.dates(date(1850, 1, 1), date(2099, 12, 31)),
    clock=st.times(),
    form=st.sampled_from(["", "%H%M", "%H%M%S"]),
    sign=st.sampled_from([1, -1]),
    fraction=st.sampled_from([0, 0.25]),
)
def test_a_date_with_a_time_a_sign_or_a_fraction_is_a_date(
    day: date, clock: object, form: str, sign: int, fraction: float
) -> None:
    whole = int(f"{day:%Y%m%d}" + (format(clock, form) if form else ""))
    assert may_be_date(whole) and may_be_date(sign * (whole + fraction)) and any_date([0.0, sign * whole])


@pytest.mark.parametrize(
    "number",
    [0, 1, -1024, 65535, 4294967295, 2**31, 20031117.0 / 1000, 20030229, 20031317, 20031100, 2003111760, 200311172460,
     200311172400, 20031117236060, 370000000, 1e300, 17991231, 21000101],
)  # fmt: skip
def test_other_numbers_are_none(number: float) -> None:
    assert not may_be_date(number)
