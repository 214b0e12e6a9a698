"""Segments on the voxels of their images: exact, and as highdicom reads them."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from grids_of_scans import grid_of, grid_of_multi_frame
from made_up_scans import AXIAL, CORONAL, OBLIQUE, SAGITTAL, multi_frame_scan, positions_of, scan
from made_up_segmentations import MaskFrame, by_hand, by_highdicom, described, reordered, stored_frames
from placed_segments import (
    highdicom_by_frame,
    highdicom_by_instance,
    highdicom_volume,
    only,
    placed,
    read,
)
from pydicom import Dataset

from dicomzarr.masks.model import Description, Elsewhere, MaskProblem
from dicomzarr.masks.segments import masks_of_segmentation


def noise(seed: int, *shape: int, values: int = 2) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).integers(0, values, shape, dtype="u1")


def in_order(images: list[Dataset]) -> list[Dataset]:
    """Return slices along their normal, by highdicom."""
    from highdicom import spatial

    return spatial.sort_datasets(images)[::-1]  # its planes run against the normal of rows and columns


ORIENTATIONS = {"axial": AXIAL, "coronal": CORONAL, "sagittal": SAGITTAL, "oblique": OBLIQUE}


@pytest.mark.parametrize("orientation", ORIENTATIONS.values(), ids=ORIENTATIONS)
@pytest.mark.parametrize("form", ["BINARY", "LABELMAP"])
def test_segments_are_what_highdicom_reads(form: str, orientation: tuple[float, ...]) -> None:
    images = scan("a", orientation=orientation)
    voxels = noise(1, 5, 16, 12, values=4)
    voxels[2] = 0  # left out of the file
    dataset = by_highdicom(images, voxels, form)
    assert dataset.NumberOfFrames < (13 if form == "BINARY" else 5)
    masks = placed(dataset, grid_of(images))
    ordered = in_order(images)
    expected = highdicom_by_instance(dataset, [image.SOPInstanceUID for image in ordered])
    source = {image.SOPInstanceUID: index for index, image in enumerate(images)}
    assert [mask.description.number for _, mask in masks] == [1, 2, 3]
    for number, (_, mask) in enumerate(masks):
        assert mask.axes == "zyx" and mask.values.dtype == np.uint8 and mask.flags == ()
        np.testing.assert_array_equal(mask.values, expected[..., number])
        written = voxels[[source[image.SOPInstanceUID] for image in ordered]] == number + 1
        np.testing.assert_array_equal(mask.values, written)


def test_overlapping_segments_are_masks_of_their_own() -> None:
    images = scan("a")
    voxels = noise(2, 5, 16, 12, 3)
    assert (voxels.sum(axis=-1) > 1).any()
    dataset = by_highdicom(images, voxels)
    expected = highdicom_by_instance(dataset, [image.SOPInstanceUID for image in images])
    for number, (_, mask) in enumerate(placed(dataset, grid_of(images))):
        np.testing.assert_array_equal(mask.values, voxels[..., number])
        np.testing.assert_array_equal(mask.values, expected[..., number])
        assert mask.outside == 0.0 and mask.flags == () and mask.counts == {"frames": 5}


@pytest.mark.parametrize("order", [[7, 6, 5, 4, 3, 2, 1, 0], [3, 0, 7, 4, 1, 6, 2, 5]], ids=["reversed", "shuffled"])
def test_the_order_of_frames_does_not_matter(order: list[int]) -> None:
    images = scan("a")
    voxels = noise(3, 5, 16, 12, values=3)
    voxels[2] = 0
    dataset = reordered(by_highdicom(images, voxels), order)
    for number, (_, mask) in enumerate(placed(dataset, grid_of(images))):
        np.testing.assert_array_equal(mask.values, voxels == number + 1)


@pytest.mark.parametrize("form", ["PROBABILITY", "OCCUPANCY"])
def test_fractions_keep_their_values(form: str) -> None:
    images = scan("a")
    fractions = np.random.default_rng(4).random((5, 16, 12))
    fractions[3] = 0
    dataset = by_highdicom(images, fractions, form, max_fractional_value=200)
    mask = only(dataset, grid_of(images))
    assert (mask.form, mask.maximum_fraction, mask.values.max() > 150) == (form, 200, True)
    expected = highdicom_by_instance(dataset, [image.SOPInstanceUID for image in images])
    np.testing.assert_array_equal(mask.values, expected[..., 0])
    np.testing.assert_array_equal(mask.values, np.around(fractions * 200))


@pytest.mark.parametrize("form", ["BINARY", "LABELMAP"])
@pytest.mark.parametrize("depths", [(0, 2.5, 5, 7.5), (5, 0, 7.5, 2.5)], ids=["in order", "out of order"])
def test_a_multi_frame_image(depths: tuple[float, ...], form: str) -> None:
    image = multi_frame_scan("a", depths, orientation=OBLIQUE)
    voxels = noise(5, 4, 16, 12, values=3)
    voxels[1] = 0
    dataset = by_highdicom([image], voxels, form)
    expected = highdicom_by_frame(dataset, image.SOPInstanceUID, 4)
    for number, (_, mask) in enumerate(placed(dataset, grid_of_multi_frame(image))):
        np.testing.assert_array_equal(mask.values, expected[np.argsort(depths)][..., number])
        np.testing.assert_array_equal(mask.values, voxels[np.argsort(depths)] == number + 1)


def test_uneven_slices_and_missing_ones() -> None:
    images = scan("a", (0, 2.5, 10, 11, 30))
    voxels = noise(6, 5, 16, 12)
    mask = only(by_highdicom(images, voxels), grid_of(images))
    np.testing.assert_array_equal(mask.values, voxels)


def test_a_tilted_gantry_shifts_each_slice() -> None:
    images = scan("a")
    for index, image in enumerate(images):
        image.ImagePositionPatient[1] += 0.7 * index
    voxels = noise(7, 5, 16, 12)
    dataset = by_highdicom(images, voxels)
    mask = only(dataset, grid_of(images))
    np.testing.assert_array_equal(mask.values, voxels)
    assert mask.flags == ()


def test_a_frame_where_a_slice_is_missing_lies_outside() -> None:
    whole = scan("a", (0, 2.5, 5, 7.5, 10))
    voxels = noise(8, 5, 16, 12)
    dataset = by_highdicom(whole, voxels)
    kept = [0, 1, 3, 4]
    mask = only(dataset, grid_of([whole[index] for index in kept]))
    np.testing.assert_array_equal(mask.values, voxels[kept])
    assert mask.flags == ("outside_image",) and mask.counts == {"frames": 5, "frames_outside": 1}
    assert mask.outside == pytest.approx(voxels[2].sum() / voxels.sum())


def _of_two_series(first: list[Dataset], second: list[Dataset]) -> tuple[Dataset, np.ndarray[Any, Any]]:
    """Return a segmentation of which each frame refers to one of two series on the same grid."""
    voxels = noise(11, 10, 16, 12)
    frames = [
        MaskFrame(voxels[index], position=image.ImagePositionPatient, source=(image.SOPInstanceUID, None))
        for index, image in enumerate([*first, *second])
    ]
    return by_hand(frames, series="a"), voxels


def test_frames_of_another_series_are_not_drawn_on_this_one() -> None:
    first, second = scan("a"), scan("b")
    dataset, voxels = _of_two_series(first, second)
    for images, expected in ((first, voxels[:5]), (second, voxels[5:])):
        mask = only(dataset, grid_of(images), instances={image.SOPInstanceUID: False for image in images})
        np.testing.assert_array_equal(mask.values, expected)
        assert mask.flags == ("frames_elsewhere",) and mask.counts == {"frames": 5, "frames_elsewhere": 5}


@pytest.mark.parametrize("form", ["BINARY", "LABELMAP"])
def test_a_segment_that_was_drawn_on_another_series_alone_is_elsewhere_and_not_empty(form: str) -> None:
    first, second = scan("a"), scan("b")
    frames = [
        MaskFrame(
            np.full((16, 12), number if form == "LABELMAP" else 1, "u1"),
            None if form == "LABELMAP" else number,
            image.ImagePositionPatient,
            (image.SOPInstanceUID, None),
        )
        for number, images in ((1, first), (2, second))
        for image in images
    ]
    dataset = by_hand(frames, form, segments=[described(n) for n in (1, 2, 3)], series="a")
    pixels, instances = stored_frames(dataset), {image.SOPInstanceUID: False for image in first}
    found = masks_of_segmentation(read(dataset), [grid_of(first)], lambda n: pixels[n], instances=instances)
    masks, elsewhere = [], []
    for one in found:
        elsewhere.append(one) if isinstance(one, Elsewhere) else masks.append(one[1])
    assert [(mask.description.number, mask.flags) for mask in masks] == [(1, ()), (3, ("empty_mask",))]
    assert [(one.description.number, one.is_drawn) for one in elsewhere] == [(2, True)]


def test_a_segment_without_frames_in_a_part_may_be_in_another_part() -> None:
    images = scan("a")
    frames = [MaskFrame(np.ones((16, 12), "u1"), 1, image.ImagePositionPatient) for image in images]
    dataset = by_hand(frames, segments=[described(n) for n in (1, 2)], series="a", ConcatenationUID="1.2.3")
    found = masks_of_segmentation(read(dataset), [grid_of(images)], lambda _: np.ones((16, 12), "u1"))
    *masks, last = found
    assert len(masks) == 1 and isinstance(last, Elsewhere)
    assert (last.description.number, last.is_drawn) == (2, False)


def test_a_file_whose_frames_refer_to_other_series_alone_has_no_image_here() -> None:
    first, second = scan("a"), scan("b")
    dataset, _ = _of_two_series(second, second)
    listed = deepcopy(dataset.ReferencedSeriesSequence[0])
    reference = Dataset()
    reference.ReferencedSOPInstanceUID = first[0].SOPInstanceUID
    listed.ReferencedInstanceSequence = [reference]
    dataset.ReferencedSeriesSequence = [listed]
    with pytest.raises(MaskProblem, match="no_image"):
        placed(dataset, grid_of(first))


def test_references_of_a_file_that_names_no_instance_may_be_stale() -> None:
    images = scan("a")
    dataset, voxels = _of_two_series(scan("b"), scan("c"))
    mask = only(dataset, grid_of(images))
    np.testing.assert_array_equal(mask.values, voxels[:5] | voxels[5:])


def test_the_mask_of_a_lost_slice_is_not_drawn_on_another_time() -> None:
    """The slice is lost at one of three times: the other two are one image, the third is one with a gap."""
    times = [scan(f"t{t}", series="a") for t in range(3)]
    voxels = noise(12, 3, 5, 16, 12)
    frames = [
        MaskFrame(voxels[t, z], position=image.ImagePositionPatient, source=(image.SOPInstanceUID, None))
        for t, images in enumerate(times)
        for z, image in enumerate(images)
    ]
    lost = times[1][2].SOPInstanceUID
    whole = [replace(grid_of(times[t]), array=f"x/{t}") for t in (0, 2)]
    gap = replace(grid_of([image for image in times[1] if image.SOPInstanceUID != lost]), array="x/1")
    masks = dict(placed(by_hand(frames, series="a"), *whole, gap, instances={lost: False}))
    for t in (0, 2):
        np.testing.assert_array_equal(masks[f"x/{t}"].values, voxels[t])
        assert masks[f"x/{t}"].flags == ()
    np.testing.assert_array_equal(masks["x/1"].values, voxels[1, [0, 1, 3, 4]])
    assert masks["x/1"].flags == ("outside_image",) and masks["x/1"].counts["frames_outside"] == 1


def test_a_frame_that_refers_to_a_copy_of_an_image_is_drawn_on_it() -> None:
    images, again = scan("a"), scan("again")
    voxels = noise(13, 5, 16, 12)
    sources = [*images[:4], again[4]]  # the last slice is in the dataset from a file with another UID
    frames = [
        MaskFrame(voxels[z], position=image.ImagePositionPatient, source=(image.SOPInstanceUID, None))
        for z, image in enumerate(sources)
    ]
    mask = only(by_hand(frames, series="a"), grid_of(images), instances={again[4].SOPInstanceUID: True})
    np.testing.assert_array_equal(mask.values, voxels)
    assert mask.flags == ()


def test_a_crop_and_a_larger_frame() -> None:
    images = scan("a")  # 16 rows of 0.5 mm, 12 columns of 0.75 mm
    voxels = noise(9, 7, 20)
    # Two rows below the first one of the image, three columns before its first one.
    position = [-10 - 3 * 0.75, -20 + 2 * 0.5, 35]
    mask = only(by_hand([MaskFrame(voxels, position=position)], series="a"), grid_of(images))
    expected = np.zeros((5, 16, 12), "u1")
    expected[2, 2:9, :] = voxels[:, 3:15]
    np.testing.assert_array_equal(mask.values, expected)
    assert mask.flags == ("outside_image",)
    assert mask.outside == pytest.approx(1 - expected.sum() / voxels.sum())


def test_a_perpendicular_plane_is_placed_voxel_by_voxel() -> None:
    images = scan("a", (0, 0.5, 1, 1.5, 2, 2.5))
    # A coronal plane through row 3: columns along x, rows against z, from 1 mm above the last slice.
    voxels = noise(10, 10, 12)
    frame = MaskFrame(voxels, position=(-10, -20 + 3 * 0.5, 30 + 3.5))
    mask = only(by_hand([frame], orientation=CORONAL, series="a"), grid_of(images))
    expected = np.zeros((6, 16, 12), "u1")
    expected[:, 3, :] = voxels[2:8][::-1]
    np.testing.assert_array_equal(mask.values, expected)
    assert mask.flags == ("outside_image",)


@pytest.mark.parametrize("step", [1.0, 0.004], ids=["every second slice", "many pixels of one slice"])
def test_a_perpendicular_plane_with_other_steps_keeps_its_own_grid(step: float) -> None:
    images = scan("a", (0, 0.5, 1, 1.5, 2, 2.5))
    frame = MaskFrame(noise(10, 3, 12), position=(-10, -20 + 3 * 0.5, 30 + 2 * step))
    dataset = by_hand([frame], orientation=CORONAL, spacing=(step, 0.75), series="a")
    assert only(dataset, grid_of(images)).flags == ("own_grid",)


def test_slices_in_falling_order() -> None:
    images = scan("a", (0, 2.5, 10))
    voxels = noise(26, 3, 16, 12)
    grid = grid_of(images)
    assert grid.origins is not None
    frames = {key: (None, 2 - (z or 0)) for key, (_, z) in grid.frames.items()}
    falling = replace(grid, origins=grid.origins[::-1], frames=frames)
    mask = only(by_highdicom(images, voxels), falling)
    assert mask.flags == ()
    np.testing.assert_array_equal(mask.values, voxels[::-1])


def test_planes_turned_by_45_degrees_keep_their_own_grid() -> None:
    half = np.sqrt(0.5)
    frame = MaskFrame(noise(27, 4, 5), position=(0, 0, 30))
    dataset = by_hand([frame], orientation=(half, half, 0, -half, half, 0), spacing=(0.6, 0.6), series="a")
    assert only(dataset, grid_of(scan("a"))).flags == ("own_grid",)


def test_decimals_are_rounded_within_a_twentieth_of_a_voxel() -> None:
    images = scan("a")
    voxels = noise(11, 16, 12)
    near, far = [0.02, 0.02, 35.1], [0.0, 0.0, 35.2]  # of 0.75, 0.5 and 2.5 mm
    for shift, is_own in ((near, False), (far, True)):
        frame = MaskFrame(voxels, position=(-10 + shift[0], -20 + shift[1], shift[2]))
        mask = only(by_hand([frame], series="a"), grid_of(images))
        assert ("own_grid" in mask.flags) is is_own
        if not is_own:
            np.testing.assert_array_equal(mask.values[2], voxels)


@pytest.mark.parametrize("decimals", [1, 2, 3])
def test_rounded_positions_and_cosines_are_those_of_the_fitted_stack(decimals: int) -> None:
    """An affine that was fitted to rounded positions lies beside them; a segmentation copies what is written."""
    angle = np.radians(17)
    exact = np.array([np.cos(angle), np.sin(angle), 0, 0, 0, -1])
    orientation = exact.round(decimals).tolist()
    normal = np.cross(exact[:3], exact[3:])
    origins = np.array([-10.03, 7.77, 3.19]) + np.arange(12)[:, None] * 0.62 * normal
    written = origins.round(decimals)
    voxels = noise(25, 12, 16, 12)
    frames = [MaskFrame(voxels[z], position=written[z].tolist()) for z in range(12)]
    dataset = by_hand(frames, orientation=orientation, series="a")
    unit = np.array(orientation) / np.repeat(np.linalg.norm(np.reshape(orientation, (2, 3)), axis=1), 3)
    grid = replace(
        grid_of(scan("a", np.arange(12) * 0.62)),
        origins=origins,
        across=tuple(unit[:3] * 0.75),
        down=tuple(unit[3:] * 0.5),
    )
    residual = float(np.linalg.norm(origins - written, axis=1).max())
    assert residual > 0.2 * 10.0**-decimals
    mask = only(dataset, replace(grid, residual_mm=residual))
    assert mask.flags == ()
    np.testing.assert_array_equal(mask.values, voxels)
    if decimals == 1:
        assert "own_grid" in only(dataset, grid).flags


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


def test_a_segment_without_frames_is_empty() -> None:
    images = scan("a")
    frames = [MaskFrame(noise(14, 16, 12), segment=7, position=images[1].ImagePositionPatient)]
    dataset = by_hand(frames, segments=[described(2, "liver"), described(7, "spleen")], series="a")
    masks = [mask for _, mask in placed(dataset, grid_of(images))]
    assert [mask.description.number for mask in masks] == [2, 7]
    assert masks[0].flags == ("empty_mask",) and not masks[0].values.any() and masks[0].values.shape == (5, 16, 12)


def test_a_segment_without_a_description_keeps_its_number_and_may_be_one_without_frames() -> None:
    images = scan("a")
    frames = [MaskFrame(noise(14, 16, 12), segment=7, position=images[1].ImagePositionPatient)]
    dataset = by_hand(frames, segments=[described(2, "liver")], series="a")
    ((_, mask),) = placed(dataset, grid_of(images))
    assert mask.description == Description("SEG", 7)
    np.testing.assert_array_equal(mask.values[1], frames[0].pixels)
    pixels = [frame.pixels for frame in frames]
    (liver,) = [
        found
        for found in masks_of_segmentation(read(dataset), [grid_of(images)], lambda index: pixels[index])
        if isinstance(found, Elsewhere)
    ]
    assert liver.description.number == 2 and liver.is_drawn


def test_a_part_of_a_concatenation_does_not_state_that_a_segment_is_absent() -> None:
    images = scan("a")
    frames = [MaskFrame(noise(14, 16, 12), segment=7, position=images[1].ImagePositionPatient)]
    part = by_hand(frames, segments=[described(2), described(7)], series="a", ConcatenationUID="1.2.3")
    assert [mask.description.number for _, mask in placed(part, grid_of(images))] == [7]


def test_several_frames_at_one_place_are_joined() -> None:
    images = scan("a")
    first, second = noise(15, 16, 12), noise(16, 16, 12)
    position = images[3].ImagePositionPatient
    mask = only(
        by_hand([MaskFrame(first, position=position), MaskFrame(second, position=position)], series="a"),
        grid_of(images),
    )
    np.testing.assert_array_equal(mask.values[3], first | second)
    assert mask.flags == ("duplicate_frames",)
    frames = [MaskFrame(part * 100, position=position) for part in (first, second * 2)]
    mask = only(by_hand(frames, "OCCUPANCY", series="a"), grid_of(images))
    np.testing.assert_array_equal(mask.values[3], np.maximum(first * 100, second * 200))


def test_the_own_place_of_a_frame_outweighs_its_reference() -> None:
    images = scan("a")
    voxels = noise(17, 16, 12)
    frame = MaskFrame(voxels, position=images[3].ImagePositionPatient, source=(images[1].SOPInstanceUID, None))
    mask = only(by_hand([frame], series="a"), grid_of(images))
    np.testing.assert_array_equal(mask.values[3], voxels)
    assert mask.flags == ("references_differ",) and mask.values.sum() == voxels.sum()


def test_without_positions_the_referenced_image_tells() -> None:
    images = scan("a")
    voxels = noise(18, 2, 16, 12)
    frames = [MaskFrame(voxels[n], source=(images[z].SOPInstanceUID, None)) for n, z in ((0, 4), (1, 2))]
    mask = only(by_hand(frames, orientation=None, spacing=None, series="a"), grid_of(images))
    np.testing.assert_array_equal(mask.values[[4, 2]], voxels)
    assert mask.flags == () and mask.values.sum() == voxels.sum()
    with pytest.raises(MaskProblem, match="no_position"):
        placed(by_hand([frames[0], MaskFrame(voxels[1])], orientation=None, spacing=None), grid_of(images))
    dataset = by_hand([frames[0]], orientation=None, spacing=None)
    (derivation,) = dataset.PerFrameFunctionalGroupsSequence[0].DerivationImageSequence
    derivation.SourceImageSequence.append(deepcopy(derivation.SourceImageSequence[0]))
    derivation.SourceImageSequence[1].ReferencedSOPInstanceUID = images[1].SOPInstanceUID
    with pytest.raises(MaskProblem, match="no_position"):  # two slices
        placed(dataset, grid_of(images))
    small = MaskFrame(voxels[1, 1:], source=(images[0].SOPInstanceUID, None))
    with pytest.raises(MaskProblem, match="no_position"):
        placed(by_hand([small], orientation=None, spacing=None), grid_of(images))


def test_a_reference_that_all_frames_share() -> None:
    images = scan("a", (0.0,))
    voxels = noise(31, 16, 12)
    dataset = by_hand([MaskFrame(voxels, source=(images[0].SOPInstanceUID, None))], orientation=None, series="a")
    (own,), (shared,) = dataset.PerFrameFunctionalGroupsSequence, dataset.SharedFunctionalGroupsSequence
    shared.DerivationImageSequence = own.DerivationImageSequence
    del own.DerivationImageSequence
    np.testing.assert_array_equal(only(dataset, grid_of(images)).values[0], voxels)


def test_orientation_and_spacing_of_each_frame() -> None:
    images = scan("a", orientation=OBLIQUE)
    voxels = noise(19, 2, 16, 12)
    frames = [
        MaskFrame(voxels[n], position=images[n].ImagePositionPatient, orientation=OBLIQUE, spacing=(0.5, 0.75))
        for n in (0, 1)
    ]
    mask = only(by_hand(frames, orientation=None, spacing=None, series="a"), grid_of(images))
    np.testing.assert_array_equal(mask.values[:2], voxels)


def test_two_orientations_of_one_segment_are_two_masks() -> None:
    images = scan("a")
    flat, steep = noise(20, 16, 12), noise(21, 16, 12)
    frames = [
        MaskFrame(flat, position=images[0].ImagePositionPatient),
        MaskFrame(steep, position=(0, 0, 40), orientation=OBLIQUE),
    ]
    masks = [mask for _, mask in placed(by_hand(frames, series="a"), grid_of(images))]
    assert [mask.flags for mask in masks] == [(), ("own_grid",)]
    np.testing.assert_array_equal(masks[0].values[0], flat)
    np.testing.assert_array_equal(masks[1].values[0], steep)
    assert masks[1].own_affine_lps is not None
    np.testing.assert_allclose(np.array(masks[1].own_affine_lps)[:3, 3], (0, 0, 40))


@pytest.mark.parametrize(("value", "flags"), [(100, ()), (101, ("beyond_maximum",)), (255, ("beyond_maximum",))])
def test_fractions_above_the_maximum_are_kept_and_flagged(value: int, flags: tuple[str, ...]) -> None:
    images = scan("beyond")
    pixels = np.zeros((16, 12), np.uint8)
    pixels[4, 5] = value
    frames = [MaskFrame(pixels, position=images[1].ImagePositionPatient)]
    found = only(by_hand(frames, "PROBABILITY", maximum=100, series="beyond"), grid_of(images))
    assert (found.values[1, 4, 5], found.flags, found.maximum_fraction) == (value, flags, 100)


def test_two_segments_of_one_number_leave_its_description_unknown() -> None:
    images = scan("shared")
    frames = [MaskFrame(np.ones((16, 12), np.uint8), segment=3, position=images[0].ImagePositionPatient)]
    for labels, expected in ((("liver", "spleen"), ""), (("liver", "liver"), "liver")):
        segments = [described(3, label) for label in labels]
        found = only(by_hand(frames, segments=segments, series="shared"), grid_of(images))
        assert (found.description.number, found.description.label) == (3, expected)
