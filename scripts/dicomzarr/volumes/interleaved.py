"""Stacks that together are one even stack, and are scans of their own all the same: which slices each of them has."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from dicomzarr.volumes import geometry
from dicomzarr.volumes.model import Frame
from dicomzarr.volumes.pieces import is_nearly_even, may_be_two_scans
from dicomzarr.volumes.separators import MORE_SEPARATORS, MOST_SCANS, ORDERS, REPETITION, SEPARATORS, THICKNESS
from dicomzarr.volumes.slices import last_digit, slices_of

if TYPE_CHECKING:
    from dicomzarr.volumes.stacks import Stack

# What parts slices that alternate, however thick they are.
_SETTINGS: Final = frozenset({THICKNESS, REPETITION, "image_type", "setting", "trigger_time_ms"})


def scans_of(stack: Stack, tolerance: float, *, by_settings: bool) -> list[Stack]:
    """Return the scans of which an even stack consists, where the slices of each lie between those of the others.

    A counter, a clock or its order parts slices that are as thick as those of a scan are apart. Values that lie at one
    position, such as the times of a dynamic scan, belong to one scan.

    Parameters
    ----------
    stack : Stack
    tolerance : float
        Largest departure of slices from a regular grid, relative to their distance.
    by_settings : bool
        A thickness, a Repetition Time, a Trigger Time, a setting or an Image Type parts slices of any thickness.

    Returns
    -------
    list of Stack
        Two or three scans, each even by itself; an empty list if the stack is one.
    """
    if stack.is_doubtful:
        return []
    are_thick = may_be_two_scans(stack)
    frames = list(stack.frames)
    for name, values_of in (*SEPARATORS, *MORE_SEPARATORS) if are_thick else SEPARATORS:
        if are_thick or (by_settings and name in _SETTINGS):
            value_of = dict(zip(map(id, frames), values_of(frames), strict=True))
            values = _values_of_rows([[value_of[id(frame)] for frame in row] for row in stack.grid])
            scans = _interleaved(stack, name, values, tolerance)
            if scans:
                return scans
    return []


def _values_of_rows(rows: Sequence[Sequence[Hashable]]) -> list[Hashable]:
    """Return one value for each position, equal for positions that have a value in common, or are linked by others."""
    leader: dict[Hashable, Hashable] = {}  # of values that are linked to another one

    def leader_of(value: Hashable) -> Hashable:
        while value in leader:
            leader[value] = leader.get(leader[value], leader[value])  # shortens the way for the next one
            value = leader[value]
        return value

    for first, *others in rows:
        for other in others:
            ends = leader_of(first), leader_of(other)
            if ends[0] != ends[1]:
                leader[ends[1]] = ends[0]
    return [leader_of(row[0]) for row in rows]


def _interleaved(stack: Stack, name: str, values: Sequence[Hashable], tolerance: float) -> list[Stack]:
    """Return the stacks of two or three values, if each is even by itself, and they do not follow each other.

    Slices may be lost, if all stacks have the same distance.
    """
    parts: dict[Hashable, list[list[Frame]]] = {}
    for row, value in zip(stack.grid, values, strict=True):
        parts.setdefault(value, []).append(row)
    if not 2 <= len(parts) <= MOST_SCANS or min(map(len, parts.values())) < 3:
        return []
    scans = []
    for value, grid in parts.items():
        firsts = [row[0] for row in grid]
        slices = slices_of(firsts, last_digit(firsts), tolerance)
        scans.append(parted_by(replace(stack, grid=grid, slices=slices), name, value))
    if not (all(scan.slices.kind == "uniform" for scan in scans) or _are_even_but_for_losses(scans, stack)):
        return []
    ends = sorted((scan.slices.depths[0], scan.slices.depths[-1]) for scan in scans)
    return scans if all(low <= high for (_, high), (low, _) in pairwise(ends)) else []


def _are_even_but_for_losses(scans: Sequence[Stack], together: Stack) -> bool:
    """Return whether stacks have one distance of slices, that of every second place, or third, but for rounding.

    One of them lacks a fifth of its slices at most, and the others half of theirs.
    """
    steps = [scan.slices.step_mm for scan in scans if scan.slices.step_mm is not None]
    if len(steps) < len(scans) or max(steps) - min(steps) > geometry.STATED_TOLERANCE * min(steps):
        return False
    leave_places = min(steps) > 1.9 * (together.slices.step_mm or max(steps))
    return (
        leave_places
        and any(is_nearly_even(scan.slices) for scan in scans)
        and all(scan.slices.missing <= len(scan.grid) for scan in scans)
    )


def parted_by(stack: Stack, name: str, value: Hashable) -> Stack:
    """Return a stack with what parts it from others.

    Parameters
    ----------
    stack : Stack
    name : str
        Of one of `separators.SEPARATORS`.
    value : hashable
        A file and an image type have no short value for the label of a stack.

    Returns
    -------
    Stack
    """
    return replace(
        stack,
        sorted_by=(*stack.sorted_by, ORDERS.get(name, name)),
        labels=(*stack.labels, f"{name}={value:g}") if isinstance(value, float) else stack.labels,
        split_by=(*stack.split_by, name),
        why=f"{stack.why}, separated by {name}",
    )
