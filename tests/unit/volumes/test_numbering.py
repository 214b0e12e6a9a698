"""Coils and the volumes of Image Index: numbers that distinguish images where no fact and no clock does."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_up_frames import checked_volumes, frame, grid, means, only_volume, values

from dicomzarr.volumes.model import Frame
from dicomzarr.volumes.numbering import image_index, with_numbers


def coils(names: list[str], slices: int, causes: Any, order: random.Random | None = None) -> list[Frame]:
    """Images of several coils; `source` is coil × slices + slice."""
    frames = [
        frame(c * slices + z, 2.0 * z, causes(c, z), coil=name) for c, name in enumerate(names) for z in range(slices)
    ]
    if order:
        order.shuffle(frames)
    return frames


# ------------------------------------------------------------------------------------------------------------ coils


@given(st.integers(2, 12), st.integers(1, 5), st.sampled_from(["none", "restart", "running"]), st.randoms())
def test_coils_are_one_array_in_the_order_of_numbers_then_of_names(
    count: int, slices: int, numbers: str, order: random.Random
) -> None:
    counters: dict[str, Any] = {
        "none": lambda c, z: {},
        "restart": lambda c, z: {"instance_number": z + 1.0},
        "running": lambda c, z: {"instance_number": c * slices + z + 1.0},
    }
    volume = only_volume(coils([f"H{c + 1}" for c in range(count)], slices, counters[numbers], order))
    assert means(volume) == ["receive_coil"]
    assert values(volume) == list(range(count))
    assert [place.frame.source for place in volume.places] == list(range(count * slices))
    assert volume.flags == ()


def test_numbers_of_instances_come_before_names() -> None:
    volume = only_volume(coils(["B", "A"], 3, lambda c, z: {"instance_number": c * 3 + z + 1.0}))
    assert [place.frame.source for place in volume.places] == [0, 1, 2, 3, 4, 5]


def test_echoes_of_coils_are_echoes_first() -> None:
    frames = [
        frame(8 * c + 4 * e + z, 2.0 * z, {"echo_time_ms": 5.0 * (e + 1), "instance_number": z + 1.0}, coil=f"H{c}")
        for c in range(3)
        for e in range(2)
        for z in range(4)
    ]
    volume = only_volume(frames)
    assert means(volume) == ["echo_time_ms", "receive_coil"]
    assert values(volume) == [[5, 0], [5, 1], [5, 2], [10, 0], [10, 1], [10, 2]]


def test_a_coil_that_changes_in_a_time_series_does_not_sort_it() -> None:
    frames = [
        frame(3 * t + z, 2.0 * z, {"acquisition_time_s": 1e8 + t}, coil="BAAB"[t]) for t in range(4) for z in range(3)
    ]
    volume = only_volume(frames)
    assert means(volume) == ["acquisition_time_s"]
    assert [place.frame.source for place in volume.places] == list(range(12))


@pytest.mark.parametrize("names", [["A", ""], ["A", "A"], ["", ""]])
def test_without_a_name_for_each_coil_nothing_is_known(names: list[str]) -> None:
    volumes = checked_volumes(coils(names, 3, lambda c, z: {}))
    assert all(volume.flags == ("ambiguous_stack",) for volume in volumes)


def test_coils_that_follow_the_slices_are_one_stack() -> None:
    frames = [frame(z, 2.0 * z, {"instance_number": z + 1.0}, coil=f"SP{z // 3}") for z in range(9)]
    assert only_volume(frames).axes == ("z", "y", "x")


@given(st.integers(2, 6), st.integers(2, 6), st.randoms())
def test_coils_that_change_from_image_to_image_scatter_nothing(times: int, slices: int, order: random.Random) -> None:
    def made(change: bool) -> list[Frame]:
        names = [order.choice("AB") if change else "A" for _ in range(times * slices)]
        return [
            frame(t * slices + z, 2.0 * z, {"instance_number": t * slices + z + 1.0}, coil=names[t * slices + z])
            for t in range(times)
            for z in range(slices)
        ]

    volume = only_volume(made(True))
    assert volume.shape == only_volume(made(False)).shape
    if means(volume) == ["instance_number"]:  # not by chance the same coils at each place
        assert [place.frame.source for place in volume.places] == list(range(times * slices))


def test_one_doubtful_slice_does_not_separate_a_stack_by_its_coils() -> None:
    frames = [frame(z, 2.0 * z, coil="AB"[z % 2]) for z in range(9)]
    frames.append(frame(9, 8.0, coil="B"))
    volumes = checked_volumes(frames)
    assert sorted(len(volume.places) for volume in volumes) == [1, 9]
    assert all("contested_place" in volume.flags for volume in volumes)


def test_a_coil_that_lacks_a_slice_is_an_array_of_its_own() -> None:
    frames = [f for f in coils(["A", "B", "C"], 4, lambda c, z: {"instance_number": z + 1.0}) if f.source != 6]
    volumes = checked_volumes(frames)
    assert {tuple(place.frame.source for place in volume.places) for volume in volumes} == {
        (0, 1, 2, 3, 8, 9, 10, 11),
        (4, 5, 7),
    }


# ------------------------------------------------------------------------------------------------------ Image Index


@given(st.integers(1, 400), st.integers(1, 80), st.integers(1, 9))
def test_an_image_index_is_what_the_standard_says(index: int, slices: int, slots: int) -> None:
    """PS3.3 C.8.9.4.1.9 counts from 1: (time slice - 1) x slices + slice, and the same with intervals and slots."""
    dynamic = image_index(index, "DYNAMIC", slices, None)
    assert (dynamic["time_slice_index"] - 1) * slices + dynamic["slice_index"] == index
    gated = image_index(index, "GATED", slices, slots)
    interval, slot = gated["rr_interval_index"], gated["time_slot_index"]
    assert (interval - 1) * slots * slices + (slot - 1) * slices + gated["slice_index"] == index
    assert 1 <= slot <= slots and 1 <= gated["slice_index"] <= slices


@pytest.mark.parametrize(
    ("index", "kind", "slices", "slots"),
    [(None, "DYNAMIC", 4, None), (0, "DYNAMIC", 4, None), (3, "DYNAMIC", None, None), (3, "STATIC", 4, None),
     (3, "", 4, None), (3, "GATED", 4, None), (3, "GATED", 4, 0), (3, "DYNAMIC", 0, None)],
)  # fmt: skip
def test_an_index_without_its_numbers_says_nothing(index: Any, kind: str, slices: Any, slots: Any) -> None:
    assert image_index(index, kind, slices, slots) == {}


def indexed(times: int, slices: int, index: Any, **more: Any) -> list[Frame]:
    return grid(slices, times, lambda z, t: image_index(index(z, t), "DYNAMIC", slices, None), modality="PT", **more)


@given(st.integers(2, 5), st.integers(2, 6), st.booleans(), st.randoms())
def test_times_of_pet_are_in_the_order_of_their_indices(
    times: int, slices: int, falls: bool, order: random.Random
) -> None:
    frames = indexed(times, slices, lambda z, t: t * slices + (slices - z if falls else z + 1))
    order.shuffle(frames)
    volume = only_volume(frames)
    assert (means(volume), values(volume)) == (["time_slice_index"], [t + 1 for t in range(times)])
    assert [place.frame.source for place in volume.places] == list(range(times * slices))
    assert volume.flags == ()


@given(st.integers(2, 5), st.integers(2, 6), st.randoms())
def test_indices_that_do_not_follow_the_depths_are_not_believed(times: int, slices: int, order: random.Random) -> None:
    numbers = list(range(1, times * slices + 1))
    order.shuffle(numbers)
    frames = indexed(times, slices, lambda z, t: numbers[t * slices + z])
    kept = any("slice_index" in one.causes for one in with_numbers(frames))
    places = {((numbers[t * slices + z] - 1) % slices, z) for t in range(times) for z in range(slices)}
    assert kept == (len(places) == slices)  # each index of a slice at one depth


def test_a_time_of_pet_that_lacks_a_slice_is_an_array_of_its_own() -> None:
    frames = [one for one in indexed(3, 4, lambda z, t: t * 4 + z + 1) if one.source != 5]
    volumes = checked_volumes(frames)
    assert sorted(len(volume.places) for volume in volumes) == [3, 8]


def test_known_times_count_before_indices() -> None:
    frames = grid(
        4, 3, lambda z, t: {**image_index(t * 4 + z + 1, "DYNAMIC", 4, None), "frame_reference_time_s": 90.0 - 30 * t}
    )
    volume = only_volume(frames)
    assert means(volume) == ["frame_reference_time_s"]
    assert values(volume) == [30, 60, 90]
