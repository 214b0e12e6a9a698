"""Write made-up cases: files with known voxels, and the expected result."""

from __future__ import annotations

import io
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from dicoms import ct_slice
from made_up_pixels import DICOM, encapsulate, even
from pydicom.dataset import Dataset
from pydicom.filewriter import dcmwrite
from pydicom.sequence import Sequence as DicomSequence

Array = Any
STORAGE = "1.2.840.10008.5.1.4.1.1."
LITTLE, BIG, DEFLATED = f"{DICOM}.1", f"{DICOM}.2", f"{DICOM}.1.99"
AXIAL = [1, 0, 0, 0, 1, 0]


@dataclass
class FlowCase:
    """A folder of files and the expected result of the workflow.

    Attributes
    ----------
    files : dict of str to bytes
        Contents of the files, by name.
    voxels : dict of str to list of ndarray
        The frames of each file that must be in the dataset.
    not_extracted : dict of str to str
        The reason code of each other file.
    copies : set of str
        Files with the same image: any one of them is extracted, and the others are duplicates.
    one_of : tuple of str
        Beginnings of the names of copies of a series: all files of one of them are extracted, and all others are
        duplicates.
    places : dict of (str, int) to (t, z)
        Expected indices of frames in the array, by file and frame number; None for an axis that the array lacks.
    flags : set of str
        All flags of all arrays.
    facts : dict
        Expected attributes of the first array; None for one that must be absent.
    arrays : int
        Number of arrays.
    axes : str
        Axes of all arrays; empty: any.
    tolerance : int
        Largest difference of a voxel.
    """

    name: str
    files: dict[str, bytes] = field(default_factory=dict)
    voxels: dict[str, list[Array]] = field(default_factory=dict)
    not_extracted: dict[str, str] = field(default_factory=dict)
    copies: set[str] = field(default_factory=set)
    one_of: tuple[str, ...] = ()
    places: dict[tuple[str, int], tuple[int | None, int | None]] = field(default_factory=dict)
    flags: set[str] = field(default_factory=set)
    facts: dict[str, Any] = field(default_factory=dict)
    arrays: int = 1
    axes: str = ""
    tolerance: int = 0

    def __str__(self) -> str:
        return self.name

    def put(self, name: str, dataset: Dataset | bytes, frames: Sequence[Array] | None) -> None:
        """Add a file with its expected frames, None if it is not extracted."""
        self.files[name] = dataset if isinstance(dataset, bytes) else written(dataset)
        if frames is not None:
            self.voxels[name] = list(frames)


def written(dataset: Dataset) -> bytes:
    """Return a data set as a file in the transfer syntax of its meta information."""
    stream = io.BytesIO()
    syntax = str(dataset.file_meta.TransferSyntaxUID)
    if syntax in (DICOM, LITTLE, BIG, DEFLATED):
        dcmwrite(stream, dataset, enforce_file_format=True)
        return stream.getvalue()
    # pydicom does not know every syntax by name; all compressed ones are explicit little endian (PS3.5 A.4).
    dataset.file_meta.TransferSyntaxUID = LITTLE
    dcmwrite(stream, dataset, enforce_file_format=True)
    end = 1 if len(syntax) % 2 else 0
    old, new = LITTLE.encode() + b"\0", syntax.encode() + b"\0" * end
    data = stream.getvalue()
    at = data.index(b"\x02\0\x10\0UI") + 8
    assert data[at : at + len(old)] == old
    data = data[: at - 2] + struct.pack("<H", len(new)) + new + data[at + len(old) :]
    group = data.index(b"\x02\0\0\0UL") + 8
    length = struct.unpack_from("<I", data, group)[0] + len(new) - len(old)
    return data[:group] + struct.pack("<I", length) + data[group + 4 :]


def dataset_of(
    case: str,
    frames: Sequence[Array],
    syntax: str = LITTLE,
    *,
    fragments: Sequence[bytes] | None = None,
    data: bytes | None = None,
    index: int = 0,
    vr: str = "OW",
    **attributes: Any,
) -> Dataset:
    """Return a CT image of these frames.

    Parameters
    ----------
    case : str
        Name of the case; the UIDs depend on it.
    frames : sequence of ndarray
        Shape (rows, columns) or (rows, columns, 3). Several frames have no position unless `attributes` give one.
    syntax : str
        Transfer Syntax UID.
    fragments : sequence of bytes, or bytes
        Encapsulated frames, or the whole encapsulation, instead of the frames.
    data : bytes
        Pixel Data instead of the frames.
    index : int
        Number of the slice.
    vr : str
        VR of Pixel Data.
    **attributes
        Attributes by keyword; None removes one.
    """
    first = frames[0]
    dataset = ct_slice(case, index, pixels=np.zeros((2, 2)))
    bits = 8 * first.dtype.itemsize
    dataset.Rows, dataset.Columns = first.shape[:2]
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = bits, bits, bits - 1
    dataset.PixelRepresentation = int(first.dtype.kind == "i")
    if first.ndim == 3:
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation, dataset.PlanarConfiguration = 3, "RGB", 0
    if len(frames) > 1:
        dataset.NumberOfFrames = len(frames)
        del dataset.ImagePositionPatient, dataset.ImageOrientationPatient
    if attributes.get("BitsStored"):
        dataset.HighBit = attributes["BitsStored"] - 1
    dataset.file_meta.TransferSyntaxUID = syntax
    if fragments is not None:
        data, vr = encapsulate(fragments) if not isinstance(fragments, bytes) else fragments, "OB"
    elif data is None:
        order = ">" if syntax == BIG else "<"
        data = even(b"".join(f.astype(f.dtype.newbyteorder(order)).tobytes() for f in frames))
        vr = "OB" if bits == 8 and syntax != BIG else vr
        if syntax == BIG and bits == 8:
            data = np.frombuffer(data, "<u2").byteswap().tobytes()
    dataset.add_new(0x7FE00010, vr, data)
    dataset["PixelData"].is_undefined_length = fragments is not None
    for keyword, value in attributes.items():
        if value is not None:
            setattr(dataset, keyword, value)
        elif keyword in dataset:
            delattr(dataset, keyword)
    return dataset


def slice_of(name: str, index: int, **attributes: Any) -> tuple[Dataset, list[Array]]:
    """Return a slice of noise, different for every index, and its voxels."""
    seed = [index, *name.encode()]
    voxels = np.random.default_rng(seed).integers(-1000, 3000, (6, 5), dtype="<i2")
    return dataset_of(name, [voxels], index=index, **attributes), [voxels]


def item_of(**values: Any) -> Dataset:
    """Return an item of a sequence; a data set as a value is a sequence of one item."""
    item = Dataset()
    for keyword, value in values.items():
        setattr(item, keyword, DicomSequence([value]) if isinstance(value, Dataset) else value)
    return item


def many_of(
    name: str, suffix: str, groups: Sequence[Dataset], shared: Dataset, **more: Any
) -> tuple[Dataset, list[Any]]:
    """Return a multi-frame image with these functional groups, and its frames."""
    seed = list(f"{name}{more.get('InConcatenationNumber', '')}".encode())
    frames = [np.random.default_rng([i, *seed]).integers(0, 4000, (6, 5)).astype("<u2") for i in range(len(groups))]
    base = {"PixelSpacing": None, "RescaleSlope": None, "RescaleIntercept": None, "BitsStored": 12}
    dataset = dataset_of(name, frames, **base | {"SOPClassUID": STORAGE + suffix} | more)
    dataset.SharedFunctionalGroupsSequence = DicomSequence([shared])
    dataset.PerFrameFunctionalGroupsSequence = DicomSequence(groups)
    return dataset, frames


CASES: dict[str, FlowCase] = {}


def add_case(name: str, **expected: Any) -> FlowCase:
    """Add a case without files."""
    assert name not in CASES
    CASES[name] = FlowCase(name, **expected)
    return CASES[name]


def single(name: str, frames: Sequence[Array], syntax: str = LITTLE, **options: Any) -> FlowCase:
    """Add a case of one file that is extracted."""
    fields = {"flags", "facts", "arrays", "axes", "tolerance", "places"}
    case = add_case(name, **{key: options.pop(key) for key in fields & set(options)})
    dataset = dataset_of(name, frames, syntax, **options)
    case.put("one.dcm", dataset, frames)
    if len(frames) > 1 and frames[0].ndim == 2 and dataset.Modality == "CT":
        case.flags = {*case.flags, "t_order_only"}  # slices without positions
    return case


def refused(name: str, reason: str, dataset: Dataset | bytes) -> None:
    """Add a case of one file that is not extracted."""
    add_case(name, not_extracted={"one.dcm": reason}, arrays=0).put("one.dcm", dataset, None)
