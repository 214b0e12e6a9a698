"""Made-up DICOM files with known voxels."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid


def uid(*parts: object) -> str:
    """Return a UID determined by `parts`."""
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
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = CTImageStorage
    dataset.SOPClassUID = CTImageStorage
    dataset.SOPInstanceUID = uid("instance", series, index)
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.StudyInstanceUID = uid("study", series)
    dataset.SeriesInstanceUID = uid("series", series)
    dataset.PatientID = f"patient-{series}"
    dataset.PatientName = "Made^Up"
    dataset.Modality = "CT"
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.InstanceNumber = 1000 - index
    dataset.ImagePositionPatient = [-10.0, -20.0, 2.5 * index]
    dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    dataset.PixelSpacing = [0.5, 0.75]
    dataset.Rows, dataset.Columns = data.shape[:2]
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 16, 15
    dataset.PixelRepresentation = 1
    dataset.RescaleSlope, dataset.RescaleIntercept = 1, -1024
    dataset.PixelData = data.astype("<i2").tobytes()
    change(dataset, attributes)
    return dataset


def change(dataset: Dataset, attributes: Mapping[str, Any]) -> None:
    """Set attributes by their DICOM keywords; None deletes one."""
    for keyword, value in attributes.items():
        if value is None:
            delattr(dataset, keyword)
        else:
            setattr(dataset, keyword, value)


def save(dataset: Dataset, path: Path) -> Path:
    """Write a data set as a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path, enforce_file_format=True)
    return path


def save_series(folder: Path, series: str, slices: int = 4, **attributes: Any) -> list[Path]:
    """Write a series; the names of its files do not follow the order of its slices."""
    return [
        save(ct_slice(series, index, **attributes), folder / f"{(index * 7 + 3) % 11:02d}-{index}.dcm")
        for index in range(slices)
    ]
