"""Segments on the voxels of their images: exact, and as highdicom reads them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from grids_of_scans import grid_of, grid_of_multi_frame
from made_up_scans import AXIAL, CORONAL, OBLIQUE, SAGITTAL, multi_frame_scan, scan
from made_up_segmentations import MaskFrame, by_hand, by_highdicom, described, reordered
from placed_segments import highdicom_by_frame, highdicom_by_instance, in_order, noise, only, placed, read

from dicomzarr.masks.model import Description, Elsewhere, MaskProblem
from dicomzarr.masks.segments import masks_of_segmentation

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


@pytest.mark.parametrize("number", [-1, 1 << 16])
def test_a_label_map_with_numbers_that_no_segment_can_have_is_refused(number: int) -> None:
    """Segment Number (0062,0004) is a US; arrays are of any integer type."""
    images = scan("a")
    segmentation = read(by_highdicom(images, noise(4, 5, 16, 12), "LABELMAP"))
    pixels = np.full((16, 12), number, "i4")
    pixels[0] = 1
    with pytest.raises(MaskProblem, match="invalid_attribute"):
        list(masks_of_segmentation(segmentation, [grid_of(images)], lambda _: pixels))


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
