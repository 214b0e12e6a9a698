"""Segments whose frames refer to images: of this series, of another, lost, or copied."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from grids_of_scans import grid_of
from made_up_scans import scan
from made_up_segmentations import MaskFrame, by_hand, described, stored_frames
from placed_segments import noise, only, placed, read
from pydicom import Dataset

from dicomzarr.masks.model import Elsewhere, MaskProblem
from dicomzarr.masks.segments import masks_of_segmentation


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
