"""Masks of contours whose voxels are known: each rectangle is chosen so that its voxels can be written down."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from contour_masks import PLANAR, mask, roi
from made_up_grids import grid_of
from made_up_structure_sets import polygon, square

from dicomzarr.masks.contours import mask_of_contours
from dicomzarr.masks.model import Description, MaskProblem, PlacedMask
from dicomzarr.masks.structure_set import Contour, Roi

# ---- Which voxels are inside


def test_the_voxels_whose_centres_are_inside_and_no_others() -> None:
    found = mask(square(3.4, 5.2, 9.6, 8.9, 2))
    expected = np.zeros((5, 20, 24), np.uint8)
    expected[2, 6:9, 4:10] = 1  # centres at 4 to 9 mm and at 6 to 8 mm
    assert found.values.dtype == np.uint8 and found.values.tolist() == expected.tolist()
    assert (found.axes, found.form, found.flags, found.outside) == ("zyx", "CLOSED_PLANAR", (), 0.0)
    assert found.counts == {"contours": 1, "unused_contours": 0}


def test_spacing_and_origin_count() -> None:
    grid = grid_of(3, 10, 10, origin=(-50.0, 20.0, 7.0), spacing=(2.5, 0.5, 0.75))
    found = mask(square(-49.0, 20.4, -46.8, 21.6, 9.5), grid=grid)
    expected = np.zeros((3, 10, 10), np.uint8)
    expected[1, 1:4, 2:5] = 1  # x: -48.5, -47.75, -47.0; y: 20.5, 21.0, 21.5
    assert found.values.tolist() == expected.tolist()


def test_a_hole_and_an_island_in_it() -> None:
    contours = [square(1.5, 1.5, 18.5, 18.5, 0), square(4.5, 4.5, 15.5, 15.5, 0), square(8.5, 8.5, 10.5, 10.5, 0)]
    expected = np.zeros((20, 24), np.uint8)
    expected[2:19, 2:19] = 1
    expected[5:16, 5:16] = 0
    expected[9:11, 9:11] = 1
    for order in ((0, 1, 2), (2, 1, 0), (1, 0, 2)):
        found = mask(*(contours[n] for n in order))
        assert found.values[0].tolist() == expected.tolist() and not found.values[1:].any()
    assert mask(*contours, kind="CLOSEDPLANAR_XOR").values[0].tolist() == expected.tolist()


@pytest.mark.parametrize("along", [3.0, 3.5, 3.0000001])
def test_a_keyhole_contour_has_a_hole_and_no_cut(along: float) -> None:
    outer = [[1.5, 1.5], [1.5, along], [4.5, along], [4.5, 2.5]]
    hole = [[8.5, 2.5], [8.5, 6.5], [4.5, 6.5], [4.5, along], [1.5, along]]
    rest = [[1.5, 9.5], [11.5, 9.5], [11.5, 1.5]]
    points = [[*point, 1.0] for point in outer + hole + rest]
    expected = np.zeros((20, 24), np.uint8)
    expected[2:10, 2:12] = 1
    expected[3:7, 5:9] = 0
    assert mask(points).values[1].tolist() == expected.tolist()


@pytest.mark.parametrize("start", range(4))
@pytest.mark.parametrize("size", [(4, 7), (40, 70)])
def test_a_line_with_a_corner_that_runs_back_encloses_nothing(start: int, size: tuple[int, int]) -> None:
    """GEOS takes its four corners for those of a rectangle."""
    high, wide = size
    corners = [(2.0, 2.0, 0.0), (2.0, 2.0 + high, 0.0), (2.0 + wide, 2.0 + high, 0.0), (2.0, 2.0 + high, 0.0)]
    line = np.roll(corners, start, axis=0)
    grid = grid_of(rows=80, columns=80)
    assert not mask(line, grid=grid).values.any()
    assert not mask(line + [0.5, 0.5, 0], grid=grid).values.any()
    inside = square(3, 3, 5, 5, 0)
    np.testing.assert_array_equal(mask(line, inside, grid=grid).values, mask(inside, grid=grid).values)


def test_a_self_crossing_contour_is_filled_where_a_ray_crosses_it_an_odd_number_of_times() -> None:
    bow_tie = [[0.5, 0.5, 0], [10.5, 10.5, 0], [10.5, 0.5, 0], [0.5, 10.5, 0]]
    found = mask(bow_tie).values[0]
    rows, columns = np.mgrid[0:20, 0:24] + 1e-9 * np.array([1, 2])[:, None, None]
    left_of_both = (columns > 0.5) & (columns - 0.5 < np.minimum(rows - 0.5, 10.5 - rows))
    right_of_both = (columns < 10.5) & (10.5 - columns < np.minimum(rows - 0.5, 10.5 - rows))
    differing = found != (left_of_both | right_of_both)
    on_an_edge = (np.mgrid[0:20, 0:24][0] == np.mgrid[0:20, 0:24][1]) | (sum(np.mgrid[0:20, 0:24]) == 11)
    assert not (differing & ~on_an_edge).any()
    assert found[5, 3] == found[5, 8] == 1 and found[2, 5] == found[8, 5] == 0


def test_the_overlap_of_a_winding_contour_is_empty() -> None:
    """A pentagram goes round its middle twice."""
    corners = np.array(
        [[12 + 9.3 * np.sin(4 * np.pi * n / 5), 10 - 9.3 * np.cos(4 * np.pi * n / 5), 3] for n in range(5)]
    )
    found = mask(corners).values[3]
    assert found[10, 12] == 0 and found[3, 12] == 1


def test_neighbours_share_no_voxel_and_leave_none_between_them() -> None:
    left, right = mask(square(2.5, 2.5, 7.3, 9.5, 1)).values, mask(square(7.3, 2.5, 12.5, 9.5, 1)).values
    below = mask(square(2.5, 9.5, 12.5, 14.5, 1)).values
    assert not (left & right).any() and not ((left | right) & below).any()
    assert (left | right | below)[1, 3:15, 3:13].all() and left.sum() == right.sum() == 5 * 7


def test_a_centre_on_the_outline_is_inside() -> None:
    """Contours that were made of masks run through the centres of the outermost voxels."""
    found = mask(square(2, 3, 7, 9, 1)).values[1]
    assert found[3:10, 2:8].all() and found.sum() == 7 * 6
    neighbour = mask(square(7, 3, 12, 9, 1)).values[1]
    assert (found & neighbour).sum() == 7  # an edge through centres is the outline of both
    slanted = mask([[2, 2, 0], [10, 4, 0], [2, 6, 0]]).values[0]
    assert [slanted[row].nonzero()[0].tolist() for row in (2, 3, 4, 5, 6, 7)] == [
        *([2], [2, 3, 4, 5, 6], list(range(2, 11)), [2, 3, 4, 5, 6], [2], [])
    ]


@pytest.mark.parametrize("off", [1e-9, -1e-9, 1e-7, 2e-6])
def test_coordinates_may_be_rounded_at_the_sixth_decimal(off: float) -> None:
    assert mask(square(2 + off, 3 + off, 7 - off, 9 - off, 1)).values.sum() == 42
    outside = 1e-4
    assert mask(square(2 + outside, 3 + outside, 7 - outside, 9 - outside, 1)).values.sum() == 4 * 5


@pytest.mark.parametrize("angle", [0.1, 0.35, 1.2])
@pytest.mark.parametrize("spacing", [0.35, 0.9, 2.5])
def test_outlines_through_centres_of_an_oblique_image_are_inside_with_six_decimals(
    angle: float, spacing: float
) -> None:
    """Programs that make contours of masks write them so."""
    row = np.array([np.cos(angle), np.sin(angle) * 0.8, np.sin(angle) * 0.6])
    column = np.cross(np.cross(row, [0.1, 0.9, -0.4]), row)
    column /= np.linalg.norm(column)
    axes = np.column_stack([row, column, np.cross(row, column)])
    steps, first = axes * [spacing, spacing, 3.0], np.array([-31.7, 20.3, 7.9])
    origins = first + np.arange(3)[:, None] * steps[:, 2]
    grid = grid_of(
        3, 40, 50, spacing=(3.0, spacing, spacing), origins=origins, across=tuple(steps[:, 0]), down=tuple(steps[:, 1])
    )
    points = np.round(square(2, 3, 45, 31, 1) @ steps.T + first, 6)
    assert mask(points, grid=grid).values[1].sum() == 44 * 29


def test_the_outline_of_a_hole_is_that_of_the_structure() -> None:
    found = mask(square(2, 2, 12, 12, 1), square(5, 5, 9, 9, 1)).values[1]
    assert found.sum() == 11 * 11 - 3 * 3 and not found[6:9, 6:9].any()


def test_a_line_that_joins_two_parts_holds_no_voxels() -> None:
    bridge = [[1.5, 1.5], [4.5, 1.5], [4.5, 4], [9.5, 4], [9.5, 1.5], [12.5, 1.5], [12.5, 6.5], [9.5, 6.5], [9.5, 4]]
    found = mask([[*point, 2] for point in [*bridge, [4.5, 4], [4.5, 6.5], [1.5, 6.5]]]).values[2]
    assert found[2:7, 2:5].all() and found[2:7, 10:13].all() and found.sum() == 2 * 15


def test_points_and_contours_outside_are_no_lost_structure() -> None:
    point = mask(square(3, 3, 4, 4, 2)[:1], kind="POINT")
    assert point.flags == ("empty_mask", "point_contours")
    above = mask(square(3, 3, 9, 9, 400))
    assert above.flags == ("empty_mask", "outside_image")


def test_a_contour_that_refers_elsewhere_is_not_used() -> None:
    here, there = square(3.4, 5.2, 9.6, 8.9, 2), square(4.4, 5.2, 11.6, 8.9, 2)
    contours = (Contour(here, "CLOSED_PLANAR"), Contour(there, "CLOSED_PLANAR", (("9.9", None),), is_elsewhere=True))
    found = mask_of_contours(Roi(Description("RTSTRUCT", 1), contours), grid_of())
    assert found.values.sum() == 18
    assert found.flags == ("contours_elsewhere",) and found.counts["unused_contours"] == 1


def test_contours_of_a_longer_series_are_not_outside() -> None:
    def of(*depths: float) -> PlacedMask:
        here = [Contour(square(3.4, 5.2, 9.6, 8.9, 2), "CLOSED_PLANAR")]
        points = (square(3.4, 5.2, 9.6, 8.9, z) for z in depths)
        there = [Contour(at, "CLOSED_PLANAR", (("9.9", None),), is_elsewhere=True) for at in points]
        return mask_of_contours(Roi(Description("RTSTRUCT", 1), (*here, *there)), grid_of())

    found = of(2, 5, 6)
    assert (found.flags, found.outside, found.counts["contours_elsewhere"]) == (("contours_elsewhere",), 0.0, 3)
    lost = of(5, 6)  # perhaps slices of this series that are not in the source
    assert "outside_image" in lost.flags and lost.counts["contours_outside"] == 2


# ---- Which slice


@pytest.mark.parametrize(("depth", "slice_"), [(0, 0), (1.2, 0), (1.3, 1), (3.7, 1), (3.8, 2), (-1.2, 0), (11.2, 4)])
def test_a_contour_belongs_to_the_nearest_slice(depth: float, slice_: int) -> None:
    found = mask(square(3.5, 3.5, 6.5, 6.5, depth), grid=grid_of(spacing=(2.5, 1.0, 1.0)))
    assert found.values.any(axis=(1, 2)).nonzero()[0].tolist() == [slice_] and found.outside == 0


def test_a_contour_half_way_belongs_to_one_slice_whatever_the_order_of_slices() -> None:
    found = mask(square(3.5, 3.5, 6.5, 6.5, 1.5))
    assert found.values.sum(axis=(1, 2)).tolist() == [0, 9, 0, 0, 0]
    backwards = grid_of(depths=[4, 3, 2, 1, 0])
    assert mask(square(3.5, 3.5, 6.5, 6.5, 1.5), grid=backwards).values[::-1].tolist() == found.values.tolist()


def test_uneven_slices_reach_half_way_to_each_neighbour() -> None:
    grid = grid_of(depths=[0, 2, 4, 7, 10])
    for depth, slice_ in ((2.9, 1), (3.1, 2), (5.4, 2), (5.6, 3), (8.4, 3), (11.4, 4), (-0.9, 0)):
        found = mask(square(3.5, 3.5, 6.5, 6.5, depth), grid=grid)
        assert found.values.any(axis=(1, 2)).nonzero()[0].tolist() == [slice_], depth


def test_what_belongs_to_missing_slices_does_not_belong_to_their_neighbours() -> None:
    grid = grid_of(depths=[0, 2, 4, 14, 16])
    found = mask(*(square(3.5, 3.5, 6.5, 6.5, z) for z in (4, 6, 8, 10, 12, 14)), grid=grid)
    assert found.values.sum(axis=(1, 2)).tolist() == [0, 0, 9, 9, 0]
    assert found.flags == ("contours_between_slices",)
    assert found.counts == {"contours": 6, "contours_between_slices": 4, "unused_contours": 4}
    only = mask(*(square(3.5, 3.5, 6.5, 6.5, z) for z in (6, 8)), grid=grid)
    assert only.flags == ("contours_between_slices", "empty_mask", "nothing_left")


def test_of_several_planes_on_one_slice_the_nearest_counts() -> None:
    grid = grid_of(spacing=(3.0, 1.0, 1.0))
    found = mask(*(square(3.5, 3.5, 6.5 + z, 6.5, z) for z in range(4)), grid=grid)
    assert found.values.sum(axis=(1, 2)).tolist() == [9, 18, 0, 0, 0]
    assert found.flags == ("contours_between_slices",) and found.counts["contours_between_slices"] == 2


def test_a_plane_whose_depth_is_rounded_is_one_plane() -> None:
    found = mask(square(1.5, 1.5, 8.5, 8.5, 2.0), square(3.5, 3.5, 5.5, 5.5, 2.01))
    assert found.values.sum() == 49 - 4 and not found.flags


def test_slices_without_a_contour_inside_the_extent_are_counted() -> None:
    found = mask(square(1.5, 1.5, 8.5, 8.5, 0), square(1.5, 1.5, 8.5, 8.5, 3))
    assert found.values.any(axis=(1, 2)).tolist() == [True, False, False, True, False]
    assert found.flags == ("slices_without_contour",) and found.counts["slices_without_contour"] == 2


def test_one_slice_is_as_thick_as_its_spacing_or_one_millimetre() -> None:
    thick = grid_of(1, spacing=(4.0, 1.0, 1.0))
    flat = grid_of(1, axes="yx", spacing_mm={"y": 1.0, "x": 1.0})
    for grid, inside, beyond in ((thick, 1.9, 2.1), (flat, 0.4, 0.6)):
        assert mask(square(3.5, 3.5, 6.5, 6.5, inside), grid=grid).values.sum() == 9
        found = mask(square(3.5, 3.5, 6.5, 6.5, beyond), grid=grid)
        assert found.flags == ("empty_mask", "outside_image") and found.outside == 1.0
    assert mask(square(3.5, 3.5, 6.5, 6.5, 0), grid=flat).values.shape == (20, 24)


# ---- Outside of the image


def test_the_share_outside_in_the_plane() -> None:
    found = mask(square(-5.5, 3.5, 4.5, 6.5, 1))  # centres at -5 to 4: half of them lie left of the image
    assert found.values.sum() == 15 and found.values[1, 4:7, 0:5].all()
    assert found.outside == 0.5 and found.flags == ("outside_image",)
    away = mask(square(40.5, 3.5, 44.5, 6.5, 1))
    assert away.outside == 1.0 and away.flags == ("empty_mask", "outside_image")


def test_the_share_outside_beyond_the_last_slice() -> None:
    found = mask(*(square(3.5, 3.5, 6.5, 6.5, z) for z in range(3, 7)))
    assert found.outside == 0.5 and found.values.sum(axis=(1, 2)).tolist() == [0, 0, 0, 9, 9]
    assert found.counts == {"contours": 4, "contours_outside": 2, "unused_contours": 2}
    assert found.flags == ("outside_image",)


def test_planes_beyond_the_image_count_once_for_each_slice_that_is_not_there() -> None:
    grid = grid_of(spacing=(2.0, 1.0, 1.0))
    found = mask(*(square(3.5, 3.5, 6.5, 6.5, z / 2) for z in range(-8, 1)), grid=grid)  # every 0.5 mm from -4 to 0
    assert found.values.sum() == 9 and found.outside == pytest.approx(2 / 3)


def test_a_hole_outside_is_a_hole() -> None:
    found = mask(square(-10.5, 3.5, 4.5, 6.5, 1), square(-8.5, 4.5, -4.5, 5.5, 1))
    assert found.outside == pytest.approx((30 - 4) / (30 - 4 + 15))


def test_a_huge_contour_is_measured_by_a_part_of_the_lattice() -> None:
    found = mask(square(-1e6, -1e6, 1e6, 1e6, 2))
    assert found.values[2].all() and found.outside == pytest.approx(1 - 480 / 4e12, rel=1e-3)
    assert mask(square(-9e6, 3.5, 9e6, 3.6, 2)).outside == 0  # no row of centres inside
    thin = mask(square(-9e6, 3.5, 9e6, 4.5, 2))
    assert thin.values.sum() == 24 and thin.outside == pytest.approx(1 - 24 / 1.8e7, rel=1e-3)


# ---- What encloses nothing


def test_contours_that_enclose_nothing_are_counted() -> None:
    line = Contour(np.array([[1.5, 1.5, 0], [8.5, 1.5, 0], [8.5, 8.5, 0]]), "OPEN_PLANAR")
    path = Contour(np.array([[1.5, 1.5, 0], [8.5, 1.5, 3], [8.5, 8.5, 4]]), "OPEN_NONPLANAR")
    point = Contour(np.array([[4.0, 4.0, 0]]), "POINT")
    two = Contour(np.array([[4.0, 4.0, 0], [8.0, 8.0, 0], [4.0, 4.0, 0]]), PLANAR)
    found = mask(line, path, point, two, unreadable=3)
    assert found.flags == ("empty_mask", "nothing_left", "open_contours", "point_contours", "unreadable_contours")
    assert found.counts == {
        **{"contours": 7, "open_contours": 2, "point_contours": 2},
        **{"unreadable_contours": 3, "unused_contours": 7},
    }
    assert not found.values.any() and found.outside == 0


def test_contours_without_area_leave_the_mask_empty() -> None:
    found = mask([[4, 4, 0]] * 5, [[1, 1, 0], [3, 3, 0], [7, 7, 0]], [[2, 2, 1], [5, 2, 1], [2, 2, 1], [9, 2, 1]])
    assert found.flags == ("empty_mask", "nothing_left") and found.counts == {"contours": 3, "unused_contours": 0}
    assert mask().flags == ("empty_mask",)


def test_a_contour_across_slices_is_not_used() -> None:
    tilted = square(3.5, 3.5, 6.5, 6.5, 2)
    tilted[2:, 2] += 0.3
    found = mask(tilted)
    assert found.flags == ("empty_mask", "nothing_left", "tilted_contours") and found.counts["tilted_contours"] == 1
    tilted[2:, 2] -= 0.1  # 0.2 of the slice distance: rounding
    assert mask(tilted).values.sum() == 9 and not mask(tilted).flags
    upright = [[3.5, 2, 0], [3.5, 8, 0], [3.5, 8, 4], [3.5, 2, 4]]
    assert mask(upright).flags == ("empty_mask", "nothing_left", "tilted_contours")


# ---- Time


def test_contours_of_one_time_are_a_mask_with_t() -> None:
    grid = grid_of(2, axes="tzyx", times=3, frames={(f"1.{t}.{z}", 0): (t, z) for t in range(3) for z in range(2)})
    square_of = {t: square(3.5, 3.5, 6.5 + t, 6.5, 1) for t in range(3)}
    first = Contour(square_of[0], PLANAR, (("1.0.1", None),))
    last = Contour(square_of[2], PLANAR, (("1.2.1", 0),))
    found = mask(first, last, grid=grid)
    assert found.axes == "tzyx" and found.values.sum(axis=(2, 3)).tolist() == [[0, 9], [0, 0], [0, 15]]
    assert found.flags == ()
    for_all = mask(Contour(square_of[0], PLANAR), grid=grid)
    assert for_all.axes == "zyx" and for_all.values.sum() == 9 and for_all.flags == ("no_t_reference",)
    elsewhere = mask(Contour(square_of[0], PLANAR, (("9.9", None),)), grid=grid)
    assert elsewhere.axes == "zyx" and elsewhere.flags == ("no_t_reference",)
    every = Contour(square_of[0], PLANAR, tuple((f"1.{t}.1", None) for t in range(3)))
    assert mask(every, grid=grid).axes == "zyx" and not mask(every, grid=grid).flags


def test_the_share_outside_counts_each_time_once() -> None:
    grid = grid_of(1, axes="tzyx", times=3, frames={(f"1.{t}", 0): (t, 0) for t in range(3)})
    for_two = Contour(square(-2.5, 3.5, 2.5, 6.5, 0), PLANAR, (("1.0", None), ("1.1", None)))  # 6 of 15 outside
    for_one = Contour(square(3.5, 3.5, 8.5, 6.5, 0), PLANAR, (("1.2", None),))
    found = mask(for_two, for_one, grid=grid)
    assert found.values.sum(axis=(1, 2, 3)).tolist() == [9, 9, 15]
    assert found.outside == pytest.approx(12 / 45)


def test_frames_of_a_multi_frame_image_are_times() -> None:
    grid = grid_of(2, axes="tzyx", times=2, frames={("1.2", 2 * t + z): (t, z) for t in range(2) for z in range(2)})
    first, last = (Contour(square(3.5, 3.5, 6.5, 6.5 + n, n), PLANAR, (("1.2", 3 * n),)) for n in range(2))
    found = mask(first, last, grid=grid)
    assert found.values.sum(axis=(2, 3)).tolist() == [[9, 0], [0, 12]]


def test_contours_that_refer_to_one_time_hold_for_all() -> None:
    """As masks of segmentations do: where structures rest, such as in echoes, one time is drawn on for all."""
    grid = grid_of(2, axes="tzyx", times=3, frames={(f"1.{t}.{z}", 0): (t, z) for t in range(3) for z in range(2)})
    for t in (0, 2):
        contours = [Contour(square(3.5, 3.5, 6.5, 6.5, z), PLANAR, ((f"1.{t}.{z}", None),)) for z in range(2)]
        found = mask(*contours, grid=grid)
        assert found.axes == "zyx" and found.values.sum() == 18
        assert found.flags == ("one_t",) and found.counts["t"] == t
    without_z = grid_of(1, axes="tyx", times=3, frames={(f"1.{t}", 0): (t, None) for t in range(3)})
    found = mask(Contour(square(3.5, 3.5, 6.5, 6.5, 0), PLANAR, (("1.1", None),)), grid=without_z)
    assert found.axes == "tyx" and found.values.sum(axis=(1, 2)).tolist() == [0, 9, 0]


def test_a_contour_without_a_reference_is_not_spread_to_other_times() -> None:
    grid = grid_of(2, axes="tzyx", times=3, frames={(f"1.{t}.{z}", 0): (t, z) for t in range(3) for z in range(2)})

    def of(*images: str) -> PlacedMask:
        contours = []
        for n, image in enumerate(images):
            contours.append(Contour(square(3.5, 3.5, 6.5 + n, 6.5, 1), PLANAR, ((image, None),) if image else ()))
        return mask(*contours, grid=grid)

    alone = of("1.0.1", "1.2.1")
    assert alone.values.sum(axis=(2, 3)).tolist() == [[0, 9], [0, 0], [0, 12]] and not alone.flags
    for third in ("", "9.9"):  # none, or an image that is not in the source
        found = of("1.0.1", "1.2.1", third)
        assert np.array_equal(found.values, alone.values) and found.flags == ("contours_without_t",)
        assert found.counts["contours_without_t"] == found.counts["unused_contours"] == 1
    one = of("1.2.1", "")  # all others are of one time, and so may this one be
    assert (one.axes, one.flags, one.counts["t"], int(one.values.sum())) == ("zyx", ("no_t_reference", "one_t"), 2, 3)
    lost = of("1.2.1", "9.9")
    assert (lost.axes, lost.flags, int(lost.values.sum())) == ("zyx", ("contours_without_t", "one_t"), 9)


def test_a_contour_in_another_slice_than_the_one_it_refers_to_is_placed_by_its_points() -> None:
    grid = grid_of(3, frames={(f"1.{z}", 0): (None, z) for z in range(3)})
    right, wrong = (Contour(square(3.5, 3.5, 6.5, 6.5, 1), PLANAR, ((f"1.{z}", None),)) for z in (1, 2))
    assert mask(right, grid=grid).flags == ()
    found = mask(wrong, grid=grid)
    assert found.flags == ("references_differ",) and found.counts["references_differ"] == 1
    assert found.values[1].sum() == 9


# ---- Images of every kind


def turned(points: np.ndarray, matrix: np.ndarray, shift: np.ndarray) -> np.ndarray:
    return points @ matrix.T + shift


@pytest.mark.parametrize("orientation", ["sagittal", "coronal", "oblique", "reversed", "flipped"])
def test_any_orientation_gives_the_same_voxels(orientation: str) -> None:
    matrix = {
        "sagittal": np.array([[0.0, 0, 1], [1, 0, 0], [0, -1, 0]]),
        "coronal": np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]]),
        "oblique": np.linalg.qr(np.random.default_rng(7).normal(size=(3, 3)))[0],
        "reversed": np.diag([1.0, 1, -1]),
        "flipped": np.diag([-1.0, 1, 1]),
    }[orientation]
    shift = np.array([-120.25, 33.5, 410.0])
    axial = grid_of(spacing=(2.0, 0.5, 0.75))
    grid = grid_of(
        origins=turned(np.asarray(axial.origins), matrix, shift),
        across=tuple(matrix @ axial.across),
        down=tuple(matrix @ axial.down),
        spacing=(2.0, 0.5, 0.75),
    )
    contours = [polygon((8.1, 4.3), 3.9, 2 * z, 37) for z in range(5)] + [polygon((8.0, 4.0), 1.7, 4, 11)]
    expected = mask(*contours, grid=axial)
    found = mask(*(turned(contour, matrix, shift) for contour in contours), grid=grid)
    assert expected.values.sum() > 500
    assert found.values.tolist() == expected.values.tolist() and found.flags == expected.flags == ()


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_centres_on_a_contour_are_decided_in_space_not_by_the_order_of_voxels(axis: int) -> None:
    grid = grid_of(6, 10, 12)
    contours = [square(2, 3, 8, 7, z) for z in (1.5, 2.5)]
    expected = mask(*contours, grid=grid).values
    origins, across, down = np.asarray(grid.origins).copy(), grid.across, grid.down
    if axis == 0:
        origins = origins[::-1].copy()
    elif axis == 1:
        origins[:, 1], down = 9.0, (0.0, -1.0, 0.0)
    else:
        origins[:, 0], across = 11.0, (-1.0, 0.0, 0.0)
    found = mask(*contours, grid=grid_of(6, 10, 12, origins=origins, across=across, down=down)).values
    assert np.flip(found, axis).tolist() == expected.tolist() and expected.sum() == 2 * 7 * 5


def test_a_tilted_gantry_shifts_each_slice() -> None:
    """The slices are axial, but each begins 1 mm further back than the one below."""
    origins = np.array([[0.0, 1.0 * z, 2.0 * z] for z in range(4)])
    grid = grid_of(4, origins=origins, spacing=(2.0, 1.0, 1.0))
    found = mask(*(square(3.5, 5.5, 6.5, 9.5, 2 * z) for z in range(4)), grid=grid)
    for z in range(4):
        expected = np.zeros((20, 24), np.uint8)
        expected[6 - z : 10 - z, 4:7] = 1
        assert found.values[z].tolist() == expected.tolist()
    beyond = mask(square(3.5, -1.5, 6.5, 0.5, 8), square(3.5, 5.5, 6.5, 9.5, 6), grid=grid)
    assert beyond.outside == pytest.approx(6 / 18)


def test_a_shifted_grid_shifts_the_mask() -> None:
    contour = polygon((11.3, 9.1), 6.2, 2)
    whole = mask(contour).values
    part = mask(contour, grid=grid_of(2, 7, 9, origin=(8.0, 5.0, 2.0))).values
    assert part.tolist() == whole[2:4, 5:12, 8:17].tolist()


def test_an_image_without_position_is_refused() -> None:
    for more in (
        {"origins": None},
        {"origins": np.full((5, 3), np.nan)},
        {"across": (0.0, 0.0, 0.0)},
        {"down": (2.0, 0.0, 0.0)},
        {"origins": np.zeros((4, 3))},
    ):
        with pytest.raises(MaskProblem) as caught:
            mask(square(1, 1, 5, 5, 0), grid=grid_of(**more))
        assert caught.value.code == "no_position"


def test_a_contour_that_lost_points_is_used_and_flagged() -> None:
    whole = Contour(square(1, 1, 5, 5, 0), "CLOSED_PLANAR")
    lost = replace(whole, points=whole.points[:3] + [0, 0, 1], is_as_stated=False)
    found = mask_of_contours(roi(lost, whole), grid_of())
    assert found.flags == ("points_differ",) and found.counts["points_differ"] == 1
    assert mask_of_contours(roi(whole), grid_of()).flags == ()
    # What is not used has its own flag.
    unused = replace(lost, kind="OPEN_PLANAR")
    assert mask_of_contours(roi(unused, whole), grid_of()).flags == ("open_contours",)


@pytest.mark.parametrize("gaps", [{4}, {2, 4}, {1, 3, 5}, {3, 4, 5}])
def test_a_contour_of_a_missing_slice_is_on_no_other(gaps: set[int]) -> None:
    """However many slices are missing: the median of the distances may be that of a gap."""
    kept = [z for z in range(8) if z not in gaps]
    grid = grid_of(len(kept), depths=[3.0 * z for z in kept])
    for z in gaps:
        for off in (-0.06, 0.0, 0.06):
            found = mask(square(3, 3, 8, 9, 3.0 * z + off), grid=grid)
            assert not found.values.any() and "contours_between_slices" in found.flags
    for number, z in enumerate(kept):
        found = mask(square(3, 3, 8, 9, 3.0 * z + 0.06), grid=grid)
        assert found.values[number].any() and found.flags == ()
