"""Writing of made-up cases: files with known voxels, and what must become of them."""

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

Array = Any
STORAGE = "1.2.840.10008.5.1.4.1.1."
LITTLE, BIG, DEFLATED = f"{DICOM}.1", f"{DICOM}.2", f"{DICOM}.1.99"
AXIAL = [1, 0, 0, 0, 1, 0]


@dataclass
class Made:
    """A folder of files and what must become of it.

    Attributes
    ----------
    files : dict of str to bytes
        By name.
    voxels : dict of str to list of ndarray
        The frames of each file that must be in the dataset.
    aside : dict of str to str
        The reason of each other file.
    one_of : set of str
        Copies: one is extracted, whichever, and the others are duplicates.
    places : dict of (str, int) to (t, z)
        Where frames must stand, None where the array has no such axis.
    flags : set of str
        All flags of all arrays.
    facts : dict
        Attributes that the first array must have; None means that it must not be there.
    """

    name: str
    files: dict[str, bytes] = field(default_factory=dict)
    voxels: dict[str, list[Array]] = field(default_factory=dict)
    aside: dict[str, str] = field(default_factory=dict)
    one_of: set[str] = field(default_factory=set)
    places: dict[tuple[str, int], tuple[int | None, int | None]] = field(default_factory=dict)
    flags: set[str] = field(default_factory=set)
    facts: dict[str, Any] = field(default_factory=dict)
    arrays: int = 1
    axes: str = ""
    tolerance: int = 0

    def __str__(self) -> str:
        return self.name

    def put(self, name: str, dataset: Dataset | bytes, frames: Sequence[Array] | None) -> None:
        """Add a file; `frames` is None where it does not get into the dataset."""
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
    """Return a CT image of these frames; `fragments` or `data` say how they are written where not as they are.

    Several frames have no position, unless the attributes give one; None removes an attribute.
    """
    first = frames[0]
    one = ct_slice(case, index, pixels=np.zeros((2, 2)))
    bits = 8 * first.dtype.itemsize
    one.Rows, one.Columns = first.shape[:2]
    one.BitsAllocated, one.BitsStored, one.HighBit = bits, bits, bits - 1
    one.PixelRepresentation = int(first.dtype.kind == "i")
    if first.ndim == 3:
        one.SamplesPerPixel, one.PhotometricInterpretation, one.PlanarConfiguration = 3, "RGB", 0
    if len(frames) > 1:
        one.NumberOfFrames = len(frames)
        del one.ImagePositionPatient, one.ImageOrientationPatient
    if attributes.get("BitsStored"):
        one.HighBit = attributes["BitsStored"] - 1
    one.file_meta.TransferSyntaxUID = syntax
    if fragments is not None:
        data, vr = encapsulate(fragments) if not isinstance(fragments, bytes) else fragments, "OB"
    elif data is None:
        order = ">" if syntax == BIG else "<"
        data = even(b"".join(f.astype(f.dtype.newbyteorder(order)).tobytes() for f in frames))
        vr = "OB" if bits == 8 and syntax != BIG else vr
        if syntax == BIG and bits == 8:
            data = np.frombuffer(data, "<u2").byteswap().tobytes()
    one.add_new(0x7FE00010, vr, data)
    one["PixelData"].is_undefined_length = fragments is not None
    for keyword, value in attributes.items():
        if value is not None:
            setattr(one, keyword, value)
        elif keyword in one:
            delattr(one, keyword)
    return one


def slice_of(name: str, index: int, **attributes: Any) -> tuple[Dataset, list[Array]]:
    """Return a slice of noise, different for every index, and its voxels."""
    seed = [index, *name.encode()]
    voxels = np.random.default_rng(seed).integers(-1000, 3000, (6, 5), dtype="<i2")
    return dataset_of(name, [voxels], index=index, **attributes), [voxels]


CASES: dict[str, Made] = {}


def case(name: str, **expected: Any) -> Made:
    assert name not in CASES
    CASES[name] = Made(name, **expected)
    return CASES[name]


def single(name: str, frames: Sequence[Array], syntax: str = LITTLE, **more: Any) -> Made:
    """Add a case of one file."""
    fields = {"flags", "facts", "arrays", "axes", "tolerance", "places"}
    made = case(name, **{key: more.pop(key) for key in fields & set(more)})
    made.put("one.dcm", dataset_of(name, frames, syntax, **more), frames)
    return made


def refused(name: str, reason: str, dataset: Dataset | bytes) -> None:
    case(name, aside={"one.dcm": reason}, arrays=0).put("one.dcm", dataset, None)
