"""Shapes with a formula: the mask of their contours against the formula, voxel by voxel, and against their volume."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import pytest
from made_up_grids import grid_of
from made_up_structure_sets import MadeUpRoi, file_of, polygon, square, structure_set

from dicomzarr.masks.contours import mask_of_contours
from dicomzarr.masks.structure_set import read_structure_set

CENTER = (31.3, 29.7, 30.2)  # x, y, z, mm
CORNERS = 720  # of a circle: its chords lie at most 1e-5 of the radius inside of it
SPACING = (1.5, 0.8, 0.9)  # z, y, x, mm


class Shape(NamedTuple):
    """A shape: the circles or rectangles of its section at a depth; the distance from its surface; its volume."""

    section: Callable[[float], list[np.ndarray]]
    inside: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]  # positive inside, mm or more
    volume: float


def circles(radii: Sequence[float], z: float) -> list[np.ndarray]:
    return [polygon(CENTER[:2], radius, z + CENTER[2], CORNERS) for radius in radii]


def chord(radius: float, z: float) -> float:
    return float(np.sqrt(max(0.0, radius**2 - z**2)))


def ellipse(z: float) -> list[np.ndarray]:
    scale = np.sqrt(max(0.0, 1 - (z / 24) ** 2))
    if not scale:
        return []
    points = polygon((0, 0), 1, z + CENTER[2], CORNERS)
    return [points * [20 * scale, 12 * scale, 1] + [CENTER[0], CENTER[1], 0]]


def along(half: float, radii: Sequence[float]) -> Callable[[float], list[np.ndarray]]:
    return lambda z: circles(radii, z) if abs(z) <= half else []


SHAPES = {
    "sphere": Shape(
        lambda z: circles([chord(22, z)], z) if abs(z) < 22 else [],
        lambda x, y, z: 22 - np.sqrt(x**2 + y**2 + z**2),
        4 / 3 * np.pi * 22**3,
    ),
    "hollow sphere": Shape(
        lambda z: circles([chord(r, z) for r in (22, 11) if abs(z) < r], z),
        lambda x, y, z: 5.5 - np.abs(np.sqrt(x**2 + y**2 + z**2) - 16.5),
        4 / 3 * np.pi * (22**3 - 11**3),
    ),
    "torus": Shape(
        lambda z: circles([16 + chord(7, z), 16 - chord(7, z)], z) if abs(z) < 7 else [],
        lambda x, y, z: 7 - np.hypot(np.hypot(x, y) - 16, z),
        2 * np.pi**2 * 16 * 7**2,
    ),
    "cylinder": Shape(
        along(15.75, [18]), lambda x, y, z: np.minimum(18 - np.hypot(x, y), 15.75 - np.abs(z)), np.pi * 18**2 * 31.5
    ),
    "hollow cylinder": Shape(
        along(15.75, [18, 9]),
        lambda x, y, z: np.minimum(4.5 - np.abs(np.hypot(x, y) - 13.5), 15.75 - np.abs(z)),
        np.pi * (18**2 - 9**2) * 31.5,
    ),
    "ellipsoid": Shape(
        ellipse, lambda x, y, z: (1 - np.sqrt((x / 20) ** 2 + (y / 12) ** 2 + (z / 24) ** 2)) * 12, 4 / 3 * np.pi * 5760
    ),
    "box": Shape(
        lambda z: [square(11.5, 19.7, 51.1, 39.7, z + CENTER[2])] if abs(z) <= 15.75 else [],
        lambda x, y, z: np.minimum(np.minimum(19.8 - np.abs(x), 10 - np.abs(y)), 15.75 - np.abs(z)),
        39.6 * 20 * 31.5,
    ),
}


@pytest.mark.parametrize("name", SHAPES)
def test_the_mask_of_a_shape_is_the_shape(name: str) -> None:
    shape = SHAPES[name]
    grid = grid_of(41, 76, 70, spacing=SPACING)
    depths = np.arange(41) * SPACING[0] - CENTER[2]
    contours = [contour for z in depths.tolist() for contour in shape.section(z)]
    data = file_of(structure_set([MadeUpRoi(name, contours)]))
    found = mask_of_contours(read_structure_set(data).rois[0], grid)
    x, y = np.arange(70) * SPACING[2] - CENTER[0], np.arange(76) * SPACING[1] - CENTER[1]
    depth = shape.inside(x[None, None, :], y[None, :, None], depths[:, None, None])
    differing = (found.values == 1) != (depth > 0)
    assert np.abs(depth[differing]).max(initial=0) < 5e-3, "only voxels between a circle and its chords may differ"
    assert np.count_nonzero(differing) < 10
    assert found.values.sum() * np.prod(SPACING) == pytest.approx(shape.volume, rel=0.01)
    assert found.flags == () and found.outside == 0 and found.counts["contours"] == len(contours)
