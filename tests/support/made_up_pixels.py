"""Pixel data as bytes, with the facts that describe it and known voxels."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any, cast

import numpy as np

from dicomzarr.dicom.facts import ImageFacts
from dicomzarr.pixels.reader import DecodedFrame, FrameReader, MemorySource

DICOM = "1.2.840.10008.1.2"
LITTLE, BIG = f"{DICOM}.1", f"{DICOM}.2"
DELIMITER = struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)


def item(data: bytes, length: int | None = None) -> bytes:
    """Return an item (FFFE,E000); `length` replaces its true length."""
    return struct.pack("<HHI", 0xFFFE, 0xE000, len(data) if length is None else length) + data


def even(data: bytes) -> bytes:
    """Return the data padded to even length."""
    return data + b"\0" * (len(data) % 2)


def encapsulate(fragments: Sequence[bytes], table: Sequence[int] = (), end: bytes = DELIMITER) -> bytes:
    """Return encapsulated pixel data: offset table, fragments (padded to even length), delimiter."""
    return item(struct.pack(f"<{len(table)}I", *table)) + b"".join(item(even(f)) for f in fragments) + end


def facts_for(data: bytes, syntax: str = LITTLE, vr: str = "OW", **header: Any) -> ImageFacts:
    """Return the facts of pixel data at offset 0; attributes that are not given get plausible values."""
    samples = header.get("SamplesPerPixel", 1)
    allocated = header.get("BitsAllocated", 16)
    stored = header.get("BitsStored") or allocated
    facts: dict[str, Any] = {
        "TransferSyntaxUID": syntax,
        "SamplesPerPixel": samples,
        "PhotometricInterpretation": "MONOCHROME2" if samples == 1 else "RGB",
        "BitsAllocated": allocated,
        "BitsStored": stored,
        "HighBit": stored - 1,
        "PixelRepresentation": 0,
        "NumberOfFrames": 1,
        "pixel": {"keyword": "PixelData", "vr": vr, "offset": 0, "length": len(data)},
    }
    if samples == 3:
        facts["PlanarConfiguration"] = 0
    facts |= header
    if syntax not in (DICOM, LITTLE, BIG):
        facts["pixel"]["length"] = -1
        facts["pixel"]["vr"] = "OB"
    return cast(ImageFacts, {key: value for key, value in facts.items() if value is not None})


def reader(data: bytes, syntax: str = LITTLE, **header: Any) -> FrameReader:
    """Return a frame reader of pixel data."""
    return FrameReader(MemorySource(data), facts_for(data, syntax, **header))


def frames(data: bytes, syntax: str = LITTLE, **header: Any) -> list[DecodedFrame]:
    """Return the decoded frames of pixel data."""
    return list(reader(data, syntax, **header))


def one_fragment_reader(data: bytes, syntax: str, array: np.ndarray[Any, Any], **header: Any) -> FrameReader:
    """Return a frame reader of one compressed frame; `array` is the expected frame and gives the header."""
    header = {
        "Rows": array.shape[0],
        "Columns": array.shape[1],
        "SamplesPerPixel": 3 if array.ndim == 3 else 1,
        "BitsAllocated": 8 * array.dtype.itemsize,
        "PixelRepresentation": int(array.dtype.kind == "i"),
    } | header
    return reader(encapsulate([data]), f"{DICOM}{syntax}", **header)


def picture(bits: int, *, signed: bool = False, colour: bool = False, rows: int = 37, columns: int = 53) -> Any:
    """Return a noisy ramp that uses all bits; by default both dimensions are odd."""
    noise = np.random.default_rng(bits).integers(0, 9, (rows, columns))
    y, x = np.mgrid[:rows, :columns]
    grey = ((x * 7 + y * 13 + noise) << max(bits - 9, 0)) % (1 << bits)
    grey[0, :2] = 0, (1 << bits) - 1
    array = np.stack([grey, (grey * 3) % (1 << bits), (grey + 5) % (1 << bits)], axis=-1) if colour else grey
    size = 1 if bits <= 8 else 2 if bits <= 16 else 4
    return (array - (1 << (bits - 1))).astype(f"<i{size}") if signed else array.astype(f"<u{size}")
