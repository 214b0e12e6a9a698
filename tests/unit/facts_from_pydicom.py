"""Facts of a header by pydicom: what the pixel tests need, independent of the project's own header reader."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Any

from dicomzarr.model import ImageFacts

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
_TAGS = {0x7FE00010: "PixelData", 0x7FE00008: "FloatPixelData", 0x7FE00009: "DoubleFloatPixelData"}


def facts_of(path: Path, syntax: str | None = None) -> ImageFacts:
    """Return the facts of a file; `syntax` stands in where it has no file meta information."""
    import zlib

    from pydicom import dcmread

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data = path.read_bytes()
        dataset = dcmread(io.BytesIO(data), force=True, defer_size=None)
        meta = getattr(dataset, "file_meta", {})
        uid = str(meta.get("TransferSyntaxUID", "") or syntax or "")
        facts: dict[str, Any] = {"TransferSyntaxUID": uid}
        for name in _NUMBERS:
            if dataset.get(name) is not None:
                facts[name] = int(dataset[name].value)
        facts["PhotometricInterpretation"] = str(dataset.PhotometricInterpretation)
        if dataset.get("LossyImageCompression"):
            facts["LossyImageCompression"] = str(dataset.LossyImageCompression)
        try:
            facts["NumberOfFrames"] = int(dataset.get("NumberOfFrames") or 1)
        except ValueError:
            facts["NumberOfFrames"] = 1
        tag = next(tag for tag in _TAGS if tag in dataset)
        raw = dataset.get_item(tag)
        if uid == "1.2.840.10008.1.2.1.99":
            body = zlib.decompress(data[_after_meta(data) :], -15)
            where = body.rindex(dataset[tag].value)
            length = len(dataset[tag].value)
        else:
            # Walk to the element without its value: pydicom stops there.
            stream = io.BytesIO(data)
            dcmread(stream, force=True, stop_before_pixels=True)
            where = stream.tell()
            implicit, little = dataset.original_encoding
            order = "little" if little is not False else "big"
            size = 4 if implicit or raw.VR not in ("OB", "OW", "OF", "OD", "UN") else 8
            length = int.from_bytes(data[where + size : where + size + 4], order)  # type: ignore[arg-type]
            where += size + 4
            implicit_start = 4 if implicit else 0
            if implicit_start:
                where = stream.tell() + 8
                length = int.from_bytes(data[where - 4 : where], "little")
        facts["pixel"] = {
            "keyword": _TAGS[tag],
            "vr": "" if dataset.original_encoding[0] else str(dataset[tag].VR),
            "offset": where,
            "length": -1 if length == 0xFFFFFFFF else length,
        }
    return facts  # type: ignore[return-value]


def _after_meta(data: bytes) -> int:
    length = int.from_bytes(data[140:144], "little")
    return 144 + length
