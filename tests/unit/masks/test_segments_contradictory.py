"""Frames of which a part of the geometry is missing, or contradicts what they refer to: on their voxels, or refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from grids_of_scans import grid_of
from hypothesis import given
from hypothesis import strategies as st
from made_up_scans import AXIAL, OBLIQUE, SAGITTAL, scan
from made_up_segmentations import MaskFrame, by_hand
from numpy.typing import NDArray
from placed_segments import noise, placed
from pydicom.dataset import Dataset

from dicomzarr.masks.model import MaskProblem

SPACING = (0.5, 0.75)
GEOMETRY = ("position", "orientation", "spacing")


def stored(
    images: list[Dataset], voxels: NDArray[np.uint8], signs: tuple[int, int], references: list[int], **more: Any
) -> Dataset:
    """Return a segmentation whose rows and columns run up or down; frames refer to other slices of the image."""
    cosines = np.array(images[0].ImageOrientationPatient, float)
    across, down = cosines[:3], cosines[3:]
    rows, columns = voxels.shape[1:]
    corner = (signs[0] < 0) * (rows - 1) * SPACING[0] * down + (signs[1] < 0) * (columns - 1) * SPACING[1] * across
    frames = [
        MaskFrame(
            voxels[z][:: signs[0], :: signs[1]],
            1,
            (np.array(image.ImagePositionPatient, float) + corner).tolist(),
            (images[references[z]].SOPInstanceUID, None),
            orientation=[*(signs[1] * across), *(signs[0] * down)],
            spacing=SPACING,
        )
        for z, image in enumerate(images)
    ]
    return by_hand(frames, orientation=None, spacing=None, series="a", **more)


@given(
    st.sets(st.sampled_from(GEOMETRY)),
    st.sampled_from([(1, 1), (1, -1), (-1, 1), (-1, -1)]),
    st.sampled_from([AXIAL, SAGITTAL, OBLIQUE]),
    st.booleans(),
    st.integers(0, 4),
    st.integers(0, 1 << 20),
)
def test_a_frame_is_on_its_voxels_or_on_none(
    missing: set[str], signs: tuple[int, int], orientation: Any, is_same_space: bool, shift: int, seed: int
) -> None:
    """Where a header states a part of its geometry alone, or in another space, references do not outweigh that part."""
    if "position" in missing and (shift or ("orientation" in missing and signs != (1, 1))):
        return  # nothing contradicts the references
    images = scan("a", orientation=orientation)
    voxels = noise(seed, 5, 16, 12)
    voxels[:, 0, 0] = 1
    references = [(z + shift) % 5 for z in range(5)]
    dataset = stored(images, voxels, signs, references)
    for keyword, name in (
        ("PlanePositionSequence", "position"),
        ("PlaneOrientationSequence", "orientation"),
        ("PixelMeasuresSequence", "spacing"),
    ):
        for frame in dataset.PerFrameFunctionalGroupsSequence:
            if name in missing:
                delattr(frame, keyword)
    if not is_same_space:
        dataset.FrameOfReferenceUID = "1.2.3"
    is_readable = False
    try:
        masks = placed(dataset, grid_of(images))
    except MaskProblem as problem:
        assert problem.code == "no_position"
    else:
        for _, mask in masks:
            if "own_grid" not in mask.flags:
                np.testing.assert_array_equal(mask.values, voxels)
                is_readable = True
    if signs == (1, 1) and not shift:
        assert is_readable


def test_a_space_that_cannot_be_compared_leaves_the_references() -> None:
    images = scan("a")
    voxels = noise(1, 5, 16, 12)
    dataset = stored(images, voxels, (1, 1), [0, 1, 2, 3, 4], FrameOfReferenceUID="1.2.3")
    for z, frame in enumerate(dataset.PerFrameFunctionalGroupsSequence):
        frame.PlanePositionSequence[0].ImagePositionPatient = [500, 600, z]
    ((_, mask),) = placed(dataset, grid_of(images))
    np.testing.assert_array_equal(mask.values, voxels)
    turned = stored(images, voxels, (-1, 1), [0, 1, 2, 3, 4], FrameOfReferenceUID="1.2.3")
    for z, frame in enumerate(turned.PerFrameFunctionalGroupsSequence):
        frame.PlanePositionSequence[0].ImagePositionPatient = [500, 600, z]
    ((_, mask),) = placed(turned, grid_of(images))
    assert mask.flags == ("own_grid",)


def test_positions_on_other_slices_in_another_space_are_not_placed_by_reference() -> None:
    images = scan("a")
    voxels = noise(2, 5, 16, 12)
    dataset = stored(images, voxels, (1, 1), [1, 2, 3, 4, 0], FrameOfReferenceUID="1.2.3")
    ((_, mask),) = placed(dataset, grid_of(images))
    assert mask.flags == ("own_grid", "references_differ")
    np.testing.assert_array_equal(mask.values, voxels)
    assert mask.own_affine_lps is not None
    assert [row[3] for row in mask.own_affine_lps[:3]] == [float(x) for x in images[0].ImagePositionPatient]


@pytest.mark.parametrize("signs", [(1, 1), (1, -1), (-1, 1), (-1, -1)])
@pytest.mark.parametrize("beyond", [False, True])
def test_rows_and_columns_that_are_exchanged_are_refused(signs: tuple[int, int], beyond: bool) -> None:
    """Numpy's and ITK's order of sizes differ: a program that mixes them up cuts the same pixels into other lines."""
    images = scan("a")
    voxels = noise(3, 5, 16, 12)
    dataset = stored(images, voxels, signs, [0, 1, 2, 3, 4])
    dataset.Rows, dataset.Columns = 12, 16
    with pytest.raises(MaskProblem, match="invalid_attribute"):
        placed(dataset, grid_of(images[beyond:]))


def test_a_square_image_or_another_size_is_not_exchanged() -> None:
    square = scan("a", rows=12)
    voxels = noise(4, 5, 12, 12)
    ((_, mask),) = placed(stored(square, voxels, (1, 1), [0, 1, 2, 3, 4]), grid_of(square))
    np.testing.assert_array_equal(mask.values, voxels)
    images = scan("a")
    inside = [MaskFrame(noise(5, 12, 16), 1, (-10.75, -20.0, 30.0))]  # one column further to the left
    ((_, mask),) = placed(by_hand(inside, series="a", spacing=SPACING), grid_of(images))
    assert mask.flags == ("outside_image",)
    np.testing.assert_array_equal(mask.values[0, :12], inside[0].pixels[:, 1:13])
