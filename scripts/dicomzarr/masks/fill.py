"""Fill polygons: which points of a lattice lie inside or on the outline, by the even-odd rule."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

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
_CROSSINGS_AT_ONCE: Final = 1 << 20
# A point this close to an edge, in columns and rows, lies on it: coordinates are rounded, often to six decimals.
_NEAR: Final = 1e-5
# Steps around a point, none of them along a row, a column or a diagonal. A corner sharper than 11 degrees may lie
# between two of them.
_ANGLES: Final = 0.31 / 8 + np.arange(32) * np.pi / 16
_AROUND: Final = np.column_stack([np.cos(_ANGLES), np.sin(_ANGLES)]) * _NEAR


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


def window_of(ring: Ring) -> Window:
    """Return the lattice points that may lie inside a polygon or on its outline.

    Parameters
    ----------
    ring : ndarray of float64, shape (n, 2)
        Column and row of its corners.

    Returns
    -------
    Window
    """
    (left, top), (right, bottom) = ring.min(axis=0) - _NEAR, ring.max(axis=0) + _NEAR
    return Window(int(np.ceil(top)), int(np.floor(bottom)) + 1, int(np.ceil(left)), int(np.floor(right)) + 1)


class _Polygon:
    """A polygon that is ready to be compared with many points."""

    def __init__(self, ring: Ring) -> None:
        self.ring, self.window = ring, window_of(ring)
        height = max(1.0, float(np.ptp(ring[:, 1])))
        # Edges that a row crosses, on average: the cost of a point.
        self.crossings = float(np.abs(np.diff(ring[:, 1], append=ring[:1, 1])).sum()) / height
        self._area: Any = None

    @property
    def area(self) -> Any:
        """The polygon of shapely, which may cross itself: its index counts the edges that a ray crosses."""
        if self._area is None:
            # GEOS fills the box of a ring of four corners each of which lies on two sides of it, also of an L out and
            # back: not of one with a corner that is written twice.
            self._area = shapely.polygons(np.concatenate([self.ring, self.ring[-1:]]))
            shapely.prepare(self._area)
        return self._area


def fill(rings: Sequence[Ring], window: Window, budget: Budget) -> NDArray[np.bool_]:
    """Return which points of a lattice lie inside an odd number of polygons, or on the outline of that area.

    Parameters
    ----------
    rings : sequence of ndarray of float64, shape (n, 2)
        Column and row of the corners of each polygon; the last is joined to the first. A polygon that crosses or
        touches itself encloses the points from which a ray crosses it an odd number of times.
    window : Window
        Part of the lattice of whole columns and rows. Outlines are ignored if it is not all points.
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
    polygons = [_Polygon(ring) for ring in rings]
    for polygon in polygons:
        y, rows = _part(window.top, window.bottom, window.step, polygon.window.top, polygon.window.bottom)
        x, columns = _part(window.left, window.right, window.step, polygon.window.left, polygon.window.right)
        if len(y) and len(x):
            filled[rows, columns] ^= _inside(polygon, x, y, budget)
    if window.step == 1:
        at_x, at_y = _on_edges(rings, window)
        if len(at_x):
            filled[at_y - window.top, at_x - window.left] = _touches(polygons, at_x, at_y, budget)
    return filled


def _part(begin: int, end: int, step: int, low: int, high: int) -> tuple[NDArray[np.float64], slice]:
    """Return the lattice points of ``range(begin, end, step)`` in a half-open range, and their slice."""
    first = max(0, -(-(low - begin) // step))
    last = max(first, -(-(min(end, high) - begin) // step))
    return begin + step * np.arange(first, last, dtype=np.float64), slice(first, last)


def _inside(polygon: _Polygon, x: NDArray[np.float64], y: NDArray[np.float64], budget: Budget) -> NDArray[np.bool_]:
    """Return which points of a lattice lie inside a polygon, shape (len(y), len(x)); on its edges it may be either."""
    budget.spend(max(len(y), len(x)), polygon.crossings)  # of the blocks, at least
    if min(len(x), len(y)) >= 4 * _BLOCK:
        return _by_blocks(polygon, x, y, budget)
    budget.spend(len(x) * len(y), polygon.crossings)
    inside = np.empty((len(y), len(x)), bool)
    rows = max(1, _POINTS_AT_ONCE // len(x))
    for top in range(0, len(y), rows):
        inside[top : top + rows] = shapely.contains_xy(polygon.area, x[None, :], y[top : top + rows, None])
    return inside


def _by_blocks(polygon: _Polygon, x: NDArray[np.float64], y: NDArray[np.float64], budget: Budget) -> NDArray[np.bool_]:
    """Return the same as `_inside`: where no edge touches a block of points, one of them decides for all."""
    lefts, tops = np.arange(0, len(x), _BLOCK), np.arange(0, len(y), _BLOCK)
    rights, bottoms = np.minimum(lefts + _BLOCK, len(x)) - 1, np.minimum(tops + _BLOCK, len(y)) - 1
    edge = shapely.linearrings(polygon.ring)
    shapely.prepare(edge)
    boxes = shapely.box(x[lefts][None, :], y[tops][:, None], x[rights][None, :], y[bottoms][:, None])
    touched = shapely.intersects(edge, boxes)
    budget.spend(touched.size + int(touched.sum()) * _BLOCK * _BLOCK, polygon.crossings)
    blocks = shapely.contains_xy(polygon.area, x[lefts][None, :], y[tops][:, None])
    inside = np.repeat(np.repeat(blocks, bottoms - tops + 1, axis=0), rights - lefts + 1, axis=1)
    for row in np.flatnonzero(touched.any(axis=1)):
        lines = slice(tops[row], bottoms[row] + 1)
        columns = np.repeat(touched[row], rights - lefts + 1)
        inside[lines, columns] = shapely.contains_xy(polygon.area, x[None, columns], y[lines, None])
    return inside


def _on_edges(rings: Sequence[Ring], window: Window) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the lattice points on the edges of polygons, each once: columns and rows."""
    found = [np.empty((0, 2), np.int64)]
    for ring in rings:
        following = np.roll(ring, -1, axis=0)
        steep = np.abs(following - ring).argmax(axis=1)
        for axis in (0, 1):  # along which an edge is longer: it meets each line across it in one point
            chosen = steep == axis
            low, high = (window.left, window.right) if axis == 0 else (window.top, window.bottom)
            for along, across in _meetings(ring[chosen], following[chosen], axis, low, high):
                pair = (along, across) if axis == 0 else (across, along)
                found.append(np.column_stack(pair))
    points = np.concatenate(found)
    inside = (points[:, 0] >= window.left) & (points[:, 0] < window.right)
    inside &= (points[:, 1] >= window.top) & (points[:, 1] < window.bottom)
    points = np.unique(points[inside], axis=0)
    return points[:, 0], points[:, 1]


def _meetings(
    begin: Ring, end: Ring, axis: int, low: int, high: int
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Yield the lattice points on edges that are not shorter along `axis` than across it: along, and across."""
    first = np.ceil(np.maximum(np.minimum(begin[:, axis], end[:, axis]) - _NEAR, low)).astype(np.int64)
    last = np.floor(np.minimum(np.maximum(begin[:, axis], end[:, axis]) + _NEAR, high - 1)).astype(np.int64)
    counts = np.maximum(0, last - first + 1)
    ends = np.cumsum(counts)
    start = 0
    while start < len(counts):
        done = int(ends[start - 1]) if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, done + _CROSSINGS_AT_ONCE)))
        edges = np.repeat(np.arange(start, stop), counts[start:stop])
        along = np.arange(len(edges)) - (ends[edges] - counts[edges] - done) + first[edges]
        a, b = begin[edges], end[edges]
        length = b[:, axis] - a[:, axis]
        share = np.clip((along - a[:, axis]) / np.where(length == 0, 1, length), 0, 1)
        at = a[:, 1 - axis] + share * (b[:, 1 - axis] - a[:, 1 - axis])
        across = np.rint(at)
        near = np.abs(at - across) <= 2 * _NEAR
        yield along[near], across[near].astype(np.int64)
        start = stop


def _touches(
    polygons: Sequence[_Polygon], x: NDArray[np.int64], y: NDArray[np.int64], budget: Budget
) -> NDArray[np.bool_]:
    """Return whether the area that is inside an odd number of polygons reaches points on their edges."""
    around = np.stack([x, y], axis=1)[:, None, :] + _AROUND
    inside = np.zeros(around.shape[:2], bool)
    for polygon in polygons:
        window = polygon.window
        chosen = (x >= window.left) & (x < window.right) & (y >= window.top) & (y < window.bottom)
        budget.spend(len(_AROUND) * int(chosen.sum()), polygon.crossings)
        points = around[chosen]
        inside[chosen] ^= shapely.contains_xy(polygon.area, points[..., 0], points[..., 1])
    return np.asarray(inside.any(axis=1))
