"""A source with a scan, a segmentation of it and a structure set on it, with the voxels that must come out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from made_up_scans import scan
from made_up_segmentations import as_bytes, by_highdicom
from made_up_structure_sets import MadeUpContour, MadeUpRoi, file_of, square, structure_set
from numpy.typing import NDArray
from pydicom import Dataset, dcmwrite

DEPTHS = (0.0, 2.5, 5.0, 7.5, 10.0)
ROWS, COLUMNS = 16, 12
ORIGIN, ROW_STEP, COLUMN_STEP = (-10.0, -20.0, 30.0), 0.5, 0.75  # mm; of `made_up_scans.scan`


@dataclass
class ScanWithMasks:
    """A series of five slices; masks are indexed (z, y, x) by increasing depth.

    Attributes
    ----------
    name : str
        Determines all UIDs and the patient.
    liver, tumour : ndarray of bool
        Segments of the segmentation: they overlap, and the tumour has no voxel in the first slices.
    kidney : ndarray of bool
        Filled by the contours of the structure set: a rectangle with a hole on slices 1 to 3.
    """

    name: str
    labels: Sequence[str] = ("Liver of Qzxwvkcanary", "GTV Qzxwvkcanary^Jane")
    roi: str = "Kidney L 18370203"
    slices: list[Dataset] = field(init=False)
    liver: NDArray[Any] = field(init=False)
    tumour: NDArray[Any] = field(init=False)
    kidney: NDArray[Any] = field(init=False)

    def __post_init__(self) -> None:
        self.slices = scan(self.name, DEPTHS, rows=ROWS, columns=COLUMNS)
        random = np.random.default_rng([7, *self.name.encode()])
        self.liver = random.random((len(DEPTHS), ROWS, COLUMNS)) < 0.4
        self.tumour = random.random((len(DEPTHS), ROWS, COLUMNS)) < 0.2
        self.tumour[:2] = False
        self.kidney = np.zeros((len(DEPTHS), ROWS, COLUMNS), bool)
        self.kidney[1:4, 3:11, 2:9] = True
        self.kidney[1:4, 5:8, 4:6] = False

    def segmentation(self, **options: Any) -> bytes:
        """Return the segmentation as a file."""
        masks = np.stack([self.liver, self.tumour], axis=-1)
        dataset = by_highdicom(self.slices, masks, labels=self.labels, name=self.name, **options)
        return as_bytes(dataset)

    def structures(self, **attributes: Any) -> bytes:
        """Return the structure set as a file; contours lie half a voxel outside of the centres that they enclose."""
        contours = []
        for z in (1, 2, 3):
            image = str(self.slices[z].SOPInstanceUID)
            for top, bottom, left, right in ((3, 11, 2, 9), (5, 8, 4, 6)):
                x0, x1 = (ORIGIN[0] + (edge - 0.5) * COLUMN_STEP for edge in (left, right))
                y0, y1 = (ORIGIN[1] + (edge - 0.5) * ROW_STEP for edge in (top, bottom))
                contours.append(MadeUpContour(square(x0, y0, x1, y1, ORIGIN[2] + DEPTHS[z]), images=[image]))
        first = self.slices[0]
        return file_of(
            structure_set(
                [MadeUpRoi(self.roi, contours, label="Qzxwvkcanary 2", description="Qzxwvkcanary")],
                frame_of_reference=str(first.FrameOfReferenceUID),
                series=str(first.SeriesInstanceUID),
                study=str(first.StudyInstanceUID),
                name=self.name,
                PatientID=str(first.PatientID),
                **attributes,
            )
        )

    def save_images(self, folder: Path) -> list[Path]:
        """Write the slices; return their paths."""
        folder.mkdir(parents=True, exist_ok=True)
        paths = []
        for number, dataset in enumerate(self.slices):
            paths.append(folder / f"{number}.dcm")
            dcmwrite(paths[-1], dataset, enforce_file_format=True)
        return paths

    def save(self, folder: Path) -> None:
        """Write the slices, the segmentation and the structure set."""
        self.save_images(folder)
        (folder / "seg.dcm").write_bytes(self.segmentation())
        (folder / "rt.dcm").write_bytes(self.structures())


def read_mask(results: Path, row: dict[str, str]) -> NDArray[Any]:
    """Return the voxels of a mask, of which the row of `masks.csv` is given, through zarr-python."""
    path = results / "dataset/images.zarr" / row["array"] / "labels" / row["mask"] / "0"
    return np.asarray(zarr.open_array(str(path), mode="r")[...])
