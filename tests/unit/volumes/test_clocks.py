"""Clocks of a series: with and without dates, on both sides of midnight."""

from __future__ import annotations

import random

import pytest
from made_up_frames import frame

from dicomzarr.volumes.clocks import DAY, LONGEST, with_comparable_clocks

REAL = 26_000 * DAY  # a day of 2021


def clocks(times: list[float | None], numbers: list[float] | None = None) -> list[float | None]:
    frames = []
    for index, time in enumerate(times):
        causes = {} if time is None else {"acquisition_time_s": time}
        causes |= {"instance_number": numbers[index]} if numbers else {}
        frames.append(frame(index, 0.0, causes))
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
        ([REAL + 86_390.0, REAL + 10.0, REAL + 10.0], [REAL + 86_390.0, REAL + 10.0, REAL + 10.0]),  # as it is dated
        ([REAL + 86_390.0, REAL + 86_410.0], [REAL + 86_390.0, REAL + 86_410.0]),  # the dates say it themselves
        ([0.0, 34_215.0], [None, None]),  # a filler
        ([REAL, REAL + 34_215.0, REAL + 34_216.0], [None, None, None]),
        ([0.0, 60.0, 4_000.0], [0.0, 60.0, 4_000.0]),  # a scan that began at midnight
        ([86_390.0, 0.0], [86_390.0, 86_400.0]),  # and one that passed it
        ([8 * 3600.0, 21 * 3600.0], [8 * 3600.0, 21 * 3600.0]),  # a second visit of the same day
    ],
)
def test_times_go_on_after_midnight_and_fillers_are_no_times(
    times: list[float | None], expected: list[float | None]
) -> None:
    assert clocks(times) == expected


def test_instance_numbers_say_whether_times_passed_midnight() -> None:
    for day in (0.0, REAL):
        assert clocks([day + 86_390.0, day + 10.0], [1, 2]) == [day + 86_390.0, day + 86_410.0]
        assert clocks([day + 86_390.0, day + 10.0], [2, 1]) == [day + 86_390.0, day + 10.0]
        assert clocks([day + 86_390.0, day + 10.0], [1, 1]) == [day + 86_390.0, day + 10.0]


@pytest.mark.parametrize(
    ("name", "values", "stays"),
    [
        ("trigger_time_ms", [0.0, 40.0, 900.0], True),
        ("trigger_time_ms", [0.0, 34_215_000.0], False),  # since midnight
        ("trigger_time_ms", [0.0, 3_121_957.0], False),  # a date without its zero
        ("trigger_time_ms", [34_215_000.0, 34_215_040.0], True),  # written from the first
        ("frame_reference_time_s", [0.0, 34_215.0], False),
        ("frame_reference_time_s", [600.0 * number for number in range(30)], True),  # five hours
        ("temporal_offset_s", [1.5, 34_215.0], False),
    ],
)
def test_a_delay_that_is_none_beside_others_is_left_out(name: str, values: list[float], *, stays: bool) -> None:
    frames = with_comparable_clocks([frame(index, 0.0, {name: value}) for index, value in enumerate(values)])
    assert [found.causes.get(name) for found in frames] == (values if stays else [None] * len(values))


def test_no_difference_of_clocks_is_a_date() -> None:
    """Whatever dates are missing, made up or shifted: what is left differs by a month at most."""
    draw = random.Random(7)
    for _ in range(500):
        times = [
            draw.choice((0.0, REAL, -18_262 * DAY, 18_278 * DAY, REAL + 20 * DAY)) + draw.random() * DAY
            for _ in range(6)
        ]
        found = [time for time in clocks(list(times)) if time is not None]
        assert not found or (len(found) == 6 and max(found) - min(found) <= LONGEST)


def test_a_scan_of_some_hours_keeps_its_order_wherever_midnight_falls() -> None:
    draw = random.Random(8)
    for numbered, day in ((False, 0.0), (True, 0.0), (True, REAL)):
        for _ in range(300):
            start = draw.random() * DAY
            true = [start + draw.random() * 5 * 3600 for _ in range(6)]
            stored = [day + time % DAY for time in true]
            ranks: list[float] = [float(sorted(true).index(time)) for time in true]
            found = clocks(list(stored), ranks if numbered else None)
            order = sorted(range(6), key=lambda index: found[index] or 0.0)
            assert order == sorted(range(6), key=lambda index: true[index])
