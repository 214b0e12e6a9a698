"""The masks of the demo: valid for other software, on the voxels that they name, with labels that name people."""

from __future__ import annotations

import math
from pathlib import Path

import highdicom
import numpy as np
import pydicom
import pytest
import yaml

from dicomzarr.commands.demo import files as demo_files
from dicomzarr.commands.demo import masks as demo_masks
from dicomzarr.commands.demo.command import CONFIG
from dicomzarr.masks.model import Code, Description
from dicomzarr.masks.names import Vocabulary, check_masks

STACKS = {stack.name: stack for stack in demo_files.stacks()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("masks")
    demo_masks.write_masks(demo_files.stacks(), target)
    return target


@pytest.fixture(scope="module")
def segmentation(folder: Path) -> highdicom.seg.Segmentation:
    return highdicom.seg.segread(next(folder.rglob("chest*")))


@pytest.fixture(scope="module")
def structures(folder: Path) -> pydicom.Dataset:
    return pydicom.dcmread(next(folder.rglob("RS*")))


def test_highdicom_reads_the_segments_on_the_grid_of_the_image(segmentation: highdicom.seg.Segmentation) -> None:
    stack = STACKS["ct"]
    instances = [stack.uid("0", str(z)) for z in range(40)]
    read = segmentation.get_pixels_by_source_instance(instances, assert_missing_frames_are_empty=True)
    expected = np.stack([segment.voxels for segment in demo_masks.segments((40, 128, 128))], axis=-1)
    assert np.array_equal(read, expected)
    assert 0 < segmentation.NumberOfFrames < 80  # empty slices are left out
    volume = segmentation.get_volume(combine_segments=False)
    assert np.allclose(volume.spacing, stack.spacing)
    assert np.allclose(volume.position, stack.position(38))  # from the last slice that has a frame to the first


def test_lungs_hold_air_and_the_heart_holds_muscle() -> None:
    hounsfield = STACKS["ct"].voxels[0].astype(int) - 1024
    lung, heart = (segment.voxels for segment in demo_masks.segments((40, 128, 128)))
    assert hounsfield[lung].max() < -500 and 30 < np.median(hounsfield[heart]) < 200
    assert not (lung & heart).any()


def test_contours_lie_in_the_slices_that_they_name(structures: pydicom.Dataset) -> None:
    stack = STACKS["mr"]
    normal = np.cross(stack.orientation[:3], stack.orientation[3:])
    places = {stack.uid("0", str(z)): np.array(stack.position(z)) for z in range(24)}
    contours = [contour for roi in structures.ROIContourSequence for contour in roi.ContourSequence]
    assert len(contours) > 60
    for contour in contours:
        points = np.array(contour.ContourData, float).reshape(-1, 3)
        assert len(points) == contour.NumberOfContourPoints == 48
        origin = places[contour.ContourImageSequence[0].ReferencedSOPInstanceUID]
        assert np.abs((points - origin) @ normal).max() < 0.02


def test_contours_enclose_the_volume_of_the_ellipsoid(structures: pydicom.Dataset) -> None:
    """The lesion: 4/3 pi r^3 of radii 0.3, 0.11, 0.11 of half the extent between the centres of the outer voxels."""
    stack = STACKS["mr"]
    volume = 0.0
    for contour in structures.ROIContourSequence[0].ContourSequence:
        points = np.array(contour.ContourData, float).reshape(-1, 3) - stack.origin
        x, y = points @ stack.orientation[:3], points @ stack.orientation[3:]
        volume += 0.5 * abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1))) * stack.spacing[0]
    halves = np.array([23, 95, 95]) / 2 * stack.spacing
    assert volume == pytest.approx(4 / 3 * math.pi * np.prod(halves * [0.3, 0.11, 0.11]), rel=0.03)


def test_every_label_names_a_person_or_is_a_plain_word_and_gets_the_name_of_the_vocabulary(
    segmentation: highdicom.seg.Segmentation, structures: pydicom.Dataset
) -> None:
    masks = yaml.safe_load(CONFIG)["masks"]
    check_masks(masks)
    vocabulary = Vocabulary(masks["names"])
    named = {}
    for segment in segmentation.SegmentSequence:
        kind = segment.SegmentedPropertyTypeCodeSequence[0]
        codes = (Code(kind.CodingSchemeDesignator, kind.CodeValue),)
        description = segment.get("SegmentDescription", "")
        named[segment.SegmentLabel] = vocabulary.name_of(
            Description("SEG", 1, segment.SegmentLabel, description, "", codes)
        )
    for roi, observation in zip(structures.StructureSetROISequence, structures.RTROIObservationsSequence, strict=True):
        codes = tuple(
            Code(code.CodingSchemeDesignator, code.CodeValue)
            for code in observation.get("RTROIIdentificationCodeSequence", ())
        )
        label = observation.get("ROIObservationLabel", "")
        named[roi.ROIName] = vocabulary.name_of(Description("RTSTRUCT", 1, roi.ROIName, label, "", codes))
    assert named == {
        "Lungs of Phantom Fantasia": "lung",
        "Herz, O. Invented": "heart",
        "GTV Phantom Oblique": "tumour",
        "Skull": "skull",
        "for Ottilie": "",
    }
