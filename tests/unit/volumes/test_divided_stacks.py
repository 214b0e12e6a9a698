"""Slices of one stack that no array can hold together: derived, of another kernel, mirrored or turned."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Any

import pytest
from made_up_frames import checked_volumes, frame, grid, only_volume, stack

from dicomzarr.volumes.model import Frame

STACK = stack(*(2.0 * n for n in range(10)))


def derived(one: Frame) -> Frame:
    return replace(one, image_type=("DERIVED", "PRIMARY", "M"))


def secondary(one: Frame) -> Frame:
    return replace(one, image_type=("ORIGINAL", "SECONDARY", "M"))


def of_kernel(one: Frame) -> Frame:
    return replace(one, kernel="B70f")


def mirrored(one: Frame) -> Frame:
    """Write each row from its other end."""
    return _turned(one, -1.0, 1.0)


def turned(one: Frame) -> Frame:
    """Turn a slice by 180 degrees within its plane."""
    return _turned(one, -1.0, -1.0)


def flipped(one: Frame) -> Frame:
    """Write the rows from the last one on: the normal points to the other side."""
    return _turned(one, 1.0, -1.0)


def _turned(one: Frame, x: float, y: float) -> Frame:
    assert one.position and one.pixel_spacing
    between_rows, between_columns = one.pixel_spacing
    corner = (
        one.position[0] + between_columns * (one.columns - 1) * (x < 0),
        one.position[1] + between_rows * (one.rows - 1) * (y < 0),
        one.position[2],
    )
    return replace(one, position=corner, orientation=(x, 0.0, 0.0, 0.0, y, 0.0))


def changed(change: Callable[[Frame], Frame], which: Collection[int]) -> list[Frame]:
    return [change(one) if one.source in which else one for one in STACK]


def twins(change: Callable[[Frame], Frame], shift: tuple[float, float, float], which: Collection[int]) -> list[Frame]:
    """Return the stack, and some of its slices again elsewhere."""
    found = []
    for n in which:
        position = (shift[0], shift[1], 2.0 * n + shift[2])
        found.append(change(frame(50 + n, 0, position=position)))
    return STACK + found


HOLES = [(3, 6), (5,), (1, 2, 8)]


@pytest.mark.parametrize("which", HOLES)
@pytest.mark.parametrize("change", [derived, secondary, of_kernel])
def test_slices_in_the_holes_of_a_stack_are_flagged(change: Callable[[Frame], Frame], which: tuple[int, ...]) -> None:
    for frames in (changed(change, which), [one for one in changed(change, which) if one.source != 7]):
        volumes = checked_volumes(frames)
        assert sorted(len(volume.places) for volume in volumes) == [len(which), len(frames) - len(which)]
        assert all("stack_divided" in volume.flags for volume in volumes)


@pytest.mark.parametrize("which", [*HOLES, range(5), range(0, 10, 2)])
@pytest.mark.parametrize("change", [mirrored, turned, flipped])
def test_slices_of_a_stack_with_other_directions_of_rows_are_flagged(
    change: Callable[[Frame], Frame], which: Collection[int]
) -> None:
    volumes = checked_volumes(changed(change, which))
    assert sorted(len(volume.places) for volume in volumes) == sorted([len(which), 10 - len(which)])
    assert all("stack_divided" in volume.flags for volume in volumes)


@pytest.mark.parametrize("which", [range(5), range(0, 10, 2)])
@pytest.mark.parametrize("change", [derived, secondary, of_kernel])
def test_even_stacks_of_another_kind_or_kernel_are_volumes_of_their_own(
    change: Callable[[Frame], Frame], which: Collection[int]
) -> None:
    volumes = checked_volumes(changed(change, which))
    assert [(len(volume.places), volume.flags) for volume in volumes] == [(5, ())] * 2


@pytest.mark.parametrize("change", [derived, of_kernel, mirrored, turned, flipped])
def test_volumes_that_are_whole_have_no_flag(change: Callable[[Frame], Frame]) -> None:
    """At the same places, at some of them, beside each other, or farther away: as supine and prone scans are."""
    for shift, which in (
        ((0.0, 0.0, 0.0), range(10)),
        ((0.0, 0.0, 0.0), range(3, 7)),
        ((9.3, 0.0, 20.0), range(10)),
        ((0.0, 0.0, 50.0), range(10)),
        ((0.0, 0.0, 0.7), range(10)),
    ):
        volumes = checked_volumes(twins(change, shift, which))
        assert len(volumes) == 2
        assert not any(volume.flags for volume in volumes), (shift, which)


def of_no_kernel(one: Frame) -> Frame:
    return replace(one, kernel="")


def of_no_size(one: Frame) -> Frame:
    return replace(one, pixel_spacing=None)


def of_no_term(one: Frame) -> Frame:
    return replace(one, terms={})


def of_no_type(one: Frame) -> Frame:
    return replace(one, image_type=(), terms={})


@pytest.mark.parametrize("which", [{9}, {0}, {4}, {2, 7}, {8, 9}])
@pytest.mark.parametrize(
    ("change", "twin"),
    [
        (of_no_kernel, {"kernel": "B30f"}),
        (of_no_size, {"pixel_spacing": (0.4, 0.4)}),
        (of_no_type, {"image_type": ("ORIGINAL", "PRIMARY", "P"), "terms": {"complex_component": "phase"}}),
        (of_no_term, {"terms": {"complex_component": "phase"}}),
    ],
)
def test_slices_that_lack_what_two_stacks_differ_in_are_flagged(
    change: Callable[[Frame], Frame], twin: dict[str, Any], which: Collection[int]
) -> None:
    """Of two kernels, sizes or components at the same places, the slices belong to the one that has the holes."""
    alike: dict[str, Any] = {"kernel": "B70f", "terms": {"complex_component": "magnitude"}}
    alike |= {"image_type": ("ORIGINAL", "PRIMARY", "VOLUME")} if change is of_no_term else {}
    stack = [replace(one, **alike) for one in STACK]
    frames = [change(one) if one.source in which else one for one in stack]
    whole = [replace(one, source=100 + one.source, sop_instance_uid=f"1.3.{one.source}", **twin) for one in stack]
    volumes = checked_volumes(frames + whole)
    of_twin = [volume for volume in volumes if volume.places[0].frame.source >= 100]
    assert [len(volume.places) for volume in of_twin] == [10]
    flagged = {"stack_divided" in volume.flags for volume in volumes if volume not in of_twin}
    # Two slices at the end are an even stack by themselves, as those of another protocol may be.
    assert flagged == ({True} if which != {8, 9} or change is of_no_size else {False})
    assert "stack_divided" not in of_twin[0].flags


def test_magnitude_and_phase_of_one_slice_are_no_pieces() -> None:
    frames = [
        frame(
            20 * i + t,
            0.0,
            {"trigger_time_ms": 30.0 * t + i, "instance_number": 20.0 * i + t + 1},
            image_type=("ORIGINAL", "PRIMARY", part),
        )
        for i, part in enumerate("MP")
        for t in range(20)
    ]
    assert [(volume.shape[0], volume.flags) for volume in checked_volumes(frames)] == [(20, ()), (20, ())]


@pytest.mark.parametrize("lost", [None, 3])
def test_slices_without_a_pixel_spacing_are_flagged_with_their_times(lost: int | None) -> None:
    frames = [frame(10 * t + z, 2.0 * z, {"echo_time_ms": 10.0 * (t + 1)}) for t in range(3) for z in range(10)]
    changed = [of_no_size(one) if one.source == 14 else one for one in frames if one.source != lost]
    assert all("stack_divided" in volume.flags for volume in checked_volumes(changed))


def test_slices_with_and_without_a_temporal_position_are_flagged() -> None:
    causes = [{"instance_number": 10.0 * t + z + 1} for t in range(2) for z in range(10)]
    for which in ({8, 9}, {0}, {3, 6}):
        frames = [
            frame(10 * t + z, 2.0 * z, {**causes[10 * t + z], **({} if z in which else {"temporal_position": t + 1.0})})
            for t in range(2)
            for z in range(10)
        ]
        volumes = checked_volumes(frames)
        assert len(volumes) > 1
        assert all("stack_divided" in volume.flags for volume in volumes)


@pytest.mark.parametrize("causes", ["instance_number", "acquisition_time_s", "respiratory_phase_percent"])
@pytest.mark.parametrize("lost", [(7,), (7, 8), (2, 13, 14)])
def test_slices_of_several_times_that_lack_their_spacing_are_flagged(causes: str, lost: tuple[int, ...]) -> None:
    """Whatever distinguishes the times, and although slices of all times together have all places."""
    frames = grid(5, 3, lambda z, t: {causes: 5.0 * t + (z if causes == "instance_number" else 0)})
    frames = [replace(one, pixel_spacing=None) if one.source in lost else one for one in frames]
    for volume in checked_volumes(frames):
        if any(place.frame.pixel_spacing is None for place in volume.places):
            assert "stack_divided" in volume.flags


@pytest.mark.parametrize("causes", ["instance_number", "acquisition_time_s", "trigger_time_ms"])
@pytest.mark.parametrize("turned", [0, 6, 14])
def test_noise_of_an_orientation_takes_no_slice_out_of_its_time(causes: str, turned: int) -> None:
    near = (0.99999996, 0.0003, 0.0, -0.0003, 0.99999996, 0.0)
    frames = grid(5, 3, lambda z, t: {causes: 5.0 * t + (z if causes == "instance_number" else 0)})
    volume = only_volume([replace(one, orientation=near) if one.source == turned else one for one in frames])
    assert volume.shape[:2] == (3, 5)
    assert [place.frame.source for place in volume.places] == list(range(15))
