"""Read the facts of a header with pydicom, for the tests of pixels; independent of the project's own header reader."""

from __future__ import annotations

import io
import warnings
import zlib
from pathlib import Path
from typing import Any, cast

from dicomzarr.dicom.facts import ImageFacts

DEFLATED = "1.2.840.10008.1.2.1.99"
_TAGS = {0x7FE00008: "FloatPixelData", 0x7FE00009: "DoubleFloatPixelData", 0x7FE00010: "PixelData"}
_NUMBERS = (
    "Rows",
    "Columns",
    "SamplesPerPixel",
    "PlanarConfiguration",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
)


def facts_of(path: Path, syntax: str | None = None) -> ImageFacts | None:
    """Return the facts of an image, or None for another file; `syntax` is used if the file has none."""
    import pydicom

    data = path.read_bytes()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            dataset = pydicom.dcmread(io.BytesIO(data), force=True)
            tag = next((tag for tag in _TAGS if tag in dataset), None)
            if tag is None or "Rows" not in dataset:
                return None
            facts: dict[str, Any] = {name: int(dataset[name].value) for name in _NUMBERS if name in dataset}
            frames = str(dataset.get("NumberOfFrames") or 1)
        except Exception:
            return None
        facts["NumberOfFrames"] = int(frames) if frames.isdigit() else 1
        facts["TransferSyntaxUID"] = str(getattr(dataset, "file_meta", {}).get("TransferSyntaxUID", syntax) or syntax)
        for name in ("PhotometricInterpretation", "LossyImageCompression"):
            if dataset.get(name):
                facts[name] = str(dataset[name].value)
        implicit, little = dataset.original_encoding
        facts["pixel"] = {"keyword": _TAGS[tag], "vr": "" if implicit else str(dataset[tag].VR)}
        facts["pixel"] |= _location(data, dataset[tag].value, facts["TransferSyntaxUID"], bool(implicit), bool(little))
    return cast(ImageFacts, facts)


def _location(data: bytes, value: bytes, syntax: str, implicit: bool, little: bool) -> dict[str, int]:
    import pydicom

    if syntax == DEFLATED:
        inflated = zlib.decompressobj(-15).decompress(data[144 + int.from_bytes(data[140:144], "little") :])
        return {"offset": inflated.rindex(value), "length": len(value)}
    stream = io.BytesIO(data)
    pydicom.dcmread(stream, force=True, stop_before_pixels=True)
    at = stream.tell()  # some files are implicit where their syntax is explicit
    start = at + (12 if data[at + 4 : at + 6].isalpha() and not implicit else 8)
    length = int.from_bytes(data[start - 4 : start], "little" if little else "big")
    return {"offset": start, "length": -1 if length == 0xFFFFFFFF else length}
