"""Where slices lie, also beyond the ends of a stack, by hand (PS3.3 C.7.6.2.1.1)."""

from __future__ import annotations

import numpy as np
import pytest

from dicomzarr.masks.grid import ImageGrid
from dicomzarr.masks.planes import slice_planes

# Slices 2 mm apart along z; each is shifted along x by 1 mm from the one before, as in a scan with a tilted gantry. The
# last two are 3 mm apart, and shifted by 1.5 mm.
ORIGINS = np.array([[10, 20, 30], [11, 20, 32], [12, 20, 34], [13.5, 20, 37]], float)


def grid(origins: np.ndarray) -> ImageGrid:
    shape = (len(origins), 4, 5)
    return ImageGrid("a/b", "zyx", shape, origins=origins, across=(0.5, 0, 0), down=(0, 0.5, 0))


@pytest.mark.parametrize("order", [[0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1]])
@pytest.mark.parametrize(
    ("layer", "origin"),
    [
        (0, (10, 20, 30)),
        (3, (13.5, 20, 37)),
        (-1, (9, 20, 28)),
        (-3, (7, 20, 24)),
        (4, (15, 20, 40)),
        (6, (18, 20, 46)),
    ],
)
def test_a_stack_goes_on_beyond_its_ends(order: list[int], layer: int, origin: tuple[float, ...]) -> None:
    planes = slice_planes(grid(ORIGINS[order]))
    np.testing.assert_allclose(planes.origin_of(layer), origin)


def test_a_single_slice_has_one_origin() -> None:
    planes = slice_planes(grid(ORIGINS[:1]))
    for layer in (-2, 0, 2):
        np.testing.assert_allclose(planes.origin_of(layer), ORIGINS[0])
