"""Slices of an image as layers of space: which slice a plane of contours belongs to, and where its points lie in it."""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dicomzarr.masks.grid import ImageGrid
from dicomzarr.masks.model import MaskProblem

Points = NDArray[np.float64]

# Slices are taken to lie this share of a slice distance further to the left, posterior and superior (LPS), so that a
# plane half-way between two slices belongs to the same one in whatever order they are stored.
NUDGE: Final = 1e-6
_DIRECTION: Final = np.array([1.0, math.sqrt(3) - 1, math.sqrt(2) - 1])
# A slice reaches half-way to its neighbours, but no farther than this share of the usual distance: where slices are
# missing, what belongs to them does not belong to their neighbours.
_FARTHEST: Final = 0.75
_WHOLE: Final = 0.05  # by which distances of slices may differ from whole multiples of the smallest
_SINGLE_MM: Final = 1.0  # thickness of the only slice, if nothing is known
_SMALLEST_MM: Final = 1e-6  # of a voxel
# Points of one contour may differ in depth by this share of the slice distance: coordinates are rounded.
TILT: Final = 0.25
_SAME: Final = 1e-6  # slices closer than this share of the usual distance lie in one plane


@dataclass(frozen=True, slots=True, eq=False)
class SlicePlanes:
    """The slices of an image, sorted along their normal; slices in one plane are one layer.

    Attributes
    ----------
    origins : ndarray of float64, shape (slices, 3)
        Centres of the first voxels, mm, LPS, in the order of the image.
    normal : ndarray of float64, shape (3,)
        Unit vector.
    to_column, to_row : ndarray of float64, shape (3,)
        Their dot product with a displacement in mm is a number of columns, or of rows.
    layers : tuple of tuple of int
        Indices on z of the slices of each layer, by depth.
    depths : tuple of float
        Depth of each layer along the normal, mm, moved by `NUDGE`.
    bounds : tuple of float
        Depths at which one layer ends and the next begins: one more than layers.
    reach : tuple of (float, float)
        Farthest distance of a plane of contours below and above each layer, mm.
    """

    origins: Points
    normal: Points
    to_column: Points
    to_row: Points
    layers: tuple[tuple[int, ...], ...]
    depths: tuple[float, ...]
    bounds: tuple[float, ...]
    reach: tuple[tuple[float, float], ...]

    def thickness(self, layer: int) -> float:
        """Return the extent of space that belongs to a layer, mm; beyond the ends, to the last layer.

        Parameters
        ----------
        layer : int

        Returns
        -------
        float
        """
        return sum(self.reach[min(max(layer, 0), len(self.layers) - 1)])

    def layer_at(self, depth: float) -> int | None:
        """Return the layer that a plane belongs to.

        Parameters
        ----------
        depth : float
            Along the normal, mm.

        Returns
        -------
        int or None
            From 0; negative, or at least the number of layers, if the plane lies beyond the ends: the number that a
            layer there would have if the image went on. None if it lies between two slices, too far from both.
        """
        first, last = self.bounds[0], self.bounds[-1]
        if depth < first:
            return -math.ceil((first - depth) / self.thickness(0))
        if depth >= last:
            return len(self.layers) + math.floor((depth - last) / self.thickness(len(self.layers)))
        layer = bisect_right(self.bounds, depth) - 1
        below, above = self.reach[layer]
        distance = depth - self.depths[layer]
        return layer if -below <= distance * (1 - NUDGE) <= above else None

    def depth_of(self, layer: int) -> float:
        """Return the depth of a layer, which may lie beyond the ends, mm.

        Parameters
        ----------
        layer : int

        Returns
        -------
        float
        """
        last = len(self.layers) - 1
        inner = min(max(layer, 0), last)
        return self.depths[inner] + (layer - inner) * self.thickness(layer)

    def origin_of(self, layer: int) -> Points:
        """Return the centre of the first voxel of a slice beyond the ends, as if the image went on; or of a layer.

        Parameters
        ----------
        layer : int

        Returns
        -------
        ndarray of float64, shape (3,)
            mm, LPS.
        """
        last = len(self.layers) - 1
        inner = min(max(layer, 0), last)
        origin = self.origins[self.layers[inner][0]]
        if layer == inner or last == 0:
            return np.asarray(origin)
        step = origin - self.origins[self.layers[inner + (1 if layer < 0 else -1)][0]]
        return np.asarray(origin + abs(layer - inner) * step)

    def in_voxels(self, points: Points, origin: Points) -> Points:
        """Return points within a slice, seen along the normal.

        Parameters
        ----------
        points : ndarray of float64, shape (n, 3)
            mm, LPS.
        origin : ndarray of float64, shape (3,)
            Centre of the first voxel of the slice, mm, LPS.

        Returns
        -------
        ndarray of float64, shape (n, 2)
            Column and row; 0 is the centre of the first voxel. The same point has the same bits in each contour.
        """
        offset = points - origin
        return np.column_stack([_dot(offset, self.to_column), _dot(offset, self.to_row)])

    def depths_of(self, points: Points) -> Points:
        """Return the depths of points along the normal.

        Parameters
        ----------
        points : ndarray of float64, shape (n, 3)
            mm, LPS.

        Returns
        -------
        ndarray of float64, shape (n,)
            mm.
        """
        return _dot(points, self.normal)

    def tilt_of(self, points: Points) -> float:
        """Return by how much points differ in depth, mm.

        Parameters
        ----------
        points : ndarray of float64, shape (n, 3)
            mm, LPS.

        Returns
        -------
        float
        """
        depths = self.depths_of(points)
        return float(depths.max() - depths.min())


def slice_planes(grid: ImageGrid) -> SlicePlanes:
    """Return the slices of an image as layers.

    Parameters
    ----------
    grid : ImageGrid

    Returns
    -------
    SlicePlanes

    Raises
    ------
    MaskProblem
        ``no_position`` if the image does not say where its voxels lie.
    """
    origins, normal = grid.origins, grid.normal
    across, down = np.array(grid.across, np.float64), np.array(grid.down, np.float64)
    if origins is None or len(origins) != grid.size("z") or not np.all(np.isfinite(origins)):
        raise MaskProblem("no_position")
    if not normal.any() or not np.all(np.isfinite(normal)) or min(across @ across, down @ down) < _SMALLEST_MM**2:
        raise MaskProblem("no_position")
    depths = _dot(origins, normal)
    order = np.argsort(depths, kind="stable")
    steps = np.diff(depths[order])
    usual = float(np.median(steps[steps > 0])) if (steps > 0).any() else 0.0
    starts = [0, *(int(place) + 1 for place in np.flatnonzero(steps > _SAME * usual))]
    layers = tuple(
        tuple(order[begin:end].tolist()) for begin, end in zip(starts, [*starts[1:], len(order)], strict=True)
    )
    reach = _reach([float(depths[layer[0]]) for layer in layers], grid.spacing_mm.get("z"))
    shift = NUDGE * float(normal @ _DIRECTION) * min(map(sum, reach))
    moved = [float(depths[layer[0]]) + shift for layer in layers]
    middles = [(below + above) / 2 for below, above in zip(moved, moved[1:], strict=False)]
    product, columns, rows = float(across @ down), float(across @ across), float(down @ down)
    area = columns * rows - product * product
    return SlicePlanes(
        origins=np.asarray(origins, np.float64),
        normal=normal,
        to_column=across / columns if product == 0 else (rows * across - product * down) / area,
        to_row=down / rows if product == 0 else (columns * down - product * across) / area,
        layers=layers,
        depths=tuple(moved),
        bounds=(moved[0] - reach[0][0], *middles, moved[-1] + reach[-1][1]),
        reach=tuple(reach),
    )


def _reach(depths: list[float], spacing: float | None) -> list[tuple[float, float]]:
    """Return how far below and above each layer planes belong to it, mm."""
    if len(depths) == 1:
        half = (spacing if spacing and spacing > _SMALLEST_MM else _SINGLE_MM) / 2
        return [(half, half)]
    steps = np.diff(depths)
    farthest = _FARTHEST * _usual(steps)
    halves = np.minimum(steps / 2, farthest).tolist()
    return list(zip([halves[0], *halves], [*halves, halves[-1]], strict=True))


def _usual(steps: Points) -> float:
    """Return the usual distance of slices, mm: the smallest if it explains all, so that slices are missing."""
    shares = steps / steps.min()
    return float(steps.min() if np.abs(shares - np.rint(shares)).max() <= _WHOLE else np.median(steps))


def _dot(vectors: Points, direction: Points) -> Points:
    """Return dot products, element by element: a matrix product may round the same vector in several ways."""
    return np.asarray(vectors[:, 0] * direction[0] + vectors[:, 1] * direction[1] + vectors[:, 2] * direction[2])
