"""The values along `t` of an array: every physical fact that varies, and clocks or counters where those leave a doubt.

Clocks are seconds from the first, and counters ranks: neither can carry a date.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from dicomzarr.volumes.acquisition import FACTS, LARGEST_COUNT, SHORTEST_CLOCK, Fact, replaced
from dicomzarr.volumes.model import Frame
from dicomzarr.volumes.separators import THICKNESS, thicknesses
from dicomzarr.volumes.t_axis import BY_NAME, CLOCKS, is_weak

# Facts that may differ from slice to slice and still say what an index of `t` is.
_DELAYS: Final = ("trigger_time_ms", "temporal_offset_s", "frame_time_s", "frame_reference_time_s")
_TIME: Final = "acquisition_time_s"
# Settings that sort no frames (one follows the heart beat, one the decay), and still say what an index of `t` is.
_SETTINGS: Final = ("repetition_time_ms", "frame_duration_ms", THICKNESS)
# Plain counters and the numbers of series: their order counts, not their value.
_COUNTERS: Final = frozenset(
    {
        *("instance_number", "acquisition_number", "series_number", "frame_acquisition_number", "slice_number"),
        *("raw_data_run", "frame"),
    }
)

Column = list[float | None]


@dataclass(frozen=True, slots=True)
class TValues:
    """The attribute `t_axis` and how well it distinguishes the indices.

    Attributes
    ----------
    means : list of str
        What varies along `t`, slowest first.
    rows : list of tuple
        The values at each index; None where it has none.
    order_only : bool
        Some indices differ in a counter alone.
    are_distinct : bool
        No two indices have the same row.
    """

    means: list[str]
    rows: list[tuple[float | None, ...]]
    order_only: bool
    are_distinct: bool

    @property
    def attribute(self) -> dict[str, object]:
        """The attribute `t_axis`: a value per index, or a row of values where several things vary."""
        return axis_values(self.means, self.rows)


def axis_values(means: Sequence[str], rows: Sequence[Sequence[float | None]]) -> dict[str, object]:
    """Return the attribute `t_axis`.

    Parameters
    ----------
    means : sequence of str
        What varies along `t`, slowest first.
    rows : sequence of sequence of float or None
        Its values, per index of `t`.

    Returns
    -------
    dict
        ``{"means": [...], "values": [...]}``; a value per index, or a row of values where several things vary.
    """
    listed: list[object] = [row[0] for row in rows] if len(means) == 1 else [list(row) for row in rows]
    return {"means": list(means), "values": listed}


def t_values(grid: Sequence[Sequence[Frame]], sorted_by: Iterable[str]) -> TValues:
    """Return the values along `t` of a full grid.

    Parameters
    ----------
    grid : sequence of sequence of Frame
        The frames: `grid[z][t]`.
    sorted_by : iterable of str
        Causes by which frames at the same position were sorted, in their order.

    Returns
    -------
    TValues
    """
    times = len(grid[0])
    columns: dict[str, Column] = {}
    for fact in FACTS:
        columns.update(_fact(grid, fact))
    for name in _DELAYS:
        delays = _delays(grid, name)
        if delays is not None:
            columns[name] = delays
    for name in _SETTINGS:
        columns.update(_setting(grid, name))
    order_only = False
    # Physical causes first; then clocks and counters, each only while rows are still alike.
    for name in sorted_by:
        if name in columns or len(set(_rows(columns, times))) == times:
            continue
        clock = _clock(grid) if is_weak(name, (frame for row in grid for frame in row)) else None
        if clock is not None:  # a counter is no better than the times that it counts
            columns[_TIME] = clock
            continue
        more = _column(grid, name)
        if len(set(_rows({**columns, name: more}, times))) == len(set(_rows(columns, times))):
            continue
        columns[name] = more
        order_only |= is_weak(name, (frame for row in grid for frame in row))
    rows = _rows(columns, times)
    return TValues(list(columns), rows, order_only, len(set(rows)) == times)


def _rows(columns: dict[str, Column], times: int) -> list[tuple[float | None, ...]]:
    return [tuple(column[t] for column in columns.values()) for t in range(times)]


def _fact(grid: Sequence[Sequence[Frame]], fact: Fact) -> dict[str, Column]:
    """Return a fact that varies along `t` by key, or nothing."""
    if replaced(fact, [frame for row in grid for frame in row]):
        return {}
    columns: dict[str, Column] = {key: [frame.causes.get(key) for frame in grid[0]] for key in fact.keys}
    known = [value for column in columns.values() for value in column if value is not None]
    if not known or all(_is_constant(column, fact.tolerance) for column in columns.values()):
        return {}
    if any(
        row[t].causes.get(key) != column[t] for key, column in columns.items() for row in grid for t in range(len(row))
    ):
        columns = {key: _column(grid, key) for key in fact.keys}
    if fact.may_count and max(map(abs, known)) > LARGEST_COUNT:
        columns = {key: _ranks(column) for key, column in columns.items()}
    return columns


def _is_constant(column: Column, tolerance: float) -> bool:
    known = [value for value in column if value is not None]
    return len(known) == len(column) and max(known) - min(known) <= tolerance


def _delays(grid: Sequence[Sequence[Frame]], name: str) -> Column | None:
    """Return a delay that rises along `t` alike at every position, or None."""
    table: list[list[float]] = []
    for row in grid:
        values = [frame.causes.get(name) for frame in row]
        known = [value for value in values if value is not None]
        if len(known) != len(values):
            return None
        table.append(known)
    orders = {tuple(_ranks(list(row))) for row in table}
    return None if len(orders) > 1 or len(set(table[0])) == 1 else _column(grid, name)


def _clock(grid: Sequence[Sequence[Frame]]) -> Column | None:
    """Return the times of acquisition, if they put the indices of `t` in one order at every position, or None.

    Slices without a position are no times of one.
    """
    if any(_TIME not in frame.causes or frame.position is None for row in grid for frame in row):
        return None
    table = [[frame.causes[_TIME] for frame in row] for row in grid]
    if len(set(table[0])) < len(table[0]) or len({tuple(_ranks(list(row))) for row in table}) > 1:
        return None
    return _column(grid, _TIME)


def _setting(grid: Sequence[Sequence[Frame]], name: str) -> dict[str, Column]:
    """Return a setting that is one for each index of `t` and varies along it, or nothing."""
    if name == THICKNESS:
        rows = [thicknesses(row) for row in grid]  # those that differ by rounding are equal
    else:
        rows = [[frame.constants.get(name) for frame in row] for row in grid]
    if any(row != rows[0] for row in rows[1:]) or len(set(rows[0])) == 1:
        return {}
    return {name: rows[0]}


def _column(grid: Sequence[Sequence[Frame]], name: str) -> Column:
    """Return one value per index of `t`: the median over positions; None where a frame has no value.

    Of a counter it is the rank of the smallest: a median would be a number that no frame has, and the number itself may
    be a date.
    """
    read: Callable[[Frame], float | None] = (
        (lambda frame: float(frame.number_in_image)) if name == "frame" else (lambda frame: frame.causes.get(name))
    )
    table = [[read(frame) for frame in row] for row in grid]
    is_counter = name in _COUNTERS
    longest = max((abs(value) for row in table for value in row if value is not None), default=0.0)
    if name in CLOCKS or longest >= SHORTEST_CLOCK.get(name, longest + 1):
        table = [_from_first(row) for row in table]
    column: Column = []
    for values in zip(*table, strict=True):
        known = [value for value in values if value is not None]
        if len(known) < len(values):
            column.append(None)
        else:
            column.append(min(known) if is_counter else round(median(known), 6) + 0.0)
    return _ranks(column) if is_counter or _is_too_large(column, name) else column


def _is_too_large(column: Column, name: str) -> bool:
    is_weak = name in BY_NAME and (BY_NAME[name].weak or BY_NAME[name].use == "label")
    return is_weak and any(value is not None and abs(value) > LARGEST_COUNT for value in column)


def _ranks(column: Column) -> Column:
    order = {value: float(rank) for rank, value in enumerate(sorted({v for v in column if v is not None}))}
    return [None if value is None else order[value] for value in column]


def _from_first(row: list[float | None]) -> list[float | None]:
    known = [value for value in row if value is not None]
    first = min(known, default=0.0)
    return [None if value is None else value - first for value in row]
