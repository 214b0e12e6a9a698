"""Made-up RT Structure Sets (PS3.3 A.19) with known contours."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from dicoms import change, uid
from pydicom import Dataset, FileMetaDataset, dcmwrite
from pydicom.dataelem import RawDataElement
from pydicom.sequence import Sequence as Items
from pydicom.tag import Tag
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, RTStructureSetStorage

STUDY_COMPONENT = "1.2.840.10008.3.1.2.3.1"  # Detached Study Management SOP Class, as writers put it here


def item(**values: Any) -> Dataset:
    """Return a data set, or an item, with the attributes that are not None, even of values that DICOM forbids."""
    dataset = Dataset()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for keyword, value in values.items():
            if value is not None:
                setattr(dataset, keyword, value)
    return dataset


def code_item(scheme: str, value: str, meaning: str = "made up") -> Dataset:
    """Return an item of a code sequence (PS3.3 8.8)."""
    return item(CodeValue=value, CodingSchemeDesignator=scheme, CodeMeaning=meaning)


def decimals(points: Any) -> list[str]:
    """Return coordinates as decimal strings of at most 16 characters."""
    return [next(t for t in (f"{v:.{d}g}" for d in range(16, 0, -1)) if len(t) <= 16) for v in np.ravel(points)]


def square(left: float, top: float, right: float, bottom: float, z: float) -> np.ndarray:
    """Return the corners of a rectangle in an axial plane, mm."""
    return np.array([[left, top, z], [right, top, z], [right, bottom, z], [left, bottom, z]], float)


def polygon(center: tuple[float, float], radius: float, z: float, corners: int = 64) -> np.ndarray:
    """Return a regular polygon in an axial plane whose corners lie on a circle, mm."""
    angle = 2 * np.pi * np.arange(corners) / corners
    x, y = center[0] + radius * np.cos(angle), center[1] + radius * np.sin(angle)
    return np.column_stack([x, y, np.full(corners, float(z))])


@dataclass
class MadeUpContour:
    """One contour.

    Attributes
    ----------
    points : array-like, (n, 3) or text
        Coordinates in mm, LPS; or Contour Data as it is to be written, such as ``1\\2\\nan``.
    kind : str or None
        Contour Geometric Type.
    images : sequence of str, or of (str, frames)
        SOP Instance UIDs of the images that it refers to, with numbers of frames from 1.
    vr : str
        VR of its Contour Data (3006,0050).
    """

    points: Any
    kind: str | None = "CLOSED_PLANAR"
    images: Sequence[Any] = ()
    vr: str = "DS"

    def item(self) -> Dataset:
        """Return its item of the Contour Sequence (3006,0040)."""
        text = self.points if isinstance(self.points, str) else "\\".join(decimals(self.points))
        data = text.encode() + b" " * (len(text) % 2)
        contour = item(ContourGeometricType=self.kind, NumberOfContourPoints=(text.count("\\") + 1) // 3)
        tag = Tag("ContourData")  # as bytes: pydicom would refuse what no DS may hold
        contour[tag] = RawDataElement(tag, self.vr, len(data), data, 0, False, True)
        if self.images:
            pairs = [(image, None) if isinstance(image, str) else image for image in self.images]
            contour.ContourImageSequence = Items(
                item(ReferencedSOPClassUID=CTImageStorage, ReferencedSOPInstanceUID=name, ReferencedFrameNumber=frames)
                for name, frames in pairs
            )
        return contour


@dataclass
class MadeUpRoi:
    """One region of interest.

    Attributes
    ----------
    name : str
        ROI Name (3006,0026).
    contours : sequence of MadeUpContour, or of points of closed contours
    number : int, optional
        ROI Number; by default its place, from 1.
    algorithm : str or None
        ROI Generation Algorithm (3006,0036).
    label, description : str or None
        ROI Observation Label (3006,0085) and ROI Description (3006,0028).
    codes : sequence of (scheme, value)
        RT ROI Identification Code Sequence (3006,0086).
    frame_of_reference : str, optional
        Its own Referenced Frame of Reference UID; by default that of the structure set.
    """

    name: str
    contours: Sequence[Any] = ()
    number: int | None = None
    algorithm: str | None = "MANUAL"
    label: str | None = None
    description: str | None = None
    codes: Sequence[tuple[str, str]] = ()
    frame_of_reference: str | None = None


def structure_set(
    rois: Sequence[MadeUpRoi],
    *,
    frame_of_reference: str = uid("frame of reference"),
    series: str = uid("series", "ct"),
    study: str = uid("study", "ct"),
    images: Sequence[str] = (),
    name: str = "made up",
    **attributes: Any,
) -> Dataset:
    """Return a structure set.

    Parameters
    ----------
    rois : sequence of MadeUpRoi
    frame_of_reference, series, study : str
        UIDs of the images that it refers to.
    images : sequence of str
        SOP Instance UIDs in the Contour Image Sequence of the referenced series.
    name : str
        Determines its own UIDs.
    **attributes
        Override attributes by their keyword; None deletes one.
    """
    dataset = item(
        SOPClassUID=RTStructureSetStorage,
        SOPInstanceUID=uid("structure set", name),
        StudyInstanceUID=study,
        SeriesInstanceUID=uid("series of structure set", name),
        Modality="RTSTRUCT",
        PatientID="patient-ct",
        PatientName="Made^Up",
        StructureSetLabel="made up",
        FrameOfReferenceUID=frame_of_reference,
    )
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = RTStructureSetStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    references = [item(ReferencedSOPClassUID=CTImageStorage, ReferencedSOPInstanceUID=image) for image in images]
    referenced_series = item(SeriesInstanceUID=series, ContourImageSequence=Items(references))
    referenced_study = item(
        ReferencedSOPClassUID=STUDY_COMPONENT,
        ReferencedSOPInstanceUID=study,
        RTReferencedSeriesSequence=Items([referenced_series]),
    )
    dataset.ReferencedFrameOfReferenceSequence = Items(
        [item(FrameOfReferenceUID=frame_of_reference, RTReferencedStudySequence=Items([referenced_study]))]
    )
    numbers = [roi.number if roi.number is not None else place for place, roi in enumerate(rois, 1)]
    dataset.StructureSetROISequence = Items(
        item(
            ROINumber=number,
            ReferencedFrameOfReferenceUID=roi.frame_of_reference or frame_of_reference,
            ROIName=roi.name,
            ROIDescription=roi.description,
            ROIGenerationAlgorithm=roi.algorithm,
        )
        for number, roi in zip(numbers, rois, strict=True)
    )
    dataset.ROIContourSequence = Items(
        item(ROIDisplayColor=[255, 0, 0], ContourSequence=Items(_contours(roi)), ReferencedROINumber=number)
        for number, roi in zip(numbers, rois, strict=True)
    )
    dataset.RTROIObservationsSequence = Items(
        item(
            ObservationNumber=number,
            ReferencedROINumber=number,
            ROIObservationLabel=roi.label,
            RTROIIdentificationCodeSequence=Items(code_item(*code) for code in roi.codes) if roi.codes else None,
            RTROIInterpretedType="ORGAN",
            ROIInterpreter="",
        )
        for number, roi in zip(numbers, rois, strict=True)
    )
    change(dataset, attributes)
    return dataset


def _contours(roi: MadeUpRoi) -> list[Dataset]:
    return [c.item() if isinstance(c, MadeUpContour) else MadeUpContour(c).item() for c in roi.contours]


def file_of(dataset: Dataset, *, syntax: str = ExplicitVRLittleEndian) -> bytes:
    """Return a structure set as the bytes of a file.

    Parameters
    ----------
    dataset : Dataset
    syntax : str
        Transfer Syntax UID.
    """
    dataset.file_meta.TransferSyntaxUID = syntax
    stream = io.BytesIO()
    dcmwrite(stream, dataset, enforce_file_format=True)
    return stream.getvalue()
