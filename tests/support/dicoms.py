"""Made-up DICOM files with known voxels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid


def uid(*parts: object) -> str:
    """Return a UID that depends on `parts` alone."""
    return generate_uid(entropy_srcs=[repr(part) for part in parts])


def slice_pixels(series: str, index: int, rows: int = 16, columns: int = 12) -> np.ndarray:
    """Return the known voxels of a slice: different for every series and index."""
    generator = np.random.default_rng([index, *series.encode()])
    return generator.integers(-1024, 3071, (rows, columns), dtype="<i2")


def ct_slice(series: str, index: int, *, pixels: np.ndarray | None = None, **attributes: Any) -> Dataset:
    """Return a CT slice of a made-up series at z = 2.5 mm times its index.

    Keyword arguments override attributes by their DICOM keyword; None deletes one.
    """
    data = slice_pixels(series, index) if pixels is None else pixels
    one = Dataset()
    one.file_meta = FileMetaDataset()
    one.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    one.file_meta.MediaStorageSOPClassUID = CTImageStorage
    one.SOPClassUID = CTImageStorage
    one.SOPInstanceUID = uid("instance", series, index)
    one.file_meta.MediaStorageSOPInstanceUID = one.SOPInstanceUID
    one.StudyInstanceUID = uid("study", series)
    one.SeriesInstanceUID = uid("series", series)
    one.PatientID = f"patient-{series}"
    one.PatientName = "Made^Up"
    one.Modality = "CT"
    one.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    one.InstanceNumber = 1000 - index
    one.ImagePositionPatient = [-10.0, -20.0, 2.5 * index]
    one.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    one.PixelSpacing = [0.5, 0.75]
    one.Rows, one.Columns = data.shape[:2]
    one.SamplesPerPixel = 1
    one.PhotometricInterpretation = "MONOCHROME2"
    one.BitsAllocated, one.BitsStored, one.HighBit = 16, 16, 15
    one.PixelRepresentation = 1
    one.RescaleSlope, one.RescaleIntercept = 1, -1024
    one.PixelData = data.astype("<i2").tobytes()
    for keyword, value in attributes.items():
        if value is None:
            delattr(one, keyword)
        else:
            setattr(one, keyword, value)
    return one


def save(one: Dataset, path: Path) -> Path:
    """Write a data set as a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    one.save_as(path, enforce_file_format=True)
    return path


def save_series(folder: Path, series: str, slices: int = 4, **attributes: Any) -> list[Path]:
    """Write a series, with names that say nothing about the order."""
    return [
        save(ct_slice(series, index, **attributes), folder / f"{(index * 7 + 3) % 11:02d}-{index}.dcm")
        for index in range(slices)
    ]
