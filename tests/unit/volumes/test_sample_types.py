"""Slices of one stack whose samples are written in several ways: arrays of their own types, flagged."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from made_up_frames import checked_volumes, frame, grid

from dicomzarr.volumes.model import Frame


def slices_of(types: str, **more: Any) -> list[Frame]:
    """Return a stack; a slice has 8 bits where there is a ``b``, 16 unsigned ones where there is a ``w``."""
    kinds = {"b": "|u1", "w": "<u2", "s": "<i2", "l": "<u4", "f": "<f4"}
    return [frame(i, 2.0 * i, {"instance_number": i + 1.0}, dtype=kinds[t], **more) for i, t in enumerate(types)]


@pytest.mark.parametrize("types", ["bbbwwwwwwwbbb", "bbwwwwwwww", "wwwwbwwwww", "wbwbwbwb", "bbbbbbbbw", "bbsssb"])
def test_dark_slices_of_8_bits_are_flagged_as_pieces_of_the_stack_of_the_others(types: str) -> None:
    frames = slices_of(types)
    random.Random(1).shuffle(frames)
    volumes = checked_volumes(frames)
    assert all("stack_divided" in volume.flags for volume in volumes)
    assert len({volume.group for volume in volumes}) == 1
    assert {place.frame.dtype for volume in volumes for place in volume.places} == {f.dtype for f in frames}
    assert all(len({place.frame.dtype for place in volume.places}) == 1 for volume in volumes)


def test_pieces_of_a_stack_that_lost_a_slice_are_flagged() -> None:
    frames = slices_of("bbwwwwwwbb")
    assert all("stack_divided" in volume.flags for volume in checked_volumes(frames[:4] + frames[5:]))


def test_pieces_of_times_of_which_some_slices_have_8_bits_are_flagged() -> None:
    frames = grid(8, 3, lambda z, t: {"acquisition_time_s": 1e8 + 10 * t})
    dark = {(0, 0), (1, 0), (7, 0), (0, 1), (7, 2)}
    types = {True: "|u1", False: "<u2"}
    frames = [frame(f.source, 0, f.causes, position=f.position, dtype=types[_cell(f) in dark]) for f in frames]
    assert all("stack_divided" in volume.flags for volume in checked_volumes(frames))


def _cell(one: Frame) -> tuple[int, int]:
    return one.source % 8, one.source // 8


def test_pieces_of_times_of_one_slice_are_flagged() -> None:
    frames = [frame(i, 0, {"trigger_time_ms": 40.0 * i}, dtype="|u1" if i in (0, 3) else "<u2") for i in range(6)]
    volumes = checked_volumes(frames)
    assert sorted(len(volume.places) for volume in volumes) == [2, 4]
    assert all("stack_divided" in volume.flags for volume in volumes)


@pytest.mark.parametrize("types", ["swswswsw", "sssssww", "wwfww"])
def test_slices_of_types_that_hold_other_values_are_flagged(types: str) -> None:
    volumes = checked_volumes(slices_of(types))
    assert len(volumes) == 2
    assert all("stack_divided" in volume.flags for volume in volumes)
    assert len({volume.group for volume in volumes}) == 1
    assert {place.frame.dtype for volume in volumes for place in volume.places} == {f.dtype for f in slices_of(types)}


def test_slices_of_another_photometric_interpretation_are_flagged() -> None:
    frames = [frame(i, 2.0 * i, photometric="MONOCHROME1" if i % 2 else "MONOCHROME2", dtype="|u1") for i in range(8)]
    volumes = checked_volumes(frames)
    assert [volume.flags for volume in volumes] == [("stack_divided",)] * 2


def test_volumes_at_the_same_places_stay_apart() -> None:
    """Each is whole by itself, and no slice is elsewhere."""
    volumes = checked_volumes(slices_of("bbbbbb") + [frame(9 + i, 2.0 * i, dtype="<u2") for i in range(6)])
    assert [volume.shape for volume in volumes] == [(6, 4, 6)] * 2
    assert not any(volume.flags for volume in volumes)


@pytest.mark.parametrize("types", ["bbbwwwwwwwbbb", "bbwwwwwwww", "wwwwbbwwww", "wbwbwbwb"])
@pytest.mark.parametrize("of", ["f", "b", "w"])
@pytest.mark.parametrize("copied", [(0,), (5,), (1, 6), range(13)])
def test_copies_in_another_type_leave_the_flag_of_the_pieces(types: str, of: str, copied: Sequence[int]) -> None:
    """A slice that is there as floats, too, says nothing of the others; a whole copy of the stack is no piece."""
    frames = slices_of(types)
    again = [replace(f, source=100 + f.source, sop_instance_uid=f"1.3.{f.source}") for f in slices_of(of * len(types))]
    added = [
        one for one, kept in zip(again, frames, strict=True) if one.source - 100 in copied and one.dtype != kept.dtype
    ]
    volumes = checked_volumes(frames + added)
    for volume in volumes:
        is_copied = all(place.frame.source >= 100 for place in volume.places)
        is_whole = len(volume.places) == len(types) or (len(copied) > 2 and of != "f")
        assert is_copied or is_whole or "stack_divided" in volume.flags
        assert not (is_copied and of == "f" and volume.flags)


def test_a_volume_and_one_slice_of_it_in_another_type_have_no_flag() -> None:
    frames = [*slices_of("wwwwwwww"), frame(99, 6.0, {"instance_number": 4.0}, dtype="<f4")]
    assert [volume.flags for volume in checked_volumes(frames)] == [(), ()]


def test_a_stack_between_the_slices_of_another_stays_apart() -> None:
    """Together they are no even stack: a map of another resolution, for example."""
    volumes = checked_volumes(slices_of("wwwwww") + [frame(9 + i, 0.6 + 4.0 * i, dtype="|u1") for i in range(3)])
    assert sorted(volume.shape[0] for volume in volumes) == [3, 6]
    assert not any(volume.flags for volume in volumes)
