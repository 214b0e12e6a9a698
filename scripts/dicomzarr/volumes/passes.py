"""The passes through a stack that a counter shows, where some passes lack slices."""

from __future__ import annotations

import math
from itertools import pairwise


def periods(numbers: list[list[float]]) -> list[list[tuple[float, ...]]] | None:
    """Return the number of the pass through the stack to which each counter belongs, where some passes lack slices.

    Volume by volume: the counter modulo the length of a pass is the same for all frames of a position, and differs
    between positions. Position by position: the counter divided by the number of frames at a position does the same.
    One position of three or more that has two frames proves no period: one of the two may be a stray.

    Parameters
    ----------
    numbers : list of list of float
        The counter of each frame at each position, positions by depth.

    Returns
    -------
    list of list of tuple of float, or None
        The number of the pass, from 0, in the same shape; None where the counter shows none.
    """
    if any(number != int(number) for row in numbers for number in row):
        return None
    whole = [[int(number) for number in row] for row in numbers]
    low = min(min(row) for row in whole)
    period = math.gcd(*(abs(number - row[0]) for row in whole for number in row[1:]))
    doubled = sum(len(row) > 1 for row in whole)
    if period >= len(whole) and doubled > 1:
        residues = {number % period for row in whole for number in row}  # one per row, by the choice of period
        if len(residues) == len(whole):
            first = _first_of_pass(whole, period, 1 if 1 <= low <= period else low)
            if first is None:
                return None
            return [[(float((number - first) // period),) for number in row] for row in whole]
    if len(whole) > 2 and doubled == 1:
        return None
    times = max(len(row) for row in whole)
    base = 1 if 1 <= low <= times else low
    quotients = [{(number - base) // times for number in row} for row in whole]
    if all(len(of_row) == 1 for of_row in quotients) and len(set().union(*quotients)) == len(whole):
        return [[(float((number - base) % times),) for number in row] for row in whole]
    return None


def _first_of_pass(numbers: list[list[int]], period: int, base: int) -> int | None:
    """Return the number with which the first pass begins: `base`, unless the stack shows that passes begin elsewhere.

    Passes that cover different parts of the stack begin where the position turns back, not at a multiple of a period:
    with a number after the last one before the turn, and never where one slice follows another. None if they begin at
    no common multiple. Of four slices or more, an interleaved order turns back more than once in a pass.
    """
    if len(numbers) < 4:
        return base
    order = sorted({(number, z) for z, row in enumerate(numbers) for number in row})
    steps = [(a, b, z_b - z_a) for (a, z_a), (b, z_b) in pairwise(order)]
    unit = min(b - a for a, b, _ in steps)  # more than 1 where other images are numbered between slices
    next_to = [(b, step) for a, b, step in steps if b - a == unit]
    rising = 2 * sum(step > 0 for _, step in next_to) > len(next_to)
    within = {b % period for b, step in next_to if (step > 0) is rising}
    # Numbers after the last one before a turn, as the last of them and their count: there may be millions.
    turns = {(b % period, min(b - a, period)) for a, b, step in steps if (step > 0) is not rising}

    def is_in(number: int, turn: tuple[int, int]) -> bool:
        return number % period not in within and (turn[0] - number) % period < turn[1]

    if not turns or all(is_in(base, turn) for turn in turns):
        return base
    # The largest number that all have is followed by the next period, by one within a run, or by one that a turn lacks.
    ends = {period - 1, *(end for end, _ in turns), *((number - 1) % period for number in within)}
    common = [end for end in ends if all(is_in(end, turn) for turn in turns)]
    if common:
        return base - (base - max(common)) % period
    return base if any(is_in(base, turn) for turn in turns) else None
