"""Frames of DICOM files for tests, read with pydicom alone, without the project's header readers."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_type_hints

import pydicom
from pydicom.multival import MultiValue

from dicomzarr.dicom.facts import ImageFacts
from dicomzarr.volumes.frames import frames_of, needs_header
from dicomzarr.volumes.model import Frame

LISTS = {k for k, v in get_type_hints(ImageFacts).items() if getattr(v, "__origin__", None) is list}
NUMBERS = {k: v for k, v in get_type_hints(ImageFacts).items() if v in (int, float)}


@dataclass(frozen=True)
class MadeUpFormat:
    """The attributes of a pixel format that frames need."""

    rows: int
    columns: int
    samples: int
    dtype: str
    photometric: str
    bits_stored: int
    frames: int


def facts_of(header: pydicom.Dataset) -> ImageFacts:
    """Return the facts of a header."""
    facts: dict[str, Any] = {}
    for keyword in get_type_hints(ImageFacts):
        value = header.get(keyword)
        if value is None or value == "":
            continue
        if keyword in LISTS:
            values = list(value) if isinstance(value, (MultiValue, list)) else [value]
            number = keyword not in ("ImageType", "CorrectedImage", "SequenceVariant")
            facts[keyword] = [float(v) if number else str(v) for v in values]
        elif keyword in NUMBERS:
            facts[keyword] = NUMBERS[keyword](value[0] if isinstance(value, MultiValue) else value)
        else:
            facts[keyword] = str(value)
    groups = ("PerFrameFunctionalGroupsSequence", "SharedFunctionalGroupsSequence")
    facts["has_functional_groups"] = any(sequence in header for sequence in groups)
    detector = header.get("DetectorInformationSequence")
    if detector:
        places = (detector[0].get("ImagePositionPatient"), detector[0].get("ImageOrientationPatient"))
        if all(places):
            position, orientation = ([float(number) for number in place] for place in places)
            facts["detector"] = {"position": position, "orientation": orientation}
    return facts  # type: ignore[return-value]


def format_of(header: pydicom.Dataset) -> MadeUpFormat:
    """Return the pixel format of a header."""
    bits, signed = int(header.BitsAllocated), bool(header.get("PixelRepresentation", 0))
    size = max(1, bits // 8)
    photometric = str(header.PhotometricInterpretation)
    return MadeUpFormat(
        rows=int(header.Rows),
        columns=int(header.Columns),
        samples=int(header.get("SamplesPerPixel", 1)),
        dtype=f"{'|' if size == 1 else '<'}{'i' if signed else 'u'}{size}",
        photometric="RGB" if photometric.startswith("YBR") else photometric,
        bits_stored=int(header.get("BitsStored", bits)),
        frames=int(header.get("NumberOfFrames", 1) or 1),
    )


def frames_of_header(header: pydicom.Dataset, source: int = 0, content: str = "") -> list[Frame]:
    """Return the frames of a header; `content` is the digest of the file."""
    facts = facts_of(header)
    content = content or hashlib.sha256(str(header.get("SOPInstanceUID", source)).encode()).hexdigest()
    return frames_of(source, content, facts, format_of(header), header if needs_header(facts) else None)


def frames_of_file(path: Path, source: int) -> list[Frame]:
    """Return the frames of a file."""
    header = pydicom.dcmread(path, stop_before_pixels=True, force=True)
    return frames_of_header(header, source, hashlib.sha256(path.read_bytes()).hexdigest())
