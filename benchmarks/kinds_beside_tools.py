"""Write small made-up series of each kind in docs/volumes.md, and print what other tools make of them.

    python -m benchmarks.kinds_beside_tools FOLDER

Writes FOLDER/<kind>/*.dcm: slices of 32 x 32 pixels, without any patient. Tools that are not installed are left out:
dcm2niix, SimpleITK (the series reader of GDCM, which TorchIO uses too), highdicom, dicom2nifti.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import logging
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.uid import (
    CTImageStorage,
    EnhancedMRImageStorage,
    ExplicitVRLittleEndian,
    MRImageStorage,
    generate_uid,
)

SIZE = 32
UPRIGHT = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
CORNER = (-24.0, -24.0)  # x and y of the first voxel, mm


def pixels(number: int) -> NDArray[np.uint16]:
    """Return a picture that no other number gives."""
    y, x = np.mgrid[:SIZE, :SIZE]
    return (300 + 100 * np.sin(x / 3 + number) + 80 * np.cos(y / 4 + 2 * number)).astype(np.uint16)


class Series:
    """Files of one series in a folder."""

    def __init__(self, folder: Path, modality: str) -> None:
        folder.mkdir(parents=True)
        self.folder, self.modality, self.files = folder, modality, 0
        self.study, self.uid, self.frame_of_reference = generate_uid(), generate_uid(), generate_uid()

    def write(self, dataset: Dataset, sop_class: str, data: bytes) -> None:
        """Complete a header and write the file."""
        self.files += 1
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = sop_class
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = generate_uid()
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID = self.study, self.uid
        dataset.FrameOfReferenceUID = self.frame_of_reference
        dataset.Modality, dataset.PatientID, dataset.PatientName = self.modality, "made-up", "made-up"
        dataset.Manufacturer = "SIEMENS" if self.modality == "MR" else "GE MEDICAL SYSTEMS"
        dataset.ProtocolName, dataset.PatientPosition = "made-up", "HFS"
        dataset.StudyDate = dataset.SeriesDate = "20200101"
        dataset.StudyTime, dataset.SeriesNumber, dataset.InstanceNumber = "100000", 1, self.files
        dataset.Rows = dataset.Columns = SIZE
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 12, 11, 0
        dataset.PixelData = data
        dataset.save_as(self.folder / f"{self.files:03}.dcm", enforce_file_format=True)

    def add(
        self,
        position: tuple[float, ...] | NDArray[Any] | None,
        picture: int | None = None,
        orientation: tuple[float, ...] | NDArray[Any] = UPRIGHT,
        **attributes: Any,
    ) -> None:
        """Write a single-frame image."""
        dataset = Dataset()
        if position is not None:
            dataset.ImagePositionPatient = [f"{value:.10g}" for value in position]
            dataset.ImageOrientationPatient = [f"{value:.10g}" for value in orientation]
        dataset.PixelSpacing, dataset.SliceThickness, dataset.AcquisitionNumber = ["1.5", "1.5"], "2", 1
        if self.modality == "MR":
            dataset.ImageType = ["ORIGINAL", "PRIMARY", "M", "ND"]
            dataset.RepetitionTime, dataset.EchoTime = "2000", "30"
            dataset.ScanningSequence, dataset.MRAcquisitionType = "EP", "2D"
        else:
            dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
            dataset.RescaleSlope, dataset.RescaleIntercept = "1", "-1024"
        for keyword, value in attributes.items():
            setattr(dataset, keyword, value)
        data = pixels(self.files + 1 if picture is None else picture).tobytes()
        self.write(dataset, MRImageStorage if self.modality == "MR" else CTImageStorage, data)

    def add_enhanced(self, depths: list[float], time: int, b_value: float, direction: tuple[float, ...] | None) -> None:
        """Write a multi-frame file: one frame for each depth, one b-value for all."""
        dataset, shared = Dataset(), Dataset()
        measures, orientation = Dataset(), Dataset()
        measures.PixelSpacing, measures.SliceThickness = [1.5, 1.5], 2
        orientation.ImageOrientationPatient = list(UPRIGHT)
        shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [measures], [orientation]
        dataset.SharedFunctionalGroupsSequence = [shared]
        dataset.ImageType, dataset.AcquisitionNumber = ["ORIGINAL", "PRIMARY", "DIFFUSION", "NONE"], time
        dataset.NumberOfFrames, dataset.PerFrameFunctionalGroupsSequence = len(depths), []
        for number, z in enumerate(depths, 1):
            groups, position, content, diffusion = Dataset(), Dataset(), Dataset(), Dataset()
            position.ImagePositionPatient = [*CORNER, z]
            content.TemporalPositionIndex, content.StackID, content.InStackPositionNumber = time, "1", number
            content.DimensionIndexValues = [1, number, time]
            diffusion.DiffusionBValue = b_value
            diffusion.DiffusionDirectionality = "DIRECTIONAL" if direction else "NONE"
            if direction:
                gradient = Dataset()
                gradient.DiffusionGradientOrientation = list(direction)
                diffusion.DiffusionGradientDirectionSequence = [gradient]
            groups.PlanePositionSequence, groups.FrameContentSequence = [position], [content]
            groups.MRDiffusionSequence = [diffusion]
            dataset.PerFrameFunctionalGroupsSequence.append(groups)
        data = b"".join(pixels(100 * time + number).tobytes() for number in range(len(depths)))
        self.write(dataset, EnhancedMRImageStorage, data)


# ---- The kinds


def two_acquisitions(series: Series) -> None:
    for acquisition, offset in ((1, 0.0), (2, 1.4)):
        for number in range(10):
            series.add((*CORNER, 4 * number + offset), AcquisitionNumber=acquisition)


def alternating_acquisition_number(series: Series) -> None:
    for number in range(20):
        series.add((*CORNER, 2.0 * number), AcquisitionNumber=1 + number % 2)


def two_echoes_between(series: Series) -> None:
    for echo, offset in ((10, 0.0), (20, 2.0)):
        for number in range(10):
            series.add((*CORNER, 4 * number + offset), EchoTime=str(echo), EchoNumbers=echo // 10)


def magnitude_and_phase(series: Series) -> None:
    for number in range(8):
        for component in "MP":
            series.add((*CORNER, 2.0 * number), ImageType=["ORIGINAL", "PRIMARY", component, "ND"])


def rounded(series: Series, decimals: int) -> None:
    row = np.array([0.9, 0.3, -0.2])
    row /= np.linalg.norm(row)
    column = np.array([-0.1, 0.8, 0.5])
    column -= row * (row @ column)
    column /= np.linalg.norm(column)
    start, step = np.array([-30.123, -41.7, 12.34]), 1.2 * np.cross(row, column)
    for number in range(20):
        series.add((start + step * number).round(decimals), None, np.r_[row, column].round(max(decimals, 2)))


def enhanced_file_a_b_value(series: Series) -> None:
    directions = (None, (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
    for time, direction in enumerate(directions, 1):
        series.add_enhanced([2.0 * k for k in range(8)], time, 1000.0 if direction else 0.0, direction)


def b_values(series: Series) -> None:
    for direction in (None, (1.0, 0.0, 0.0), (0.0, 1.0, 0.0)):
        facts = {"DiffusionBValue": 1000.0, "DiffusionGradientOrientation": list(direction)} if direction else {}
        for number in range(8):
            series.add((*CORNER, 2.0 * number), **facts)


def one_slice_twice(series: Series, picture: int) -> None:
    for number in range(10):
        series.add((*CORNER, 2.0 * number), number)
    series.add((*CORNER, 8.0), picture)


def one_time_lacks_a_slice(series: Series) -> None:
    for time in range(4):
        for number in range(8 if time < 3 else 7):
            series.add((*CORNER, 2.0 * number), TemporalPositionIdentifier=time + 1, NumberOfTemporalPositions=4)


def no_position(series: Series) -> None:
    for _ in range(12):
        series.add(None)


def two_increments(series: Series, tilt: float) -> None:
    z = 0.0
    for number in range(16):
        series.add((CORNER[0], CORNER[1] + tilt * z, z))
        z += 2.5 if number < 8 else 5.0


def missing_slice(series: Series) -> None:
    for number in range(16):
        if number != 7:
            series.add((*CORNER, 2.5 * number))


KINDS: dict[str, tuple[str, Callable[[Series], None]]] = {
    "two acquisitions interleaved": ("CT", two_acquisitions),
    "one stack, alternating acquisition number": ("CT", alternating_acquisition_number),
    "two echoes at places between each other": ("MR", two_echoes_between),
    "magnitude and phase": ("MR", magnitude_and_phase),
    "oblique, 3 decimals": ("MR", lambda series: rounded(series, 3)),
    "oblique, 1 decimal": ("MR", lambda series: rounded(series, 1)),
    "one enhanced file a b-value": ("MR", enhanced_file_a_b_value),
    "b-values, none in b0": ("MR", b_values),
    "copy of a slice": ("CT", lambda series: one_slice_twice(series, 4)),
    "contested place": ("CT", lambda series: one_slice_twice(series, 77)),
    "one time lacks a slice": ("MR", one_time_lacks_a_slice),
    "no position": ("CT", no_position),
    "two increments": ("CT", lambda series: two_increments(series, 0.0)),
    "tilt and two increments": ("CT", lambda series: two_increments(series, 0.3)),
    "missing slice": ("CT", missing_slice),
}


def write_kinds(folder: Path) -> Iterator[tuple[str, Path]]:
    """Write each series that is not there yet; yield its name and its folder."""
    for name, (modality, write) in KINDS.items():
        path = folder / name.replace(" ", "_").replace(",", "")
        if not path.exists():
            write(Series(path, modality))
        yield name, path


# ---- The tools: each returns a short text about what it makes of a folder


def with_dcm2niix(folder: Path) -> str:
    import nibabel

    with tempfile.TemporaryDirectory() as out:
        command = ["dcm2niix", "-z", "n", "-b", "y", "-x", "i", "-f", "%s", "-o", out, str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        images = [
            f"{path.stem.removeprefix('1')} {'x'.join(map(str, image.shape))} step {image.header.get_zooms()[2]:.5g}"
            for path in sorted(Path(out).glob("*.nii"))
            for image in [nibabel.load(path)]
        ]
    warned = [line for line in done.stdout.splitlines() if "varies" in line or "stacked" in line or "repeated" in line]
    return "; ".join([*images, *warned[:1]])


def with_simpleitk(folder: Path) -> str:
    import SimpleITK

    texts = []
    for uid in SimpleITK.ImageSeriesReader.GetGDCMSeriesIDs(str(folder)):
        image = SimpleITK.ReadImage(SimpleITK.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder), uid))
        texts.append(f"{'x'.join(map(str, image.GetSize()))} step {image.GetSpacing()[2]:.5g}")
    return "; ".join(texts)


def with_highdicom(folder: Path) -> str:
    import highdicom

    headers = [dcmread(path) for path in sorted(folder.iterdir())]
    if "NumberOfFrames" in headers[0]:
        volume = highdicom.imread(sorted(folder.iterdir())[0]).get_volume()
        return f"each file by itself: {volume.spatial_shape}"
    volume = highdicom.get_volume_from_series(headers)
    return f"{volume.spatial_shape} step {volume.spacing[0]:.5g}"


def with_dicom2nifti(folder: Path) -> str:
    import dicom2nifti
    import nibabel

    logging.disable(logging.CRITICAL)
    with tempfile.TemporaryDirectory() as out, contextlib.redirect_stdout(io.StringIO()):
        dicom2nifti.dicom_series_to_nifti(str(folder), f"{out}/image.nii", reorient_nifti=False)
        image = nibabel.load(f"{out}/image.nii")
        return f"{'x'.join(map(str, image.shape))} step {image.header.get_zooms()[2]:.5g}"


TOOLS = {
    "dcm2niix": with_dcm2niix,
    "simpleitk": with_simpleitk,
    "highdicom": with_highdicom,
    "dicom2nifti": with_dicom2nifti,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    warnings.simplefilter("ignore")
    kinds = list(write_kinds(folder))
    for tool, run in TOOLS.items():
        try:
            print(f"\n{tool} {version(tool)}")
        except PackageNotFoundError:
            continue
        for name, path in kinds:
            try:
                text = run(path)
            except Exception as error:
                text = f"{type(error).__name__}: {str(error).splitlines()[0][:100]}"
            print(f"  {name}: {text}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
