"""Made-up images for masks: stacks of single-frame files, one multi-frame file, and a whole slide image of tiles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from dicoms import change, ct_slice, uid
from made_up_enhanced import group, item
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    EnhancedCTImageStorage,
    ExplicitVRLittleEndian,
    VLWholeSlideMicroscopyImageStorage,
)

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
CORONAL = (1.0, 0.0, 0.0, 0.0, 0.0, -1.0)
SAGITTAL = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)
# Two orthogonal unit vectors along no axis, exact in decimals of two digits.
OBLIQUE = (0.8, 0.36, -0.48, -0.6, 0.48, -0.64)


def normal_of(orientation: Sequence[float]) -> np.ndarray:
    """Return the unit vector along which slices of an orientation are stacked."""
    return np.cross(orientation[:3], orientation[3:])


def positions_of(
    depths: Sequence[float], orientation: Sequence[float] = AXIAL, origin: Sequence[float] = (-10.0, -20.0, 30.0)
) -> list[list[float]]:
    """Return Image Position (Patient) of slices at these depths, mm along the normal."""
    return [[round(float(x), 6) for x in np.asarray(origin) + d * normal_of(orientation)] for d in depths]


def _described(dataset: Dataset, name: str) -> Dataset:
    """Add what a segmentation copies from its image."""
    for keyword in ("PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID", "AccessionNumber"):
        setattr(dataset, keyword, "")
    dataset.PatientID, dataset.PatientName = f"patient-{name}", "Made^Up"
    dataset.ReferringPhysicianName = None
    dataset.SeriesNumber = 1
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = uid("study", name), uid("series", name)
    dataset.FrameOfReferenceUID = uid("frame of reference", name)
    return dataset


def scan(
    name: str,
    depths: Sequence[float] = (0.0, 2.5, 5.0, 7.5, 10.0),
    *,
    rows: int = 16,
    columns: int = 12,
    orientation: Sequence[float] = AXIAL,
    spacing: Sequence[float] = (0.5, 0.75),
    origin: Sequence[float] = (-10.0, -20.0, 30.0),
    series: str | None = None,
    **attributes: Any,
) -> list[Dataset]:
    """Return a stack of CT slices, one file each, in the order of `depths`.

    `series` puts stacks of several names into one series and one frame of reference. Keyword arguments override
    attributes by their DICOM keyword; None deletes one.
    """
    slices = []
    for index, position in enumerate(positions_of(depths, orientation, origin)):
        pixels = np.random.default_rng([index, *name.encode()]).integers(0, 3000, (rows, columns), dtype="<i2")
        dataset = _described(ct_slice(name, index, pixels=pixels), series or name)
        dataset.InstanceNumber = index + 1
        dataset.ImagePositionPatient, dataset.ImageOrientationPatient = position, list(orientation)
        dataset.PixelSpacing, dataset.SliceThickness = list(spacing), 2.5
        change(dataset, attributes)
        slices.append(dataset)
    return slices


def multi_frame_scan(
    name: str,
    depths: Sequence[float] = (0.0, 2.5, 5.0, 7.5, 10.0),
    *,
    rows: int = 16,
    columns: int = 12,
    orientation: Sequence[float] = AXIAL,
    spacing: Sequence[float] = (0.5, 0.75),
    origin: Sequence[float] = (-10.0, -20.0, 30.0),
    times: int = 1,
) -> Dataset:
    """Return one multi-frame CT file; with `times`, all depths once for each Temporal Position Index."""
    positions = positions_of(depths, orientation, origin)
    count = times * len(positions)
    dataset = _described(Dataset(), name)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = EnhancedCTImageStorage
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = uid("instance", name)
    dataset.Modality, dataset.InstanceNumber = "CT", 1
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    dataset.Rows, dataset.Columns, dataset.NumberOfFrames = rows, columns, count
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 16, 15, 0
    dataset.SharedFunctionalGroupsSequence = [
        group(
            PlaneOrientationSequence=item(ImageOrientationPatient=list(orientation)),
            PixelMeasuresSequence=item(PixelSpacing=list(spacing), SliceThickness=2.5),
        )
    ]
    dataset.PerFrameFunctionalGroupsSequence = [
        group(
            PlanePositionSequence=item(ImagePositionPatient=position),
            FrameContentSequence=item(
                TemporalPositionIndex=time + 1,
                InStackPositionNumber=z + 1,
                StackID="1",
                DimensionIndexValues=[time + 1],
            ),
        )
        for time in range(times)
        for z, position in enumerate(positions)
    ]
    pixels = np.random.default_rng([*name.encode()]).integers(0, 3000, (count, rows, columns), dtype="<u2")
    dataset.PixelData = pixels.tobytes()
    return dataset


def slide(
    name: str, down: int = 3, across: int = 4, *, tile: tuple[int, int] = (8, 10), organization: str = "TILED_FULL"
) -> Dataset:
    """Return a whole slide image of `down` times `across` tiles, frames along the rows of tiles."""
    dataset = _described(Dataset(), name)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = VLWholeSlideMicroscopyImageStorage
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = uid("instance", name)
    dataset.Modality, dataset.InstanceNumber = "SM", 1
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    rows, columns = tile
    dataset.Rows, dataset.Columns, dataset.NumberOfFrames = rows, columns, down * across
    dataset.TotalPixelMatrixRows, dataset.TotalPixelMatrixColumns = down * rows, across * columns
    dataset.TotalPixelMatrixFocalPlanes, dataset.NumberOfOpticalPaths = 1, 1
    dataset.DimensionOrganizationType = organization
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation, dataset.PlanarConfiguration = 3, "RGB", 0
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 8, 8, 7, 0
    dataset.ImageOrientationSlide = [0, -1, 0, -1, 0, 0]
    dataset.TotalPixelMatrixOriginSequence = [
        item(XOffsetInSlideCoordinateSystem=20, YOffsetInSlideCoordinateSystem=40)
    ]
    dataset.ImagedVolumeWidth, dataset.ImagedVolumeHeight, dataset.ImagedVolumeDepth = 1.0, 1.0, 0.001
    dataset.ContainerIdentifier = "made up"
    dataset.IssuerOfTheContainerIdentifierSequence = []
    dataset.ContainerTypeCodeSequence = []
    dataset.SpecimenDescriptionSequence = [
        item(
            SpecimenIdentifier="made up",
            SpecimenUID=uid("specimen", name),
            IssuerOfTheSpecimenIdentifierSequence=[],
            SpecimenPreparationSequence=[],
        )
    ]
    dataset.OpticalPathSequence = [item(OpticalPathIdentifier="1")]
    shared = group(PixelMeasuresSequence=item(PixelSpacing=[0.01, 0.01], SliceThickness=0.001))
    dataset.SharedFunctionalGroupsSequence = [shared]
    if organization != "TILED_FULL":
        dataset.PerFrameFunctionalGroupsSequence = [
            group(
                PlanePositionSlideSequence=item(
                    ColumnPositionInTotalImagePixelMatrix=1 + columns * x,
                    RowPositionInTotalImagePixelMatrix=1 + rows * y,
                    XOffsetInSlideCoordinateSystem=round(20 - 0.01 * rows * y, 6),
                    YOffsetInSlideCoordinateSystem=round(40 - 0.01 * columns * x, 6),
                    ZOffsetInSlideCoordinateSystem=0,
                ),
                FrameContentSequence=item(DimensionIndexValues=[x + 1, y + 1]),
            )
            for y in range(down)
            for x in range(across)
        ]
    pixels = np.random.default_rng([*name.encode()]).integers(0, 256, (down * across, rows, columns, 3), dtype="u1")
    dataset.PixelData = pixels.tobytes()
    return dataset
