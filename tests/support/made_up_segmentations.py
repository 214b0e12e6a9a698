"""Made-up DICOM segmentations: by highdicom, and by hand where highdicom refuses to write what occurs in the field."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np
from dicoms import change, uid
from made_up_enhanced import group, item
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SegmentationStorage

LABEL_MAP = "1.2.840.10008.5.1.4.1.1.66.7"  # Label Map Segmentation Storage
LIVER, TUMOUR, KIDNEY = ("SCT", "10200004"), ("SCT", "108369006"), ("SCT", "64033007")
TISSUE = ("SCT", "85756007")
_TYPES = (LIVER, TUMOUR, KIDNEY)
Masks = NDArray[np.uint8]


def by_highdicom(
    images: Sequence[Dataset],
    masks: NDArray[Any],
    form: str = "BINARY",
    *,
    labels: Sequence[str] = ("liver", "tumour", "kidney"),
    algorithm: str = "MANUAL",
    name: str = "segmentation",
    **options: Any,
) -> Dataset:
    """Return a segmentation that highdicom makes.

    Parameters
    ----------
    images
        What it refers to: single-frame files, or one multi-frame file.
    masks
        (frames, rows, columns), or (frames, rows, columns, segments) where segments may overlap; uint8 of segment
        numbers, bool, or float from 0 to 1 for the forms PROBABILITY and OCCUPANCY.
    form
        BINARY, LABELMAP, PROBABILITY or OCCUPANCY.
    options
        Of `highdicom.seg.Segmentation`, such as `plane_positions` and `omit_empty_frames`.
    """
    import highdicom
    from pydicom.sr.coding import Code

    count = masks.shape[3] if masks.ndim == 4 else 1 if masks.dtype.kind in "fb" else max(int(masks.max()), 1)
    algorithm_of: dict[str, Any] = {"algorithm_type": algorithm}
    if algorithm != "MANUAL":
        family = Code("123110", "DCM", "Artificial Intelligence")
        algorithm_of["algorithm_identification"] = highdicom.AlgorithmIdentificationSequence("made up", family, "1")
    described = [
        highdicom.seg.SegmentDescription(
            segment_number=number + 1,
            segment_label=labels[number] if number < len(labels) else f"part {number + 1}",
            segmented_property_category=Code(TISSUE[1], TISSUE[0], "Tissue"),
            segmented_property_type=Code(_TYPES[number % 3][1], _TYPES[number % 3][0], "made up"),
            **algorithm_of,
        )
        for number in range(count)
    ]
    fractional = form in ("PROBABILITY", "OCCUPANCY")
    if fractional:
        options["fractional_type"] = form
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset: Dataset = highdicom.seg.Segmentation(
            images,
            masks,
            "FRACTIONAL" if fractional else form,
            described,
            series_instance_uid=uid("series of masks", name),
            series_number=9,
            sop_instance_uid=uid("instance of masks", name),
            instance_number=1,
            manufacturer="a",
            manufacturer_model_name="b",
            software_versions="c",
            device_serial_number="d",
            **options,
        )
    return dataset


@dataclass
class MaskFrame:
    """One frame of a segmentation made by hand; None leaves an attribute out of the file.

    `source` is SOP Instance UID and frame number from 1 (None: a single-frame file). `tile` is row and column position
    in the total pixel matrix, from 1.
    """

    pixels: NDArray[np.uint8]
    segment: int | None = 1
    position: Sequence[float] | None = None
    source: tuple[str, int | None] | None = None
    orientation: Sequence[float] | None = None
    spacing: Sequence[float] | None = None
    tile: tuple[int, int] | None = None


def _reference(source: tuple[str, int | None]) -> Dataset:
    referenced = item(ReferencedSOPClassUID="1.2.840.10008.5.1.4.1.1.2", ReferencedSOPInstanceUID=source[0])
    if source[1] is not None:
        referenced.ReferencedFrameNumber = source[1]
    return item(SourceImageSequence=[referenced])


def _groups(frame: MaskFrame) -> Dataset:
    parts: dict[str, Dataset] = {}
    if frame.segment is not None:
        parts["SegmentIdentificationSequence"] = item(ReferencedSegmentNumber=frame.segment)
    if frame.position is not None:
        parts["PlanePositionSequence"] = item(ImagePositionPatient=list(frame.position))
    if frame.orientation is not None:
        parts["PlaneOrientationSequence"] = item(ImageOrientationPatient=list(frame.orientation))
    if frame.spacing is not None:
        parts["PixelMeasuresSequence"] = item(PixelSpacing=list(frame.spacing), SliceThickness=99)
    if frame.source is not None:
        parts["DerivationImageSequence"] = _reference(frame.source)
    if frame.tile is not None:
        parts["PlanePositionSlideSequence"] = item(
            RowPositionInTotalImagePixelMatrix=frame.tile[0], ColumnPositionInTotalImagePixelMatrix=frame.tile[1]
        )
    return group(**parts)


def described(number: int, label: str = "liver", kind: tuple[str, str] | None = LIVER, **more: Any) -> Dataset:
    """Return an item of Segment Sequence."""
    segment = item(SegmentNumber=number, SegmentLabel=label, SegmentAlgorithmType="MANUAL", **more)
    if kind is not None:
        for keyword, code in (
            ("SegmentedPropertyCategoryCodeSequence", TISSUE),
            ("SegmentedPropertyTypeCodeSequence", kind),
        ):
            coded = item(CodingSchemeDesignator=code[0], CodeValue=code[1], CodeMeaning="made up")
            setattr(segment, keyword, [coded])
    return segment


def by_hand(
    frames: Sequence[MaskFrame],
    form: str = "BINARY",
    *,
    segments: Sequence[Dataset] | None = None,
    orientation: Sequence[float] | None = (1, 0, 0, 0, 1, 0),
    spacing: Sequence[float] | None = (0.5, 0.75),
    maximum: int = 255,
    name: str = "segmentation",
    series: str = "scan",
    **attributes: Any,
) -> Dataset:
    """Return a segmentation of these frames in this order, with `orientation` and `spacing` in the shared groups.

    `series` is the name of the made-up scan that it belongs to. Keyword arguments override attributes by their DICOM
    keyword; None deletes one.
    """
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = LABEL_MAP if form == "LABELMAP" else SegmentationStorage
    dataset.SOPInstanceUID = uid("instance of masks", name)
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.PatientID, dataset.PatientName, dataset.Modality = f"patient-{series}", "Made^Up", "SEG"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = uid("study", series), uid("series of masks", name)
    dataset.FrameOfReferenceUID = uid("frame of reference", series)
    dataset.ReferencedSeriesSequence = [item(SeriesInstanceUID=uid("series", series))]
    dataset.ImageType = ["DERIVED", "PRIMARY"]
    dataset.InstanceNumber = 1
    dataset.Rows, dataset.Columns = frames[0].pixels.shape
    dataset.NumberOfFrames = len(frames)
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation, dataset.PixelRepresentation = 1, "MONOCHROME2", 0
    bits = 1 if form == "BINARY" else 8
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = bits, bits, bits - 1
    dataset.SegmentationType = "FRACTIONAL" if form in ("PROBABILITY", "OCCUPANCY") else form
    if dataset.SegmentationType == "FRACTIONAL":
        dataset.SegmentationFractionalType, dataset.MaximumFractionalValue = form, maximum
    if segments is None:
        numbers = sorted({frame.segment for frame in frames if frame.segment is not None}) or [1]
        segments = [described(number, f"part {number}", _TYPES[number % 3]) for number in numbers]
    dataset.SegmentSequence = list(segments)
    shared: dict[str, Dataset] = {}
    if orientation is not None:
        shared["PlaneOrientationSequence"] = item(ImageOrientationPatient=list(orientation))
    if spacing is not None:
        shared["PixelMeasuresSequence"] = item(PixelSpacing=list(spacing), SliceThickness=99)
    dataset.SharedFunctionalGroupsSequence = [group(**shared)]
    dataset.PerFrameFunctionalGroupsSequence = [_groups(frame) for frame in frames]
    set_pixels(dataset, np.stack([frame.pixels for frame in frames]))
    change(dataset, attributes)
    return dataset


def stored_frames(dataset: Dataset) -> NDArray[Any]:
    """Return the stored values of each frame of a native segmentation, (frames, rows, columns)."""
    shape = (int(dataset.NumberOfFrames), dataset.Rows, dataset.Columns)
    if dataset.BitsAllocated == 1:
        bits = np.unpackbits(np.frombuffer(dataset.PixelData, "u1"), bitorder="little")
        return bits[: np.prod(shape)].reshape(shape)
    return np.frombuffer(dataset.PixelData, f"<u{dataset.BitsAllocated // 8}")[: np.prod(shape)].reshape(shape)


def set_pixels(dataset: Dataset, frames: NDArray[Any]) -> None:
    """Replace the pixels of a native segmentation."""
    packed = np.packbits(frames.ravel(), bitorder="little") if dataset.BitsAllocated == 1 else frames
    data = packed.tobytes()
    dataset.PixelData = data + bytes(len(data) % 2)
    dataset["PixelData"].VR = "OB"


def reordered(dataset: Dataset, order: Sequence[int]) -> Dataset:
    """Return the segmentation with its frames in another order, or with fewer of them."""
    pixels = stored_frames(dataset)
    copy = deepcopy(dataset)
    copy.NumberOfFrames = len(order)
    copy.PerFrameFunctionalGroupsSequence = [copy.PerFrameFunctionalGroupsSequence[n] for n in order]
    set_pixels(copy, pixels[list(order)])
    return copy


def as_bytes(dataset: Dataset) -> bytes:
    """Return the segmentation as the bytes of a file."""
    stream = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()
