"""The grid of frames of a segmentation that are not voxels of its image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dicomzarr.masks.lattice import TOLERANCE, Place, whole
from dicomzarr.masks.segmentation import Segmentation

# Depths that differ by at most this are one plane, mm.
_SAME_PLANE_MM: Final = 1e-3
# Largest own grid with the planes that the file leaves out, voxels.
_MAX_FILLED: Final = 1 << 30

Points = NDArray[np.float64]
Affine = tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True)
class OwnGrid:
    """Planes of a segmentation, one behind the other.

    Attributes
    ----------
    shape : tuple of 3 int
        Planes, rows, columns.
    places : mapping of int to Place
        By frame of the segmentation.
    has_depth : bool
        The planes are sorted along their normal. Else they are tiles, or in stored order.
    affine_lps : 4x4, optional
        Index (x, y, z, 1) to LPS, mm; None if the planes are not evenly spaced, or their distance is not known.
    """

    shape: tuple[int, int, int]
    places: Mapping[int, Place]
    has_depth: bool
    affine_lps: Affine | None = None


def own_grid_of(segmentation: Segmentation, stack: Sequence[int]) -> OwnGrid:
    """Return the grid of frames that share orientation and spacing.

    Planes that an even stack leaves out are planes of the grid: a segmentation leaves out what is empty.

    Parameters
    ----------
    segmentation : Segmentation
    stack : sequence of int
        Frames of all segments.

    Returns
    -------
    OwnGrid
    """
    size = (segmentation.rows, segmentation.columns)
    frames = [segmentation.frames[index] for index in stack]
    first = frames[0]
    if first.position is None or first.orientation is None or first.spacing is None:
        keys = [(1, *frame.tile) if frame.tile else (0, index) for index, frame in zip(stack, frames, strict=True)]
        rank = {key: number for number, key in enumerate(sorted(set(keys)))}
        places = {index: whole(*size, rank[key]) for index, key in zip(stack, keys, strict=True)}
        return OwnGrid((len(rank), *size), places, has_depth=False)
    row, column = np.array(first.orientation[:3]), np.array(first.orientation[3:])
    normal = np.cross(row, column)
    positions = np.array([frame.position for frame in frames], float)
    depths = positions @ (normal / np.linalg.norm(normal))
    order = np.argsort(depths, kind="stable")
    new_plane = np.diff(depths[order], prepend=-np.inf) > _SAME_PLANE_MM
    plane = np.empty(len(order), np.intp)
    plane[order] = np.cumsum(new_plane) - 1
    origins = positions[order][new_plane]
    steps = _steps(depths[order][new_plane], segmentation.step)
    affine = None
    if len(origins) == 1:
        distance = segmentation.step or segmentation.thickness
        step = None if distance is None else normal * distance
    else:
        step = None if steps is None else (origins[-1] - origins[0]) / steps[-1]
    across, down = row * first.spacing[1], column * first.spacing[0]
    if step is not None:
        affine = _affine(across, down, step, origins[0])
    if steps is not None and step is not None and len(origins) > 1:
        shifts = origins - (origins[0] + steps[:, None] * step)
        in_plane = np.abs(np.stack([shifts @ row / first.spacing[1], shifts @ column / first.spacing[0]]))
        if in_plane.max() > TOLERANCE or (int(steps[-1]) + 1) * size[0] * size[1] > _MAX_FILLED:
            affine, steps = None, None
    if steps is not None:
        plane = steps[plane]
    places = {index: whole(*size, int(number)) for index, number in zip(stack, plane, strict=True)}
    return OwnGrid((int(plane.max()) + 1, *size), places, has_depth=True, affine_lps=affine)


def _steps(depths: Points, stated: float | None) -> NDArray[np.intp] | None:
    """Return depths as whole numbers of steps from the first; None if no step explains them.

    The step is Spacing Between Slices (0018,0088), or the smallest distance.
    """
    if len(depths) < 2:
        return None
    run = float(depths[-1] - depths[0])
    for step in (stated, float(np.diff(depths).min())):
        count = 0 if step is None else round(run / step)
        if count < 1 or count > _MAX_FILLED:
            continue
        numbers = (depths - depths[0]) / (run / count)
        whole_numbers: NDArray[np.intp] = np.rint(numbers).astype(np.intp)
        if np.abs(numbers - whole_numbers).max() <= TOLERANCE and (np.diff(whole_numbers) > 0).all():
            return whole_numbers
    return None


def _affine(across: Points, down: Points, step: Points, origin: Points) -> Affine:
    rows = np.stack([across, down, step, origin], axis=1)
    return (*(tuple(round(float(value), 9) for value in line) for line in rows), (0.0, 0.0, 0.0, 1.0))
