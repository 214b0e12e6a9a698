"""Arrange frames of one orientation whose facts of acquisition agree into stacks: which of them form one axis `z`.

All frames together are one stack if they are even. Otherwise a counter may show that several stacks lie in one series:
the acquisition number of two interleaved acquisitions, for example. The arrangement with the fewest doubts wins.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import median
from typing import Final

from dicomzarr.volumes import geometry
from dicomzarr.volumes.interleaved import parted_by, scans_of
from dicomzarr.volumes.model import Frame
from dicomzarr.volumes.pieces import (
    are_one,
    are_passes,
    are_pieces,
    are_thin_packages,
    are_times_of_a_few,
    doubts_of,
    gaps_between,
    overlap_in_plane,
)
from dicomzarr.volumes.separators import ORDERS, REPETITION, SEPARATORS, THICKNESS
from dicomzarr.volumes.slices import Slices, are_whole_and_oblique, cells_of, last_digit, near_mm, points_of, slices_of
from dicomzarr.volumes.t_axis import BY_NAME, CAUSES, TIMES, FullGrid, is_in_order, sort_along_t

Cells = list[list[Frame]]


@dataclass(frozen=True, slots=True)
class Stack:
    """Frames that fill a grid of positions and `t`.

    Attributes
    ----------
    grid : list of list of Frame
        The frames: `grid[z][t]`.
    slices : Slices
        Their positions.
    sorted_by : tuple of str
        Causes that sort the frames at the same position, or that part this stack from others.
    labels : tuple of str
        Quantised values that part this stack from others of the same facts.
    split_by : tuple of str
        Names of what parts it from them.
    why : str
        The same in words with numbers.
    flags : frozenset of str
        Codes of `flags.FLAGS`.
    is_doubtful : bool
        It is not known to what it belongs: never joined with another stack.
    """

    grid: Cells
    slices: Slices
    sorted_by: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    split_by: tuple[str, ...] = ()
    why: str = ""
    flags: frozenset[str] = frozenset()
    is_doubtful: bool = False

    @property
    def frames(self) -> Iterator[Frame]:
        """The frames, position by position."""
        return (frame for row in self.grid for frame in row)


def identity(frame: Frame) -> tuple[str, str, int, int]:
    """Return the sort key of a frame: the data alone; the index of the file decides between equal files only.

    Parameters
    ----------
    frame : Frame

    Returns
    -------
    tuple
    """
    return (frame.sop_instance_uid, frame.content, frame.number, frame.source)


def name_of(frame: Frame) -> str:
    """Return a discriminator that only this frame has.

    Parameters
    ----------
    frame : Frame

    Returns
    -------
    str
    """
    return f"instance={frame.sop_instance_uid or frame.content}#{frame.number}"


@dataclass(frozen=True, slots=True)
class _Scale:
    """Limits within which positions agree: the unit of the last digit, mm, and the relative departure from a grid."""

    digit: float
    tolerance: float


_INCOMPLETE: Final = frozenset({"incomplete_grid"})
# Counters, clocks and remarks that go on from slice to slice of one stack, too: they part only what lies apart.
_RUNNING: Final = frozenset(
    {
        *(REPETITION, "acquisition_number", "temporal_position", "trigger_time_ms", "acquisition_time_s"),
        *("image_type", "setting"),
    }
)


def arrange(frames: Sequence[Frame], tolerance: float) -> list[Stack]:
    """Arrange frames of one orientation, matrix and acquisition into stacks.

    Parameters
    ----------
    frames : sequence of Frame
        Sorted by `identity`.
    tolerance : float
        Largest departure of slices from a regular grid, relative to their distance.

    Returns
    -------
    list of Stack
        Every frame is in exactly one; the result does not depend on the order of equal frames.
    """
    best = _on_lines(frames, tolerance)
    doubts = doubts_of(best)
    scans = scans_of(best[0], tolerance, by_settings=len(best[0].grid[0]) == 1) if len(best) == 1 else []
    if scans:
        return scans
    for name, values_of in SEPARATORS:
        if not any(doubts[:5]) and len(best) == 1:
            break
        values = values_of(frames)
        parts: dict[Hashable, list[Frame]] = {}
        for frame, value in zip(frames, values, strict=True):
            parts.setdefault(value, []).append(frame)
        # A few frames that lack a counter are no scan of their own.
        if not 2 <= len(parts) <= len(frames) // 2 or len(parts.get(None, frames)) < 3:
            continue
        parted = [
            parted_by(stack, name, value) for value, part in parts.items() for stack in _on_lines(part, tolerance)
        ]
        goes_on = name in _RUNNING or name in ORDERS
        if goes_on and (are_one(best, parted, tolerance) or (not doubts[0] and are_times_of_a_few(best, parted))):
            continue
        if all(len(part.grid) == 1 for part in parted):
            continue
        # One after the other: unevenly cut, no weave.
        if name == THICKNESS and min(gaps_between(parted), default=0.0) > 0:
            continue
        if doubts_of(parted) < doubts and (
            name not in ORDERS or are_passes(parted, doubts[0] in (1, 2) and not doubts[1])
        ):
            if goes_on and are_thin_packages(best, parted):
                parted = [replace(stack, flags=stack.flags | {"stack_divided"}) for stack in parted]
            best, doubts = parted, doubts_of(parted)
    if len(best) < 2:
        return best
    scale = _Scale(last_digit(frames), tolerance)
    cells = cells_of(frames, scale.digit)
    near = max(near_mm(frames[0]), scale.digit * 1.01)
    if all(_agree(cell, near) for cell in cells):
        slices = slices_of([cell[0] for cell in cells], scale.digit, tolerance)
        undivided = _undivided(cells, best, slices, scale)
        if undivided:
            return undivided
    return [scan for stack in best for scan in scans_of(stack, tolerance, by_settings=False) or [stack]]


def _undivided(cells: Cells, parted: Sequence[Stack], slices: Slices, scale: _Scale) -> list[Stack]:
    """Return one even stack and the surplus images, where a clock or counter of groups of slices cut it to pieces."""
    usual = _usual(cells)
    doubled = sum(len(cell) > usual for cell in cells)
    is_again = 1 < usual <= max(map(len, cells)) - usual  # a slice that was acquired again, with all its times
    if is_again or min(map(len, cells)) < usual or not are_pieces(parted, slices, usual, doubled):
        return []
    stacks = _contested(cells, slices, scale)
    return stacks if sum(not stack.is_doubtful for stack in stacks) == 1 else []


def _usual(cells: Cells) -> int:
    """Return the number of frames that most positions have; the smaller one of two."""
    sizes = Counter(len(cell) for cell in cells)
    return max(sizes, key=lambda size: (sizes[size], -size))


def _on_lines(frames: Sequence[Frame], tolerance: float) -> list[Stack]:
    """Arrange frames into one stack for each line of origins."""
    if len(frames) == 1:
        return [Stack([[frames[0]]], slices_of(frames, 0.0, tolerance))]
    scale = _Scale(last_digit(frames), tolerance)
    cells, slices = _cells_and_slices(frames, scale)
    is_whole = slices.kind == "irregular" and are_whole_and_oblique(frames)
    if is_whole:
        scale = _Scale(1.0, tolerance)
        cells, slices = _cells_and_slices(frames, scale)
    near = max(near_mm(frames[0]), scale.digit * 1.01)
    if slices.kind != "irregular" and all(_agree(cell, near) for cell in cells):
        return _of_cells(cells, slices, scale)
    parts = _by_origin(frames, near)
    if (is_whole or 2 * len(parts) > len(cells)) and all(_agree(cell, near) for cell in cells):
        # Stacks side by side have many slices each. One slice at each depth, each shifted its own way, is one stack.
        irregular = frozenset({"irregular_origins"})
        return [
            replace(stack, flags=stack.flags | irregular) if stack.slices.kind == "irregular" else stack
            for stack in _of_cells(cells, slices, scale)
        ]
    if len(parts) == 1:
        return _of_cells(cells, slices, scale)
    stacks = []
    beside = frozenset({"in_plane_positions"} if overlap_in_plane(list(parts), frames[0]) else ())
    for where, part in parts.items():
        place = ",".join(f"{round(x, 2) + 0.0:.2f}" for x in where)
        for stack in _on_lines(part, tolerance):
            why = f"{stack.why}; {len(parts)} origins within the plane lie on no common line"
            labels, split_by = (f"origin={place}", *stack.labels), (*stack.split_by, "origin")
            flags = stack.flags | beside if len(stack.grid) == 1 else stack.flags
            stacks.append(replace(stack, labels=labels, split_by=split_by, why=why, flags=flags))
    return stacks


def _cells_and_slices(frames: Sequence[Frame], scale: _Scale) -> tuple[Cells, Slices]:
    """Return the frames at each position, and the positions."""
    cells = cells_of(frames, scale.digit)
    return cells, slices_of([cell[0] for cell in cells], scale.digit, scale.tolerance)


def _agree(cell: Sequence[Frame], near: float) -> bool:
    """Return whether the frames at one depth have the same origin."""
    return len(cell) == 1 or bool((abs(points_of(cell) - points_of(cell[:1])) <= near).all())


def _by_origin(frames: Sequence[Frame], near: float) -> dict[tuple[float, ...], list[Frame]]:
    """Return frames by the coordinates of their origin along rows and columns."""
    orientation, points = frames[0].orientation or (), points_of(frames)
    rows, columns = geometry.along(points, orientation[:3]), geometry.along(points, orientation[3:])
    origins = list(zip(rows.tolist(), columns.tolist(), strict=True))
    numbers = geometry.cluster(origins, near)
    leader = dict(sorted(zip(numbers, origins, strict=True), reverse=True))
    parts: dict[tuple[float, ...], list[Frame]] = {}
    for number, frame in zip(numbers, frames, strict=True):
        parts.setdefault(leader[number], []).append(frame)
    return parts


def _of_cells(cells: Cells, slices: Slices, scale: _Scale) -> list[Stack]:
    """Arrange frames whose origins lie on one line, from the frames at each position."""
    most = max(len(cell) for cell in cells)
    if most == 1:
        return [Stack(cells, slices)]
    grid = sort_along_t(cells)
    if isinstance(grid, FullGrid):
        return [Stack(grid.grid, slices, tuple(grid.means))]
    if grid is None:
        return _contested(cells, slices, scale)
    how = f": one of {len(grid.parts)} values of {' x '.join(grid.means)} that do not fill a grid"
    by = tuple(grid.means)
    # Where only a counter distinguishes frames, one slice more is no second pass.
    is_counted = len(cells) > 2 and all(BY_NAME[name].weak for name in by)
    single = {id(part[0]) for part in grid.parts.values() if len(part) == 1 and is_counted}
    contested = {id(frame) for cell in cells if any(id(other) in single for other in cell) for frame in cell}
    stacks = []
    for key, frames in grid.parts.items():
        labels = tuple(f"{name}={value:g}" for name, value in zip(by, key, strict=True))
        part = slices_of(frames, scale.digit, scale.tolerance)
        flags = frozenset({"contested_place"} if any(id(frame) in contested for frame in frames) else ())
        doubtful = id(frames[0]) in single
        if len(frames) < 3 and 2 * len(frames) < len(cells):
            flags |= _INCOMPLETE
        stacks.append(Stack([[frame] for frame in frames], part, by, labels, by, how, flags, doubtful))
    return _undivided(cells, stacks, slices, scale) or stacks


# ------------------------------------------------------------------------------------------------- contested places


def _contested(cells: Cells, slices: Slices, scale: _Scale) -> list[Stack]:
    """Arrange frames that nothing in the header distinguishes at some positions.

    If most positions are certain, the frame that fits best stays in the stack, and each other one is an image of its
    own. If most are not, every frame is: a stack of guesses would mix what belongs to different passes.
    """
    frames = [frame for cell in cells for frame in cell]
    if len(cells) == 1:
        flags = frozenset({"ambiguous_stack"})
        return [
            Stack(cells, slices, ("unexplained",), (), (), ", which nothing in the header distinguishes", flags, True)
        ]
    sizes = Counter(len(cell) for cell in cells)
    usual = _usual(cells)
    if 2 * sizes[usual] >= len(cells):
        kept = [_fitting(cell, usual, cells) if len(cell) > usual else cell for cell in cells]
        if any(len(cell) > usual for cell in cells) and all(len(cell) == usual for cell in kept):
            stacks = _of_cells(kept, slices, scale)
            if not any(stack.is_doubtful for stack in stacks):
                flags = frozenset({"contested_place"})
                left = {id(frame) for cell in kept for frame in cell}
                others = [frame for frame in frames if id(frame) not in left]
                return [replace(stack, flags=stack.flags | flags) for stack in stacks] + [
                    _alone(frame, ": one of several at its position, which nothing distinguishes", flags, scale)
                    for frame in others
                ]
    if usual > 1 and (2 * sizes[usual] > len(cells) or _run_by_position(cells)):
        stacks = _with_repeated_slices(cells, usual, scale) or _by_number(cells, usual, scale)
        if stacks:
            return stacks
    how = f": one of {len(frames)} at {len(cells)} position{'s' * (len(cells) > 1)}, which no header distinguishes"
    return [_alone(frame, how, frozenset({"ambiguous_stack"}), scale) for frame in frames]


def _with_repeated_slices(cells: Cells, usual: int, scale: _Scale) -> list[Stack]:
    """Return a cine of which single slices were acquired again: one stack, and each surplus slice with all its times.

    So it is where a counter or a clock runs slice by slice, and some slices have a multiple of the usual frames. The
    run that fits between its neighbours stays, as of single frames. An empty list if nothing runs so.
    """
    if any(len(cell) % usual for cell in cells) or all(len(cell) == usual for cell in cells):
        return []
    for cause in ("acquisition_number", "acquisition_time_s", "instance_number"):
        if any(cause not in frame.causes for cell in cells for frame in cell):
            continue
        ordered = [sorted(cell, key=lambda frame: frame.causes[cause]) for cell in cells]
        runs = [[row[start : start + usual] for start in range(0, len(row), usual)] for row in ordered]
        spans = sorted((run[0].causes[cause], run[-1].causes[cause]) for of_cell in runs for run in of_cell)
        if any(before[1] >= after[0] for before, after in pairwise(spans)):
            continue
        kept = [_nearest(of_cell, index, runs, cause) for index, of_cell in enumerate(runs)]
        others = [run for of_cell, run_kept in zip(runs, kept, strict=True) for run in of_cell if run is not run_kept]
        stacks = _of_cells(kept, slices_of([run[0] for run in kept], scale.digit, scale.tolerance), scale)
        if any(stack.is_doubtful for stack in stacks) or len(stacks) > 1:
            continue
        for run in others:
            (alone, *more) = _of_cells([run], slices_of(run[:1], scale.digit, scale.tolerance), scale)
            if more or alone.is_doubtful:
                return []
            why = ": acquired again at its position"
            stacks.append(replace(alone, labels=(name_of(run[0]),), split_by=("contested_place",), why=why))
        return [replace(stack, flags=stack.flags | {"contested_place"}) for stack in stacks]
    return []


def _nearest(
    runs: Sequence[list[Frame]], at: int, all_runs: Sequence[Sequence[list[Frame]]], cause: str
) -> list[Frame]:
    """Return the run of a position that lies nearest to the middle of its neighbours' in a counter or a clock."""
    if len(runs) == 1:
        return runs[0]
    single = [(abs(index - at), of_cell[0]) for index, of_cell in enumerate(all_runs) if len(of_cell) == 1]
    nearest = [run[0].causes[cause] for _, run in sorted(single, key=lambda pair: pair[0])[:2]]
    return min(runs, key=lambda run: abs(run[0].causes[cause] - median(nearest)))


def _by_number(cells: Cells, usual: int, scale: _Scale) -> list[Stack]:
    """Return the positions with the usual number of frames as one stack, and each other position by itself.

    Where a slice of a cine lacks a phase, nothing says which one: its frames have an order, but no place in the stack.
    An empty list if the frames at a position have no order, or their clock contradicts it.
    """
    lacking = [usual - len(cell) for cell in cells if len(cell) < usual]
    if 4 * len(lacking) > len(cells) and (usual < 3 or max(lacking) > 1) and not _run_by_position(cells):
        return []  # scans of other parts of the body, not frames that were lost
    stacks = []
    most = max(map(len, cells))
    for part in ([cell for cell in cells if len(cell) == usual], *([cell] for cell in cells if len(cell) != usual)):
        grid = sort_along_t(part) if len(part[0]) > 1 else FullGrid(part, [])
        if not isinstance(grid, FullGrid) or not is_in_order(grid.grid, grid.means):
            return []
        if most > usual and not TIMES.isdisjoint(grid.means):
            return []  # scans that overlap here, not one that lacks a time there
        slices = slices_of([row[0] for row in grid.grid], scale.digit, scale.tolerance)
        stack = Stack(grid.grid, slices, tuple(grid.means))
        if len(part[0]) != usual:
            label = f"depth={slices.depths[0]:.2f}"
            why = f": not the {usual} frame{'s' * (usual != 1)} that other positions have"
            stack = replace(stack, labels=(label,), split_by=("frames_at_position",), why=why, flags=_INCOMPLETE)
        stacks.append(stack)
    return stacks


def _run_by_position(cells: Cells) -> bool:
    """Return whether a counter or a clock runs position by position: each slice was acquired by itself."""
    for cause in ("acquisition_number", "acquisition_time_s", "instance_number"):
        if any(cause not in frame.causes for cell in cells for frame in cell):
            continue
        numbers = [[frame.causes[cause] for frame in cell] for cell in cells]
        spans = sorted((min(of_cell), max(of_cell)) for of_cell in numbers)
        if all(before[1] < after[0] for before, after in pairwise(spans)):
            return True
    return False


def _alone(frame: Frame, how: str, flags: frozenset[str], scale: _Scale) -> Stack:
    slices = slices_of([frame], scale.digit, scale.tolerance)
    return Stack([[frame]], slices, (), (name_of(frame),), ("contested_place",), how, flags, True)


def _fitting(cell: list[Frame], wanted: int, cells: Cells) -> list[Frame]:
    """Return the frames of a position that fit best with the other positions.

    Of one frame, the one whose Instance Number (0020,0013) lies nearest between those of its neighbours; of several,
    those whose causes are all different, and fit best in time. The order by identity decides what is left open.
    """
    if wanted > 1:
        seen: dict[tuple[float | None, ...], Frame] = {}
        for frame in cell:
            seen.setdefault(tuple(frame.causes.get(key) for cause in CAUSES for key in cause.keys), frame)
        return list(seen.values()) if len(seen) <= wanted else _fitting_times(list(seen.values()), cell, wanted, cells)
    at = next(index for index, other in enumerate(cells) if other is cell)
    known = [
        (abs(index - at), other[0].causes["instance_number"])
        for index, other in enumerate(cells)
        if len(other) == 1 and "instance_number" in other[0].causes
    ]
    nearest = [number for _, number in sorted(known)[:2]]
    if not nearest or any("instance_number" not in frame.causes for frame in cell):
        return cell[:1]
    middle = median(nearest)
    return sorted(cell, key=lambda frame: abs(frame.causes["instance_number"] - middle))[:1]


def _fitting_times(frames: list[Frame], cell: list[Frame], wanted: int, cells: Cells) -> list[Frame]:
    """Return a frame for each time of the nearest position that has as many frames as wanted, by a clock or a counter.

    All frames where nothing that orders them distinguishes them.
    """
    at = next(index for index, other in enumerate(cells) if other is cell)
    complete = [(abs(index - at), index) for index, other in enumerate(cells) if len(other) == wanted]
    if not complete or len(cell) >= 2 * wanted:
        return frames
    neighbour = cells[min(complete)[1]]
    for cause in ("acquisition_time_s", "content_time_s", "instance_number"):
        if any(cause not in frame.causes for frame in (*frames, *neighbour)):
            continue
        times = sorted(frame.causes[cause] for frame in neighbour)
        left = list(frames)
        kept = []
        for time in times:
            kept.append(min(left, key=lambda frame: abs(frame.causes[cause] - time)))
            left.remove(kept[-1])
        if len(set(times)) == wanted:
            return kept
    return frames
