"""Stacks whose positions or cosines are written with few decimals: what rounding explains, and the grid beneath it.

A number written with `d` decimals differs from the true one by up to half a unit of its last digit. A stack is regular
if some regular stack, rounded so, gives the positions that are written: `fit` finds the regular stack that is nearest
in the sense of the largest distance, so that the test is exact. Integers count as exact: nothing shows that they were
rounded.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

# Numbers with more decimals are not rounded in a way that matters.
MOST_DECIMALS = 3
# Differences of positions are decimal numbers if they are so within this part of their last digit: the positions
# themselves may be written with six significant digits.
SHARE_OF_DIGIT = 2e-3
SIGNIFICANT_DIGITS = 6  # of the numbers of some scanners
# Pixel spacings with at least two decimals may be rounded forms of a longer one, mm.
MOST_SPACING_DIGIT = 0.01
# Rounding by more than this part of the distance between slices leaves their order open.
MOST_OF_STEP = 0.4


@dataclass(frozen=True, slots=True)
class Fit:
    """The regular stack nearest to some positions.

    Attributes
    ----------
    origin : tuple of 3 float
        Position of index 0, mm, LPS.
    step : tuple of 3 float
        From one index to the next, mm, LPS.
    error_mm : float
        Largest difference in one coordinate.
    residual_mm : float
        Largest distance of a position from the fitted one.
    """

    origin: tuple[float, float, float]
    step: tuple[float, float, float]
    error_mm: float
    residual_mm: float


@lru_cache(maxsize=1 << 16)
def _decimals(value: float) -> int:
    """Return the number of decimals of the shortest text of a number; `MOST_DECIMALS` + 1 if it has more."""
    text = repr(value)
    if "e" in text or "n" in text:  # below 1e-4, or no number
        return MOST_DECIMALS + 1
    fraction = text.partition(".")[2]
    return 0 if fraction == "0" else min(len(fraction), MOST_DECIMALS + 1)


def last_digit(values: Iterable[float]) -> float:
    """Return the unit of the last digit with which numbers are written, if they have 1 to `MOST_DECIMALS` decimals.

    Parameters
    ----------
    values : iterable of float
        Numbers that were written in the same form, such as the positions of a stack.

    Returns
    -------
    float
        0.1, 0.01 or 0.001; 0.0 if all are integers, or one has more decimals.
    """
    most = 0
    for value in values:
        most = max(most, _decimals(value))
        if most > MOST_DECIMALS:
            return 0.0
    return float(f"1e-{most}") if most else 0.0


def last_digit_of_steps(points: NDArray[np.float64]) -> float:
    """Return the unit of the last digit of the distances between positions, in each coordinate.

    Some scanners round the position on the table, and add the longer position of the table: all numbers have many
    decimals, their differences have one.

    Parameters
    ----------
    points : ndarray of float64, shape (n, 3)
        Positions, mm, LPS.

    Returns
    -------
    float
        As `last_digit`, mm.
    """
    steps = points - points[0]
    for decimals in range(MOST_DECIMALS + 1):
        digits = steps * 10**decimals
        if float(np.abs(digits - np.rint(digits)).max()) <= SHARE_OF_DIGIT:
            return float(f"1e-{decimals}") if decimals else 0.0
    return 0.0


def last_digit_of_the_largest(points: NDArray[np.float64]) -> float:
    """Return the unit of the last digit of the largest coordinate, if no number has more than six significant digits.

    Some scanners write six significant digits: three decimals from 100 mm on and four below, so that the number of
    decimals does not show the rounding.

    Parameters
    ----------
    points : ndarray of float64, shape (n, 3)
        Positions, mm, LPS.

    Returns
    -------
    float
        As `last_digit`, mm; 0.0 if a number has more digits, or all are below 100 mm.
    """
    values = np.abs(points).ravel().tolist()
    largest = max(values)
    if largest < 10 ** (SIGNIFICANT_DIGITS - MOST_DECIMALS - 1):
        return 0.0
    if any(float(f"{value:.{SIGNIFICANT_DIGITS}g}") != value for value in values):
        return 0.0
    return float(10.0 ** (math.floor(math.log10(largest)) + 1 - SIGNIFICANT_DIGITS))


def fit(points: NDArray[np.float64], indices: NDArray[np.float64]) -> Fit:
    """Return the regular stack whose largest difference from some positions, in each coordinate, is smallest.

    Parameters
    ----------
    points : ndarray of float64, shape (n, 3)
        Positions, mm, LPS; n is 2 or more.
    indices : ndarray of float64, shape (n,)
        Place of each position on the regular grid, ascending.

    Returns
    -------
    Fit

    Notes
    -----
    A line of smallest largest difference is parallel to an edge of the convex hull of the points.
    """
    lines = [_line(indices, points[:, i]) for i in range(3)]
    origin = (lines[0][0], lines[1][0], lines[2][0])
    step = (lines[0][1], lines[1][1], lines[2][1])
    off = points - (np.array(origin) + indices[:, None] * np.array(step))
    distances = np.sqrt(off[:, 0] ** 2 + off[:, 1] ** 2 + off[:, 2] ** 2)
    return Fit(origin, step, max(line[2] for line in lines), float(distances.max()))


def _line(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[float, float, float]:
    """Return offset, slope and largest difference of the line nearest to some points by largest difference."""
    best: tuple[float, float, float] | None = None
    for sign in (1.0, -1.0):
        hull = _upper_hull(x, sign * y)
        for a, b in zip(hull, hull[1:], strict=False):
            slope = float(y[b] - y[a]) / float(x[b] - x[a])
            rest = y - slope * x
            low, high = float(rest.min()), float(rest.max())
            if best is None or (high - low) / 2 < best[2]:
                best = ((low + high) / 2, slope, (high - low) / 2)
    if best is None:
        raise ValueError("a line needs two points")
    return best


def _upper_hull(x: NDArray[np.float64], y: NDArray[np.float64]) -> list[int]:
    """Return the indices of the upper convex hull of points whose `x` ascends."""
    hull: list[int] = []
    xs, ys = x.tolist(), y.tolist()
    for i in range(len(xs)):
        while len(hull) > 1:
            a, b = hull[-2], hull[-1]
            if (ys[b] - ys[a]) * (xs[i] - xs[a]) > (ys[i] - ys[a]) * (xs[b] - xs[a]):
                break
            hull.pop()
        hull.append(i)
    return hull
