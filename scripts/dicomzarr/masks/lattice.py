"""Whether the pixels of a frame lie on the voxels of an image, and on which."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dicomzarr.dicom.facts import Cosines, Vector
from dicomzarr.masks.grid import ImageGrid
from dicomzarr.masks.segmentation import SegmentFrame

Points = NDArray[np.float64]
Indices = NDArray[np.intp]

# Largest distance of a pixel from the voxel that it is taken for, in voxels along each axis. Positions, cosines and
# spacings in headers are rounded: six decimals of a spacing or a cosine are up to 0.0005 voxels over 512 columns. Which
# voxel is meant is certain up to 0.5; this is a tenth of it, so that another grid does not pass for that of the image.
TOLERANCE: Final = 0.05
# Where the image's positions are rounded so coarsely that its affine was fitted, the error of the fit is added; up to:
_LARGEST_TOLERANCE: Final = 0.45
_FARTHEST: Final = 1e9  # voxels
Z, Y, X = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Place:
    """The voxels on which the pixels of a frame lie; axes are 0 (z), 1 (y) and 2 (x).

    Attributes
    ----------
    down, across : int
        Axis along which its rows follow each other, and its columns.
    rows, columns : ndarray of int
        Index on these axes of each row and each column; -1 outside of the image.
    fixed : int
        Index on the third axis; -1 outside of the image.
    """

    down: int
    across: int
    rows: Indices
    columns: Indices
    fixed: int

    @property
    def is_outside(self) -> bool:
        """Whether no pixel lies in the image."""
        return self.fixed < 0 or not (self.rows >= 0).any() or not (self.columns >= 0).any()

    @property
    def is_inside(self) -> bool:
        """Whether all pixels lie in the image."""
        return self.fixed >= 0 and bool((self.rows >= 0).all() and (self.columns >= 0).all())

    def is_turned(self, shape: tuple[int, int, int]) -> bool:
        """Return whether it begins at a corner of the image, with rows and columns of that exchanged.

        Parameters
        ----------
        shape : tuple of int
            Of the image, along z, y and x.

        Returns
        -------
        bool
        """
        down, across = shape[self.down], shape[self.across]
        is_exchanged = down != across and (len(self.rows), len(self.columns)) == (across, down)
        return is_exchanged and _from_end(self.rows, down) and _from_end(self.columns, across)

    @property
    def key(self) -> tuple[int, ...]:
        """Equal for frames that lie at one place."""
        corner = (int(self.rows.min()), int(self.rows.max()), int(self.columns.min()), int(self.columns.max()))
        return (3 - self.down - self.across, self.fixed, *(corner if self.down < self.across else corner[2:] + corner))

    def paint(self, values: NDArray[np.uint8], pixels: NDArray[np.uint8]) -> None:
        """Set voxels to the larger one of theirs and of the frame's.

        Parameters
        ----------
        values : ndarray of uint8, shape (z, y, x)
        pixels : ndarray of uint8, shape (rows, columns)
        """
        if self.fixed < 0:
            return
        where: list[int | slice] = [slice(None)] * 3
        where[3 - self.down - self.across] = self.fixed
        plane = values[tuple(where)]
        plane = plane if self.down < self.across else plane.T
        kept_rows, kept_columns = self.rows >= 0, self.columns >= 0
        if not (kept_rows.all() and kept_columns.all()):
            pixels = pixels[np.ix_(kept_rows, kept_columns)]
        if pixels.size:
            rows, columns = _as_slice(self.rows[kept_rows]), _as_slice(self.columns[kept_columns])
            if isinstance(rows, slice) and isinstance(columns, slice):
                part = plane[rows, columns]
                np.maximum(part, pixels, out=part)
            else:
                part = plane[self.rows[kept_rows][:, None], self.columns[kept_columns]]
                plane[self.rows[kept_rows][:, None], self.columns[kept_columns]] = np.maximum(part, pixels)

    def covered(self) -> NDArray[np.bool_]:
        """Return which pixels lie in the image, of shape (rows, columns).

        Returns
        -------
        ndarray of bool
        """
        if self.fixed < 0:
            return np.zeros((len(self.rows), len(self.columns)), bool)
        return np.logical_and.outer(self.rows >= 0, self.columns >= 0)


def _from_end(indices: Indices, size: int) -> bool:
    """Return whether indices run through an axis from its first or its last index, perhaps beyond the other."""
    run = np.arange(min(len(indices), size))
    ends = (run, size - 1 - run)
    return any(np.array_equal(indices[: len(run)], end) for end in ends)


def _as_slice(indices: Indices) -> slice | None:
    """Return indices that follow each other, up or down, as a slice."""
    first, last = int(indices[0]), int(indices[-1])
    step = 1 if last >= first else -1
    if abs(last - first) + 1 != len(indices) or (len(indices) > 1 and (np.diff(indices) != step).any()):
        return None
    end = last + step
    return slice(first, None if end < 0 else end, step)


def whole(rows: int, columns: int, fixed: int) -> Place:
    """Return the place of a frame that is a slice of the image.

    Parameters
    ----------
    rows, columns, fixed : int

    Returns
    -------
    Place
    """
    return Place(Y, X, np.arange(rows), np.arange(columns), fixed)


def shifted(size: int, offset: int, limit: int) -> Indices:
    """Return `offset` and the following indices; -1 for those that are not below `limit`.

    Parameters
    ----------
    size, offset, limit : int

    Returns
    -------
    ndarray of int
    """
    indices = np.arange(offset, offset + size)
    return np.where((indices >= 0) & (indices < limit), indices, -1)


class Lattice:
    """The voxel centres of an image in space.

    Parameters
    ----------
    grid : ImageGrid
    """

    def __init__(self, grid: ImageGrid) -> None:
        self._shape = (grid.size("z"), grid.size("y"), grid.size("x"))
        across, down = (
            _directed(vector, grid.spacing_mm.get(axis)) for vector, axis in ((grid.across, "x"), (grid.down, "y"))
        )
        axes = np.stack([across, down, grid.normal], axis=1)
        origins = np.zeros((0, 3)) if grid.origins is None else np.asarray(grid.origins, float).reshape(-1, 3)
        self.is_known = (
            len(origins) == self._shape[Z]
            and bool(np.isfinite(axes).all() and np.isfinite(origins).all())
            and abs(float(np.linalg.det(axes))) > 1e-12
        )
        if not self.is_known:
            return
        self._from_voxels = axes
        self._to_voxels = np.linalg.inv(axes)  # LPS to columns, rows, and mm along the normal
        self._origins = origins @ self._to_voxels.T
        self.depths = self._origins[:, 2]
        gaps = np.diff(np.sort(self.depths))
        gaps = gaps[gaps > 0]
        sizes = np.array([np.linalg.norm(across), np.linalg.norm(down)])
        # A single slice without a thickness is as thick as its pixels are wide.
        self.step = float(gaps.min()) if len(gaps) else float(grid.spacing_mm.get("z") or sizes.min())
        self._tolerances = np.minimum(TOLERANCE + grid.residual_mm / np.append(sizes, self.step), _LARGEST_TOLERANCE)
        self._order = np.argsort(self.depths, kind="stable")

    def _slices_at(self, depths: Points) -> Indices | None:
        """Return the slice at each depth, -1 where the image has none; None where a depth is between the two.

        A depth counts as that of a slice within the tolerance, a share of the distance to the next slice. It is outside
        of the image if a whole further slice would fit: behind the ends, and where slices are missing. Anything else
        belongs to another grid.
        """
        ordered = self.depths[self._order]
        above = np.clip(np.searchsorted(ordered, depths), 0, len(ordered) - 1)
        below = np.clip(above - 1, 0, None)
        nearest = np.where(np.abs(ordered[above] - depths) < np.abs(ordered[below] - depths), above, below)
        distances = np.abs(ordered[nearest] - depths)
        tolerance = self._tolerances[2]
        is_slice = distances <= tolerance * self.step
        if not (is_slice | (distances >= (1 - tolerance) * self.step)).all():
            return None
        return np.where(is_slice, self._order[nearest], -1)

    def slice_geometry(self, z: int) -> tuple[Vector, Cosines, tuple[float, float]]:
        """Return position, orientation and spacing of a slice, as a header states them.

        Parameters
        ----------
        z : int

        Returns
        -------
        position : tuple of 3 float
            mm, LPS.
        orientation : tuple of 6 float
            Unit vectors.
        spacing : tuple of 2 float
            Between rows, then between columns, mm.
        """
        x, y, depth = self._from_voxels @ self._origins[z]
        (across, down), (wide, high) = self._from_voxels.T[:2], np.linalg.norm(self._from_voxels.T[:2], axis=1).tolist()
        (a, b, c), (d, e, f) = (across / wide).tolist(), (down / high).tolist()
        return (float(x), float(y), float(depth)), (a, b, c, d, e, f), (high, wide)

    def depth(self, frame: SegmentFrame, rows: int, columns: int) -> float | None:
        """Return the depth of a frame along the normal of the image, mm; None if it is not parallel to the slices.

        Parameters
        ----------
        frame : SegmentFrame
            With a geometry.
        rows, columns : int

        Returns
        -------
        float or None
        """
        start, right, below = self._steps(frame)
        drift = abs(right[2]) * (columns - 1) + abs(below[2]) * (rows - 1)
        return None if drift > self.step else float(start[2] + (right[2] * (columns - 1) + below[2] * (rows - 1)) / 2)

    def _steps(self, frame: SegmentFrame) -> tuple[Points, Points, Points]:
        """Return the first pixel, the step to the next column and to the next row: columns, rows, mm of depth."""
        assert frame.position is not None and frame.orientation is not None and frame.spacing is not None
        between_rows, between_columns = frame.spacing
        row, column = frame.orientation[:3], frame.orientation[3:]
        parts = (np.array(frame.position), _directed(row, between_columns), _directed(column, between_rows))
        start, right, below = (self._to_voxels @ part for part in parts)
        return start, right, below

    def place(self, frame: SegmentFrame, rows: int, columns: int) -> Place | None:
        """Return the voxels on which the pixels of a frame lie, one to one; None if they lie on another grid.

        Parameters
        ----------
        frame : SegmentFrame
            With a geometry.
        rows, columns : int

        Returns
        -------
        Place or None
        """
        start, right, below = self._steps(frame)
        scale = np.array([1, 1, 1 / self.step])
        # x, y, z of the axis that comes closest to the direction.
        across, down = (int(np.argmax(np.abs(vector * scale))) for vector in (right, below))
        if across == down:
            return None
        if across == 2 or down == 2:
            return self._through(start, right, below, (rows, columns))
        at = start[2] + np.array([0.0, right[2] * (columns - 1)])[:, None] + [0.0, below[2] * (rows - 1)]
        slices = self._slices_at(at.ravel())
        if slices is None or len(set(slices.tolist())) > 1:
            return None
        index = int(slices[0])
        if index < 0:
            return Place(2 - down, 2 - across, np.full(rows, -1), np.full(columns, -1), -1)
        first = (start - self._origins[index])[:2]
        x_or_y = {
            axis: _indices(first, step, n, axis) for step, n, axis in ((right, columns, across), (below, rows, down))
        }
        for i, j in ((0, 0), (-1, 0), (0, -1), (-1, -1)):
            corner = first + (i * -1) * right[:2] * (columns - 1) + (j * -1) * below[:2] * (rows - 1)
            if not (
                self._is_at(corner[across], x_or_y[across][i], across)
                and self._is_at(corner[down], x_or_y[down][j], down)
            ):
                return None
        sizes = (self._shape[X], self._shape[Y])
        return Place(
            2 - down, 2 - across, _within(x_or_y[down], sizes[down]), _within(x_or_y[across], sizes[across]), index
        )

    def _through(self, start: Points, right: Points, below: Points, size: tuple[int, int]) -> Place | None:
        """Return the place of a frame that cuts through the slices at a right angle."""
        columns_run_deep = abs(right[2]) > abs(below[2])
        deep, flat = (right, below) if columns_run_deep else (below, right)
        many, others = (size[1], size[0]) if columns_run_deep else size
        depths = start[2] + np.arange(many) * deep[2]
        slices, same = self._slices_at(depths), self._slices_at(depths + flat[2] * (others - 1))
        if slices is None or same is None or (slices != same).any():
            return None
        inside = np.flatnonzero(slices >= 0)
        axis = int(np.argmax(np.abs(flat[:2])))
        unknown = Place(
            *((2 - axis, Z) if columns_run_deep else (Z, 2 - axis)), np.full(size[0], -1), np.full(size[1], -1), -1
        )
        if not len(inside):
            return unknown
        ranks = np.argsort(self._order)[slices[inside]]
        if (np.diff(ranks) != np.sign(deep[2])).any():
            return None  # not slice after slice
        lines = start[:2] + inside[:, None] * deep[:2] - self._origins[slices[inside]][:, :2]
        indices, fixed = _indices(lines[0], flat, others, axis), np.array([_nearest(lines[0, 1 - axis])])
        for end, line in ((0, lines), (-1, lines + flat[:2] * (others - 1))):
            if not (
                self._is_at(line[:, axis], indices[end], axis) and self._is_at(line[:, 1 - axis], fixed[0], 1 - axis)
            ):
                return None
        sizes = (self._shape[X], self._shape[Y])
        third, flat_indices = int(_within(fixed, sizes[1 - axis])[0]), _within(indices, sizes[axis])
        if columns_run_deep:
            return Place(2 - axis, Z, flat_indices, slices, third)
        return Place(Z, 2 - axis, slices, flat_indices, third)

    def _is_at(self, coordinates: Points | float, index: int, axis: int) -> bool:
        """Return whether coordinates along x (axis 0) or y (axis 1) are that of a voxel."""
        return bool(np.max(np.abs(np.asarray(coordinates) - index)) <= self._tolerances[axis])


def _directed(vector: Sequence[float], length: float | None) -> Points:
    """Return a vector with another length: cosines with few decimals have not exactly the length 1."""
    step = np.asarray(vector, float)
    norm = float(np.linalg.norm(step))
    return step * (length / norm) if length and norm else step


def _indices(first: Points, step: Points, count: int, axis: int) -> Indices:
    """Return the nearest index of the first pixel along an axis of the image, and those that follow."""
    sign = 1 if step[axis] >= 0 else -1
    return np.asarray(_nearest(first[axis]) + sign * np.arange(count), np.intp)


def _nearest(coordinate: float) -> int:
    return int(np.rint(np.clip(coordinate, -_FARTHEST, _FARTHEST)))


def _within(indices: Indices, size: int) -> Indices:
    return np.where((indices >= 0) & (indices < size), indices, -1)
