"""Which arrays of a group lack slices that others have: the times of a series at which slices were lost."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dicomzarr.volumes import geometry
from dicomzarr.volumes.separators import thicknesses
from dicomzarr.volumes.slices import Slices
from dicomzarr.volumes.stacks import Stack

_Depths = NDArray[np.float64]


def lacking_slices(stacks: Sequence[Stack], near: float) -> set[int]:
    """Return the numbers of the stacks that lack slices which others have.

    Parameters
    ----------
    stacks : sequence of Stack
        Of one group, each at other places or with other facts.
    near : float
        Largest difference of depths that are the same, mm.

    Returns
    -------
    set of int
        Of stacks whose slices are some of those of another one, which has more of them, or that skip a slice of one
        with which they share an end.
    """
    largest = {}
    for stack in sorted(stacks, key=lambda stack: len(stack.grid[0])):
        largest[stack.slices.depths] = stack  # of stacks at the same places, the one of most times
    starts = sorted((depth_of, depths) for depths in largest if len(depths) > 1 for depth_of in depths)
    firsts = [depth_of for depth_of, _ in starts]

    def with_a_slice_at(place: float) -> set[tuple[float, ...]]:
        found = starts[bisect_left(firsts, place - near) : bisect_right(firsts, place + near)]
        return {depths for _, depths in found}

    lacking = set()
    for number, stack in enumerate(stacks):
        first, last = stack.slices.depths[0], stack.slices.depths[-1]
        at_first, at_last = with_a_slice_at(first), with_a_slice_at(last)
        if any(_lacks_slices(stack, largest[depths], near) for depths in at_first) or any(
            _skips_a_slice(stack, largest[depths], near) for depths in at_first | at_last
        ):
            lacking.add(number)
    return lacking


def _lacks_slices(stack: Stack, other: Stack, near: float) -> bool:
    """Return whether the slices of a stack are some of those of another one, which has more of them.

    Of one with a gap that has slices elsewhere, the places without a slice count, too: each has lost other slices.
    """
    if stack.is_doubtful or not _are_as_thick(stack, other):
        return False
    depths, others = np.array(stack.slices.depths), np.array(other.slices.depths)
    if stack.slices.kind != "gap" and not _are_among(others, depths, near):
        others = _with_lost_places(other.slices)
    return len(depths) < len(others) and _are_among(depths, others, near)


def _skips_a_slice(stack: Stack, other: Stack, near: float) -> bool:
    """Return whether an even stack has no slice where another one has, and all places of both are an even stack.

    Each of the two may have lost slices that the other has.
    """
    if stack.is_doubtful or other.is_doubtful or stack.slices.kind != "uniform" or not _are_as_thick(stack, other):
        return False
    depths, others = np.array(stack.slices.depths), np.array(other.slices.depths)
    new = others[~_are_at(others, depths, near)]
    if not ((depths[0] < new) & (new < depths[-1])).any():
        return False
    return geometry.regularity(sorted([*depths, *new]), geometry.SPACING_TOLERANCE).kind == "uniform"


def _are_as_thick(stack: Stack, other: Stack) -> bool:
    """Return whether slices are as thick: no thick ones among thin ones."""
    return len(set(thicknesses([next(stack.frames), next(other.frames)]))) == 1


def _are_at(depths: _Depths, places: _Depths, near: float) -> NDArray[np.bool_]:
    """Return which of several depths are one of some others, which are sorted."""
    after = np.searchsorted(places, depths - near)
    return np.asarray(np.abs(places[np.minimum(after, len(places) - 1)] - depths) <= near)


def _are_among(depths: _Depths, places: _Depths, near: float) -> bool:
    return bool(_are_at(depths, places, near).all())


def _with_lost_places(slices: Slices) -> _Depths:
    """Return the depths of slices, mm, and of the places that a gap leaves between them."""
    if slices.kind != "gap" or slices.step_mm is None:
        return np.array(slices.depths)
    return np.linspace(slices.depths[0], slices.depths[-1], len(slices.depths) + slices.missing)
