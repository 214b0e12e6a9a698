"""Arrange the frames of a series into volumes: which frames form one array, in what order, with what geometry.

A series is not a volume. Frames in patient space are grouped by orientation, matrix, sample type, spacing and kind of
image, whether each has a file of its own or many share one. Within a group, frames whose facts of acquisition differ
(echo, b-value, temporal position ...) never share an axis `z`: each combination is stacked by itself. Stacks whose
slices lie at the same positions are then joined along `t`. Frames that cannot be placed become arrays of their own and
are flagged; nothing is guessed. Every frame ends in exactly one place, and no array has holes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from dicomzarr.volumes import geometry
from dicomzarr.volumes.acquisition import (
    FACTS,
    Class,
    are_compatible,
    classes_of,
    directions_of,
    order_of,
    without_medians,
    without_noise,
    without_what_follows_slices,
)
from dicomzarr.volumes.as_stored import arrays_of_file, arrays_of_singles, in_order, is_projection, is_segmentation
from dicomzarr.volumes.describe import array_of, kind_of_object, with_slices
from dicomzarr.volumes.frame_attributes import DIMENSIONS
from dicomzarr.volumes.grouping import Group, count_of, groups_of
from dicomzarr.volumes.lacking import flagged_beside_components, lacking_slices
from dicomzarr.volumes.lost_values import with_lost_values
from dicomzarr.volumes.model import Frame, Volume
from dicomzarr.volumes.pieces import doubts_of, gaps_between, is_nearly_even
from dicomzarr.volumes.slices import Slices, depth, has_geometry, last_digit, near_mm
from dicomzarr.volumes.stacks import Stack, arrange, identity, name_of
from dicomzarr.volumes.t_axis import CAUSES
from dicomzarr.volumes.t_values import TValues, t_values


def lay_out(frames: Sequence[Frame], *, tolerance: float = geometry.SPACING_TOLERANCE) -> list[Volume]:
    """Arrange the frames of one series into volumes.

    Parameters
    ----------
    frames : sequence of Frame
        All frames of one series of one patient, in any order.
    tolerance : float
        Largest departure of slices from a regular grid, relative to their spacing.

    Returns
    -------
    list of Volume
        Every frame has exactly one place; the result does not depend on the order of `frames`.
    """
    ordered = sorted(frames, key=identity)
    images: dict[object, list[Frame]] = {}
    stackable: dict[object, list[Frame]] = {}
    single: list[Frame] = []
    for frame in ordered:
        is_multi_frame = frame.frames_in_file > 1 or bool(frame.concatenation)
        is_image = is_multi_frame or is_segmentation(frame) or "row_offset" in frame.causes
        is_placed = has_geometry(frame) and not (is_segmentation(frame) or "row_offset" in frame.causes)
        if is_image and not is_placed:
            images.setdefault(frame.image, []).append(frame)
        elif is_placed and (is_multi_frame or not is_projection(frame)):
            # A dose or a parametric map is one object: it is never joined with another one.
            is_object = is_multi_frame and bool(kind_of_object(frame))
            stackable.setdefault(frame.image if is_object else None, []).append(frame)
        else:
            single.append(frame)
    volumes = arrays_of_singles(single)
    for alone, members in stackable.items():
        prefix = () if alone is None else (name_of(members[0]),)
        volumes += [v for group in groups_of(members, prefix, tolerance) for v in _volumes(group, tolerance)]
    read = {(frame.source, frame.number): frame for frame in ordered}
    volumes = [
        without_medians(volume, [read[p.frame.source, p.frame.number] for p in volume.places]) for volume in volumes
    ]
    volumes = flagged_beside_components(volumes)
    volumes += [volume for members in images.values() for volume in arrays_of_file(in_order(members))]
    volumes = _flagged_where_parts_are_missing(_with_unique_discriminators(volumes))
    placed = Counter((place.frame.source, place.frame.number) for volume in volumes for place in volume.places)
    if placed != Counter((frame.source, frame.number) for frame in ordered):
        raise AssertionError("lay_out lost or duplicated a frame")  # a defect of this module, never of the data
    return sorted(volumes, key=lambda volume: volume.discriminators)


# -------------------------------------------------------------------------------------------- from classes to arrays


@dataclass(frozen=True, slots=True)
class _Part:
    """A stack, the facts of acquisition that its frames share, and the last digit of their positions, mm."""

    stack: Stack
    facts: Class
    digit: float


def _volumes(group: Group, tolerance: float) -> list[Volume]:
    """Stack the frames of a group: each class of facts by itself, then joined along `t` where the slices coincide."""
    sheets = _sheets(group.frames) if group.kind.mosaic else [group.frames]
    parts = [part for sheet in sheets for part in _parts(sheet, tolerance)]
    arrays = _arrays_of(parts)
    lacking = lacking_slices([array.stack for array in arrays], _near_of(parts))
    return _with_times([_volume(array, group, arrays, number in lacking) for number, array in enumerate(arrays)])


def _near_of(parts: Sequence[_Part]) -> float:
    """Return the largest difference of positions that are the same, mm."""
    return max(near_mm(parts[0].stack.grid[0][0]), max(part.digit for part in parts) * 1.01)


def _arrays_of(parts: Sequence[_Part]) -> list[_Array]:
    """Return the arrays of stacks: those at the same places are one."""
    return [array for members in _coinciding(parts, _near_of(parts)) for array in _joined(members)]


def _with_times(volumes: list[Volume]) -> list[Volume]:
    """State when the arrays of a group were acquired, in seconds from the first of them, where each has one time.

    Times that could not be joined along `t`, since slices are missing at one of them or the patient moved, keep their
    order so.
    """
    clock = "acquisition_time_s"
    times = [_only([place.frame.causes.get(clock) for place in volume.places]) for volume in volumes]
    known = [time for time in times if time is not None]
    if len(set(known)) < 2 or len(known) < len(times):
        return volumes
    return [
        replace(volume, acquisition={**volume.acquisition, clock: round(time - min(known), 6)})
        for volume, time in zip(volumes, known, strict=True)
    ]


def _only(values: Sequence[float | None]) -> float | None:
    """Return the value that all have; None where they differ."""
    return values[0] if len(set(values)) == 1 else None


def _sheets(frames: Sequence[Frame]) -> list[list[Frame]]:
    """Return the sheets of mosaics by position: each already holds a volume."""
    sheets: dict[float, list[Frame]] = {}
    for frame in frames:
        sheets.setdefault(round(depth(frame), 2), []).append(frame)
    return list(sheets.values())


def _parts(frames: list[Frame], tolerance: float) -> list[_Part]:
    """Return the stacks of each class of facts."""
    classes = classes_of(frames)
    united = _united(frames, classes, tolerance)
    if united is not None:
        return [_Part(united, next(iter(classes)), last_digit(frames))]
    parts = _parts_of(classes, tolerance)
    are_cut = False
    for less in (without_noise, without_what_follows_slices, with_lost_values) if len(classes) > 1 else ():
        alike = less(frames)
        if alike == frames:
            continue
        coarse = _parts_of(classes_of(alike), tolerance)
        if _are_pieces_of(parts, coarse) and not _are_divided(coarse, alike, tolerance):
            frames, parts = alike, coarse
        else:
            are_cut = are_cut or (less is without_noise and _are_cut(parts, coarse))
    if not are_cut and not _are_divided(parts, frames, tolerance):
        return parts
    return [replace(part, stack=replace(part.stack, flags=part.stack.flags | {"stack_divided"})) for part in parts]


def _parts_of(classes: dict[Class, list[Frame]], tolerance: float) -> list[_Part]:
    """Return the stacks of classes."""
    parts = []
    for key, members in classes.items():
        digit = last_digit(members)
        parts += [_Part(stack, key, digit) for stack in arrange(members, tolerance)]
    return parts


def _are_pieces_of(parts: Sequence[_Part], coarse: Sequence[_Part]) -> bool:
    """Return whether differences of facts are none: without them the arrays have slices enough, and fewer doubts.

    Or even pieces follow each other, and are one even stack.
    """
    fine, arrays = ([array.stack for array in _arrays_of(of)] for of in (parts, coarse))
    worse, doubts = doubts_of(fine)[:5], doubts_of(arrays)[:5]
    if any(doubts[:3]) or max(len(stack.grid) for stack in arrays) < 3:
        return False
    follow = len(arrays) == 1 and arrays[0].slices.is_even and min(gaps_between(fine), default=0.0) > 0
    return doubts < worse or (follow and doubts == worse) or _follow_in_each(parts, coarse)


def _follow_in_each(parts: Sequence[_Part], coarse: Sequence[_Part]) -> bool:
    """Return whether several stacks each consist of pieces that follow each other: noise cuts echoes at any slice.

    Some may lack slices, if one is even.
    """
    pieces = _pieces_of(parts, coarse)
    return (
        sum(len(of) > 1 for of in pieces) > 1
        and all(is_nearly_even(part.stack.slices) for part in coarse)
        and any(part.stack.slices.is_even for part in coarse)
        and all(min(gaps_between(of), default=1.0) > 0 for of in pieces)
    )


def _are_cut(parts: Sequence[_Part], coarse: Sequence[_Part]) -> bool:
    """Return whether noise may have cut stacks where slices were lost: pieces follow each other, few are missing.

    Single slices, of which each has values of its own, are no pieces.
    """
    return any(
        len(of) > 1 < max(len(stack.grid) for stack in of)
        and min(gaps_between(of), default=0.0) > 0
        and part.stack.slices.kind in ("uniform", "gap")
        and 2 * part.stack.slices.missing <= len(part.stack.grid)
        for part, of in zip(coarse, _pieces_of(parts, coarse), strict=False)
    )


def _pieces_of(parts: Sequence[_Part], coarse: Sequence[_Part]) -> list[list[Stack]]:
    """Return the parts of which each coarse one consists; an empty list if a part belongs to several of them."""
    number = {(frame.source, frame.number): index for index, part in enumerate(coarse) for frame in part.stack.frames}
    pieces: list[list[Stack]] = [[] for _ in coarse]
    for part in parts:
        first, *others = {number[(frame.source, frame.number)] for frame in part.stack.frames}
        if others:
            return []
        pieces[first].append(part.stack)
    return pieces


def _are_divided(parts: Sequence[_Part], frames: Sequence[Frame], tolerance: float) -> bool:
    """Return whether arrays of several classes of facts fill each other's holes, and together are one even stack."""
    alone = [array.stack for array in _arrays_of(parts)]
    if len(alone) < 2 or len({part.facts for part in parts}) < 2 or not any(doubts_of(alone)[:5]):
        return False
    together = arrange(frames, tolerance)
    whole = together[0]
    return (
        len(together) == 1
        and not whole.is_doubtful
        and whole.slices.is_even
        and len(whole.grid) == sum(len(stack.grid) for stack in alone) > 2
        and doubts_of(together)[:5] < doubts_of(alone)[:5]
    )


def _united(frames: Sequence[Frame], classes: dict[Class, list[Frame]], tolerance: float) -> Stack | None:
    """Return all frames as one even stack, where some merely lack a fact that the others have, and None otherwise.

    Classes that are even stacks by themselves stay apart: images without a b-value beside those with one.
    """
    if len(classes) < 2 or not are_compatible(list(classes)):
        return None
    alone = [arrange(members, tolerance) for members in classes.values()]
    if all(len(stacks) == 1 and stacks[0].slices.kind == "uniform" for stacks in alone):
        return None
    together = arrange(frames, tolerance)
    is_one = len(together) == 1 and len(together[0].grid[0]) == 1 and together[0].slices.is_even
    return together[0] if is_one else None


def _coinciding(parts: Sequence[_Part], near: float) -> list[list[_Part]]:
    """Group stacks whose slices lie at the same positions; a doubtful stack stays by itself."""
    sets = [[part] for part in parts if part.stack.is_doubtful]
    certain = [part for part in parts if not part.stack.is_doubtful]
    if not certain:
        return sets
    ends = []
    for part in certain:
        points = part.stack.slices.points
        ends.append((*points[0].tolist(), *points[-1].tolist(), 1e3 * len(points)))
    found: dict[int, list[list[_Part]]] = {}
    for number, part in zip(geometry.cluster(ends, near), certain, strict=True):
        points = part.stack.slices.points
        for members in found.setdefault(number, []):
            first = members[0].stack.slices.points
            if first.shape == points.shape and bool((np.abs(points - first) <= near).all()):
                members.append(part)
                break
        else:
            found[number].append([part])
    return sets + [members for groups in found.values() for members in groups]


@dataclass(frozen=True, slots=True)
class _Array:
    """A stack, the values along its axis `t`, if it has one, and the facts of its first class."""

    stack: Stack
    axis: TValues | None
    facts: Class
    labels: tuple[str, ...]


def _joined(parts: list[_Part]) -> list[_Array]:
    """Join stacks at the same positions along `t`, if their facts or an order distinguish the indices."""
    names = {name for part in parts for name in part.stack.sorted_by}
    parts = sorted(parts, key=partial(_order, names=names))
    known = [key for cause in CAUSES for key in cause.keys if key in names]
    grid = [[frame for row in rows for frame in row] for rows in zip(*(p.stack.grid for p in parts), strict=True)]
    grid = _in_order_of_time(parts, grid)
    slices = parts[0].stack.slices
    flags = frozenset(flag for part in parts for flag in part.stack.flags)
    if len(grid[0]) == 1:
        return [_Array(parts[0].stack, None, parts[0].facts, parts[0].stack.labels)]
    axis = t_values(grid, known)
    if axis.are_distinct:
        labels = parts[0].stack.labels if len(parts) == 1 else ()
        return [_Array(replace(parts[0].stack, grid=grid, slices=slices, flags=flags), axis, parts[0].facts, labels)]
    if len(parts) > 1:
        return _without_alike(parts, axis.rows)
    count = len(grid[0])
    unknown = TValues(["unexplained"], [(float(index),) for index in range(count)], False, True)
    stack = parts[0].stack
    return [_Array(replace(stack, flags=flags | {"ambiguous_stack"}), unknown, parts[0].facts, stack.labels)]


def _in_order_of_time(parts: list[_Part], grid: list[list[Frame]]) -> list[list[Frame]]:
    """Sort `t` by the clock where only some frames have a temporal position: the others are not all before them."""
    at = next(index for index, fact in enumerate(FACTS) if fact.name == "temporal_position")
    known = {part.facts[at] is not None for part in parts}
    others = {(*part.facts[:at], *part.facts[at + 1 :]) for part in parts}
    clock = "acquisition_time_s"
    if len(known) < 2 or len(others) > 1 or any(clock not in frame.causes for row in grid for frame in row):
        return grid
    order = sorted(range(len(grid[0])), key=lambda t: min(row[t].causes[clock] for row in grid))
    return [[row[t] for t in order] for row in grid]


def _without_alike(parts: list[_Part], rows: Sequence[tuple[float | None, ...]]) -> list[_Array]:
    """Join the stacks that can be distinguished; one that is like an earlier one becomes an array of its own."""
    seen: set[tuple[float | None, ...]] = set()
    together: list[_Part] = []
    alike: list[_Part] = []
    start = 0
    for part in parts:
        own = rows[start : start + len(part.stack.grid[0])]
        start += len(own)
        (alike if seen & set(own) or len(set(own)) < len(own) else together).append(part)
        seen.update(own)
    arrays = _joined(together) if together else []
    for part in alike:
        stack = replace(part.stack, flags=part.stack.flags | {"ambiguous_stack"})
        arrays += _joined([replace(part, stack=stack)])
    return arrays


def _order(part: _Part, names: Collection[str]) -> tuple[Any, ...]:
    """Return the sort key of a stack along `t`: its facts, then the acquisition of its first frame, then the rest."""
    directions = directions_of(part.facts)
    unknown = float("inf")
    first: tuple[float, ...] = ()
    if directions:
        causes = ("acquisition_time_s", "instance_number")
        # Without these as the file has them: by its dimensions, then in stored order.
        in_file = tuple(f"dimension_{index + 1}" for index in range(DIMENSIONS))
        first = (
            *(min(f.causes.get(cause, unknown) for f in part.stack.frames) for cause in (*causes, *in_file)),
            min(f.concatenation_offset + f.number for f in part.stack.frames),
        )
    return (order_of(part.facts), first, directions, _order_within(part.stack, names))


def _order_within(stack: Stack, names: Collection[str]) -> tuple[Any, ...]:
    """Return the sort key of stacks with the same facts: the causes that sort any of them, then their first frame."""
    causes = stack.grid[0][0].causes
    values = tuple(causes.get(key, float("-inf")) for cause in CAUSES for key in cause.keys if key in names)
    return values, identity(min(stack.frames, key=identity))


def _volume(array: _Array, group: Group, arrays: Sequence[_Array], lacks_slices: bool) -> Volume:
    """Return the volume of an array of a group."""
    stack, axis = array.stack, array.axis
    slices, times = len(stack.grid), len(stack.grid[0])
    kind = "volume" if slices > 1 else "frames" if times > 1 else "image"
    kind = "mosaic" if group.kind.mosaic else kind_of_object(stack.grid[0][0]) or kind
    flags = set(stack.flags)
    flags |= {"incomplete_grid"} if lacks_slices else set()
    flags |= {"mosaic"} if group.kind.mosaic else set()
    flags |= {"t_order_only"} if axis and axis.order_only else set()
    split_by, labels = list(group.split_by), list(array.labels)
    if len(arrays) > 1:
        labels += _facts_of(array.facts)
        split_by += [*stack.split_by, *_varying(arrays)]
    how = stack.why
    if axis and "unexplained" not in axis.means:
        each = "distinguished" if slices == 1 else f"{times} at each position, distinguished"
        how += f", {each} by {' x '.join(axis.means)}"
    volume = array_of(
        stack.grid,
        (*group.discriminators, *labels),
        kind,
        f"{count_of(slices * times, 'frame')} {_where(stack.slices)}{how}{group.why}",
        group=group.set,
        split_by=split_by,
        t_axis=axis.attribute if axis else None,
        flags=sorted(flags),
    )
    volume = with_slices(volume, stack.slices)
    # Image Position (Patient) of a mosaic belongs to the sheet, not to a slice; `mosaic` places the tiles.
    return replace(volume, origin_lps=None) if group.kind.mosaic else volume


def _facts_of(key: Class) -> list[str]:
    """Return the facts of a class as discriminators."""
    return [
        f"{fact.name}={','.join(f'{number:.6g}' for number in value)}"
        for fact, value in zip(FACTS, key, strict=True)
        if value is not None
    ]


def _varying(arrays: Sequence[_Array]) -> list[str]:
    """Return the names of the facts in which the first classes of arrays differ."""
    columns = zip(*(array.facts for array in arrays), strict=True)
    return [fact.name for fact, column in zip(FACTS, columns, strict=True) if len(set(column)) > 1]


def _where(slices: Slices) -> str:
    count = len(slices.depths)
    return {
        "single": "at one position",
        "uniform": f"at {count} positions {_mm(slices.step_mm)} mm apart",
        "gap": f"at {count} positions in steps of {_mm(slices.step_mm)} mm with {slices.missing} missing",
        "uneven": f"at {count} positions unevenly apart",
        "irregular": f"at {count} positions on no common line",
    }[slices.kind]


def _flagged_where_parts_are_missing(volumes: list[Volume]) -> list[Volume]:
    """Flag the arrays of a concatenation of which fewer parts are there than it says (PS3.3 C.7.6.16.1)."""
    parts: dict[str, set[float]] = {}
    totals: dict[str, float] = {}
    for frame in (place.frame for volume in volumes for place in volume.places if place.frame.concatenation):
        parts.setdefault(frame.concatenation, set()).add(frame.causes.get("in_concatenation_number", 0.0))
        total = frame.causes.get("in_concatenation_total_number", 0.0)
        totals[frame.concatenation] = max(total, totals.get(frame.concatenation, 0.0))
    lacking = {uid for uid, total in totals.items() if len(parts[uid]) < total}
    return [
        replace(volume, flags=tuple(sorted({*volume.flags, "incomplete_concatenation"})))
        if lacking and any(place.frame.concatenation in lacking for place in volume.places)
        else volume
        for volume in volumes
    ]


def _with_unique_discriminators(volumes: list[Volume]) -> list[Volume]:
    """Add to equal discriminators the name of the first frame, and a number if they are still equal."""
    for name in (lambda v: name_of(min((p.frame for p in v.places), key=identity)), None):
        shared = {key for key, number in Counter(v.discriminators for v in volumes).items() if number > 1}
        if not shared:
            return volumes
        copies: Counter[tuple[str, ...]] = Counter()
        unique = []
        for volume in volumes:
            key = volume.discriminators
            if key in shared:
                copies[key] += 1
                volume = replace(volume, discriminators=(*key, name(volume) if name else f"copy={copies[key]}"))
            unique.append(volume)
        volumes = unique
    return volumes


def _mm(value: float | None) -> str:
    return "?" if value is None else f"{value:.6g}"
