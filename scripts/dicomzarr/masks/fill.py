"""Fill polygons: which points of a lattice lie inside, by the even-odd rule."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import shapely
from numpy.typing import NDArray

from dicomzarr.masks.model import MaskProblem

Ring = NDArray[np.float64]

# Edges that the points of a mask are compared with, about 4 ns each; a point costs as much as 12 of them.
MAX_COMPARISONS: Final = 20_000_000_000
_PER_POINT: Final = 12
_BLOCK: Final = 16  # points along each side of a block that is filled as one where no edge touches it
_POINTS_AT_ONCE: Final = 1 << 18


class Window(NamedTuple):
    """A part of a lattice: half-open ranges of rows and columns, of which every `step`-th is taken.

    Attributes
    ----------
    top, bottom, left, right, step : int
    """

    top: int
    bottom: int
    left: int
    right: int
    step: int = 1

    @property
    def shape(self) -> tuple[int, int]:
        """Number of rows and columns that are taken."""
        return (
            max(0, -(-(self.bottom - self.top) // self.step)),
            max(0, -(-(self.right - self.left) // self.step)),
        )

    @property
    def size(self) -> int:
        """Number of points that are taken."""
        rows, columns = self.shape
        return rows * columns

    def cut(self, other: Window) -> Window:
        """Return what two windows of step 1 have in common.

        Parameters
        ----------
        other : Window

        Returns
        -------
        Window
            Of size 0 if they have nothing in common.
        """
        top, left = max(self.top, other.top), max(self.left, other.left)
        return Window(top, max(top, min(self.bottom, other.bottom)), left, max(left, min(self.right, other.right)))


class Budget:
    """Bounds the work on one mask, whatever its contours are."""

    def __init__(self) -> None:
        self.spent = 0.0

    def spend(self, points: int, edges_per_point: float) -> None:
        """Count work that is about to be done.

        Parameters
        ----------
        points : int
            Points that are tested.
        edges_per_point : float
            Edges that a row of them crosses.

        Raises
        ------
        MaskProblem
            ``too_large`` if it would be too much.
        """
        self.spent += points * (_PER_POINT + edges_per_point)
        if self.spent > MAX_COMPARISONS:
            raise MaskProblem("too_large", found=int(self.spent), needed=MAX_COMPARISONS)


def window_of(ring: Ring, nudge: tuple[float, float]) -> Window:
    """Return the lattice points that may lie inside a polygon.

    Parameters
    ----------
    ring : ndarray of float64, shape (n, 2)
        Column and row of its corners.
    nudge : tuple of 2 float
        Shift of the lattice along columns and rows.

    Returns
    -------
    Window
    """
    (left, top), (right, bottom) = ring.min(axis=0) - nudge, ring.max(axis=0) - nudge
    return Window(int(np.ceil(top)), int(np.floor(bottom)) + 1, int(np.ceil(left)), int(np.floor(right)) + 1)


def fill(rings: Sequence[Ring], window: Window, nudge: tuple[float, float], budget: Budget) -> NDArray[np.bool_]:
    """Return which points of a lattice lie inside an odd number of polygons.

    Parameters
    ----------
    rings : sequence of ndarray of float64, shape (n, 2)
        Column and row of the corners of each polygon; the last is joined to the first. A polygon that crosses or
        touches itself encloses the points from which a ray crosses it an odd number of times.
    window : Window
        Part of the lattice of whole columns and rows.
    nudge : tuple of 2 float
        Shift of the lattice along columns and rows.
    budget : Budget

    Returns
    -------
    ndarray of bool, shape `window.shape`

    Raises
    ------
    MaskProblem
        ``too_large`` beyond the budget.
    """
    filled = np.zeros(window.shape, bool)
    for ring in rings:
        reached = window_of(ring, nudge)
        part, rows = _part(window.top, window.bottom, window.step, reached.top, reached.bottom)
        across, columns = _part(window.left, window.right, window.step, reached.left, reached.right)
        if not len(part) or not len(across):
            continue
        height = max(1.0, float(np.ptp(ring[:, 1])))
        crossings = float(np.abs(np.diff(ring[:, 1], append=ring[:1, 1])).sum()) / height
        x, y = across + nudge[0], part + nudge[1]
        filled[rows, columns] ^= _inside(ring, x, y, crossings, budget)
    return filled


def _part(begin: int, end: int, step: int, low: int, high: int) -> tuple[NDArray[np.float64], slice]:
    """Return the lattice points of ``range(begin, end, step)`` in a half-open range, and their slice."""
    first = max(0, -(-(low - begin) // step))
    last = max(first, -(-(min(end, high) - begin) // step))
    return begin + step * np.arange(first, last, dtype=np.float64), slice(first, last)


def _inside(
    ring: Ring, x: NDArray[np.float64], y: NDArray[np.float64], crossings: float, budget: Budget
) -> NDArray[np.bool_]:
    """Return which points of a lattice lie inside a polygon, shape (len(y), len(x))."""
    budget.spend(max(len(y), len(x)), crossings)  # of the blocks, at least
    area = shapely.polygons(ring)
    shapely.prepare(area)
    if min(len(x), len(y)) < 4 * _BLOCK:
        budget.spend(len(x) * len(y), crossings)
        inside = np.empty((len(y), len(x)), bool)
        rows = max(1, _POINTS_AT_ONCE // len(x))
        for top in range(0, len(y), rows):
            inside[top : top + rows] = shapely.contains_xy(area, x[None, :], y[top : top + rows, None])
        return inside
    return _by_blocks(ring, area, x, y, crossings, budget)


def _by_blocks(
    ring: Ring,
    area: shapely.Polygon,
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    crossings: float,
    budget: Budget,
) -> NDArray[np.bool_]:
    """Return the same as `_inside`: where no edge touches a block of points, one of them decides for all."""
    lefts, tops = np.arange(0, len(x), _BLOCK), np.arange(0, len(y), _BLOCK)
    rights, bottoms = np.minimum(lefts + _BLOCK, len(x)) - 1, np.minimum(tops + _BLOCK, len(y)) - 1
    edge = shapely.linearrings(ring)
    shapely.prepare(edge)
    boxes = shapely.box(x[lefts][None, :], y[tops][:, None], x[rights][None, :], y[bottoms][:, None])
    touched = shapely.intersects(edge, boxes)
    budget.spend(touched.size + int(touched.sum()) * _BLOCK * _BLOCK, crossings)
    blocks = shapely.contains_xy(area, x[lefts][None, :], y[tops][:, None])
    inside = np.repeat(np.repeat(blocks, bottoms - tops + 1, axis=0), rights - lefts + 1, axis=1)
    for row in np.flatnonzero(touched.any(axis=1)):
        lines = slice(tops[row], bottoms[row] + 1)
        columns = np.repeat(touched[row], rights - lefts + 1)
        inside[lines, columns] = shapely.contains_xy(area, x[None, columns], y[lines, None])
    return inside
