"""Contours that were made to cost time or memory, or to break the rule."""

from __future__ import annotations

import resource
import time
import tracemalloc

import numpy as np
import pytest
from contour_masks import roi
from made_up_grids import grid_of
from made_up_structure_sets import MadeUpContour, MadeUpRoi, file_of, square, structure_set
from pydicom.uid import ImplicitVRLittleEndian

from dicomzarr.masks.contours import mask_of_contours
from dicomzarr.masks.model import MaskProblem
from dicomzarr.masks.structure_set import read_structure_set

LARGE = {"slices": 3, "rows": 512, "columns": 512}
SECONDS = 60  # of processor time, for what takes two or three on an idle machine; what is wrong takes hours


def jagged(corners: int) -> np.ndarray:
    """Return a circle of 200 mm about voxel 256 whose edge is jagged by less than 1 mm."""
    angle = 2 * np.pi * np.arange(corners) / corners
    radius = 200 + 0.4 * np.random.default_rng(1).random(corners)
    return np.column_stack([256 + radius * np.cos(angle), 256 + radius * np.sin(angle), np.ones(corners)])


def test_a_million_points_take_seconds() -> None:
    points = np.round(jagged(1_000_000), 4)
    text = "\\".join(f"{value:.4f}" for value in points.ravel().tolist())
    data = file_of(structure_set([MadeUpRoi("a", [MadeUpContour(text)])]), syntax=ImplicitVRLittleEndian)
    begin = time.process_time()
    (region,) = read_structure_set(data).rois
    found = mask_of_contours(region, grid_of(**LARGE))
    assert time.process_time() - begin < SECONDS
    assert np.array_equal(region.contours[0].points, points)
    y, x = np.mgrid[0:512, 0:512] - 256
    distance = np.hypot(x, y)
    assert found.values[1][distance < 199.9].all() and not found.values[1][distance > 200.5].any()
    assert not found.flags


def test_a_million_points_that_cross_everywhere_are_refused_in_seconds() -> None:
    points = np.random.default_rng(2).random((1_000_000, 3)) * [512, 512, 0]
    begin = time.process_time()
    with pytest.raises(MaskProblem) as caught:
        mask_of_contours(roi(points), grid_of(**LARGE))
    assert caught.value.code == "too_large" and time.process_time() - begin < SECONDS


def test_thousands_of_crossing_points_are_filled_by_the_even_odd_rule() -> None:
    """Against the definition: the edges that a ray from the centre to the right crosses are counted one by one."""
    points = np.random.default_rng(3).random((3000, 3)) * [100, 90, 0] + [0.003, 0.003, 2]
    found = mask_of_contours(roi(points), grid_of(3, 90, 100)).values
    begin, end = points[:, :2], np.roll(points[:, :2], -1, axis=0)
    for row in range(0, 90, 7):
        crossed = (begin[:, 1] > row) != (end[:, 1] > row)
        a, b = begin[crossed], end[crossed]
        at = a[:, 0] + (row - a[:, 1]) / (b[:, 1] - a[:, 1]) * (b[:, 0] - a[:, 0])
        # Centres near an edge may be on an outline.
        away = np.abs(at[None, :] - np.arange(100)[:, None]).min(axis=1, initial=1) > 1e-4
        expected = (at[None, :] > np.arange(100)[:, None]).sum(axis=1) % 2
        assert found[2, row][away].tolist() == expected[away].tolist() and away.sum() > 90
    assert 3000 < found.sum() < 6000


def test_many_contours_take_seconds() -> None:
    corners = square(0, 0, 3, 3, 0)
    contours = [corners + [5 * (n % 100) + 0.5, 5 * (n // 100 % 30) + 0.5, n // 3_000] for n in range(9_000)]
    begin = time.process_time()
    found = mask_of_contours(roi(*contours), grid_of(**LARGE))
    assert time.process_time() - begin < SECONDS
    assert found.values.sum() == 9_000 * 9 and not found.flags


def test_endless_work_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred thousand small zigzags over the whole slice."""
    monkeypatch.setattr("dicomzarr.masks.fill.MAX_COMPARISONS", 10_000_000)
    zigzag = [[x, 511 * (x % 2), 1] for x in range(512)]
    with pytest.raises(MaskProblem, match=r"too_large \(found \d+, needed 10000000\)"):
        mask_of_contours(roi(*([zigzag] * 3)), grid_of(**LARGE))


def test_far_and_large_coordinates_take_no_memory() -> None:
    far = [square(-1e7, -1e7, 1e7, 1e7, z) for z in (-1e7, -3.25, 1, 1e7)]
    far += [square(1e7 - 1, 1e7 - 1, 1e7, 1e7, 2), np.array([[0, 0, 2], [1e7, 0, 2], [0, 1e-7, 2.0]])]
    grid = grid_of(3, 64, 64, spacing=(0.001, 0.001, 0.001))
    tracemalloc.start()
    found = mask_of_contours(roi(*far), grid)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100 << 20
    assert 0.99 < found.outside <= 1
    assert set(found.flags) >= {"outside_image"}


def test_a_mask_takes_one_byte_a_voxel() -> None:
    grid = grid_of(60, 512, 512)
    tracemalloc.start()
    found = mask_of_contours(roi(*(square(10, 10, 500, 500, z) for z in range(60))), grid)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.values.nbytes == 60 * 512 * 512 and peak < found.values.nbytes + (12 << 20)


def test_a_mask_that_is_too_large_is_refused_before_memory_is_taken() -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    grid = grid_of(2, 1 << 17, 1 << 17)
    with pytest.raises(MaskProblem) as caught:
        mask_of_contours(roi(square(0, 0, 2, 2, 0)), grid)
    assert caught.value.code == "too_large"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1 << 16  # KB


@pytest.mark.parametrize("scale", [1e-6, 1e-3, 1.0, 1e3])
def test_any_points_give_a_mask_or_a_code(scale: float) -> None:
    """No exception but `MaskProblem`, and nothing between zero and one, for random points of every size."""
    generator = np.random.default_rng(5)
    for _ in range(60):
        contours = []
        for _ in range(int(generator.integers(1, 5))):
            points = (
                generator.normal(size=(int(generator.integers(1, 9)), 3)) * scale * 10.0 ** generator.integers(-3, 5)
            )
            points[:, 2] = np.round(points[0, 2])
            contours.append(np.clip(points, -1e7, 1e7))
        found = mask_of_contours(roi(*contours), grid_of(3, 9, 7))
        assert found.values.shape == (3, 9, 7) and set(np.unique(found.values)) <= {0, 1}
        assert 0 <= found.outside <= 1
        assert ("outside_image" in found.flags) >= (found.outside > 0)
        assert found.counts["contours"] == len(contours)
