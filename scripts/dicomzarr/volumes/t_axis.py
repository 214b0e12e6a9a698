"""Sort frames at the same position: find the attributes that distinguish them.

The frames of a stack form a grid: position by something else, such as time or trigger delay. A *cause* is one
attribute (or a vector of them) that may be that second dimension. Causes are tried in a fixed order. Each one that
distinguishes frames is accepted, until every frame of a position has its own key; so time x counter needs two causes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Final, Literal

from dicomzarr.volumes.acquisition import FACTS
from dicomzarr.volumes.frame_attributes import DIMENSIONS
from dicomzarr.volumes.image_type import is_derived
from dicomzarr.volumes.lost_times import times_that_are_lacking
from dicomzarr.volumes.model import Frame
from dicomzarr.volumes.passes import periods
from dicomzarr.volumes.pieces import are_packages

# How the values of a cause are compared:
#   label  the same values must occur at every position (an echo time, a b-value)
#   rank   values may differ from slice to slice; their order counts (an acquisition time, a trigger delay)
#   count  a plain counter; it must run through the stack slice by slice or time by time
Use = Literal["label", "rank", "count"]


@dataclass(frozen=True, slots=True)
class Cause:
    """An attribute that may distinguish frames at one position: its keys in `Frame.causes`, and how it is compared."""

    keys: tuple[str, ...]
    use: Use
    weak: bool = False  # gives an order, but not what changes from frame to frame


COIL: Final = ("receive_coil",)
SETTING: Final = ("setting",)
CAUSES: Final[tuple[Cause, ...]] = (
    *(Cause(fact.keys, "label") for fact in FACTS),
    Cause(("trigger_time_ms",), "rank"),
    Cause(("temporal_offset_s",), "rank"),
    Cause(("frame_time_s",), "rank"),
    Cause(("frame_reference_time_s",), "rank"),
    Cause(("acquisition_time_s",), "rank"),
    Cause(("reference_time_s",), "rank"),
    # Only where nothing above distinguishes frames: the coil may change in the midst of a time series.
    Cause(COIL, "label"),
    Cause(SETTING, "label", weak=True),
    *(Cause((f"{name}_index",), "label") for name in ("rr_interval", "time_slot", "time_slice")),
    Cause(("content_time_s",), "rank"),
    Cause(("frame_acquisition_number",), "label", weak=True),
    *(Cause((f"dimension_{index}",), "label", weak=True) for index in range(1, DIMENSIONS + 1)),
    Cause(("acquisition_number",), "label", weak=True),
    Cause(("series_number",), "label", weak=True),
    Cause(("instance_number",), "count", weak=True),
    Cause(("raw_data_run",), "label", weak=True),
    Cause(("frame",), "count", weak=True),
)
BY_NAME: Final = {key: cause for cause in CAUSES for key in cause.keys}
# Times with an arbitrary zero: written as seconds from the first.
CLOCKS: Final = frozenset({"acquisition_time_s", "reference_time_s", "content_time_s"})
# Delays from a heart beat, or from the start of a scan.
DELAYS: Final = frozenset({"trigger_time_ms", "temporal_offset_s", "frame_time_s", "frame_reference_time_s"})
# Times that go on from the start of a scan to its end.
TIMES: Final = CLOCKS | {"temporal_offset_s", "frame_reference_time_s"}
# Those of them that are no times of reconstruction.
OF_ACQUISITION: Final = ("acquisition_time_s", "reference_time_s", "frame_reference_time_s")
# Content Time (0008,0033) may be the time of reconstruction: accepted only if it sweeps the stack without overlap.
SWEEPING: Final = frozenset({"content_time_s"})
# Of a frame with a time of acquisition, or a derived one, it is when it was computed: an order, and not what varies.
_OF_RECONSTRUCTION: Final = "content_time_s"
# Attributes of a whole file: they are equal for all its frames.
OF_THE_FILE: Final = frozenset({"instance_number", "acquisition_number", "series_number", "content_time_s"})

Key = tuple[float, ...]


def is_weak(name: str, frames: Iterable[Frame]) -> bool:
    """Return whether a cause gives the order of frames, but does not say what changes from one to the other.

    Parameters
    ----------
    name : str
        Of a cause, or of something else that frames were sorted by.
    frames : iterable of Frame

    Returns
    -------
    bool
    """
    if name == _OF_RECONSTRUCTION:
        return all("acquisition_time_s" in frame.causes or is_derived(frame.image_type) for frame in frames)
    return name not in BY_NAME or BY_NAME[name].weak


@dataclass(frozen=True, slots=True)
class FullGrid:
    """Frames of a stack that fill a grid of positions and t.

    Attributes
    ----------
    grid : list of list of Frame
        The frames: `grid[z][t]`.
    means : list of str
        Causes, slowest first.
    """

    grid: list[list[Frame]]
    means: list[str]


@dataclass(frozen=True, slots=True)
class GridWithHoles:
    """Frames of a stack where some positions lack a value of t, grouped by value.

    Attributes
    ----------
    parts : dict of tuple of float to list of Frame
        Frames by the values of the causes, positions by depth; within a part each frame has a different position.
    means : list of str
        Causes, slowest first.
    """

    parts: dict[Key, list[Frame]]
    means: list[str]


@dataclass(slots=True)
class _State:
    """The key of each frame from the causes accepted so far: `keys[z][i]` belongs to `cells[z][i]`."""

    cells: list[list[Frame]]
    keys: list[list[Key]]
    holes: bool
    means: list[str] = field(default_factory=list)

    def distinct(self, keys: list[list[Key]]) -> int:
        return sum(len(set(row)) for row in keys)

    @property
    def keys_are_unique(self) -> bool:
        return all(len(set(row)) == len(row) for row in self.keys)


def sort_along_t(cells: list[list[Frame]]) -> FullGrid | GridWithHoles | None:
    """Find the causes that distinguish the frames at each position of a stack, and sort the frames by them.

    Parameters
    ----------
    cells : list of list of Frame
        The frames at each position, positions by depth; at least one position has several frames.

    Returns
    -------
    FullGrid, GridWithHoles or None
        `FullGrid` if every position has every value, `GridWithHoles` if some lack a value, None if nothing in the
        header distinguishes the frames. A coil counts unless all other causes give a full grid, and it does not.
    """
    found = _sorted_by(cells, CAUSES)
    if isinstance(found, FullGrid) or not any(COIL[0] in frame.causes for row in cells for frame in row):
        return found
    others = _sorted_by(cells, [cause for cause in CAUSES if cause.keys != COIL])
    return others if isinstance(others, FullGrid) or found is None else found


def _sorted_by(cells: list[list[Frame]], causes: Sequence[Cause]) -> FullGrid | GridWithHoles | None:
    """Return `sort_along_t` by some of its causes."""
    state = _State(cells, [[()] * len(row) for row in cells], holes=len({len(row) for row in cells}) > 1)
    total = sum(len(row) for row in cells)
    frames = [frame for row in cells for frame in row]
    are_several = 2 * sum(len(row) > 1 for row in cells) > len(cells)
    in_file = any(frame.frames_in_file > 1 or frame.concatenation for frame in frames)
    in_files = in_file and len({frame.image for frame in frames}) > 1
    share_images = in_file and all(len({frame.image for frame in row}) == 1 for row in cells)
    for cause in causes:
        if state.keys_are_unique:
            break
        if cause.keys == ("frame",) and not share_images:
            continue  # numbers of frames of different images are not comparable
        if cause.keys in (COIL, SETTING) and not are_several:
            continue  # one slice that is there twice does not separate a stack that the coil follows
        of_the_file = in_file and cause.keys[0] in OF_THE_FILE
        if (of_the_file and not in_files) or (in_files and cause.keys[0].startswith("dimension_")):
            continue  # dimension indices of different images are not comparable
        values = _values(cells, cause)
        if values is None:
            continue
        if cause.use == "label" or of_the_file:
            _try_labels(state, cause, _of_images(cells, values) if of_the_file else values, total)
        elif cause.use == "rank":
            if not _contradicts_a_label(state, cause, values):
                _try_ranks(state, cause, values, total)
        else:
            _try_count(state, cause, values, total)
    if not state.keys_are_unique:
        return None
    return _grid_with_holes(state) if state.holes else _full_grid(state)


def _of_images(cells: list[list[Frame]], values: list[list[Key]]) -> list[list[Key]]:
    """Return the smallest value of the image of each frame: parts of a concatenation have numbers of their own."""
    least: dict[str | int, Key] = {}
    for frame, key in zip(chain(*cells), chain(*values), strict=True):
        least[frame.image] = min(key, least.get(frame.image, key))
    return [[least[frame.image] for frame in row] for row in cells]


def _values(cells: list[list[Frame]], cause: Cause) -> list[list[Key]] | None:
    """Return the values of a cause, or None where a frame lacks one."""
    if cause.keys == ("frame",):
        return [[(float(frame.number_in_image),) for frame in row] for row in cells]
    try:
        return [[tuple(round(frame.causes[key], 6) for key in cause.keys) for frame in row] for row in cells]
    except KeyError:
        return None


def _extended(state: _State, values: list[list[Key]]) -> list[list[Key]]:
    return [
        [key + value for key, value in zip(keys, row, strict=True)]
        for keys, row in zip(state.keys, values, strict=True)
    ]


def _same_everywhere(keys: list[list[Key]]) -> bool:
    first = Counter(keys[0])
    return all(Counter(row) == first for row in keys[1:])


def _accept(state: _State, cause: Cause, keys: list[list[Key]]) -> None:
    state.keys = keys
    state.means += cause.keys


def _try_labels(state: _State, cause: Cause, values: list[list[Key]], total: int) -> None:
    """Accept a cause if its values recur at every position, or at enough of them to be a label with holes."""
    keys = _extended(state, values)
    if state.distinct(keys) == state.distinct(state.keys):
        return
    if not state.holes and _same_everywhere(keys):
        _accept(state, cause, keys)
    elif (state.holes or cause.keys not in (COIL, SETTING)) and 2 * len({key for row in keys for key in row}) <= total:
        # Values that recur at other positions are labels. With a hole, each of them becomes its own, incomplete stack.
        # A coil or a setting may change from image to image, and proves no hole.
        state.holes = True
        _accept(state, cause, keys)


def _try_ranks(state: _State, cause: Cause, values: list[list[Key]], total: int) -> None:
    """Accept a cause if the ranks of its values are the same at every position."""
    if state.holes:
        # With holes ranks would shift: only values that recur exactly show which frame is missing.
        if not _recur_in_pieces(state, cause, values):
            _try_labels(state, cause, values, total)
        return
    lacking = None if state.means else times_that_are_lacking([[time for (time,) in row] for row in values])
    if lacking is not None:
        state.holes = True
        _accept(state, cause, [[(time,) for time in row] for row in lacking])
        return
    keys = _extended(state, _ranks(state, values))
    if state.distinct(keys) == state.distinct(state.keys) or not _same_everywhere(keys):
        return
    if cause.keys[0] in SWEEPING and not _disjoint(keys, values):
        return
    _accept(state, cause, keys)


def _recur_in_pieces(state: _State, cause: Cause, values: list[list[Key]]) -> bool:
    """Return whether times recur at a few positions only, although most positions have as many frames as any.

    Slices of a breath-hold or a package, or those that are excited together, share their times: no missing frame shows.
    """
    counts = Counter(len(row) for row in state.cells)
    usual = max(counts)
    if state.means or usual == 1 or 2 * counts[usual] <= len(state.cells) or any(len(set(r)) < len(r) for r in values):
        return False
    full = [number for number, row in enumerate(values) if len(row) == usual]
    cells, times = [state.cells[number] for number in full], [values[number] for number in full]
    most = Counter(map(frozenset, times)).most_common(1)[0][1]
    if 2 * most > len(full) and not are_packages(state.cells, values, usual):
        return False
    ranks = _ranks(_State(cells, [[()] * usual for _ in cells], holes=False), times)
    return cause.keys[0] not in TIMES or _disjoint(ranks, times)


def _contradicts_a_label(state: _State, cause: Cause, values: list[list[Key]]) -> bool:
    """Return whether the order of times differs between positions, where something else is in one order for all.

    Phases of a gated scan are acquired in an order that changes with the position of the table: the first one at each
    position is not one phase. Delays from the heart beat vary from beat to beat: the shortest one at each position is
    not one beat. A counter of passes says otherwise, Instance Numbers that run volume by volume, or, of delays, the
    time of acquisition of one volume after the other.
    """
    if state.holes or state.means:
        return False
    by_time = [[rank for (rank,) in row] for row in _ranks(state, values)]
    if any(len(set(row)) < len(row) for row in by_time):
        return False
    others = [other for other in CAUSES if other.weak and other.keys != ("frame",)]
    if cause.keys[0] in DELAYS:
        others.append(BY_NAME["acquisition_time_s"])
    return any(_is_in_another_order(state, other, by_time) for other in others)


def _is_in_another_order(state: _State, other: Cause, by_time: list[list[float]]) -> bool:
    """Return whether a cause divides the frames in one way at all positions, but the order of times differs."""
    labels = _values(state.cells, other)
    if labels is None:
        return False
    if other.use != "label":
        ranks = _ranks(state, labels)
        if not (_runs_by_volume(labels) if other.use == "count" else _volumes_follow(ranks, labels)):
            return False
        labels = ranks
    if any(len(set(row)) < len(row) for row in labels) or not _same_everywhere(labels):
        return False
    orders = {tuple(sorted(zip(row, times, strict=True))) for row, times in zip(labels, by_time, strict=True)}
    return len(orders) > 1


def is_in_order(grid: list[list[Frame]], causes: Iterable[str]) -> bool:
    """Return whether the clocks by which a grid was sorted run through it volume by volume, or position by position.

    Parameters
    ----------
    grid : list of list of Frame
        The frames: `grid[z][t]`.
    causes : iterable of str
        Names of what the frames were sorted by.

    Returns
    -------
    bool
        False where the earliest frames of the positions are frames of several volumes, for example of scans that cover
        different parts of the body.
    """
    for name in TIMES.intersection(causes):
        values: list[list[Key]] = [[(frame.causes[name],) for frame in row] for row in grid]
        ranks: list[list[Key]] = [[(float(t),) for t in range(len(row))] for row in grid]
        if not _disjoint(ranks, values):
            return False
    return True


def _contradicts(state: _State, name: str, labels: list[list[Key]]) -> bool:
    """Return whether a clock that all frames have, and that is not the same for all, contradicts labels of passes."""
    times = _values(state.cells, BY_NAME[name])
    if times is None or len({time for row in times for time in row}) == 1:
        return False
    keys = [[key + label for key, label in zip(*rows, strict=True)] for rows in zip(state.keys, labels, strict=True)]
    return not _disjoint(keys, times, strict=False)


def _volumes_follow(ranks: list[list[Key]], values: list[list[Key]], *, strict: bool = True) -> bool:
    """Return whether the values of each rank are over before those of the next begin; not `strict`: or just then."""
    by_rank: dict[Key, list[float]] = {}
    for row_ranks, row in zip(ranks, values, strict=True):
        for rank, value in zip(row_ranks, row, strict=True):
            by_rank.setdefault(rank, []).append(value[0])
    return _no_overlap(list(by_rank.values()), strict=strict)


def _runs_by_volume(numbers: list[list[Key]]) -> bool:
    """Return whether a counter, which no two frames share, runs through the stack volume by volume."""
    runs = sorted((number[0], z) for z, row in enumerate(numbers) for number in row)
    return len({number for number, _ in runs}) == len(runs) and _by_volume([z for _, z in runs], len(numbers))


def _by_volume(sequence: list[int], positions: int) -> bool:
    """Return whether a sequence of positions is one permutation repeated, or passes from end to end, to and fro.

    A table that shuttles scans some volumes from one end, and some from the other: of two positions nothing shows it.
    """
    first = sequence[:positions]
    is_through = positions > 2 and first in (sorted(first), sorted(first)[::-1])
    orders = [first, first[::-1]] if is_through else [first]
    starts = range(0, len(sequence), positions)
    return len(set(first)) == positions and all(sequence[at : at + positions] in orders for at in starts)


def _ranks(state: _State, values: list[list[Key]]) -> list[list[Key]]:
    """Return the dense rank of each value among the frames of equal key at its position."""
    ranks: list[list[Key]] = []
    for keys, row in zip(state.keys, values, strict=True):
        values_of: dict[Key, set[Key]] = {}
        for key, value in zip(keys, row, strict=True):
            values_of.setdefault(key, set()).add(value)
        rank = {key: {value: float(i) for i, value in enumerate(sorted(of))} for key, of in values_of.items()}
        ranks.append([(rank[key][value],) for key, value in zip(keys, row, strict=True)])
    return ranks


def _disjoint(keys: list[list[Key]], values: list[list[Key]], *, strict: bool = True) -> bool:
    """Return whether values run through the stack volume by volume, or position by position, without overlap.

    Not `strict`: positions that follow each other may have a value in common, such as that of one breath-hold.
    """
    by_position = [[value[0] for value in row] for row in values]
    return _volumes_follow(keys, values, strict=False) or _no_overlap(by_position, strict=strict)


def _no_overlap(groups: list[list[float]], *, strict: bool) -> bool:
    """Return whether the ranges of several groups of numbers do not overlap; `strict`: nor touch."""
    spans = sorted((min(group), max(group)) for group in groups)
    return all(a[1] < b[0] or (not strict and a[1] == b[0]) for a, b in zip(spans, spans[1:], strict=False))


def _try_count(state: _State, cause: Cause, values: list[list[Key]], total: int) -> None:
    """Accept a counter if it runs through the stack in one of two ways: volume by volume, or position by position."""
    if state.holes:
        labels = periods([[value[0] for value in row] for row in values])
        if labels is not None and not any(_contradicts(state, name, labels) for name in OF_ACQUISITION):
            _try_labels(state, cause, labels, total)
        return
    keys = _extended(state, _ranks(state, values))
    if any(len(set(row)) < len(row) for row in keys) or not _same_everywhere(keys):
        return
    classes: dict[Key, list[tuple[float, int]]] = {}
    for z, (old, row) in enumerate(zip(state.keys, values, strict=True)):
        for key, value in zip(old, row, strict=True):
            classes.setdefault(key, []).append((value[0], z))
    if all(_sweeps([z for _, z in sorted(members)], len(state.cells)) for members in classes.values()):
        _accept(state, cause, keys)


def _sweeps(sequence: list[int], positions: int) -> bool:
    """Return whether a sequence of positions is one permutation repeated, or has each position in one run."""
    times, rest = divmod(len(sequence), positions)
    if rest:
        return False
    by_volume = _by_volume(sequence, positions)
    by_position = all(len(set(sequence[i * times : (i + 1) * times])) == 1 for i in range(positions))
    return by_volume or by_position


def _full_grid(state: _State) -> FullGrid:
    rows = zip(state.cells, state.keys, strict=True)
    grid = [[row[i] for i in sorted(range(len(row)), key=keys.__getitem__)] for row, keys in rows]
    return FullGrid(grid, state.means)


def _grid_with_holes(state: _State) -> GridWithHoles:
    parts: dict[Key, list[Frame]] = {}
    for frame, key in zip(chain(*state.cells), chain(*state.keys), strict=True):
        parts.setdefault(key, []).append(frame)
    return GridWithHoles({key: parts[key] for key in sorted(parts)}, state.means)
