"""Segments whose planes do not lie on those of the image: they keep a grid of their own."""

from __future__ import annotations

import numpy as np
import pytest
from grids_of_scans import grid_of
from made_up_scans import AXIAL, CORONAL, OBLIQUE, positions_of, scan
from made_up_segmentations import MaskFrame, by_hand, by_highdicom, reordered
from placed_segments import highdicom_volume, noise, only


@pytest.mark.parametrize("step", [1.0, 0.004], ids=["every second slice", "many pixels of one slice"])
def test_a_perpendicular_plane_with_other_steps_keeps_its_own_grid(step: float) -> None:
    images = scan("a", (0, 0.5, 1, 1.5, 2, 2.5))
    frame = MaskFrame(noise(10, 3, 12), position=(-10, -20 + 3 * 0.5, 30 + 2 * step))
    dataset = by_hand([frame], orientation=CORONAL, spacing=(step, 0.75), series="a")
    assert only(dataset, grid_of(images)).flags == ("own_grid",)


def test_planes_turned_by_45_degrees_keep_their_own_grid() -> None:
    half = np.sqrt(0.5)
    frame = MaskFrame(noise(27, 4, 5), position=(0, 0, 30))
    dataset = by_hand([frame], orientation=(half, half, 0, -half, half, 0), spacing=(0.6, 0.6), series="a")
    assert only(dataset, grid_of(scan("a"))).flags == ("own_grid",)


@pytest.mark.parametrize("change", ["spacing", "shift", "angle", "step"])
def test_another_grid_is_kept_as_it_is(change: str) -> None:
    images = scan("a")
    voxels = noise(12, 3, 16, 12)
    depths = {"step": (0.0, 1.0, 2.0)}.get(change, (0.0, 2.5, 5.0))
    origin = (-10.3, -20, 30) if change == "shift" else (-10, -20, 30)
    orientation = OBLIQUE if change == "angle" else AXIAL
    spacing = (1.0, 1.5) if change == "spacing" else (0.5, 0.75)
    others = scan("b", depths, orientation=orientation, spacing=spacing, origin=origin, series="a")
    dataset = reordered(by_highdicom(others, voxels), [2, 0, 1])
    mask = only(dataset, grid_of(images))
    assert mask.flags == ("own_grid",) and mask.axes == "zyx" and mask.outside == 0
    np.testing.assert_array_equal(mask.values, voxels)
    read, affine = highdicom_volume(dataset)  # whose planes run the other way, and whose indices are z, y, x
    np.testing.assert_array_equal(mask.values, read[::-1, ..., 0])
    corners = np.array([[0, 0, 0, 1], [2, 3, 1, 1], [11, 15, 2, 1]])
    theirs = [affine @ (2 - z, y, x, 1) for x, y, z, _ in corners]
    np.testing.assert_allclose(corners @ np.array(mask.own_affine_lps).T, theirs, atol=1e-6)


def test_an_own_grid_fills_what_the_file_leaves_out_and_states_no_affine_for_uneven_planes() -> None:
    images = scan("a")
    voxels = noise(13, 3, 4, 5)
    for depths, shape, planes in (((0, 1, 4), (5, 4, 5), [0, 1, 4]), ((0, 1, 2.7), (3, 4, 5), [0, 1, 2])):
        positions = positions_of(depths)
        frames = [MaskFrame(voxels[z], position=positions[z]) for z in range(3)]
        mask = only(by_hand(frames, series="a"), grid_of(images))
        assert mask.values.shape == shape and "own_grid" in mask.flags
        np.testing.assert_array_equal(mask.values[planes], voxels)
        assert (mask.own_affine_lps is None) == (planes == [0, 1, 2])


def test_the_planes_of_an_own_grid_follow_the_stated_distance() -> None:
    images = scan("a")
    voxels = noise(28, 2, 4, 5)
    frames = [MaskFrame(voxels[n], position=(0, 0, 30.3 + 3 * n)) for n in (0, 1)]
    dataset = by_hand(frames, series="a")
    dataset.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].SpacingBetweenSlices = 1.5
    mask = only(dataset, grid_of(images))
    np.testing.assert_array_equal(mask.values[[0, 2]], voxels)
    assert mask.values.shape == (3, 4, 5) and not mask.values[1].any()
    assert mask.own_affine_lps == ((0.75, 0, 0, 0), (0, 0.5, 0, 0), (0, 0, 1.5, 30.3), (0, 0, 0, 1))


@pytest.mark.parametrize(("stated", "step"), [("SpacingBetweenSlices", 1.5), ("SliceThickness", 4.0), ("", None)])
def test_the_depth_of_a_single_plane_is_what_the_file_states(stated: str, step: float | None) -> None:
    dataset = by_hand([MaskFrame(noise(29, 4, 5), position=(0, 0, 30.3))], series="a")
    measures = dataset.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    if stated != "SpacingBetweenSlices":
        del measures.SliceThickness
    if stated:
        setattr(measures, stated, step)
    affine = only(dataset, grid_of(scan("a"))).own_affine_lps
    assert (affine is None) == (step is None)
    if affine is not None:
        assert affine[2] == (0, 0, step, 30.3)


def test_planes_of_an_own_grid_that_are_shifted_have_no_affine_unless_the_shift_is_even() -> None:
    for shifts, has_affine in (((0, 0.2, 0.4), True), ((0, 0.2, 0), False)):
        frames = [MaskFrame(noise(30, 4, 5), position=(shift, 0, 30.3 + n)) for n, shift in enumerate(shifts)]
        mask = only(by_hand(frames, series="a"), grid_of(scan("a")))
        assert (mask.own_affine_lps is not None) == has_affine and mask.values.shape == (3, 4, 5)
        if mask.own_affine_lps is not None:
            np.testing.assert_allclose(np.array(mask.own_affine_lps)[:3, 2], (0.2, 0, 1))
