"""Published segmentations: voxels as highdicom reads them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import CORPUS
from grids_of_scans import grid_of, grid_of_slide
from made_up_scans import scan, slide
from placed_segments import highdicom_by_frame, highdicom_by_instance, in_order, only, placed
from pydicom import dcmread

IMAGES = {
    "24x38x3/seg/label.seg": "24x38x3/image",
    "idc/seg_image_ct_binary_overlap.dcm": "media/77654033/CT2",
    "idc/seg_image_ct_binary_fractional.dcm": "media/77654033/CT2",
}


@pytest.mark.skipif(not (CORPUS / "expected.json").exists(), reason="the open corpus is not there")
@pytest.mark.parametrize("name", IMAGES)
def test_published_segmentations_are_what_highdicom_reads(name: str) -> None:
    folder = CORPUS / "dicom"
    dataset = dcmread(folder / name)
    paths: list[Path] = sorted(path for path in (folder / IMAGES[name]).iterdir() if path.is_file())
    images = in_order([dcmread(path) for path in paths])
    expected = highdicom_by_instance(dataset, [image.SOPInstanceUID for image in images])
    masks = placed(dataset, grid_of(images))
    assert len(masks) == len(dataset.SegmentSequence) == expected.shape[-1]
    for number, (_, mask) in enumerate(masks):
        assert mask.flags == () and mask.values.any()
        np.testing.assert_array_equal(mask.values, expected[..., number])


@pytest.mark.skipif(not (CORPUS / "expected.json").exists(), reason="the open corpus is not there")
def test_a_published_segmentation_whose_image_is_not_there() -> None:
    """Its image is made up: the three slices that the segmentation names, at its positions."""
    dataset = dcmread(CORPUS / "dicom" / "misc" / "liver.dcm")
    shared = dataset.SharedFunctionalGroupsSequence[0]
    images = scan(
        "a",
        (0.0, 1.0, 2.0),
        rows=512,
        columns=512,
        spacing=shared.PixelMeasuresSequence[0].PixelSpacing,
        FrameOfReferenceUID=dataset.FrameOfReferenceUID,
    )
    for image, frame in zip(images, dataset.PerFrameFunctionalGroupsSequence, strict=True):
        image.ImagePositionPatient = frame.PlanePositionSequence[0].ImagePositionPatient
        source = frame.DerivationImageSequence[0].SourceImageSequence[0]
        image.SOPInstanceUID = source.ReferencedSOPInstanceUID
    expected = highdicom_by_instance(dataset, [image.SOPInstanceUID for image in images])
    mask = only(dataset, grid_of(images))
    assert mask.flags == () and mask.values.sum() == dataset.pixel_array.sum() > 0
    np.testing.assert_array_equal(mask.values, expected[..., 0])


@pytest.mark.skipif(not (CORPUS / "expected.json").exists(), reason="the open corpus is not there")
def test_a_published_segmentation_of_a_slide_that_is_not_there_itself() -> None:
    """Its 25 tiles are those that the segmentation names: 5 columns of 5, one after the other."""
    dataset = dcmread(CORPUS / "dicom" / "idc" / "seg_image_sm_numbers.dcm")
    (derivation,) = dataset.PerFrameFunctionalGroupsSequence[0].DerivationImageSequence
    image = slide("a", 5, 5, tile=(10, 10))
    image.SOPInstanceUID = derivation.SourceImageSequence[0].ReferencedSOPInstanceUID
    image.FrameOfReferenceUID = dataset.FrameOfReferenceUID
    offsets = tuple((t % 5 * 10, t // 5 * 10) for t in range(25))
    grid = replace(grid_of_slide(image), tile_offsets=offsets, spacing_mm={"y": 0.000499, "x": 0.000499})
    expected = highdicom_by_frame(dataset, image.SOPInstanceUID, 25)
    masks = placed(dataset, grid)
    assert len(masks) == 20
    for frame in dataset.PerFrameFunctionalGroupsSequence:
        frame.DerivationImageSequence = []
    for (_, mask), (_, by_place) in zip(masks, placed(dataset, grid), strict=True):
        np.testing.assert_array_equal(mask.values, by_place.values)
    for number, (_, mask) in enumerate(masks):
        np.testing.assert_array_equal(mask.values, expected[..., number])
        assert mask.axes == "tyx" and mask.values.any() == ("empty_mask" not in mask.flags)
    assert sum(int(mask.values.sum()) for _, mask in masks) == int(dataset.pixel_array.sum())
