"""Slices of one stack whose samples are written in several ways: one array where a type holds all, else flagged."""

from __future__ import annotations

import random
from typing import Any

import pytest
from made_up_frames import checked_volumes, depths, frame, grid, only_volume

from dicomzarr.volumes.model import Frame


def slices_of(types: str, **more: Any) -> list[Frame]:
    """Return a stack; a slice has 8 bits where there is a ``b``, 16 unsigned ones where there is a ``w``."""
    kinds = {"b": "|u1", "w": "<u2", "s": "<i2", "l": "<u4", "f": "<f4"}
    return [frame(i, 2.0 * i, {"instance_number": i + 1.0}, dtype=kinds[t], **more) for i, t in enumerate(types)]


@pytest.mark.parametrize("types", ["bbbwwwwwwwbbb", "bbwwwwwwww", "wwwwbwwwww", "wbwbwbwb", "bbbbbbbbw"])
def test_dark_slices_of_8_bits_are_in_the_array_of_the_others(types: str) -> None:
    frames = slices_of(types)
    random.Random(1).shuffle(frames)
    volume = only_volume(frames)
    assert volume.shape == (len(types), 4, 6)
    assert depths(volume) == [2.0 * i for i in range(len(types))]
    assert {place.frame.dtype for place in volume.places} == {"<u2"}
    assert volume.flags == ("sample_types_differ",)


@pytest.mark.parametrize(("types", "dtype"), [("bbsssb", "<i2"), ("bwwl", "<u4")])
def test_the_widest_type_holds_all_values(types: str, dtype: str) -> None:
    assert {place.frame.dtype for place in only_volume(slices_of(types)).places} == {dtype}


def test_one_lost_slice_is_a_gap_of_one_array() -> None:
    frames = slices_of("bbwwwwwwbb")
    volume = only_volume(frames[:4] + frames[5:])
    assert volume.missing_slices == 1
    assert volume.flags == ("gap", "sample_types_differ")


def test_times_of_which_some_slices_have_8_bits_are_one_array() -> None:
    frames = grid(8, 3, lambda z, t: {"acquisition_time_s": 1e8 + 10 * t})
    dark = {(0, 0), (1, 0), (7, 0), (0, 1), (7, 2)}
    types = {True: "|u1", False: "<u2"}
    frames = [frame(f.source, 0, f.causes, position=f.position, dtype=types[_cell(f) in dark]) for f in frames]
    volume = only_volume(frames)
    assert volume.shape == (3, 8, 4, 6)
    assert volume.flags == ("sample_types_differ",)


def _cell(one: Frame) -> tuple[int, int]:
    return one.source % 8, one.source // 8


def test_times_of_one_slice_are_one_array() -> None:
    frames = [frame(i, 0, {"trigger_time_ms": 40.0 * i}, dtype="|u1" if i in (0, 3) else "<u2") for i in range(6)]
    assert only_volume(frames).shape == (6, 4, 6)


@pytest.mark.parametrize("types", ["swswswsw", "sssssww", "wwfww"])
def test_slices_that_no_type_of_the_files_holds_are_flagged(types: str) -> None:
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


def test_a_stack_between_the_slices_of_another_stays_apart() -> None:
    """Together they are no even stack: a map of another resolution, for example."""
    volumes = checked_volumes(slices_of("wwwwww") + [frame(9 + i, 0.6 + 4.0 * i, dtype="|u1") for i in range(3)])
    assert sorted(volume.shape[0] for volume in volumes) == [3, 6]
    assert not any(volume.flags for volume in volumes)
