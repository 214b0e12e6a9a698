"""Interleaved scans that were stopped: the slices that were acquired are one stack, which lacks some of its places."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from made_up_frames import checked_volumes, depths, frame, only_volume

from dicomzarr.volumes.model import Frame

STEP = 4.0
SLICES = 34


def order_of(slices: int, packages: int, first: int, falls: bool) -> list[int]:
    """Return the places in the order of acquisition: every second, or third, slice before the others."""
    order = [z for package in range(packages) for z in range((first + package) % packages, slices, packages)]
    return [slices - 1 - z for z in order] if falls else order


def scan(order: list[int], cause: str, packages: int, stated: float = STEP, start: int = 0) -> list[Frame]:
    """Return a frame for each place, in the order of acquisition."""
    per_package = -(-SLICES // packages)
    values = {
        "acquisition_time_s": lambda n: 100.0 + start + 0.05 * n,
        "instance_number": lambda n: 1.0 + start + n,
        "acquisition_number": lambda n: 1.0 + start + n // per_package,
    }
    constants = {"spacing_between_slices_mm": stated, "slice_thickness_mm": STEP}
    return [frame(start + n, STEP * z, {cause: values[cause](n)}, constants=constants) for n, z in enumerate(order)]


@pytest.mark.parametrize("cause", ["acquisition_time_s", "instance_number", "acquisition_number"])
@pytest.mark.parametrize("falls", [False, True])
@pytest.mark.parametrize(("packages", "first"), [(2, 0), (2, 1), (3, 0)])
@pytest.mark.parametrize("acquired", range(19, SLICES, 2))
def test_a_scan_that_was_stopped_is_one_stack(
    acquired: int, packages: int, first: int, falls: bool, cause: str
) -> None:
    order = order_of(SLICES, packages, first, falls)[:acquired]
    volume = only_volume(scan(order, cause, packages))
    missing = max(order) - min(order) + 1 - acquired
    assert depths(volume) == [STEP * z for z in sorted(order)]
    assert (volume.flags, volume.missing_slices) == ((("gap",), missing) if missing else ((), 0))


def test_packages_that_state_a_distance_of_their_own_are_two_stacks() -> None:
    order = order_of(SLICES, 2, 1, False)[:26]
    volumes = checked_volumes(scan(order, "acquisition_time_s", 2, stated=2 * STEP))
    assert sorted(len(depths(volume)) for volume in volumes) == [9, 17]


def test_scans_between_each_other_that_state_their_own_distance_are_two_stacks() -> None:
    """The distance that both state is not that from a slice of one to the next of the other."""
    frames = scan([2 * z for z in range(12)], "acquisition_number", 1, stated=2 * STEP)
    frames += [
        replace(one, source=100 + one.source, causes={"acquisition_number": 2.0})
        for one in scan([2 * z + 1 for z in range(7)], "acquisition_number", 1, stated=2 * STEP, start=100)
    ]
    assert sorted(len(depths(volume)) for volume in checked_volumes(frames)) == [7, 12]


def test_thin_and_thick_slices_are_not_slices_that_are_missing() -> None:
    """A converter may state the distance of the first two slices for all."""
    places: list[tuple[float, dict[str, Any]]] = [
        *((2.5 * n, {"slice_thickness_mm": 2.5}) for n in range(9)),
        *((20 + 5.0 * n, {"slice_thickness_mm": 5.0}) for n in range(1, 9)),
    ]
    frames = [frame(n, at, constants={"spacing_between_slices_mm": 2.5, **more}) for n, (at, more) in enumerate(places)]
    volume = only_volume(frames)
    assert volume.flags == ("uneven_spacing",)


@pytest.mark.parametrize("known", [(), ("acquisition_time_s",), ("acquisition_time_s", "temporal_position")])
@pytest.mark.parametrize("acquired", [20, 26, 31])
def test_the_last_time_of_a_series_that_was_stopped(acquired: int, known: tuple[str, ...]) -> None:
    order = order_of(SLICES, 2, 1, False)
    frames: list[Frame] = []
    for t in range(4):
        for one in scan(order if t < 3 else order[:acquired], "acquisition_time_s", 2, start=1000 * t):
            causes = {**one.causes, "temporal_position": float(t)}
            numbers = {"instance_number": 1.0 + len(frames)} | {name: causes[name] for name in known}
            frames.append(replace(one, causes=numbers))
    whole, stopped = sorted(checked_volumes(frames), key=lambda volume: -len(volume.places))
    assert (whole.axes, whole.shape[:2]) == (("t", "z", "y", "x"), (3, SLICES))
    assert set(whole.flags) == (set() if known else {"t_order_only"})
    assert depths(stopped) == [STEP * z for z in sorted(order[:acquired])]
    assert set(stopped.flags) == {"gap", "incomplete_grid"}
    assert stopped.missing_slices == SLICES - acquired
    assert whole.group == stopped.group != ""
