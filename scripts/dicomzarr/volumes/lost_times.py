"""Times at the positions of a stack of which each position lacks other ones, although all have equally many."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from statistics import median

# Times of one phase vary from position to position by a quarter, at most, of the distance to the next phase.
_NARROW = 4


def times_that_are_lacking(rows: Sequence[Sequence[float]]) -> list[list[float]] | None:
    """Return the phase of each time, where positions have equally many of a few phases, and not the same ones.

    Delays that vary from beat to beat are many, each position has its own, and those of the first phase are alike.

    Parameters
    ----------
    rows : sequence of sequence of float
        The times of the frames at each position.

    Returns
    -------
    list of list of float, or None
        Of each time the smallest one of its phase; None where no position lacks a phase that others have. With two
        frames at each position, or times that are not the same everywhere, the times of each rank must differ; and each
        phase must recur, if its times differ.
    """
    count = len(rows[0])
    if count < 2 or any(len(set(row)) != count for row in rows):
        return None
    times = sorted({time for row in rows for time in row})
    for phases in range(count + 1, count + count // 2 + 1):
        first = _phases(times, phases)
        if not first:
            continue
        found = [[first[time] for time in row] for row in rows]
        step = median(after - before for before, after in pairwise(sorted(set(first.values()))))
        ranges = [max(column) - min(column) >= 0.75 * step for column in zip(*map(sorted, found), strict=True)]
        if any(len(set(row)) != count for row in found) or not any(ranges):
            continue
        is_exact = len(times) == phases
        recur = min(Counter(time for row in found for time in row).values()) > 1
        if (count > 2 and is_exact) or ((recur or is_exact) and all(ranges)):
            return found
    return None


def _phases(times: Sequence[float], count: int) -> dict[float, float]:
    """Return the first time of the phase of each time, of so many phases; nothing if they are not narrow."""
    if len(times) < count:
        return {}
    gaps = sorted((after - before for before, after in pairwise(times)), reverse=True)
    least = gaps[count - 2]
    first: dict[float, float] = {}
    last = start = times[0]
    widest = 0.0
    for time in times:
        if time - last >= least:
            start = time
        first[time], last = start, time
        widest = max(widest, time - start)
    are_all = len(set(first.values())) == count
    return first if are_all and _NARROW * widest <= least else {}
