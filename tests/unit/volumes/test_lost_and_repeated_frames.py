"""Cines and time series that lost a frame, or of which a slice was acquired again; many times of each part."""

from __future__ import annotations

import tracemalloc
from collections.abc import Sequence

import pytest
from made_up_frames import checked_volumes, frame, means

from dicomzarr.volumes.model import Frame, Volume

SLICES, PHASES = 10, 12


def cine(together: int, lost: Sequence[tuple[int, int]], has_clock: bool, numbers: str) -> list[Frame]:
    """Frames `12 * z + phase` of a cine, of which some slices share a breath-hold and so the length of a beat."""
    frames = []
    for z in range(SLICES):
        breath, beat = z // together, 30 + 1.1 * (z // together)
        for phase in range(PHASES):
            causes = {"trigger_time_ms": round(beat * phase, 1)}
            if numbers == "by slice":
                causes["instance_number"] = PHASES * z + phase + 1.0
            if has_clock:
                causes["acquisition_time_s"] = 1e8 + 20.0 * breath
            if (z, phase) not in lost:
                frames.append(frame(PHASES * z + phase, 8.0 * z, causes))
    return frames


def at_each_time(volume: Volume) -> list[list[int]]:
    found: dict[int | None, list[int]] = {}
    for place in volume.places:
        found.setdefault(place.t, []).append(place.frame.source)
    return list(found.values())


@pytest.mark.parametrize("together", [1, 2, 3, 4])
@pytest.mark.parametrize("lost", [[(4, 7)], [(4, 7), (8, 3)], [(0, 0)], [(9, 11)]])
@pytest.mark.parametrize("has_clock", [False, True])
def test_a_lost_frame_does_not_scatter_a_cine(together: int, lost: list[tuple[int, int]], has_clock: bool) -> None:
    """Numbers that run slice by slice say which phase is lost: it is an array without that slice."""
    volumes = checked_volumes(cine(together, lost, has_clock, "by slice"))
    phases = sorted([sorted({n % PHASES for n in row}) for volume in volumes for row in at_each_time(volume)])
    assert phases == [[phase] for phase in range(PHASES)]
    assert len(volumes) == 1 + len(lost)
    assert all(bool({"incomplete_grid"} & set(v.flags)) == (v.shape[-3] < SLICES) for v in volumes)


@pytest.mark.parametrize("together", [1, 2, 3])
@pytest.mark.parametrize("has_clock", [False, True])
def test_without_numbers_the_slice_that_lost_a_phase_is_an_array(together: int, has_clock: bool) -> None:
    volumes = checked_volumes(cine(together, [(4, 7)], has_clock, "none"))
    assert sorted(volume.shape[:-2] for volume in volumes) == [(11,), (12, 9)]
    complete = next(volume for volume in volumes if "z" in volume.axes)
    assert [{n % PHASES for n in row} for row in at_each_time(complete)] == [{phase} for phase in range(PHASES)]
    assert all({"gap", "incomplete_grid"} & set(volume.flags) for volume in volumes)


@pytest.mark.parametrize("at_once", [2, 3, 4])
def test_slices_excited_at_once_are_no_stacks_of_their_own(at_once: int) -> None:
    groups = 12 // at_once
    frames = [
        frame(12 * t + z, 3.0 * z, {"acquisition_time_s": 1e8 + 2 * t + 0.1 * (z % groups)})
        for t in range(6)
        for z in range(12)
        if (t, z) != (3, 5)
    ]
    volumes = checked_volumes(frames)
    assert sorted(volume.shape[:-2] for volume in volumes) == [(5,), (6, 11)]
    for volume in volumes:
        assert all(len({n // 12 for n in row}) == 1 for row in at_each_time(volume))


@pytest.mark.parametrize("says", ["trigger_time_ms", "acquisition_number", "acquisition_time_s", "instance_number"])
@pytest.mark.parametrize("again", [0, 2, 4])
def test_a_slice_of_a_cine_that_was_acquired_again(says: str, again: int) -> None:
    order = [0, 1, 2, 3, 4]
    order.insert(order.index(again) + 1, again)
    frames = []
    for run, z in enumerate(order):
        for phase in range(3):
            number = 3.0 * run + phase
            causes = {"instance_number": number, "trigger_time_ms": 30.0 * phase + 0.7 * run}
            if says in ("acquisition_number", "acquisition_time_s"):
                causes[says] = (1e8 if says.endswith("_s") else 0) + run
            if says == "instance_number":
                del causes["trigger_time_ms"]
            frames.append(frame(int(number), 8.0 * z, causes))
    volumes = checked_volumes(frames)
    assert sorted(volume.shape[:-2] for volume in volumes) == [(3,), (3, 5)]
    for volume in volumes:
        assert "contested_place" in volume.flags
        assert all(len({n % 3 for n in row}) == 1 for row in at_each_time(volume))
        assert len({n // 3 for row in at_each_time(volume) for n in row}) == volume.shape[1] * ("z" in volume.axes) or 1
        if says != "instance_number":
            assert means(volume) == ["trigger_time_ms"]


def test_a_series_in_time_with_a_slice_of_twice_as_many_times_is_no_cine_with_a_repeated_slice() -> None:
    """The times of that slice run through those of the others: which of them belong together is not known."""
    frames = [frame(10 * z + t, 3.0 * z, {"acquisition_time_s": 1e8 + 7 * t + z}) for z in range(5) for t in range(3)]
    frames += [frame(100 + t, 6.0, {"acquisition_time_s": 1e8 + 7 * t + 4.5}) for t in range(3)]
    for volume in checked_volumes(frames):
        assert "contested_place" not in volume.flags
        assert all(len({n >= 100 for n in row}) == 1 or "z" not in volume.axes for row in at_each_time(volume))


@pytest.mark.parametrize("clock", ["instance_number", "acquisition_time_s"])
@pytest.mark.parametrize("lost", [(), (12,)])
@pytest.mark.parametrize("times", [2, 3])
def test_all_times_of_a_part_of_the_body_before_the_next_part(clock: str, lost: Sequence[int], times: int) -> None:
    """The last time of a part and the first one of the next have rising places, as if they were one pass."""
    frames, truth = [], {}
    for part in range(2):
        for time in range(times):
            for z in range(5):
                number = len(truth)
                truth[number] = part, time
                causes = {clock: 1.0 + number}
                if number not in lost:
                    frames.append(frame(number, 2.5 * (5 * part + z), causes))
    for volume in checked_volumes(frames):
        for row in at_each_time(volume):
            assert len({truth[n][1] for n in row}) == 1 or {"ambiguous_stack", "t_order_only"} & set(volume.flags)


@pytest.mark.parametrize("others", [6, 8, 100])
@pytest.mark.parametrize("starts", [(2, 0), (0, 2), (2, 0, 1), (1, 2, 0)])
def test_numbers_of_scans_between_which_other_images_are_numbered(others: int, starts: tuple[int, ...]) -> None:
    """A scan ends where its numbers do, not where a multiple of the distance between two scans is reached."""
    frames, truth, number = [], {}, 1
    for scan, start in enumerate(starts):
        for z in range(start, 8):
            truth[number] = scan
            frames.append(frame(number, 3.0 * z, {"instance_number": float(number)}))
            number += 1
        number += others
    for volume in checked_volumes(frames):
        if not {"contested_place", "ambiguous_stack"} & set(volume.flags):
            assert all(len({truth[n] for n in row}) == 1 for row in at_each_time(volume)), volume.why


def test_distances_between_numbers_cost_no_memory() -> None:
    """Instance Numbers may be 1,000,000 apart from time to time: what lies between them is not listed."""
    causes = [[{"instance_number": 1e6 * t + z} for z in range(8)] for t in range(6)]
    frames = [
        frame(8 * t + z, 2.5 * z, causes[t][z]) for t in range(6) for z in range(8) if (t, z) not in {(3, 7), (4, 0)}
    ]
    tracemalloc.start()
    try:
        (volume,) = [volume for volume in checked_volumes(frames) if len(volume.places) > 16]
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()
    assert all(len({n // 8 for n in row}) == 1 for row in at_each_time(volume))
