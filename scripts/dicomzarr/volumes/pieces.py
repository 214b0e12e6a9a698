"""Whether parts of a stack are stacks of their own, or pieces of one: their doubts, and how they follow each other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import partial
from itertools import pairwise, starmap
from typing import TYPE_CHECKING, Final

import numpy as np

from dicomzarr.volumes import geometry
from dicomzarr.volumes.model import Frame
from dicomzarr.volumes.separators import THICKNESS
from dicomzarr.volumes.slices import Slices, last_digit, slices_of, stated_mm

if TYPE_CHECKING:
    from dicomzarr.volumes.stacks import Stack

_IN_LINE: Final = 0.1  # of the step: largest departure of images that lie beside each other from a line
_MOST_LOST: Final = 3  # slices between two parts that may be one stack of which slices were lost
# Counters and clocks that several slices of one stack may share.
_SHARED: Final = frozenset(
    {
        *("acquisition_number", "frame_acquisition_number", "acquisition_time_s", "reference_time_s"),
        *("content_time_s", "frame_reference_time_s", "pass_of_time"),
    }
)


def doubts_of(stacks: Sequence[Stack]) -> tuple[int, ...]:
    """Return how doubtful an arrangement is: the smaller, the better.

    Parameters
    ----------
    stacks : sequence of Stack

    Returns
    -------
    tuple of int
        In this order: frames whose stack is not known, slices unevenly apart, slices by themselves, slices missing,
        slices that are even only within rounding, stacks.
    """
    doubtful = sum(len(stack.grid) * len(stack.grid[0]) for stack in stacks if stack.is_doubtful)
    uneven = sum(len(stack.grid) for stack in stacks if stack.slices.kind in ("uneven", "irregular"))
    lonely = sum(len(stack.grid) == 1 for stack in stacks) if len(stacks) > 1 else 0
    missing = sum(stack.slices.missing for stack in stacks)
    fitted = sum(len(stack.grid) for stack in stacks if stack.slices.fit or len(stack.grid) == 2)
    return doubtful, uneven, lonely, missing, fitted, len(stacks)


def are_one(together: Sequence[Stack], parted: Sequence[Stack], tolerance: float) -> bool:
    """Return whether parts are pieces of one stack: some of them go on where others end, or all are one grid.

    Slices that are acquired a few at a time share a number and a time, and so do those of a bed position, or of a
    package of every second slice. One slice that was lost does not make several stacks of them; nor do many, where the
    distance that the header states is that of all slices together: a scan may be stopped within its second package.

    Parameters
    ----------
    together, parted : sequence of Stack
        The same frames, by themselves and by the values of a counter or a clock.
    tolerance : float
        Largest departure of slices from a regular grid, relative to their distance.

    Returns
    -------
    bool
    """
    pieces = _in_depth(parted)
    if len(pieces) < 2:
        return False
    gaps = gaps_between(parted)
    if min(gaps) > 0:
        return any(starmap(partial(_go_on, tolerance=tolerance), zip(pieces, pieces[1:], gaps, strict=False)))
    if len(together) > 1:
        return False
    slices = together[0].slices
    if slices.kind == "uniform":  # within rounding, or rounding would not be a doubt
        return not may_be_two_scans(together[0])
    if slices.kind != "gap":
        return False
    return _states_its_distance(together[0]) or 4 * slices.missing <= len(slices.depths)


def _states_its_distance(stack: Stack) -> bool:
    """Return whether the header states the distance that the slices of a stack have."""
    step, stated = stack.slices.step_mm, stated_mm(stack.frames)
    return step is not None and stated is not None and abs(stated - step) <= geometry.STATED_TOLERANCE * step


def may_be_two_scans(stack: Stack) -> bool:
    """Return whether an even stack may be two scans, the slices of one between those of the other.

    The header states the distance of every second or third slice. Or slices are as thick as every second one of them
    is apart, so that each scan alone leaves no gap. One scan whose slices overlap may acquire every second one first,
    too; its header states the distance of all.

    Parameters
    ----------
    stack : Stack

    Returns
    -------
    bool
    """
    step, stated = stack.slices.step_mm, stated_mm(stack.frames)
    if step is None:
        return False
    if stated is not None and any(abs(stated - n * step) <= geometry.STATED_TOLERANCE * stated for n in (2, 3)):
        return True
    thickness = [frame.constants.get(THICKNESS, 0.0) for frame in stack.frames]
    return min(thickness) >= 1.98 * step and not _states_its_distance(stack)


def are_times_of_a_few(together: Sequence[Stack], parted: Sequence[Stack]) -> bool:
    """Return whether most frames are in parts of a few slices, of stacks of many times that hold more of them.

    Slices that are excited at one time, or in one breath-hold, have times in common: they are no stack of their own.
    Nor are packages, such as every second slice of an even stack, however few they are.

    Parameters
    ----------
    together, parted : sequence of Stack
        The same frames, by themselves and by the values of a counter or a clock.

    Returns
    -------
    bool
    """
    largest = max(together, key=lambda stack: len(stack.grid))
    if len(largest.grid[0]) == 1 and min(gaps_between(together), default=1.0) > 0:
        return False
    if _are_of_packages(together, parted):
        return True
    sizes = [(len(stack.grid), len(stack.grid) * len(stack.grid[0])) for stack in parted]
    return 2 * sum(size for count, size in sizes if 2 * count < len(largest.grid)) > sum(size for _, size in sizes)


def are_thin_packages(together: Sequence[Stack], parted: Sequence[Stack]) -> bool:
    """Return whether parts are packages of a scan of several times, each with slices too thin to be a scan by itself.

    Parameters
    ----------
    together, parted : sequence of Stack
        The same frames, by themselves and by the values of a counter or a clock.

    Returns
    -------
    bool
    """
    return _are_of_packages(together, parted) and all(
        stack.slices.step_mm is not None
        and 0 < max(frame.constants.get(THICKNESS, 0.0) for frame in stack.frames) < 0.99 * stack.slices.step_mm
        for stack in parted
    )


def _are_of_packages(together: Sequence[Stack], parted: Sequence[Stack]) -> bool:
    """Return whether all places are an even stack, and each part has those of a package, but for lost slices."""
    places = {frozenset(round(depth, 2) for depth in stack.slices.depths) for stack in parted}
    packages = [found for found in places if not any(found < other for other in places)]
    everywhere = {round(depth, 2): depth for stack in together for depth in stack.slices.depths}
    are_apart = 1 < len(packages) < len(parted) and sum(map(len, packages)) == len(everywhere)
    if not are_apart:
        return False
    if any(stack.slices.is_even and len(stack.grid) == len(everywhere) for stack in together):
        return True  # also if only rounding says so
    return geometry.regularity(sorted(everywhere.values()), geometry.SPACING_TOLERANCE).kind == "uniform"


def are_passes(stacks: Sequence[Stack], must_be_even: bool) -> bool:
    """Return whether each stack has three slices and overlaps the next: by half of the shorter, or both are even.

    A slice that was sent twice turns the depth back, too, and makes no pass: if only one or two frames of an
    even stack are doubtful otherwise, each pass must be even. So must passes be that overlap by less than half of the
    shorter; they share two slices or more.

    Parameters
    ----------
    stacks : sequence of Stack
    must_be_even : bool

    Returns
    -------
    bool
    """
    certain = _in_depth(stacks)
    if min(len(stack.grid) for stack in certain) < 3:
        return False
    are_even = all(stack.slices.is_even for stack in certain)
    return (are_even or not must_be_even) and all(_overlap(a.slices, b.slices, are_even) for a, b in pairwise(certain))


def _overlap(lower: Slices, upper: Slices, are_even: bool) -> bool:
    """Return whether two passes overlap by half of the shorter; of even passes by two slices."""
    common = min(lower.depths[-1], upper.depths[-1]) - upper.depths[0]
    if 2 * common >= min(lower.depths[-1] - lower.depths[0], upper.depths[-1] - upper.depths[0]):
        return True
    steps = [slices.step_mm for slices in (lower, upper) if slices.step_mm is not None]
    return are_even and len(steps) == 2 and common >= 0.99 * max(steps)


def gaps_between(stacks: Sequence[Stack]) -> list[float]:
    """Return the distances from the end of a stack to the start of the next one, mm; below 0 where they overlap.

    Parameters
    ----------
    stacks : sequence of Stack
        Those whose frames are certain count.

    Returns
    -------
    list of float
    """
    return [after.slices.depths[0] - before.slices.depths[-1] for before, after in pairwise(_in_depth(stacks))]


def _in_depth(stacks: Sequence[Stack]) -> list[Stack]:
    return sorted((stack for stack in stacks if not stack.is_doubtful), key=lambda stack: stack.slices.depths)


def _go_on(before: Stack, after: Stack, gap: float, tolerance: float) -> bool:
    """Return whether a stack goes on where another one ends, but for a few slices that are missing between them.

    Two slices, and slices of which some are missing, have no distance of their own: theirs is a multiple of the other.
    """
    steps = [(stack, stack.slices.step_mm) for stack in (before, after) if stack.slices.step_mm is not None]
    if not steps:  # two single slices
        return False
    step = min(own for _, own in steps)
    for stack, own in steps:
        is_certain = stack.slices.is_even and len(stack.grid) > 2
        if abs(own - step * (1 if is_certain else round(own / step))) > tolerance * own:
            return False
    number = round(gap / step)
    return 1 <= number <= 1 + _MOST_LOST and abs(gap - number * step) <= tolerance * step * number


def are_pieces(parted: Sequence[Stack], whole: Slices, usual: int, doubled: int) -> bool:
    """Return whether parts by a counter or a clock are pieces of an even stack of which a few places are doubled.

    Slices that are excited together, acquired in one breath-hold or written in one second have their times in common.
    One slice that is there twice makes no stacks of them. They are stacks where as many as usual have all places, or
    where each is even in steps of the whole, and a place is doubled for each seam, as between positions of a bed.

    Parameters
    ----------
    parted : sequence of Stack
    whole : Slices
        All places.
    usual : int
        Number of frames that most places have.
    doubled : int
        Number of places that have more.

    Returns
    -------
    bool
    """
    names = {name for stack in parted for name in stack.split_by}
    are_few = 0 < 4 * doubled < len(whole.depths)
    if not are_few or not names or not names <= _SHARED or not is_nearly_even(whole) or whole.step_mm is None:
        return False
    if sum(len(stack.grid[0]) for stack in parted if len(stack.grid) == len(whole.depths)) >= usual:
        return False
    near = 0.01 * whole.step_mm
    are_stacks = all(
        len(stack.grid) >= 3
        and is_nearly_even(stack.slices)
        and abs((stack.slices.step_mm or 0.0) - whole.step_mm) <= near
        for stack in parted
    )
    spans = {(stack.slices.depths[0], stack.slices.depths[-1]) for stack in parted}
    return not are_stacks or len(spans) - 1 > doubled


def are_packages(cells: Sequence[Sequence[Frame]], times: Sequence[Sequence[tuple[float, ...]]], usual: int) -> bool:
    """Return whether even slices were acquired in packages: each slice has the times of its package, and no others.

    A quarter of the slices, and two, must be in other packages than most: one slice may have been acquired again.

    Parameters
    ----------
    cells : sequence of sequence of Frame
        The frames at each position, positions by depth.
    times : sequence of sequence of tuple of float
        The time of each of them.
    usual : int
        Number of frames that most positions have; others may lack some.

    Returns
    -------
    bool
    """
    packages = Counter(frozenset(row) for row in times if len(row) == usual)
    for row in times:
        if len(row) < usual:
            packages[next((package for package in packages if package >= set(row)), frozenset(row))] += 1
    others = packages.total() - max(packages.values())
    if others < 2 or 4 * others < len(cells):
        return False
    firsts = [cell[0] for cell in cells]
    return slices_of(firsts, last_digit(firsts), geometry.SPACING_TOLERANCE).is_even


def is_nearly_even(slices: Slices) -> bool:
    """Return whether slices are even, but for a fifth of them at most that is missing.

    Parameters
    ----------
    slices : Slices

    Returns
    -------
    bool
    """
    return slices.is_even or (slices.kind == "gap" and 4 * slices.missing <= len(slices.depths))


def overlap_in_plane(origins: Sequence[tuple[float, ...]], frame: Frame) -> bool:
    """Return whether images lie one beside the other along a line, each over more than half of the one before.

    So it is where orientation and positions of slices contradict each other. Stations of a table overlap by less.

    Parameters
    ----------
    origins : sequence of (float, float)
        Coordinates of the first voxels along rows and columns, mm.
    frame : Frame
        One of the images.

    Returns
    -------
    bool
        True for three images or more.
    """
    if len(origins) < 3 or frame.pixel_spacing is None:
        return False
    points = np.array(origins)
    size = (frame.columns * frame.pixel_spacing[1], frame.rows * frame.pixel_spacing[0])
    across = points[:, np.ptp(points, axis=0).argmax()]
    steps = np.diff(points[across.argsort()], axis=0)
    along = steps.sum(axis=0) / np.linalg.norm(steps.sum(axis=0))
    beside = np.abs(steps @ (-along[1], along[0]))
    return bool((beside <= _IN_LINE * np.abs(steps @ along)).all() and (2 * np.abs(steps) < size).all())
