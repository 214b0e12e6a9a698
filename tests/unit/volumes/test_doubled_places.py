"""One slice that is there twice never cuts a stack to pieces, whatever times and counters its slices share.

Slices that are excited together, acquired in one breath-hold, or written in one second have one time.
"""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from made_up_frames import checked_volumes, frame

from dicomzarr.volumes.model import Frame, Volume

SLICES = 12
PLACE = 5  # where a slice is there twice
Value = Callable[[int, int, bool], float]  # of a slice, a time, and whether it is the slice that is there again

SHARED: dict[str, tuple[str, Value]] = {
    "excited together": ("acquisition_time_s", lambda z, t, again: 1e8 + 10 * t + 0.5 * ((z + again) % 3)),
    "one breath-hold": ("acquisition_time_s", lambda z, t, again: 1e8 + 100 * t + 10 * (z // 4 + again)),
    "again at the end": ("acquisition_time_s", lambda z, t, again: 1e8 + 100 * t + (90 if again else 10 * (z // 4))),
    "written in one second": ("content_time_s", lambda z, t, again: 1e8 + (SLICES * (3 if again else t) + z) // 4),
    "number of two passes": ("acquisition_number", lambda z, t, again: 1.0 + (z + again) % 2),
}


def with_a_double(shared: str, times: int, *, random_order: int = 1) -> list[Frame]:
    """Return stacks of which one slice is there twice, with other pixels; the second one has the highest number."""
    name, value = SHARED[shared]
    cells = [(z, t, False) for t in range(times) for z in range(SLICES)] + [(PLACE, times // 2, True)]
    frames = [
        frame(i, 2.0 * z, {"instance_number": i + 1.0, name: value(z, t, again)})
        for i, (z, t, again) in enumerate(cells)
    ]
    random.Random(random_order).shuffle(frames)
    return frames


def parts_of(volumes: list[Volume]) -> list[list[int]]:
    return sorted([place.frame.source for place in volume.places] for volume in volumes)


@pytest.mark.parametrize("shared", list(SHARED))
def test_a_stack_stays_whole(shared: str) -> None:
    for order in range(5):
        volumes = checked_volumes(with_a_double(shared, 1, random_order=order))
        assert parts_of(volumes) == [list(range(SLICES)), [SLICES]]
        assert all(volume.flags == ("contested_place",) for volume in volumes)


@pytest.mark.parametrize("shared", ["excited together", "one breath-hold", "again at the end", "written in one second"])
def test_a_series_in_time_stays_whole(shared: str) -> None:
    volumes = checked_volumes(with_a_double(shared, 3))
    assert parts_of(volumes) == [list(range(3 * SLICES)), [3 * SLICES]]
    assert {volume.shape[:-2] for volume in volumes} == {(3, SLICES), ()}
    assert all("contested_place" in volume.flags for volume in volumes)


def test_passes_whose_slices_were_written_four_a_second_stay_whole() -> None:
    frames = with_a_double("written in one second", 3)
    numbered = [
        frame(f.source, 0, {**f.causes, "acquisition_number": 1.0 + min(f.source // SLICES, 2)}, position=f.position)
        for f in frames
    ]
    volumes = checked_volumes(numbered)
    assert parts_of(volumes) == [list(range(3 * SLICES)), [3 * SLICES]]


def test_a_lost_slice_and_a_double_are_a_gap_and_an_image() -> None:
    volumes = checked_volumes([f for f in with_a_double("excited together", 1) if f.source != 8])
    assert parts_of(volumes) == [[i for i in range(SLICES) if i != 8], [SLICES]]
    assert {volume.missing_slices for volume in volumes} == {0, 1}


def test_frames_of_one_file_stay_together() -> None:
    """The first file of a public report (nibabel 1400): its first six slices lie at three places."""
    places = [0, 0, 1, 1, 2, 2, *range(3, 16)]
    frames = [
        frame(
            0,
            3.0 * z,
            {"acquisition_time_s": 1e8 + 0.5 * (i % 3), "temporal_position": 1.0},
            number=i,
            frames_in_file=19,
        )
        for i, z in enumerate(places)
    ]
    largest = max(checked_volumes(frames), key=lambda volume: len(volume.places))
    assert largest.shape == (16, 4, 6)
    assert largest.flags == ("contested_place",)


def test_positions_of_a_bed_that_share_slices_stay_apart() -> None:
    """Each is an even stack, and as many places are doubled as seams need."""
    for beds, shared in ((2, 2), (3, 1), (3, 2)):
        starts = [bed * (10 - shared) for bed in range(beds)]
        frames = [
            frame(10 * bed + z, 2.0 * (start + z), {"acquisition_time_s": 1e8 + 60 * bed})
            for bed, start in enumerate(starts)
            for z in range(10)
        ]
        volumes = checked_volumes(frames)
        assert parts_of(volumes) == [list(range(10 * bed, 10 * bed + 10)) for bed in range(beds)], (beds, shared)


def test_a_pass_of_every_third_slice_stays_apart_from_one_of_all() -> None:
    frames = [frame(z, 2.0 * z, {"acquisition_number": 1.0}) for z in range(18)]
    frames += [frame(20 + z, 12.0 * z, {"acquisition_number": 2.0}) for z in range(3)]
    assert parts_of(checked_volumes(frames)) == [list(range(18)), [20, 21, 22]]
