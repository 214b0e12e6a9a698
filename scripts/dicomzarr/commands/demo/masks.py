"""Masks on the generated volumes of the demo: a segmentation of the chest and a structure set of the oblique head.

Their labels name people, who are made up: none of these words may get into the dataset.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dicomzarr.dicom.sop_classes import DETACHED_STUDY_MANAGEMENT

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from dicomzarr.commands.demo.files import Stack

READER = "Invented^Ottilie^^Dr."
# The key `masks` of the demo's configuration: `lung` and `skull` have their name from a code.
CONFIG = """\
masks:
  names:
    heart: ["(?i)^(heart|herz)"]
    tumour: ["(?i)^gtv|tumou?r"]
  expected: [tumour]
"""
Code = tuple[str, str, str]  # value, scheme, meaning
ANATOMY: Code = ("123037004", "SCT", "Anatomical Structure")


@dataclass(frozen=True, slots=True)
class Segment:
    """A segment of the segmentation.

    Attributes
    ----------
    label, description : str
        Segment Label (0062,0005) and Segment Description (0062,0006).
    code : tuple of str
        Segmented Property Type (0062,000F).
    algorithm : str
        Segment Algorithm Type (0062,0008).
    voxels : ndarray of bool, shape (z, y, x)
        On the grid of the image.
    """

    label: str
    description: str
    code: Code
    algorithm: str
    voxels: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Region:
    """A region of interest of the structure set.

    Attributes
    ----------
    name, observation : str
        ROI Name (3006,0026) and ROI Observation Label (3006,0085).
    interpreted_type : str
        RT ROI Interpreted Type (3006,00A4).
    code : tuple of str, optional
        RT ROI Identification (3006,0086).
    ellipsoids : sequence of (centre, radii)
        Each (z, y, x), in the coordinates of `files.axes`: -1 to 1 from the first to the last voxel centre. One
        that lies inside another is a hole.
    """

    name: str
    observation: str
    interpreted_type: str
    code: Code | None
    ellipsoids: Sequence[tuple[tuple[float, float, float], tuple[float, float, float]]]


def segments(shape: tuple[int, int, int]) -> tuple[Segment, ...]:
    """Return the segments of the chest, in its own ellipsoids: both lungs, and the heart.

    Parameters
    ----------
    shape : tuple of int
        Slices, rows and columns of the image.
    """
    from dicomzarr.commands.demo.files import axes, ellipsoid

    grid = axes(*shape)
    heart = ellipsoid(grid, (-0.25, -0.1, 0.12), (0.7, 0.26, 0.27)) < 1
    lungs = [ellipsoid(grid, (0.1, -0.04, side), (1.2, 0.36, 0.27)) < 1 for side in (-0.38, 0.38)]
    lung = (lungs[0] | lungs[1]) & ~heart
    lung[[0, -1]] = heart[[0, -1]] = False  # segmentations leave out empty slices
    return (
        Segment(
            "Lungs of Phantom Fantasia",
            "Drawn by Dr. Ottilie Invented",
            ("39607008", "SCT", "Lung"),
            "AUTOMATIC",
            lung,
        ),
        Segment("Herz, O. Invented", "", ("80891009", "SCT", "Heart"), "SEMIAUTOMATIC", heart),
    )


REGIONS = (
    Region("GTV Phantom Oblique", "seen by O.Inv.", "GTV", None, [((0.2, 0.3, 0.3), (0.3, 0.11, 0.11))]),
    Region(
        "Skull",
        "",
        "ORGAN",
        ("89546000", "SCT", "Skull"),
        [((0, 0, 0), (1.166, 0.802, 0.653)), ((0, 0, 0), (1.09, 0.75, 0.61))],
    ),
    Region(
        "for Ottilie",
        "",
        "",
        None,
        [((0, -0.05, -0.14), (0.5, 0.3, 0.09)), ((0, -0.05, 0.14), (0.5, 0.3, 0.09))],
    ),
)


def write_masks(stacks: Sequence[Stack], target: Path) -> None:
    """Write the segmentation of the volume `ct` and the structure set of the volume `mr` below `target`."""
    by_name = {stack.name: stack for stack in stacks}
    for folder, name, dataset in (
        ("Research/segmentations", "chest (O. Invented).dcm", segmentation(by_name["ct"])),
        ("Radiotherapy/Plan 2 FINAL final", "RS.head.dcm", structure_set(by_name["mr"])),
    ):
        (target / folder).mkdir(parents=True, exist_ok=True)
        dataset.save_as(target / folder / name, enforce_file_format=True)


def segmentation(stack: Stack) -> Any:
    """Return a binary segmentation of a volume: a frame for each slice of each segment that is not empty."""
    import numpy as np
    from pydicom.uid import SegmentationStorage

    dataset = _header(stack, SegmentationStorage, "SEG")
    found = segments((stack.voxels.shape[1], stack.voxels.shape[2], stack.voxels.shape[3]))
    places = [
        (number, z) for number, each in enumerate(found, 1) for z in range(len(each.voxels)) if each.voxels[z].any()
    ]
    dataset.ImageType = ["DERIVED", "PRIMARY"]
    dataset.InstanceNumber = 1
    dataset.ContentLabel, dataset.ContentDescription = "CHEST", ""
    dataset.ContentCreatorName = READER
    dataset.SegmentationType, dataset.LossyImageCompression = "BINARY", "00"
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Rows, dataset.Columns = stack.voxels.shape[2:]
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 1, 1, 0, 0
    dataset.NumberOfFrames = len(places)
    organization = _uid(stack, "dimensions")
    dataset.DimensionOrganizationSequence = [_item(DimensionOrganizationUID=organization)]
    dataset.DimensionIndexSequence = [
        _item(DimensionIndexPointer=pointer, FunctionalGroupPointer=group, DimensionOrganizationUID=organization)
        for pointer, group in ((0x0062000B, 0x0062000A), (0x00200032, 0x00209113))
    ]
    dataset.SegmentSequence = [_segment(number, each) for number, each in enumerate(found, 1)]
    dataset.ReferencedSeriesSequence = [
        _item(
            SeriesInstanceUID=stack.uid("series"),
            ReferencedInstanceSequence=[_reference(stack, z) for z in range(stack.voxels.shape[1])],
        )
    ]
    measures = _item(
        PixelSpacing=list(stack.spacing[1:]), SliceThickness=stack.spacing[0], SpacingBetweenSlices=stack.spacing[0]
    )
    dataset.SharedFunctionalGroupsSequence = [
        _item(
            PixelMeasuresSequence=[measures],
            PlaneOrientationSequence=[_item(ImageOrientationPatient=list(stack.orientation))],
        )
    ]
    dataset.PerFrameFunctionalGroupsSequence = [_frame(stack, number, z) for number, z in places]
    bits = np.concatenate([found[number - 1].voxels[z].ravel() for number, z in places])
    packed = np.packbits(bits, bitorder="little").tobytes()
    dataset.PixelData = packed + bytes(len(packed) % 2)
    return dataset


def _segment(number: int, segment: Segment) -> Any:
    item = _item(
        SegmentNumber=number,
        SegmentLabel=segment.label,
        SegmentAlgorithmType=segment.algorithm,
        SegmentAlgorithmName="ellipsoids",
        SegmentedPropertyCategoryCodeSequence=[_code(ANATOMY)],
        SegmentedPropertyTypeCodeSequence=[_code(segment.code)],
    )
    if segment.description:
        item.SegmentDescription = segment.description
    return item


def _frame(stack: Stack, number: int, z: int) -> Any:
    source = _reference(stack, z)
    source.SpatialLocationsPreserved = "YES"
    source.PurposeOfReferenceCodeSequence = [_code(("121322", "DCM", "Source image for image processing operation"))]
    derivation = _item(DerivationCodeSequence=[_code(("113076", "DCM", "Segmentation"))], SourceImageSequence=[source])
    return _item(
        FrameContentSequence=[_item(DimensionIndexValues=[number, z + 1])],
        PlanePositionSequence=[_item(ImagePositionPatient=list(stack.position(z)))],
        SegmentIdentificationSequence=[_item(ReferencedSegmentNumber=number)],
        DerivationImageSequence=[derivation],
    )


def structure_set(stack: Stack) -> Any:
    """Return a structure set of a volume, whose contours lie in its slices."""
    from pydicom.uid import RTStructureSetStorage

    dataset = _header(stack, RTStructureSetStorage, "RTSTRUCT")
    dataset.StructureSetLabel = "HEAD"
    dataset.StructureSetDate, dataset.StructureSetTime = "20200301", "120000"
    dataset.ReviewerName = READER
    images = [_reference(stack, z) for z in range(stack.voxels.shape[1])]
    series = _item(SeriesInstanceUID=stack.uid("series"), ContourImageSequence=images)
    study = _item(
        ReferencedSOPClassUID=DETACHED_STUDY_MANAGEMENT,
        ReferencedSOPInstanceUID=stack.uid("study"),
        RTReferencedSeriesSequence=[series],
    )
    frame_of_reference = stack.uid("frame")
    dataset.ReferencedFrameOfReferenceSequence = [
        _item(FrameOfReferenceUID=frame_of_reference, RTReferencedStudySequence=[study])
    ]
    dataset.StructureSetROISequence, dataset.ROIContourSequence, dataset.RTROIObservationsSequence = [], [], []
    for number, region in enumerate(REGIONS, 1):
        dataset.StructureSetROISequence.append(
            _item(
                ROINumber=number,
                ReferencedFrameOfReferenceUID=frame_of_reference,
                ROIName=region.name,
                ROIGenerationAlgorithm="MANUAL",
            )
        )
        contours = [
            _item(
                ContourImageSequence=[_reference(stack, z)],
                ContourGeometricType="CLOSED_PLANAR",
                NumberOfContourPoints=len(points) // 3,
                ContourData=points,
            )
            for z, points in contours_of(stack, region)
        ]
        dataset.ROIContourSequence.append(_item(ReferencedROINumber=number, ContourSequence=contours))
        observation = _item(
            ObservationNumber=number,
            ReferencedROINumber=number,
            RTROIInterpretedType=region.interpreted_type,
            ROIInterpreter=READER,
        )
        if region.observation:
            observation.ROIObservationLabel = region.observation
        if region.code:
            observation.RTROIIdentificationCodeSequence = [_code(region.code)]
        dataset.RTROIObservationsSequence.append(observation)
    return dataset


def contours_of(stack: Stack, region: Region) -> Iterator[tuple[int, list[str]]]:
    """Yield the index of a slice and the points of a contour in it (x, y, z of each, mm, LPS), as decimal strings."""
    _, depth, rows, columns = stack.voxels.shape
    across, down = stack.orientation[:3], stack.orientation[3:]
    for z in range(depth):
        height = 2 * z / (depth - 1) - 1
        for (cz, cy, cx), (rz, ry, rx) in region.ellipsoids:
            share = 1 - ((height - cz) / rz) ** 2
            if share <= 0.02:
                continue
            points = []
            for step in range(48):
                angle = 2 * math.pi * step / 48
                x = (cx + rx * math.sqrt(share) * math.cos(angle) + 1) / 2 * (columns - 1) * stack.spacing[2]
                y = (cy + ry * math.sqrt(share) * math.sin(angle) + 1) / 2 * (rows - 1) * stack.spacing[1]
                place = zip(stack.position(z), across, down, strict=True)
                points += [f"{o + x * a + y * d:.2f}" for o, a, d in place]
            yield z, points


def _header(stack: Stack, sop_class: str, modality: str) -> Any:
    """Return a data set with the modules that all of DICOM has, of the patient and study of a volume."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian

    dataset = Dataset()
    for keyword in ("PatientName", "PatientID", "PatientSex", "PatientAge"):
        setattr(dataset, keyword, stack.header[keyword])
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.SOPClassUID, dataset.SOPInstanceUID = sop_class, _uid(stack, modality)
    dataset.Modality = modality
    dataset.PatientBirthDate = dataset.ReferringPhysicianName = dataset.AccessionNumber = dataset.StudyID = ""
    dataset.StudyDate, dataset.StudyTime = "20200229", "120000"
    dataset.SeriesDate = dataset.ContentDate = "20200301"
    dataset.SeriesTime = dataset.ContentTime = "120000"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = stack.uid("study"), _uid(stack, f"{modality} series")
    dataset.FrameOfReferenceUID = stack.uid("frame")
    dataset.SeriesNumber, dataset.InstanceNumber = 5, 1
    dataset.SeriesDescription = "Masks, O. Invented"
    dataset.OperatorsName = READER
    dataset.Manufacturer, dataset.ManufacturerModelName = "dicomzarr demo", "made up"
    dataset.DeviceSerialNumber, dataset.SoftwareVersions = "0", "1"
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return dataset


def _uid(stack: Stack, role: str) -> str:
    from pydicom.uid import generate_uid

    return generate_uid(entropy_srcs=["dicomzarr demo masks", stack.name, role])


def _reference(stack: Stack, z: int) -> Any:
    return _item(ReferencedSOPClassUID=stack.sop_class, ReferencedSOPInstanceUID=stack.uid("0", str(z)))


def _code(code: Code) -> Any:
    return _item(CodeValue=code[0], CodingSchemeDesignator=code[1], CodeMeaning=code[2])


def _item(**values: Any) -> Any:
    from pydicom.dataset import Dataset

    dataset = Dataset()
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    return dataset
