"""Headers of made-up images, classic and enhanced, and the frames that they describe."""

from __future__ import annotations

import io
import warnings
from typing import Any

from frames_from_files import format_of, frames_of_header
from headers_of_bytes import both
from pydicom import Dataset, FileMetaDataset, dcmread, dcmwrite
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from dicomzarr.volumes.frames import frames_of, needs_header
from dicomzarr.volumes.model import Frame

AXIAL = [1, 0, 0, 0, 1, 0]


def item(**values: Any) -> Dataset:
    dataset = Dataset()
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    return dataset


def group(**sequences: Dataset) -> Dataset:
    return item(**{keyword: Sequence([only]) for keyword, only in sequences.items()})


def header(frames: int = 1, modality: str = "MR", sop: str = "1.2.840.10008.5.1.4.1.1.4.1", **more: Any) -> Dataset:
    return item(
        SOPClassUID=sop,
        SOPInstanceUID="1.2.3",
        SeriesInstanceUID="1.2",
        Modality=modality,
        Rows=4,
        Columns=6,
        BitsAllocated=16,
        BitsStored=12,
        PixelRepresentation=0,
        SamplesPerPixel=1,
        PhotometricInterpretation="MONOCHROME2",
        NumberOfFrames=frames,
        **more,
    )


def enhanced(count: int, each: Any, **more: Any) -> Dataset:
    shared = group(
        PlaneOrientationSequence=item(ImageOrientationPatient=AXIAL),
        PixelMeasuresSequence=item(PixelSpacing=[0.5, 0.25], SliceThickness=2),
    )
    return header(
        count,
        SharedFunctionalGroupsSequence=Sequence([shared]),
        PerFrameFunctionalGroupsSequence=Sequence([each(n) for n in range(count)]),
        **more,
    )


def position(z: float) -> Dataset:
    return item(ImagePositionPatient=[1, 2, z])


def read(dataset: Dataset) -> list[Frame]:
    return frames_of_header(dataset)


def through_bytes(dataset: Dataset, *, implicit: bool = False) -> list[Frame]:
    """Return the frames of a file with this header, which both header readers read."""
    dataset = Dataset(dataset)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.PixelData = bytes(2 * dataset.Rows * dataset.Columns * int(dataset.NumberOfFrames))
    dataset["PixelData"].VR = "OW"
    stream = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dcmwrite(stream, dataset, enforce_file_format=True)
    answer = both(stream.getvalue())
    assert answer.outcome == "image", answer.reason
    parsed = dcmread(io.BytesIO(stream.getvalue()), stop_before_pixels=True)
    arguments = (0, "c" * 64, answer.facts, format_of(parsed))
    return frames_of(*arguments, parsed if needs_header(answer.facts) else None)
