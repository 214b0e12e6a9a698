"""Where an image or a mask lies in the viewer: transformations from indices to millimetres."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Affine = NDArray[np.float64]

MILLIMETRE = [1e-3, "m"]
NO_UNIT = [1, ""]
# Rotations (x, y, z, w) of the viewer. In its coordinates a panel shows x to the right and y down. Turned about x by
# -90 degrees, its panel xy is coronal, yz sagittal and xz axial in LPS, each with the head up or the chest up.
UPRIGHT = [-(0.5**0.5), 0.0, 0.0, 0.5**0.5]
AS_STORED = [0.0, 0.0, 0.0, 1.0]
ASIDE, ABOVE = -0.6, 0.45  # radians from there, for the panel in three dimensions


def affine_of(axes: str, facts: Mapping[str, Any], scale: Mapping[str, float | None]) -> tuple[Affine, list[Any]]:
    """Return where the voxels of an image lie, and the unit of this.

    Parameters
    ----------
    axes : str
        Axes of the array.
    facts : mapping
        The attribute `dicomzarr`.
    scale : mapping of str to float or None
        Distance of two indices along each of x, y and z that the array has, mm; None where it is unknown.

    Returns
    -------
    affine : ndarray of float64, shape (4, 4)
        From index (x, y, z, 1) to the viewer's coordinates: LPS where the image has `affine_lps`, else along its axes.
    unit : list
        `MILLIMETRE`, or `NO_UNIT` if no spacing is known.
    """
    if "affine_lps" in facts:
        return np.array(facts["affine_lps"], np.float64), list(MILLIMETRE)
    steps = {axis: scale.get(axis) for axis in "xyz" if axis in axes}
    positions = facts.get("positions_mm")
    if "z" in steps and steps["z"] is None and positions is not None and len(positions) > 1:
        steps["z"] = abs(float(positions[-1]) - float(positions[0])) / (len(positions) - 1)
    known = [step for step in steps.values() if step]
    diagonal = [steps.get(axis) or (max(known) if known else 1.0) for axis in "xyz"]
    return np.diag([*diagonal, 1.0]), list(MILLIMETRE if known else NO_UNIT)


def source_transform(axes: str, affine: Affine, unit: Sequence[Any]) -> dict[str, Any]:
    """Return the `transform` of a data source.

    Parameters
    ----------
    axes : str
        Axes of the array.
    affine : ndarray of float64, shape (4, 4)
        From index (x, y, z, 1).
    unit : sequence
        As `affine_of` returns it.

    Returns
    -------
    dict
        JSON values. An index of t is at its half, such as 0.5, since the viewer rounds down there.
    """
    rank = len(axes)
    matrix = [[0.0] * (rank + 1) for _ in range(rank)]
    for row, axis in enumerate(axes):
        if axis not in "xyz":
            matrix[row][row] = 1.0
            matrix[row][rank] = 0.5
            continue
        for column, other in enumerate(axes):
            if other in "xyz":
                matrix[row][column] = float(affine["xyz".index(axis), "xyz".index(other)])
        matrix[row][rank] = float(affine["xyz".index(axis), 3])
    units = {axis: list(unit) if axis in "xyz" else list(NO_UNIT) for axis in axes}
    return {
        "matrix": matrix,
        "inputDimensions": {"c'" if axis == "c" else axis: units[axis] for axis in axes},
        "outputDimensions": {"c^" if axis == "c" else axis: units[axis] for axis in axes},
    }


def at(affine: Affine, index: Mapping[str, float]) -> dict[str, float]:
    """Return the coordinates of a voxel of the index x, y, z; a missing one is 0."""
    place = affine @ np.array([index.get("x", 0.0), index.get("y", 0.0), index.get("z", 0.0), 1.0])
    return {axis: float(place[number]) for number, axis in enumerate("xyz")}


def extent(affine: Affine, size: Mapping[str, int]) -> float:
    """Return the longest side of the box around an image, in the unit of its coordinates."""
    corners = [
        affine @ np.array([x * size.get("x", 1), y * size.get("y", 1), z * size.get("z", 1), 1.0])
        for x in (0, 1)
        for y in (0, 1)
        for z in (0, 1)
    ]
    return float(np.ptp(np.array(corners)[:, :3], axis=0).max())


def tilted(rotation: Sequence[float]) -> list[float]:
    """Return a rotation of the viewer, seen from aside and a little from above."""
    turned = _product(rotation, (0.0, math.sin(ASIDE / 2), 0.0, math.cos(ASIDE / 2)))
    return _product(turned, (math.sin(ABOVE / 2), 0.0, 0.0, math.cos(ABOVE / 2)))


def _product(first: Sequence[float], second: Sequence[float]) -> list[float]:
    """Return the product of two quaternions (x, y, z, w)."""
    x, y, z, w = first
    a, b, c, d = second
    return [
        w * a + x * d + y * c - z * b,
        w * b - x * c + y * d + z * a,
        w * c + x * b - y * a + z * d,
        w * d - x * a - y * b - z * c,
    ]
