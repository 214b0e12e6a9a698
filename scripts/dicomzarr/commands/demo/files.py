"""The built-in data set: the files of the pydicom wheel, scattered as on a hospital's disk; generated volumes, masks.

Nothing is downloaded. All persons in generated files are made up. The tree is the same each time.
"""

from __future__ import annotations

import shutil
import sys
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from dicomzarr.commands.demo.masks import write_masks

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# Target folder by the start of a path in pydicom/data; the first match counts. As on the disks of hospitals: spaces,
# accents, several patients in a folder, one patient in several folders, and one very deep folder.
MEDIA = "test_files/dicomdirtests/"
TARGET_FOLDERS = (
    (MEDIA + "TINY_ALPHA/", "CD Import/Dr. Sample 2019-03-11"),
    (MEDIA, "CD Import/ext_media (copy 2)"),
    ("charset_files/", "Überweisungen/various, unsorted"),
    ("palettes/", "old workstation/color maps"),
    ("test_files/CT", "Radiology/Doe John 1961/CT Thorax w contrast"),
    ("test_files/MR", "Radiology/Doe John 1961/MR Head 20040826/Series 1"),
    ("test_files/SC_", "Secondary Capture/2005/export"),
    ("test_files/JP", "PACS/archive/0001/compressed"),
    ("test_files/rt", "Radiotherapy/Plan 2 FINAL final"),
    ("test_files/liver", "Research/segmentations"),
    ("test_files/examples", "Research/teaching files"),
    ("test_files/report", "Radiology/Doe John 1961/reports"),
    ("test_files/", "backup/D/Users/radiology/Desktop/New Folder/New Folder (2)/to sort/old/very old/x"),
    ("", "backup/other"),
)


@dataclass(frozen=True, slots=True)
class Stack:
    """A generated volume and the position of its slices.

    Attributes
    ----------
    name : str
        Seed of its UIDs and of the order of its files.
    folder, suffix : str
        Folder of its files, relative to the source, and the suffix of their names.
    voxels : ndarray of int16 or uint16, shape (t, z, y, x)
        Stored values.
    bits_stored : int
        Bits Stored (0028,0101).
    spacing : tuple of 3 float
        Distance between slices, between rows and between columns, mm.
    origin : tuple of 3 float
        Image Position (Patient) (0020,0032) of the first slice, mm, LPS.
    orientation : tuple of 6 float
        Image Orientation (Patient) (0020,0037): row cosines, then column cosines.
    header : mapping of str to object
        The attributes that its files share, by keyword.
    echo_times : tuple of float
        Echo Time (0018,0081) at each index of t, ms; empty if there is none.
    """

    name: str
    folder: str
    suffix: str
    voxels: NDArray[Any]
    bits_stored: int
    spacing: tuple[float, float, float]
    origin: tuple[float, float, float]
    orientation: tuple[float, float, float, float, float, float]
    header: Mapping[str, object] = field(default_factory=dict)
    echo_times: tuple[float, ...] = ()

    def position(self, z: int) -> tuple[float, ...]:
        """Return Image Position (Patient) of slice `z`, mm, LPS: the origin moved along row × column."""
        rx, ry, rz, cx, cy, cz = self.orientation
        normal = (ry * cz - rz * cy, rz * cx - rx * cz, rx * cy - ry * cx)
        return tuple(round(o + z * self.spacing[0] * n, 6) for o, n in zip(self.origin, normal, strict=True))

    @property
    def sop_class(self) -> str:
        """SOP Class UID (0008,0016) of its files."""
        from pydicom.uid import CTImageStorage, MRImageStorage

        return CTImageStorage if self.header["Modality"] == "CT" else MRImageStorage

    def uid(self, *role: str) -> str:
        """Return a UID: of its ``study``, ``series`` or ``frame`` of reference, or of the slice at indices t and z."""
        from pydicom.uid import generate_uid

        return generate_uid(entropy_srcs=["dicomzarr demo", self.name, *role])


def build(target: Path) -> None:
    """Write the data set to `target`, completely or not at all; an old one is replaced.

    Parameters
    ----------
    target : Path
        The folder. It is written as ``<target>.partial`` first, then renamed.
    """
    partial = target.with_name(target.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    copy_wheel_files(partial)
    add_clutter(partial)
    for stack in stacks():
        write_stack(stack, partial)
    write_masks(stacks(), partial)
    if target.exists():
        shutil.rmtree(target)
    partial.rename(target)


# ---- Existing files


def copy_wheel_files(target: Path) -> None:
    """Copy the data files of the pydicom wheel, unchanged, to their target folders."""
    from pydicom import data

    wheel = Path(data.__file__).parent
    files = {PurePosixPath(path.relative_to(wheel).as_posix()): path for path in wheel.rglob("*") if path.is_file()}
    for number, (relative, source) in enumerate(sorted(files.items())):
        if relative.suffix in {".py", ".pyc"} or relative.parent == PurePosixPath():
            continue  # code, and the table of files that pydicom can download
        copy = target / place(relative, number)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, copy)


def place(relative: PurePosixPath, number: int) -> PurePosixPath:
    """Return the target path of a file of the wheel: its folder, and a name as modalities and exports give them.

    Parameters
    ----------
    relative : PurePosixPath
        Path below ``pydicom/data``.
    number : int
        Running number of the file.
    """
    start, folder = next(entry for entry in TARGET_FOLDERS if str(relative).startswith(entry[0]))
    if start.startswith(MEDIA):  # paths in its DICOMDIR must stay valid
        return PurePosixPath(folder) / relative.relative_to(start)
    if relative.suffix != ".dcm":
        return PurePosixPath(folder, relative.name)
    names = (relative.name, relative.stem, f"{relative.stem}.IMA", f"IM{number:06d}", f"{relative.stem.upper()}.DCM")
    return PurePosixPath(folder, names[number % len(names)])


def add_clutter(target: Path) -> None:
    """Add files that are not DICOM: a note, a thumbnail cache, an empty file, an archive."""
    (target / "README.txt").write_text("Please do not delete, radiology needs this.\n", encoding="utf-8")
    (target / "Radiology" / "Thumbs.db").write_bytes(bytes.fromhex("d0cf11e0a1b11ae1") + bytes(1016))
    (target / "Radiology" / "MISC").mkdir()  # empty
    (target / "PACS" / "archive" / "0001" / "IM_0042").write_bytes(b"")
    note = zipfile.ZipInfo("backup/readme.txt", date_time=(2005, 3, 11, 12, 0, 0))
    with zipfile.ZipFile(target / "backup" / "export.zip", "w") as archive:
        archive.writestr(note, "No images in here.\n")


# ---- Generated volumes: rational arithmetic only, so that every machine generates the same voxels


def stacks() -> tuple[Stack, ...]:
    """Return the generated volumes: a CT of a chest, an oblique MR of a head, and an MR of two echoes."""
    person = {"PatientName": "Phantom^Fantasia", "PatientID": "DEMO-0001", "PatientSex": "F", "PatientAge": "042Y"}
    twin = {"PatientName": "Phantom^Oblique", "PatientID": "DEMO-0002", "PatientSex": "O", "PatientAge": "099Y"}
    return (
        Stack(
            name="ct",
            folder="Radiology/Phantom Fantasia DEMO-0001/CT Chest/Series 4",
            suffix="",
            voxels=chest(),
            bits_stored=16,
            spacing=(5.0, 2.75, 2.75),
            origin=(-174.625, -174.625, -97.5),
            orientation=(1.0, 0.0, 0.0, 0.0, 1.0, 0.0),
            header=person
            | {
                "Modality": "CT",
                "SeriesDescription": "Chest phantom",
                "BodyPartExamined": "CHEST",
                "RescaleIntercept": "-1024",
                "RescaleSlope": "1",
                "RescaleType": "HU",
                "WindowCenter": "40",
                "WindowWidth": "400",
                "KVP": "120",
            },
        ),
        Stack(
            name="mr",
            folder="Research/Fantasia study (old)/head oblique",
            suffix=".IMA",
            voxels=head(),
            bits_stored=12,
            spacing=(4.5, 2.0, 2.0),
            origin=(-62.0, -101.5, -18.25),
            orientation=(0.96, 0.28, 0.0, -0.2688, 0.9216, 0.28),
            header=twin
            | {
                "Modality": "MR",
                "SeriesDescription": "Head phantom, oblique",
                "BodyPartExamined": "HEAD",
                "EchoTime": "12",
                "WindowCenter": "900",
                "WindowWidth": "1800",
            },
        ),
        Stack(
            name="echoes",
            folder="Research/Fantasia study (old)/two echoes",
            suffix=".dcm",
            voxels=two_echoes(),
            bits_stored=12,
            spacing=(6.0, 3.0, 3.0),
            origin=(-94.5, -94.5, 10.0),
            orientation=(1.0, 0.0, 0.0, 0.0, 1.0, 0.0),
            header=twin
            | {
                "Modality": "MR",
                "SeriesDescription": "Head phantom, two echoes",
                "BodyPartExamined": "HEAD",
                "WindowCenter": "900",
                "WindowWidth": "1800",
            },
            echo_times=(14.0, 95.0),
        ),
    )


def chest() -> NDArray[np.int16]:
    """Return a chest of 40 slices: lungs, heart, aorta, ribs and spine, in Hounsfield units plus 1024.

    Returns
    -------
    ndarray of int16, shape (1, 40, 128, 128)
        Stored values; air is 0.
    """
    import numpy as np

    z, y, x = axes(40, 128, 128)
    body = ellipsoid((z, y, x), (0, 0, 0), (9, 0.62, 0.86))
    hounsfield = np.full(body.shape, -1000.0)
    hounsfield[(abs(y - 0.7) < 0.03) & (abs(x) < 0.8) & (z < 9)] = 80  # table
    hounsfield[body < 1] = -100  # fat
    muscle = body < 0.84
    hounsfield[muscle] = (45 + 12 * y + 0 * (z + x))[muscle]
    ribs = (body > 0.62) & (body < 0.74) & ((np.arange(40)[:, None, None] + 16 * abs(x)) % 8 < 3)  # they slope
    hounsfield[ribs] = 620
    for side in (-0.38, 0.38):
        lung = ellipsoid((z, y, x), (0.1, -0.04, side), (1.2, 0.36, 0.27)) < 1
        hounsfield[lung] = (-840 + 90 * y + 40 * z + 0 * x)[lung]
    hounsfield[ellipsoid((z, y, x), (-0.25, -0.1, 0.12), (0.7, 0.26, 0.27)) < 1] = 130  # heart
    hounsfield[ellipsoid((z, y, x), (0, 0.2, 0.06), (9, 0.07, 0.07)) < 1] = 310  # aorta, with contrast
    hounsfield[ellipsoid((z, y, x), (0, 0.4, 0), (9, 0.13, 0.13)) < 1] = 700  # vertebra
    hounsfield[ellipsoid((z, y, x), (0, 0.4, 0), (9, 0.08, 0.09)) < 1] = 260  # marrow
    noise = np.random.default_rng(40).integers(-12, 13, size=hounsfield.shape)
    stored = np.rint(hounsfield) + 1024 + np.where(hounsfield > -1000, noise, -24)
    voxels: NDArray[np.int16] = np.clip(stored, 0, 4095).astype(np.int16)[None]
    return voxels


def head() -> NDArray[np.uint16]:
    """Return an MR of a head, 24 slices, brighter on one side, as with a surface coil.

    Returns
    -------
    ndarray of uint16, shape (1, 24, 96, 96)
        Stored values of 12 bits.
    """
    import numpy as np

    grid = axes(24, 96, 96)
    shading = 1 + 0.25 * grid[2] - 0.15 * grid[1] + 0 * grid[0]
    signal = tissues(grid, (1250, 140, 820, 1060, 330, 1700)) * shading
    noise = np.random.default_rng(24).integers(0, 40, size=signal.shape)
    voxels: NDArray[np.uint16] = np.clip(np.rint(signal) + noise, 0, 4095).astype(np.uint16)[None]
    return voxels


def two_echoes() -> NDArray[np.uint16]:
    """Return the head in 10 slices at two echo times: water is dark in the first and bright in the second.

    Returns
    -------
    ndarray of uint16, shape (2, 10, 64, 64)
        Stored values of 12 bits.
    """
    import numpy as np

    grid = axes(10, 64, 64)
    echoes = (tissues(grid, (1300, 150, 900, 1150, 350, 1500)), tissues(grid, (700, 60, 640, 480, 1900, 1300)))
    noise = np.random.default_rng(10).integers(0, 40, size=(2, 10, 64, 64))
    return np.clip(np.rint(np.stack(echoes)) + noise, 0, 4095).astype(np.uint16)


def tissues(grid: tuple[NDArray[Any], ...], signal: tuple[int, int, int, int, int, int]) -> NDArray[np.float64]:
    """Return a head whose scalp, skull, grey matter, white matter, ventricles and lesion have the given signals."""
    import numpy as np

    skull = ellipsoid(grid, (0, 0, 0), (1.25, 0.86, 0.7))
    image = np.zeros(skull.shape)
    regions = (
        skull < 1,
        skull < 0.87,
        skull < 0.76,
        ellipsoid(grid, (0, 0, 0), (0.95, 0.62, 0.47)) < 1,
        np.minimum(*(ellipsoid(grid, (0, -0.05, side), (0.5, 0.3, 0.09)) for side in (-0.14, 0.14))) < 1,
        ellipsoid(grid, (0.2, 0.3, 0.3), (0.3, 0.11, 0.11)) < 1,
    )
    for region, value in zip(regions, signal, strict=True):
        image[region] = value
    return image


def axes(*shape: int) -> tuple[NDArray[Any], ...]:
    """Return open grids that run from -1 to 1 along each axis (z, y, x)."""
    import numpy as np

    return tuple(np.ix_(*(np.linspace(-1, 1, size) for size in shape)))


def ellipsoid(
    grid: tuple[NDArray[Any], ...], centre: tuple[float, float, float], radii: tuple[float, float, float]
) -> NDArray[Any]:
    """Return the squared distance from `centre` in units of `radii`, each (z, y, x): below 1 inside."""
    total: NDArray[Any] = sum(((a - c) / r) ** 2 for a, c, r in zip(grid, centre, radii, strict=True))  # type: ignore[assignment]
    return total


def write_stack(stack: Stack, target: Path) -> None:
    """Write one file per slice, in two folders; neither names nor Instance Numbers follow the position."""
    import numpy as np

    frames = [(t, z) for t in range(stack.voxels.shape[0]) for z in range(stack.voxels.shape[1])]
    dice = np.random.default_rng(list(stack.name.encode()))
    instances, names = dice.permutation(len(frames)), dice.permutation(len(frames))
    study, series, frame_of_reference = (stack.uid(level) for level in ("study", "series", "frame"))
    for (t, z), instance, name in zip(frames, instances, names, strict=True):
        dataset = header_of(stack, t, z)
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study, series
        dataset.FrameOfReferenceUID = frame_of_reference
        dataset.InstanceNumber = int(instance) + 1
        folder = target / (stack.folder + (" (2)" if name % 2 else ""))
        folder.mkdir(parents=True, exist_ok=True)
        dataset.save_as(folder / f"IMG{name:05d}{stack.suffix}", enforce_file_format=True)


def header_of(stack: Stack, t: int, z: int) -> Any:
    """Return the data set of one slice, without Study and Series Instance UIDs and Instance Number."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

    plane = stack.voxels[t, z]
    signed = plane.dtype.kind == "i"
    dataset = Dataset()
    for keyword, value in stack.header.items():
        setattr(dataset, keyword, value)
    dataset.SOPClassUID, dataset.SOPInstanceUID = stack.sop_class, stack.uid(str(t), str(z))
    dataset.StudyDate = dataset.SeriesDate = "20200229"
    dataset.StudyTime = dataset.SeriesTime = "120000"
    dataset.SeriesNumber = 4
    dataset.Manufacturer = "dicomzarr demo"
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL" if stack.orientation[5] == 0 else "OBLIQUE"]
    dataset.BurnedInAnnotation = "NO"
    if stack.echo_times:
        dataset.EchoTime, dataset.EchoNumbers = str(stack.echo_times[t]), t + 1
    dataset.ImagePositionPatient = list(stack.position(z))
    dataset.ImageOrientationPatient = list(stack.orientation)
    dataset.PixelSpacing = list(stack.spacing[1:])
    dataset.SliceThickness = dataset.SpacingBetweenSlices = stack.spacing[0]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Rows, dataset.Columns = plane.shape
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, stack.bits_stored, stack.bits_stored - 1
    dataset.PixelRepresentation = int(signed)
    dataset.SmallestImagePixelValue, dataset.LargestImagePixelValue = int(plane.min()), int(plane.max())
    dataset.PixelData = plane.astype(plane.dtype.newbyteorder("<")).tobytes()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian if signed else ImplicitVRLittleEndian
    return dataset


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m dicomzarr.commands.demo.files TARGET")
    try:
        build(Path(sys.argv[1]))
    except OSError as error:  # a disk that is full, or a folder of another user
        sys.exit(f"{error.filename or sys.argv[1]}: {error.strerror}")
