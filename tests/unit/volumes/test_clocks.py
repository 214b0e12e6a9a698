"""Clocks of a series: with and without dates, on both sides of midnight."""

from __future__ import annotations

import random

import pytest
from made_up_frames import frame

from dicomzarr.volumes.clocks import DAY, LONGEST, with_comparable_clocks

REAL = 7_700 * DAY  # a day of 2021, in seconds since 2000


def clocks(times: list[float | None]) -> list[float | None]:
    frames = [frame(n, 0.0, {} if time is None else {"acquisition_time_s": time}) for n, time in enumerate(times)]
    return [found.causes.get("acquisition_time_s") for found in with_comparable_clocks(frames)]


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ([], []),
        ([3.0], [3.0]),
        ([5.0, None, 3.0], [5.0, None, 3.0]),
        ([REAL + 3.0, REAL + 9.0], [REAL + 3.0, REAL + 9.0]),
        ([3.0, REAL + 3.0], [None, None]),
        ([REAL - 100 * 365 * DAY, None, REAL], [None, None, None]),
        ([86_390.0, 10.0], [86_390.0, 86_410.0]),
        ([REAL + 86_390.0, REAL + 10.0, REAL + 10.0], [REAL + 86_390.0, REAL + 86_410.0, REAL + 86_410.0]),
        ([REAL + 86_390.0, REAL + 86_410.0], [REAL + 86_390.0, REAL + 86_410.0]),  # the dates say it themselves
        ([8 * 3600.0, 21 * 3600.0], [8 * 3600.0, 21 * 3600.0]),  # a second visit of the same day
    ],
)
def test_clocks(times: list[float | None], expected: list[float | None]) -> None:
    assert clocks(times) == expected


def test_no_difference_of_clocks_is_a_date() -> None:
    """Whatever dates are missing, made up or shifted: what is left differs by a month at most."""
    draw = random.Random(7)
    for _ in range(500):
        times = [draw.choice((0.0, REAL, -36_524 * DAY, REAL + 20 * DAY)) + draw.random() * DAY for _ in range(6)]
        found = [time for time in clocks(list(times)) if time is not None]
        assert not found or (len(found) == 6 and max(found) - min(found) <= LONGEST)


def test_a_scan_of_some_hours_keeps_its_order_wherever_midnight_falls() -> None:
    draw = random.Random(8)
    for day in (0.0, REAL):
        for _ in range(500):
            start = draw.random() * DAY
            true = [start + draw.random() * 5 * 3600 for _ in range(6)]
            stored = [day + time % DAY for time in true]
            found = clocks(list(stored))
            order = sorted(range(6), key=lambda index: found[index] or 0.0)
            assert order == sorted(range(6), key=lambda index: true[index])
