"""The grid of an image: where its voxels lie, and where its source frames went."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

# SOP Instance UID (0008,0018) and 0-based number of a frame.
FrameKey = tuple[str, int]
# 0-based index on t and on z; None where the image has no such axis.
FramePlace = tuple[int | None, int | None]


@dataclass(frozen=True, slots=True)
class ImageGrid:
    """The voxels of one image of the dataset.

    Attributes
    ----------
    array : str
        ``<series_id>/<volume_id>``.
    axes : str
        Axes of the image: those of ``tczyx`` that it has, in this order.
    shape : tuple of int
        Along the axes.
    spacing_mm : mapping of str to float
        Spacing on z, y and x where it is known.
    frame_of_reference : str
        Frame of Reference UID (0020,0052) of its frames; empty if they name none or several.
    origins : ndarray of float64, shape (slices, 3), optional
        Centre of the first voxel of each slice, mm, LPS; None where the image has no position in space. An image
        without z has one slice.
    across, down : tuple of 3 float
        Steps from one column to the next (x), and from one row to the next (y), mm, LPS. Zero without `origins`.
    frames : mapping of (str, int) to (int or None, int or None)
        Index on t and z of each source frame, by its SOP Instance UID and its 0-based number in that file.
    residual_mm : float
        Largest distance of a written position from `origins`, where the affine was fitted to rounded positions.
    tile_offsets : tuple of (int, int)
        Of a whole slide image: row and column of the first pixel of each t in the total pixel matrix, from 0. Else
        empty.
    """

    array: str
    axes: str
    shape: tuple[int, ...]
    spacing_mm: Mapping[str, float] = field(default_factory=dict)
    frame_of_reference: str = ""
    origins: NDArray[np.float64] | None = None
    across: tuple[float, float, float] = (0.0, 0.0, 0.0)
    down: tuple[float, float, float] = (0.0, 0.0, 0.0)
    frames: Mapping[FrameKey, FramePlace] = field(default_factory=dict)
    tile_offsets: tuple[tuple[int, int], ...] = ()
    residual_mm: float = 0.0

    def size(self, axis: str) -> int:
        """Return the size along an axis; 1 if the image has no such axis.

        Parameters
        ----------
        axis : str

        Returns
        -------
        int
        """
        return self.shape[self.axes.index(axis)] if axis in self.axes else 1

    @property
    def mask_axes(self) -> str:
        """Axes of a mask that is the same at all t: the spatial axes of the image."""
        return "".join(axis for axis in self.axes if axis in "zyx")

    @property
    def normal(self) -> NDArray[np.float64]:
        """Unit vector along which slices are stacked, mm, LPS: the normal of the rows and columns, shape (3,)."""
        normal = np.cross(np.asarray(self.across, float), np.asarray(self.down, float))
        length = float(np.linalg.norm(normal))
        return normal / length if length else normal
