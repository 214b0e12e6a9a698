"""Contours that a structure set states twice, or that lie on each other: each is used once, and counted."""

from __future__ import annotations

import numpy as np
import pytest
from contour_masks import mask
from made_up_grids import grid_of
from made_up_structure_sets import polygon, square

from dicomzarr.masks.contours import mask_of_contours
from dicomzarr.masks.model import Description
from dicomzarr.masks.structure_set import Contour, Roi

# ---- Which voxels are inside


def test_a_repeated_contour_is_used_once_and_counted() -> None:
    points = square(3.4, 5.2, 9.6, 8.9, 2)
    again = np.roll(points, 2, axis=0)[::-1]
    found = mask(points, again, points)
    assert found.values.sum() == 18
    assert found.flags == ("repeated_contours",)
    assert found.counts == {"contours": 3, "repeated_contours": 2, "unused_contours": 2}
    exclusive = mask(points, again, kind="CLOSEDPLANAR_XOR")
    assert exclusive.values.sum() == 0 and exclusive.flags == ("contours_cancel", "empty_mask", "nothing_left")


def test_a_contour_that_is_repeated_with_other_points_is_used_once() -> None:
    points = square(3.4123, 5.2171, 9.6149, 8.9213, 2)
    more = np.insert(points, [1, 3], [[5.1, 5.2171, 2], [7.7, 8.9213, 2]], axis=0)
    circle = polygon((12.03, 9.07), 7.02, 2, 90)
    halves = np.stack([circle, (circle + np.roll(circle, -1, axis=0)) / 2], axis=1).reshape(-1, 3)
    for one, others in (
        (points, [more, np.roll(np.round(more, 2), 2, axis=0)]),
        (circle, [halves, np.round(halves, 2)]),
    ):
        expected = mask(one).values
        for again in others:
            for pair in ((one, again), (again[::-1], one)):
                found = mask(*pair)
                assert np.array_equal(found.values, expected) and found.flags == ("repeated_contours",)
    keyhole = np.insert(points, [1], [[6, 5.2171, 2], [6, 7, 2], [6.5, 7.5, 2], [6, 7, 2], [6, 5.2171, 2]], axis=0)
    assert "repeated_contours" not in mask(points, keyhole).flags


def test_a_contour_that_is_repeated_off_its_plane_is_used_once() -> None:
    grid = grid_of(spacing=(10.0, 1.0, 1.0))
    points = square(3.4, 5.2, 9.6, 8.9, 20)
    found = mask(points, points + [0, 0, 0.05], grid=grid)
    assert (found.values.sum(), found.flags) == (18, ("repeated_contours",))


@pytest.mark.parametrize("shift", [0.03, 0.4])
def test_contours_that_lie_on_each_other_are_stated(shift: float) -> None:
    points, island = square(3.4, 5.2, 9.6, 8.9, 2), square(15.4, 5.2, 19.6, 8.9, 2)
    for others in ([], [island]):  # the slice is not empty
        found = mask(points, points + [shift, 0, 0], *others)
        assert "contours_cancel" in found.flags and found.counts["contours_cancel"] == 1
    assert mask(points, points + [0.6, 0, 0]).flags == ()
    speck = square(3.1, 5.1, 3.3, 5.3, 2)  # no voxel centre is inside
    assert mask(speck, speck + [0.1, 0, 0], island).flags == ()


def test_contours_that_leave_no_voxel_of_a_slice_are_stated() -> None:
    left, right, both = (square(x0, 5.2, x1, 8.9, 2) for x0, x1 in ((3.4, 6.6), (6.6, 9.6), (3.4, 9.6)))
    found = mask(left, right, both, square(3.4, 5.2, 9.6, 8.9, 3))
    assert found.flags == ("contours_cancel",) and found.values.sum() == 18 and not found.values[2].any()
    thin = mask(square(3.4, 5.2, 9.6, 8.9, 2), square(3.45, 5.25, 9.55, 8.85, 2), kind="CLOSEDPLANAR_XOR")
    assert thin.flags == ("contours_cancel", "empty_mask", "nothing_left")


def test_a_contour_that_is_repeated_with_fewer_decimals_is_used_once() -> None:
    points = square(3.4123, 5.2171, 9.6149, 8.9213, 2)
    rounded = np.round(points, 2)
    for again in (rounded, np.roll(rounded, 3, axis=0), np.roll(rounded, 1, axis=0)[::-1]):
        found = mask(points, again)
        assert (found.values.sum(), found.flags) == (18, ("repeated_contours",))
    wider = square(3.0, 5.0, 10.0, 9.0, 2)  # a hole that is not the contour itself
    assert "repeated_contours" not in mask(points, wider).flags
    exclusive = mask(points, rounded, kind="CLOSEDPLANAR_XOR")
    assert "repeated_contours" not in exclusive.flags


def test_a_contour_that_is_repeated_with_closing_points_is_used_once() -> None:
    points = square(3.4123, 5.2171, 9.6149, 8.9213, 2)
    for closed in (points[[*range(len(points)), 0]], points[[*range(len(points)), 0, 0]]):
        for again in (closed, np.round(closed, 2)):
            found = mask(points, again)
            assert (found.values.sum(), found.flags) == (18, ("repeated_contours",))


def test_small_contours_beside_each_other_are_not_repeated() -> None:
    grid = grid_of(spacing=(0.02, 0.01, 0.01))  # mm, of a small animal
    left, right = (square((x - 0.5) / 100, 0.035, (x + 0.5) / 100, 0.045, 0.04) for x in (4, 5))
    found = mask(left, right, grid=grid)
    assert (found.values.sum(), found.flags) == (2, ())


def test_contours_that_name_one_slice_are_one_plane_though_their_depths_are_rounded() -> None:
    grid = grid_of(frames={(f"1.{z}", 0): (None, z) for z in range(5)})
    outer, hole = square(2.5, 2.5, 12.5, 12.5, 2), square(4.5, 4.5, 8.5, 8.5, 2.08)

    def flags_and_voxels(of_outer: str, of_hole: str) -> tuple[tuple[str, ...], int]:
        contours = (
            Contour(outer, "CLOSED_PLANAR", ((of_outer, None),) if of_outer else ()),
            Contour(hole, "CLOSED_PLANAR", ((of_hole, None),) if of_hole else ()),
        )
        found = mask_of_contours(Roi(Description("RTSTRUCT", 1), contours), grid)
        return found.flags, int(found.values.sum())

    assert flags_and_voxels("1.2", "1.2") == ((), 100 - 16)
    assert flags_and_voxels("", "1.2") == flags_and_voxels("", "") == (("contours_between_slices",), 100)
    assert flags_and_voxels("1.2", "1.3") == (("contours_between_slices", "references_differ"), 100)
    hole[:, 2] = 2.2  # another plane, of contours that are finer than the slices
    assert flags_and_voxels("1.2", "1.2") == (("contours_between_slices",), 100)


def test_the_same_corners_in_another_order_are_another_contour() -> None:
    corners = square(2.5, 2.5, 8.5, 8.5, 0)
    found = mask(corners, corners[[0, 2, 1, 3]])  # a square less a bow tie
    assert "repeated_contours" not in found.flags
    assert 0 < found.values.sum() < 36
