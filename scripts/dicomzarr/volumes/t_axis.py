"""What tells frames at one position apart, and in which order they follow each other on the axis `t`.

The frames of a stack form a grid of positions and of something else: time, echo, b-value ... A cause is one number of
a frame that may be that something. Causes are tried in a fixed order; each one that tells frames apart is kept until
every frame of a position stands alone, so that echo x time is found as two causes.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Final, Literal

from dicomzarr.volumes.model import Frame

# How a cause tells frames apart:
#   label  the same values must occur at every position (an echo time, a b-value)
#   rank   values may differ from slice to slice; their order counts (an acquisition time, a trigger delay)
#   count  a counter without meaning of its own; it must run through the stack slice by slice or time by time
Use = Literal["label", "rank", "count"]


@dataclass(frozen=True, slots=True)
class Cause:
    """One reason for several frames at one position: the keys of `Frame.causes` it reads, and how."""

    keys: tuple[str, ...]
    use: Use
    weak: bool = False  # orders frames without saying what changes between them


CAUSES: Final[tuple[Cause, ...]] = (
    Cause(("temporal_position",), "label"),
    Cause(("echo_time_ms",), "label"),
    Cause(("echo_number",), "label"),
    Cause(("b_value",), "label"),
    Cause(("b_vector_x", "b_vector_y", "b_vector_z"), "label"),
    Cause(("inversion_time_ms",), "label"),
    Cause(("trigger_time_ms",), "rank"),
    Cause(("frame_time_s",), "rank"),
    Cause(("frame_reference_time_s",), "rank"),
    Cause(("acquisition_time_s",), "rank"),
    Cause(("reference_time_s",), "rank"),
    Cause(("content_time_s",), "rank"),
    *(Cause((f"dimension_{index}",), "label", weak=True) for index in range(1, 10)),
    Cause(("instance_number",), "count", weak=True),
    Cause(("acquisition_number",), "label", weak=True),
    Cause(("series_number",), "label", weak=True),
    Cause(("frame",), "count", weak=True),
)
# Times from an arbitrary zero: stated as seconds from the first.
CLOCKS: Final = frozenset({"acquisition_time_s", "reference_time_s", "content_time_s"})
# A time of writing orders frames only if it runs through the stack without overlap.
SWEEPING: Final = frozenset({"content_time_s"})
# Counters that say nothing of the frames inside one file: every frame of the file has the same.
OF_THE_FILE: Final = frozenset({"instance_number", "acquisition_number", "series_number", "content_time_s"})

COUNTERS: Final = frozenset(cause.keys[0] for cause in CAUSES if cause.use == "count")

Key = tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Explained:
    """Frames of a stack, told apart.

    Attributes
    ----------
    grid : list of list of Frame
        The frames: `grid[z][t]`.
    means : list of str
        Causes, slowest first.
    values : list of tuple of float
        For each t the values of the causes; times in seconds from the first.
    weak : bool
        Only the order is known.
    """

    grid: list[list[Frame]]
    means: list[str]
    values: list[Key]
    weak: bool


@dataclass(frozen=True, slots=True)
class Parts:
    """A grid with holes: the frames of each value on their own.

    Attributes
    ----------
    parts : dict of tuple of float to list of Frame
        Frames by the values of the causes, each at a position of its own.
    means : list of str
        Causes, slowest first.
    weak : bool
        Only the order is known.
    """

    parts: dict[Key, list[Frame]]
    means: list[str]
    weak: bool


@dataclass(slots=True)
class _State:
    """Keys of the frames so far, in parallel to the cells: `keys[z][i]` belongs to `cells[z][i]`."""

    cells: list[list[Frame]]
    keys: list[list[Key]]
    holes: bool
    means: list[str] = field(default_factory=list)
    ranked: list[int] = field(default_factory=list)  # components that hold a rank instead of a value
    weak: bool = False

    def distinct(self, keys: list[list[Key]]) -> int:
        return sum(len(set(row)) for row in keys)

    @property
    def done(self) -> bool:
        return all(len(set(row)) == len(row) for row in self.keys)


def explain(cells: list[list[Frame]]) -> Explained | Parts | None:
    """Tell the frames at each position of a stack apart.

    Parameters
    ----------
    cells : list of list of Frame
        The frames at each position, positions by depth; at least one position has several frames.

    Returns
    -------
    Explained, Parts or None
        `Explained` where the frames fill a grid, `Parts` where they fill it but for holes, None where nothing in the
        header tells them apart.
    """
    state = _State(cells, [[()] * len(row) for row in cells], holes=len({len(row) for row in cells}) > 1)
    total = sum(len(row) for row in cells)
    in_file = any(frame.frames_in_file > 1 for row in cells for frame in row)
    for cause in CAUSES:
        if state.done:
            break
        if cause.keys == ("frame",) and not in_file:
            continue
        if in_file and cause.keys[0] in OF_THE_FILE:
            continue
        values = _values(cells, cause)
        if values is None:
            continue
        if cause.use == "label":
            _try_labels(state, cause, values, total)
        elif cause.use == "rank":
            _try_ranks(state, cause, values, total)
        else:
            _try_count(state, cause, values, total)
    if not state.done:
        return None
    return _parts(state) if state.holes else _grid(state)


def _values(cells: list[list[Frame]], cause: Cause) -> list[list[Key]] | None:
    """Return the values of a cause, or None where a frame lacks one."""
    if cause.keys == ("frame",):
        return [[(float(frame.number),) for frame in row] for row in cells]
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


def _accept(state: _State, cause: Cause, keys: list[list[Key]], *, rank: bool) -> None:
    width = len(keys[0][0])
    if rank:
        state.ranked.append(width - 1)
    state.keys = keys
    state.means += cause.keys
    state.weak |= cause.weak


def _try_labels(state: _State, cause: Cause, values: list[list[Key]], total: int) -> None:
    """Keep a cause whose values recur at every position, or at enough of them to be a label with holes."""
    keys = _extended(state, values)
    if state.distinct(keys) == state.distinct(state.keys):
        return
    if not state.holes and _same_everywhere(keys):
        _accept(state, cause, keys, rank=False)
    elif 2 * len({key for row in keys for key in row}) <= total:
        # Values that come back at other positions are labels; a hole leaves each of them its own, incomplete stack.
        state.holes = True
        _accept(state, cause, keys, rank=False)


def _try_ranks(state: _State, cause: Cause, values: list[list[Key]], total: int) -> None:
    """Keep a cause whose order is the same story at every position."""
    if state.holes:
        # With holes a rank would slip: only values that recur exactly can tell which frame is missing.
        _try_labels(state, cause, values, total)
        return
    keys = _extended(state, _ranks(state, values))
    if state.distinct(keys) == state.distinct(state.keys) or not _same_everywhere(keys):
        return
    if cause.keys[0] in SWEEPING and not _disjoint(keys, values):
        return
    _accept(state, cause, keys, rank=True)


def _ranks(state: _State, values: list[list[Key]]) -> list[list[Key]]:
    """Return the dense rank of each value among the frames of equal key at its position."""
    out: list[list[Key]] = []
    for keys, row in zip(state.keys, values, strict=True):
        seen: dict[Key, set[Key]] = {}
        for key, value in zip(keys, row, strict=True):
            seen.setdefault(key, set()).add(value)
        rank = {key: {value: float(i) for i, value in enumerate(sorted(found))} for key, found in seen.items()}
        out.append([(rank[key][value],) for key, value in zip(keys, row, strict=True)])
    return out


def _disjoint(keys: list[list[Key]], values: list[list[Key]]) -> bool:
    """Tell whether values run through the stack volume by volume, or position by position, without overlap."""
    by_rank: dict[Key, list[float]] = {}
    for row_keys, row in zip(keys, values, strict=True):
        for key, value in zip(row_keys, row, strict=True):
            by_rank.setdefault(key, []).append(value[0])
    return _apart(list(by_rank.values()), strict=False) or _apart([[v[0] for v in row] for row in values], strict=True)


def _apart(groups: list[list[float]], *, strict: bool) -> bool:
    spans = sorted((min(group), max(group)) for group in groups)
    return all(a[1] < b[0] or (not strict and a[1] == b[0]) for a, b in zip(spans, spans[1:], strict=False))


def _try_count(state: _State, cause: Cause, values: list[list[Key]], total: int) -> None:
    """Keep a counter that runs through the stack in one of two ways: volume by volume, or position by position."""
    if state.holes:
        labels = _periods([[value[0] for value in row] for row in values])
        if labels is not None:
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
        _accept(state, cause, keys, rank=True)


def _sweeps(sequence: list[int], positions: int) -> bool:
    """Tell whether a sequence of positions is one permutation repeated, or each position in one run."""
    times, rest = divmod(len(sequence), positions)
    if rest:
        return False
    first = sequence[:positions]
    by_volume = len(set(first)) == positions and sequence == first * times
    by_position = all(len(set(sequence[i * times : (i + 1) * times])) == 1 for i in range(positions))
    return by_volume or by_position


def _periods(numbers: list[list[float]]) -> list[list[Key]] | None:
    """Return which pass through the stack each counter belongs to, where some passes lack slices.

    Volume by volume: the counter modulo the length of a pass is the same for every frame of a position, and another at
    each position. Position by position: the counter divided by the frames of a position is the position's own.
    """
    if any(number != int(number) for row in numbers for number in row):
        return None
    whole = [[int(number) for number in row] for row in numbers]
    low = min(min(row) for row in whole)
    period = math.gcd(*(abs(number - row[0]) for row in whole for number in row[1:]))
    if period >= len(whole):
        residues = {number % period for row in whole for number in row}  # one for each row, by the choice of period
        if len(residues) == len(whole):
            base = 1 if 1 <= low <= period else low
            return [[(float((number - base) // period),) for number in row] for row in whole]
    times = max(len(row) for row in whole)
    base = 1 if 1 <= low <= times else low
    quotients = [{(number - base) // times for number in row} for row in whole]
    if all(len(found) == 1 for found in quotients) and len(set().union(*quotients)) == len(whole):
        return [[(float((number - base) % times),) for number in row] for row in whole]
    return None


def _grid(state: _State) -> Explained:
    """Return the full grid with the values of its causes."""
    grid, columns = [], []
    for row, keys in zip(state.cells, state.keys, strict=True):
        order = sorted(range(len(row)), key=lambda i: keys[i])
        grid.append([row[i] for i in order])
        columns.append([keys[i] for i in order])
    spread = {component: _representatives(grid, state.means[component]) for component in state.ranked}
    values = [
        tuple(spread[i][t] if i in spread else value for i, value in enumerate(key)) for t, key in enumerate(columns[0])
    ]
    return Explained(grid, state.means, values, state.weak)


def _representatives(grid: list[list[Frame]], name: str) -> list[float]:
    """Return one value per index t of a cause that differs from slice to slice: the median over positions.

    A counter has no middle: its smallest value stands for it.
    """
    read: Callable[[Frame], float] = (lambda f: float(f.number)) if name == "frame" else (lambda f: f.causes[name])
    table = [[read(frame) for frame in row] for row in grid]
    if name in COUNTERS:
        return [min(column) for column in zip(*table, strict=True)]
    if name in CLOCKS:
        table = [_from_first(row) for row in table]
    return [round(median(column), 6) + 0.0 for column in zip(*table, strict=True)]


def _from_first(row: list[float]) -> list[float]:
    first = min(row)
    return [value - first for value in row]


def _parts(state: _State) -> Parts:
    parts: dict[Key, list[Frame]] = {}
    for row, keys in zip(state.cells, state.keys, strict=True):
        for frame, key in zip(row, keys, strict=True):
            parts.setdefault(key, []).append(frame)
    return Parts({key: parts[key] for key in sorted(parts)}, state.means, state.weak)


def axis_values(means: Sequence[str], values: Sequence[Key]) -> dict[str, object]:
    """Return the attribute `t_axis`: a value per index, or a row of values where there are several causes."""
    listed: list[object] = [value[0] for value in values] if len(means) == 1 else [list(value) for value in values]
    return {"means": list(means), "values": listed}
