"""Contours that are written twice: exclusive or would delete what they enclose."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final, Literal

import numpy as np
import shapely

from dicomzarr.masks.fill import Budget, Ring

# Outlines are the same if they are nowhere farther apart than this, and than this share of a voxel: one may be written
# with fewer decimals, or with more points.
_ROUNDED_MM: Final = 0.02
_ROUNDED: Final = 0.1
_CLOSE: Final = 0.5  # voxels: no wall between two outlines is that thin
_COMPARED: Final = 16  # outlines that begin at one place
_FEW, _MANY, _ALL = 32, 2048, 1 << 62  # points of an outline that are compared with another one
_PER_POINT: Final = 1024  # comparisons of a point with an edge that a search by an index takes as long as

Comparison = Literal["new", "repeated", "close"]


@dataclass(frozen=True, eq=False)
class _Outline:
    """A polygon, mm within its plane."""

    ring: Ring

    @cached_property
    def box(self) -> Ring:
        """Smallest and largest coordinates, shape (4,)."""
        return np.concatenate([self.ring.min(axis=0), self.ring.max(axis=0)])

    @cached_property
    def _edges(self) -> Ring:
        return np.roll(self.ring, -1, axis=0) - self.ring

    @cached_property
    def length(self) -> float:
        """Length of the outline, mm."""
        return float(np.hypot(self._edges[:, 0], self._edges[:, 1]).sum())

    @cached_property
    def area(self) -> float:
        """Area, by how often the outline goes round it, mm2."""
        x, y = (self.ring - self.ring[0]).T
        return abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1))) / 2

    @cached_property
    def points(self) -> Any:
        """Corners, and the middles of edges."""
        return shapely.points(np.concatenate([self.ring, self.ring + self._edges / 2]))

    @cached_property
    def line(self) -> Any:
        """The outline, with an index."""
        line = shapely.linearrings(self.ring)
        shapely.prepare(line)
        return line

    def is_like(self, other: _Outline, distance: float, most: int, budget: Budget) -> bool:
        """Return whether two outlines are nowhere farther apart than a distance, mm, by at most so many points."""
        if np.abs(self.box - other.box).max() > distance:
            return False
        if abs(self.area - other.area) > distance * max(self.length, other.length):
            return False
        pairs = ((other.line, self.points), (self.line, other.points))
        for count in (_FEW, most):
            for line, points in pairs:
                tested = points[:: len(points) // count + 1]
                budget.spend(len(tested), _PER_POINT)
                if not shapely.dwithin(line, tested, distance).all():
                    return False
        return True


@dataclass
class Outlines:
    """The contours of one plane that were met.

    Attributes
    ----------
    voxel_mm : float
        Smallest side of a voxel in the plane.
    budget : Budget
    """

    voxel_mm: float
    budget: Budget
    _edges: set[bytes] = field(default_factory=set)
    _places: dict[tuple[int, int], list[_Outline]] = field(default_factory=dict)

    def compare(self, ring: Ring) -> Comparison:
        """Return whether a contour was met before; else it is kept.

        Parameters
        ----------
        ring : ndarray of float64, shape (n, 2)
            Corners, mm within the plane.

        Returns
        -------
        str
            ``repeated`` if it is another one but for rounding, in whatever order its points run and however many there
            are; ``close`` if it is nowhere half a voxel away from another one; else ``new``.
        """
        edges = _edges(ring)
        if edges in self._edges:
            return "repeated"
        outline, close = _Outline(ring), _CLOSE * self.voxel_mm
        column, row = (int(cell) for cell in np.floor(outline.box[:2] / close))
        cells = [(column + x, row + y) for x in (-1, 0, 1) for y in (-1, 0, 1)]
        near = [other for cell in cells for other in self._places.get(cell, ())]
        least = min(_ROUNDED_MM, _ROUNDED * self.voxel_mm)
        if any(outline.is_like(other, least, _ALL, self.budget) for other in near):
            return "repeated"
        is_close = any(outline.is_like(other, close, _MANY, self.budget) for other in near)
        self._edges.add(edges)
        place = self._places.setdefault((column, row), [])
        place.append(outline)
        del place[:-_COMPARED]
        return "close" if is_close else "new"


def _edges(points: Ring) -> bytes:
    """Return the edges of a polygon in a form that does not depend on where its points begin, and in which order."""
    following = np.roll(points, -1, axis=0)
    order = np.lexsort((points[:, 1], points[:, 0]))
    rank = np.empty(len(points), np.int64)
    rank[order] = np.arange(len(points))
    forward = (rank < np.roll(rank, -1))[:, None]
    edges = np.hstack([np.where(forward, points, following), np.where(forward, following, points)])
    return edges[np.lexsort(edges.T)].tobytes()
