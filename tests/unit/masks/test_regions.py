"""To which image of a series the regions of a structure set belong."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from made_up_grids import grid_of
from made_up_structure_sets import square

from dicomzarr.masks.grid import ImageGrid
from dicomzarr.masks.model import Description, MaskProblem
from dicomzarr.masks.regions import check_within, regions_by_grid
from dicomzarr.masks.structure_set import Contour, Roi, StructureSet


def image(name: str, *instances: str, space: str = "1.1", **more: Any) -> ImageGrid:
    """Return an image of a slice for each instance."""
    frames = {(uid, 0): (None, z) for z, uid in enumerate(instances)}
    return grid_of(len(instances), array=name, frames=frames, frame_of_reference=space, **more)


def region(number: int, *images: str, space: str = "1.1") -> Roi:
    """Return a region with a contour for each instance that one refers to; for an empty text, without a reference."""
    contours = tuple(
        Contour(square(1, 1, 5, 5, z), "CLOSED_PLANAR", ((uid, None),) if uid else ()) for z, uid in enumerate(images)
    )
    return Roi(Description("RTSTRUCT", number), contours, space)


def places(rois: list[Roi], *grids: ImageGrid, series: tuple[frozenset[str], ...] = ()) -> list[tuple[int, str, int]]:
    """Return number of region, its image or problem, and its number of contours there."""
    found = regions_by_grid(StructureSet(tuple(rois), series=series), grids)
    return [(roi.description.number, g if isinstance(g, str) else g.array, len(roi.contours)) for roi, g in found]


CT = image("ct", "1.2.1", "1.2.2", "1.2.3")


def test_references_to_frames_decide() -> None:
    upper, lower = image("upper", "1.2.1", "1.2.2"), image("lower", "1.2.3")
    assert places([region(1, "1.2.1", "1.2.3", "1.2.2")], upper, lower) == [(1, "upper", 2), (1, "lower", 1)]
    assert places([region(1, "1.2.3", "")], upper, lower) == [(1, "lower", 2)]
    assert places([region(1, "")], upper, lower) == [(1, "ambiguous_volume", 1)]
    assert places([region(1, "1.2.1", "1.2.3", "")], upper, lower) == [
        *((1, "ambiguous_volume", 3), (1, "upper", 1), (1, "lower", 1))
    ]


def test_without_references_the_only_image_in_space() -> None:
    nowhere = image("nowhere", "1.2.9", origins=None)
    assert places([region(1, "", ""), region(2)], CT, nowhere) == [(1, "ct", 2), (2, "ct", 0)]
    assert places([region(1, "")], nowhere) == [(1, "no_position", 1)]
    assert places([region(1, "", space="")], CT) == [(1, "ct", 1)]
    assert places([region(1, "")], image("ct", "1.2.1", space="")) == [(1, "ct", 1)]


def test_a_region_of_another_frame_of_reference_is_not_placed() -> None:
    assert places([region(1, "", space="7.7"), region(2, "")], CT) == [(1, "other_space", 1), (2, "ct", 1)]
    assert places([region(1, "9.9", space="7.7"), region(2, space="7.7")], CT) == [
        (1, "other_space", 1),
        (2, "other_space", 0),
    ]
    other = image("other", "1.3.1", space="7.7")
    assert places([region(1, "", space="7.7")], CT, other) == [(1, "other", 1)]


def test_a_reference_to_a_frame_counts_more_than_the_frame_of_reference() -> None:
    assert places([region(1, "1.2.1", "", space="7.7")], CT) == [(1, "ct", 2)]


def test_a_region_that_was_drawn_on_another_series_is_not_placed_on_this_one() -> None:
    """A structure set of two series in one frame of reference, such as CT and MR."""
    drawn_on_ct, drawn_on_mr = region(1, "1.2.1", "1.2.2"), region(2, "8.8.1", "8.8.2")
    assert places([drawn_on_ct, drawn_on_mr], CT) == [(1, "ct", 2), (2, "no_image", 2)]
    assert places([drawn_on_ct, drawn_on_mr], image("mr", "8.8.1", "8.8.2")) == [(1, "no_image", 2), (2, "mr", 2)]
    assert places([drawn_on_mr], CT) == [(2, "ct", 2)]  # no image of the file is in the series: placed by space


def test_a_contour_on_a_slice_that_is_missing_stays_with_its_region() -> None:
    assert places([region(1, "1.2.1", "1.2.99")], CT) == [(1, "ct", 2)]


def test_points_are_kept_as_they_are() -> None:
    roi = region(1, "1.2.1")
    ((found, _),) = regions_by_grid(StructureSet((roi,)), [CT])
    assert np.array_equal(found.contours[0].points, roi.contours[0].points)


def test_a_contour_of_another_series_is_marked() -> None:
    def marks(*images: str, instances: tuple[str, ...] = ()) -> list[bool]:
        ((found, _),) = regions_by_grid(StructureSet((region(1, *images),)), [CT], instances)
        assert len(found.contours) == len(images)
        return [contour.is_elsewhere for contour in sorted(found.contours, key=lambda c: c.points[0, 2])]

    assert marks("1.2.1", "9.9", "") == [False, True, False]
    assert marks("1.2.1", "1.2.8", instances=("1.2.8",)) == [False, False]  # a copy, or a file that cannot be read
    assert marks("9.8", "9.9") == [False, False]  # nothing is known of any instance


def test_a_region_on_a_slice_that_is_not_in_the_image_belongs_to_the_image() -> None:
    found = list(regions_by_grid(StructureSet((region(1, "1.2.1"), region(2, "1.2.8"))), [CT], ["1.2.8"]))
    assert [(roi.description.number, grid) for roi, grid in found] == [(1, CT), (2, CT)]


def test_a_region_with_a_problem_is_not_placed() -> None:
    broken = Roi(Description("RTSTRUCT", 1), region(1, "1.2.1").contours, "1.1", problem="invalid_attribute")
    assert places([broken, region(2, "1.2.1")], CT) == [(1, "invalid_attribute", 1), (2, "ct", 1)]


def test_without_references_the_only_image_with_parallel_slices() -> None:
    scout = image("scout", "1.2.7", across=(0.0, 1.0, 0.0), down=(0.0, 0.0, -1.0))
    other = image("other", "1.2.8")
    assert places([region(1, "", "")], CT, scout) == [(1, "ct", 2)]
    assert places([region(1, "", "")], CT, other) == [(1, "ambiguous_volume", 2)]
    assert places([region(1)], CT, scout) == [(1, "ambiguous_volume", 0)]


def test_a_region_without_contours_belongs_to_the_image_of_the_other_regions() -> None:
    scout = image("scout", "1.2.7", across=(0.0, 1.0, 0.0), down=(0.0, 0.0, -1.0))
    assert places([region(1), region(2, "1.2.1")], CT, scout) == [(1, "ct", 0), (2, "ct", 1)]
    both = places([region(1), region(2, "1.2.1", "1.2.7")], CT, scout)
    assert both == [(1, "ambiguous_volume", 0), (2, "ct", 1), (2, "scout", 1)]
    # Contours without references: those of the others lie on the only image with parallel slices.
    assert places([region(1), region(2, "", "")], CT, scout) == [(1, "ct", 0), (2, "ct", 2)]
    assert places([region(1)], CT, scout) == [(1, "ambiguous_volume", 0)]


def test_a_contour_that_refers_to_two_images_is_on_those_on_whose_slices_it_lies() -> None:
    """A series of two echoes at one place, or of two stacks, and a file that lists all images of it in each contour."""
    every = tuple((uid, None) for uid in ("1.2.1", "1.2.2", "1.2.3", "1.2.4", "1.2.7"))
    on_first = Roi(Description("RTSTRUCT", 1), (Contour(square(1, 1, 5, 5, 1), "CLOSED_PLANAR", every),), "1.1")
    scout = image("scout", "1.2.7", across=(0.0, 1.0, 0.0), down=(0.0, 0.0, -1.0))
    first, second = image("first", "1.2.1", "1.2.2"), image("second", "1.2.3", "1.2.4")
    assert places([on_first], first, second, scout) == [(1, "first", 1), (1, "second", 1)]
    far = image("far", "1.2.3", "1.2.4", origin=(0.0, 0.0, 50.0))
    assert places([on_first], first, far, scout) == [(1, "first", 1)]
    beyond = Roi(Description("RTSTRUCT", 1), (Contour(square(1, 1, 5, 5, 30), "CLOSED_PLANAR", every),), "1.1")
    assert places([beyond], first, far, scout) == [(1, "ambiguous_volume", 1)]


def test_without_references_the_only_image_on_whose_slices_all_contours_lie() -> None:
    upper, lower = image("upper", "1.2.1", "1.2.2"), image("lower", "1.2.3", "1.2.4", origin=(0.0, 0.0, 2.0))
    assert places([region(1, "", "")], upper, lower) == [(1, "upper", 2)]  # at 0 and 1
    assert places([region(1, "", "", "")], upper, lower) == [(1, "ambiguous_volume", 3)]
    assert places([region(1, "", ""), region(2)], upper, lower) == [(1, "upper", 2), (2, "upper", 0)]


# An image of 5 slices of 3 mm, 20 rows and 24 columns of 1 mm, as it is and turned about the row axis.
TILTED = {"across": (1.0, 0.0, 0.0), "down": (0.0, 0.6, 0.8)}


@pytest.mark.parametrize(
    ("box", "z", "is_within"),
    [
        ((1, 1, 5, 5), 6, True),
        ((-1.4, -1.4, 24.4, 20.4), 0, True),  # half a voxel and 1 mm farther
        ((-1.6, 1, 5, 5), 0, False),
        ((1, 1, 5, 20.6), 0, False),
        ((1, 1, 5, 5), 14.4, True),
        ((1, 1, 5, 5), 14.6, False),
        ((1, 1, 5, 5), -2.6, False),
        ((100, 100, 105, 105), 6, False),
    ],
)
@pytest.mark.parametrize("is_tilted", [False, True])
def test_contours_of_a_file_that_names_no_image_lie_within_it(
    box: Any, z: float, is_within: bool, is_tilted: bool
) -> None:
    points = square(*box, z)
    if is_tilted:
        points = points @ np.array([(1.0, 0.0, 0.0), (0.0, 0.6, 0.8), (0.0, -0.8, 0.6)])
        depths = 3.0 * np.arange(5)
        grid = grid_of(5, spacing=(3, 1, 1), origins=np.outer(depths, [0.0, -0.8, 0.6]), **TILTED)
    else:
        grid = grid_of(5, spacing=(3, 1, 1))
    good = Contour(square(1, 1, 5, 5, 0) if not is_tilted else points * 0, "CLOSED_PLANAR")
    placed = [(Roi(Description("RTSTRUCT", 1), (good, Contour(points, "CLOSED_PLANAR"))), grid)]
    if is_within:
        check_within(placed)
    else:
        with pytest.raises(MaskProblem) as problem:
            check_within(placed)
        assert (problem.value.code, problem.value.found, problem.value.needed) == ("no_image", 1, 2)


def test_a_thick_slice_contains_more_and_problems_are_no_contours() -> None:
    roi = Roi(Description("RTSTRUCT", 1), (Contour(square(1, 1, 5, 5, 15.4), "CLOSED_PLANAR"),))
    grid = grid_of(5, spacing=(3, 1, 1))
    check_within([(roi, grid), (roi, "no_image")], thickness_mm=5.0)
    with pytest.raises(MaskProblem, match="no_image"):
        check_within([(roi, grid)], thickness_mm=4.0)


def test_images_that_are_listed_for_another_series_are_elsewhere() -> None:
    """Both series may lie in one frame of reference, even on one grid: no place contradicts, and the lists decide."""
    both = (frozenset({"1.2.1", "1.2.2", "1.2.3", "1.2.4"}), frozenset({"9.1", "9.2"}))
    assert places([region(1, "9.1", "9.2")], CT, series=both) == [(1, "no_image", 2)]
    assert places([region(1, "1.2.2", "9.1")], CT, series=both) == [(1, "ct", 2)]  # the second one is marked
    # An image of this series that is lost; an image of no list; lists that name no image of this series.
    assert places([region(1, "1.2.4")], CT, series=both) == [(1, "ct", 1)]
    assert places([region(1, "9.9")], CT, series=both) == [(1, "ct", 1)]
    assert places([region(1, "9.1")], CT, series=both[1:]) == [(1, "ct", 1)]
    # What is in both lists is on both.
    assert places([region(1, "9.1")], CT, series=(both[0] | {"9.1"}, both[1])) == [(1, "ct", 1)]


def test_a_region_without_contours_is_absent_where_regions_were_drawn() -> None:
    both = (frozenset({"1.2.1", "1.2.2"}), frozenset({"9.1"}))
    assert places([region(1), region(2, "9.1")], CT, series=both) == [(1, "no_image", 0), (2, "no_image", 1)]
    drawn_here = [region(1), region(2, "9.1"), region(3, "1.2.1")]
    assert places(drawn_here, CT, series=both) == [(1, "ct", 0), (2, "no_image", 1), (3, "ct", 1)]
    # The frame of reference says of which image it is.
    assert places([region(1), region(2, "9.1", space="7.7")], CT, series=both) == [(1, "ct", 0), (2, "no_image", 1)]
