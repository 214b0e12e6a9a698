"""Slices of one stack that no array can hold together: derived, of another kernel, mirrored or turned."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace

import pytest
from made_up_frames import checked_volumes, frame, stack

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
