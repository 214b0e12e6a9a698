"""Which arrays of a group lack slices that others have: the times of a series at which slices were lost."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dicomzarr.volumes import geometry
from dicomzarr.volumes.acquisition import FACTS
from dicomzarr.volumes.model import Volume
from dicomzarr.volumes.separators import thicknesses
from dicomzarr.volumes.slices import Slices, depth, has_geometry
from dicomzarr.volumes.stacks import Stack

_Depths = NDArray[np.float64]
_COMPONENT: Final = "complex_component"


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


def flagged_beside_components(volumes: Sequence[Volume]) -> list[Volume]:
    """Return volumes, those flagged `incomplete_grid` that lack slices which another component of the signal has.

    Magnitude, phase, real and imaginary part are computed from the same data. Of other kinds of images, such as another
    kernel or a map, fewer slices may have been made.

    Parameters
    ----------
    volumes : sequence of Volume
        Of one series.

    Returns
    -------
    list of Volume
    """
    components = {volume.acquisition[_COMPONENT] for volume in volumes if _COMPONENT in volume.acquisition}
    if len(components) < 2:
        return list(volumes)
    places: dict[tuple[object, ...], dict[object, set[float]]] = {}
    for volume in volumes:
        component = volume.acquisition.get(_COMPONENT)
        if component is not None and volume.kind in ("volume", "image", "frames"):
            of_component = places.setdefault(_besides_component(volume), {})
            of_component.setdefault(component, set()).update(_depths_of(volume))
    found = []
    for volume in volumes:
        component, own = volume.acquisition.get(_COMPONENT), set(_depths_of(volume))
        of_component = places.get(_besides_component(volume), {})
        # Where a component has several arrays, such as scans of two parts, none of them lacks the slices of the others.
        is_whole = bool(own) and of_component.get(component) == own
        lacks = is_whole and any(own < depths for other, depths in of_component.items() if other != component)
        flags = tuple(sorted({*volume.flags, "incomplete_grid"})) if lacks else volume.flags
        found.append(replace(volume, flags=flags))
    return found


def _besides_component(volume: Volume) -> tuple[object, ...]:
    """Return what components of one signal have in common: the grid, the facts and what varies along `t`."""
    facts = sorted((fact.name, str(volume.acquisition.get(fact.name))) for fact in FACTS)
    return (volume.group, tuple(facts), str(volume.t_axis))


def _depths_of(volume: Volume) -> list[float]:
    return [round(depth(place.frame), 2) for place in volume.places if has_geometry(place.frame)]
