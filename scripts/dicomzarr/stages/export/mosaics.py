"""The volume in a mosaic: an image whose tiles are the slices of one volume, cut apart and stacked along z."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dicomzarr.stages.export.verified_arrays import Array

MAX_DISTANCE = 0.01  # mm, of a tile from the place that one affine gives it: positions are rounded


@dataclass(frozen=True, slots=True)
class Tiles:
    """The tiles of a mosaic that hold slices, and where they lie.

    Attributes
    ----------
    across : int
        Tiles in a row of the image.
    shape : tuple of int
        Slices, rows and columns of the volume (z, y, x).
    affine_lps : list of list of float
        From index (x, y, z, 1) to millimetres, LPS; 4 x 4.
    """

    across: int
    shape: tuple[int, int, int]
    affine_lps: list[list[float]]

    def volumes(self, array: Array) -> Iterator[NDArray[Any]]:
        """Yield the volume of each frame, shape (z, y, x)."""
        slices, rows, columns = self.shape
        for frame in array.frames():
            yield np.stack([self._tile(frame.pixels, number, rows, columns) for number in range(slices)])

    def is_rest_empty(self, array: Array) -> bool:
        """Return whether the tiles after the last slice have one value in each frame, so that no slice is lost."""
        slices, rows, columns = self.shape
        tiles = array.shape[-2] // rows * self.across
        for frame in array.frames() if slices < tiles else ():
            rest = [self._tile(frame.pixels, number, rows, columns) for number in range(slices, tiles)]
            if any((tile != rest[0].flat[0]).any() for tile in rest):
                return False
        return True

    def _tile(self, sheet: NDArray[Any], number: int, rows: int, columns: int) -> NDArray[Any]:
        row, column = number // self.across * rows, number % self.across * columns
        return sheet[row : row + rows, column : column + columns]


def tiles_of(facts: Mapping[str, Any], ome: Mapping[str, Any]) -> Tiles | None:
    """Return the tiles of a mosaic.

    Parameters
    ----------
    facts, ome : mapping
        The attributes `dicomzarr` and `ome` of an array.

    Returns
    -------
    Tiles or None
        None where the array is no mosaic, or its attributes do not give one affine for all slices.
    """
    layout, directions = facts.get("mosaic"), facts.get("orientation_lps")
    spacing = _pixel_spacing(ome)
    needed = {"across", "rows", "columns", "tiles"}
    if not isinstance(layout, Mapping) or not needed <= layout.keys() or directions is None or spacing is None:
        return None
    slices = int(layout["tiles"])
    first, step = _places(layout, slices)
    if first is None or step is None:
        return None
    affine = np.eye(4)
    affine[:3, 0] = np.multiply(directions[:3], spacing[1])
    affine[:3, 1] = np.multiply(directions[3:], spacing[0])
    affine[:3, 2], affine[:3, 3] = step, first
    return Tiles(int(layout["across"]), (slices, int(layout["rows"]), int(layout["columns"])), affine.tolist())


def _places(layout: Mapping[str, Any], slices: int) -> tuple[Any, Any]:
    """Return the place of the first slice and the step to the next, mm, LPS; None where there is no such step."""
    if "positions_lps" not in layout:
        return layout.get("first_position_lps"), layout.get("step_lps")
    places = np.asarray(layout["positions_lps"], np.float64)
    if len(places) != slices or slices < 2:
        return None, None
    step = (places[-1] - places[0]) / (slices - 1)
    fitted = places[0] + np.arange(slices)[:, None] * step
    if np.linalg.norm(step) == 0 or np.abs(fitted - places).max() > MAX_DISTANCE:
        return None, None
    return places[0], step


def _pixel_spacing(ome: Mapping[str, Any]) -> tuple[float, float] | None:
    """Return the distance of rows and of columns in millimetres, None where they are not known."""
    multiscale = ome["multiscales"][0]
    if [axis.get("unit") for axis in multiscale["axes"][-2:]] != ["millimeter"] * 2:
        return None
    rows, columns = multiscale["datasets"][0]["coordinateTransformations"][0]["scale"][-2:]
    return float(rows), float(columns)
