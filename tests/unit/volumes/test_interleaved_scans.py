"""One scan in two packages, and two scans between each other: of any rounding, numbering, times and losses."""

from __future__ import annotations

import random
from typing import Any

import pytest
from made_up_frames import checked_volumes, frame, only_volume, stack

from dicomzarr.volumes.model import Frame, Volume

ORDERS: dict[str, Any] = {
    "acquisition": lambda half, z, k: {"acquisition_number": half + 1.0, "instance_number": z + 1.0},
    "time of slices": lambda half, z, k: {"acquisition_time_s": 1e8 + 0.1 * k, "instance_number": z + 1.0},
    "time of packages": lambda half, z, k: {"acquisition_time_s": 1e8 + 60.0 * half},
    "number": lambda half, z, k: {"instance_number": k + 1.0},
    "series": lambda half, z, k: {"series_number": half + 1.0},
}
# Two scans, of which neither a counter nor the time of acquisition says which is which.
SCANS: dict[str, Any] = {
    "time of writing": lambda half, z, k: {"content_time_s": 1e8 + 60.0 * half, "instance_number": z + 1.0},
    "times of writing": lambda half, z, k: {"content_time_s": 1e8 + 60.0 * half + 0.5 * z, "instance_number": z + 1.0},
    "time of reference": lambda half, z, k: {"frame_reference_time_s": 60.0 * half, "instance_number": z + 1.0},
    "numbers that start again": lambda half, z, k: {"instance_number": z // 2 + 1.0},
    "numbers that fall": lambda half, z, k: {"instance_number": 41.0 - z // 2},
}


def half_steps(
    slices: int, step: float, by: str, *, decimals: int = 6, start: float = -37.123, times: int = 1, **constants: float
) -> list[Frame]:
    """Frames of every second place, then of those between; `source` tells the place and the time."""
    frames = []
    for half in (0, 1):
        for t in range(times):
            for z in range(half, slices, 2):
                k = len(frames)
                causes = dict((ORDERS | SCANS)[by](half, z, k))
                if times > 1:
                    causes |= {"acquisition_time_s": 1e8 + 600.0 * half + 20.0 * t}
                place = round(start + step * z, decimals)
                frames.append(frame(100 * t + z, place, causes, constants=constants))
    return frames


def halves(volume: Volume) -> set[int]:
    return {place.frame.source % 100 % 2 for place in volume.places}


@pytest.mark.parametrize("by", [by for by in ORDERS if by != "series"])
@pytest.mark.parametrize("decimals", [1, 2, 3])
@pytest.mark.parametrize("step", [0.75, 1.25, 3.3])
def test_rounding_is_no_reason_to_separate_the_packages_of_a_scan(by: str, decimals: int, step: float) -> None:
    """Every second slice of 1.25 mm lies exactly 2.5 mm from the next one, also with one decimal; all are even."""
    for slices in (7, 8, 21):
        for start in (0.0, -37.123, 12.35):
            frames = half_steps(slices, step, by, decimals=decimals, start=start, slice_thickness_mm=step)
            volume = only_volume(frames)
            assert [place.frame.source for place in volume.places] == list(range(slices))
            assert volume.spacing_mm["z"] == pytest.approx(step, abs=0.06)


@pytest.mark.parametrize("by", list(ORDERS))
@pytest.mark.parametrize("decimals", [1, 3, 6])
@pytest.mark.parametrize("lost", [0, 1])
def test_thick_slices_between_each_other_are_two_scans_whatever_says_so(by: str, decimals: int, lost: int) -> None:
    for seed in range(10):
        frames = half_steps(20, 1.25, by, decimals=decimals, slice_thickness_mm=2.5)
        gone = set(random.Random(seed).sample(range(20), lost))
        volumes = checked_volumes([f for f in frames if f.source not in gone])
        assert sorted(map(len, map(halves, volumes))) == [1, 1]


@pytest.mark.parametrize("by", [*SCANS, "acquisition", "number"])
@pytest.mark.parametrize("stated", [None, 2.5])
@pytest.mark.parametrize("lost", [0, 1, 3, 4])
def test_scans_between_each_other_are_parted_by_any_clock_or_number(by: str, stated: float | None, lost: int) -> None:
    """A third of one may be lost; thin slices are scans if the header states the distance that each scan has."""
    constants = {"slice_thickness_mm": 2.5} if stated is None else {"spacing_between_slices_mm": stated}
    made = half_steps(24, 1.25, by, **constants)
    for seed in range(10):
        gone = set(random.Random(seed).sample(range(1, 24, 2), lost))
        volumes = checked_volumes([f for f in made if f.source not in gone])
        assert sorted(map(len, map(halves, volumes))) == [1, 1]


@pytest.mark.parametrize("restart", range(2, 21))
@pytest.mark.parametrize("clock", ["none", "parts", "workers"])
def test_numbers_or_times_of_writing_that_start_again_divide_no_overlapping_slices(restart: int, clock: str) -> None:
    """Numbers may start again in the midst of a volume, and two processes write its slices in turn."""
    frames = []
    for z in range(21):
        causes = {"instance_number": z % restart + 1.0}
        if clock != "none":
            causes["content_time_s"] = 1e8 + (z // restart if clock == "parts" else z // 2 * (1.0 + 0.2 * (z % 2)))
        frames.append(frame(z, 1.25 * z, causes, constants={"slice_thickness_mm": 2.5}))
    assert only_volume(frames).shape[0] == 21


@pytest.mark.parametrize("by", list(ORDERS))
@pytest.mark.parametrize("times", [2, 3])
def test_two_dynamic_scans_between_each_other_keep_their_times(by: str, times: int) -> None:
    volumes = checked_volumes(half_steps(16, 1.25, by, times=times, slice_thickness_mm=2.5))
    assert [(volume.shape[:2], len(halves(volume))) for volume in volumes] == [((times, 8), 1)] * 2


@pytest.mark.parametrize("by", list(ORDERS))
@pytest.mark.parametrize("times", [1, 3])
def test_overlapping_slices_whose_distance_is_stated_are_one_scan(by: str, times: int) -> None:
    stated = {"slice_thickness_mm": 2.5, "spacing_between_slices_mm": 1.25}
    assert only_volume(half_steps(16, 1.25, by, times=times, **stated)).shape[-3] == 16


@pytest.mark.parametrize(("third", "missing"), [(1.0, 7), (2.0, 8)])
def test_two_distances_that_alternate_are_no_slices_that_were_lost(third: float, missing: int) -> None:
    places = sorted([3.0 * z for z in range(8)] + [3.0 * z + third for z in range(8)])
    volume = only_volume(stack(*places))
    assert (volume.flags, volume.missing_slices) == (("uneven_spacing",), 0)
    stated = only_volume(stack(*places, constants={"spacing_between_slices_mm": 1.0}))
    assert (stated.flags, stated.missing_slices) == (("gap",), missing)


@pytest.mark.parametrize("thickness", [1.25, 2.5])
@pytest.mark.parametrize("slices", [6, 9])
def test_packages_of_a_scan_that_was_stopped_between_them_are_flagged(thickness: float, slices: int) -> None:
    """Times alone order the slices: the last time has one package of two, and thick slices may be scans."""
    frames = []
    for t in range(4):
        order = [*range(0, slices, 2), *(range(1, slices, 2) if t < 3 else [])]
        for k, z in enumerate(order):
            causes = {"acquisition_time_s": 1e8 + 10.0 * t + 0.5 * k}
            frames.append(frame(100 * t + z, 1.25 * z, causes, constants={"slice_thickness_mm": thickness}))
    volumes = checked_volumes(frames)
    assert sum(len(volume.places) for volume in volumes) == len(frames)
    flags = {flag for volume in volumes for flag in volume.flags}
    assert flags & {"stack_divided", "incomplete_grid"} or thickness == 2.5
    assert "stack_divided" not in flags or thickness < 2.5


@pytest.mark.parametrize("cut", range(1, 18))
def test_numbers_of_frames_of_several_files_are_not_compared(cut: int) -> None:
    """A grid of three times in two files, cut anywhere, without numbers of instances: no time holds frames of two."""
    frames = []
    for n in range(18):
        file, number = (0, n) if n < cut else (1, n - cut)
        causes = {"dimension_1": n % 6 + 1.0, "dimension_2": n // 6 + 1.0}
        own = {"number": number, "frames_in_file": cut if file == 0 else 18 - cut, "sop_instance_uid": f"1.2.{file}"}
        frames.append(frame(file, 2.5 * (n % 6), causes, **own))
    for volume in checked_volumes(frames):
        times: dict[int | None, set[float]] = {}
        for place in volume.places:
            times.setdefault(place.t, set()).add(place.frame.causes["dimension_2"])
        assert all(len(found) == 1 for found in times.values()), volume.why
