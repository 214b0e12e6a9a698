"""A folder of hostile files ("traps"), with the acceptable reasons of each file."""

from __future__ import annotations

import dataclasses
import os
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from canaries import DATES, ROOT, WORD
from made_up_headers import (
    EXPLICIT,
    Element,
    encode,
    file,
    image,
    meta,
    number,
    text,
)
from made_up_pixels import DICOM, even
from reference_cases import CASES, Case

from dicomzarr.system.path_text import encode_path
from dicomzarr.vocabulary.reasons import REASONS

PIXEL_DATA = 0x7FE00010
PWNED = "pwned"  # name of a file that planted code creates if it is run

# Acceptable reasons by kind of damage; "" if the file may be extracted.
HEADER = frozenset({"unreadable_header", "truncated_header", "not_dicom", "too_large"})
ATTRIBUTE = frozenset({"invalid_attribute", "missing_attribute", "unsupported_pixel_layout", "unreadable_header"})
SIZE = frozenset({"too_large", "truncated_pixel_data", "frame_count_mismatch", "frame_size_mismatch"})
STREAM = frozenset(
    {"decode_error", "decoder_died", "bad_encapsulation", "frame_count_mismatch", "frame_size_mismatch"}
) | {"truncated_pixel_data", "unsupported_pixel_layout", "too_large"}
ANY = HEADER | ATTRIBUTE | SIZE | STREAM | {"missing_pixel_data", "unsupported_transfer_syntax", "no_pixel_data"}
FINE = frozenset({""})


@dataclasses.dataclass
class Traps:
    """What was written to the folder.

    Attributes
    ----------
    expected : dict
        Acceptable reasons by percent-encoded path; "" means extracted.
    voxels : dict
        The single frame of each good file, by percent-encoded path.
    canaries : set of str
        All texts planted.
    """

    source: Path
    expected: dict[str, frozenset[str]] = dataclasses.field(default_factory=dict)
    voxels: dict[str, Any] = dataclasses.field(default_factory=dict)
    canaries: set[str] = dataclasses.field(default_factory=set)
    count: int = 0

    @property
    def hostile(self) -> int:
        return len(self.expected) - len(self.voxels)

    def word(self, label: str = "") -> str:
        """Return a new canary."""
        self.count += 1
        return self.plant(f"{WORD}{label}{self.count}")

    def uid(self) -> str:
        self.count += 1
        return self.plant(f"{ROOT}.{self.count}")

    def plant(self, canary: str) -> str:
        self.canaries.add(canary)
        return canary

    def put(self, name: str | bytes, content: bytes, reasons: Iterable[str]) -> Path:
        """Write a file; `reasons` are acceptable reason codes, and "" if it may be extracted."""
        raw = os.fsencode(name)
        path = os.path.join(os.fsencode(self.source), raw)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "xb") as stream:
            stream.write(content)
        self.expect(raw, reasons)
        return Path(os.fsdecode(path))

    def expect(self, name: str | bytes, reasons: Iterable[str]) -> None:
        reasons = frozenset(reasons)
        assert reasons <= {*REASONS, ""}, reasons
        self.expected[encode_path(os.fsencode(name))] = reasons

    def identity(self, **changes: Element | None) -> dict[str, Element | None]:
        """Return elements with canaries that identify an instance, in a series of its own."""
        return {
            "SpecificCharacterSet": text(0x00080005, "CS", "ISO_IR 100"),
            "SOPInstanceUID": text(0x00080018, "UI", self.uid()),
            "StudyDate": text(0x00080020, "DA", DATES[self.count % len(DATES)]),
            "InstitutionName": text(0x00080080, "LO", self.word("Hospital")),
            "PatientName": text(0x00100010, "PN", f"{self.word()}^{self.word()}"),
            "PatientID": text(0x00100020, "LO", self.word("ID")),
            "StudyInstanceUID": text(0x0020000D, "UI", self.uid()),
            "SeriesInstanceUID": text(0x0020000E, "UI", self.uid()),
            "ImageComments": text(0x00204000, "LT", self.word("comment")),
            **changes,
        }

    def bad(self, name: str, reasons: Iterable[str], syntax: str = EXPLICIT, **changes: Element | None) -> None:
        """Write an otherwise plain image with elements replaced, added or (None) dropped."""
        self.put(f"bad {WORD}/{name}", file(image(syntax, **self.identity(**changes)), syntax), reasons)

    def compressed(
        self, name: str, content: bytes, reasons: Iterable[str], case: Case | None = None, **changes: Element | None
    ) -> None:
        """Write an image of a case's transfer syntax whose pixel data is `content`, a whole encapsulation."""
        case = case or reference("rle 16 grey")
        elements = compressed_elements(self, case, content, **changes)
        self.put(f"bad {WORD}/{name}", meta(f"{DICOM}{case.syntax}") + encode(elements, EXPLICIT), reasons)


def reference(name: str) -> Case:
    """Return a reference case by its name."""
    return next(case for case in CASES if case.name == name)


def undefined(content: bytes) -> Element:
    """Return Pixel Data of undefined length; `content` includes the delimiter."""
    return Element(PIXEL_DATA, "OB", content, length=0xFFFFFFFF)


def described(array: Any, bits: int) -> dict[str, Element | None]:
    """Return the image pixel elements of an array of one frame."""
    size = 8 * array.dtype.itemsize
    colour = array.ndim == 3
    return {
        "SamplesPerPixel": number(0x00280002, 3 if colour else 1),
        "PhotometricInterpretation": text(0x00280004, "CS", "RGB" if colour else "MONOCHROME2"),
        **({"PlanarConfiguration": number(0x00280006, 0)} if colour else {}),
        "Rows": number(0x00280010, array.shape[0]),
        "Columns": number(0x00280011, array.shape[1]),
        "BitsAllocated": number(0x00280100, size),
        "BitsStored": number(0x00280101, bits),
        "HighBit": number(0x00280102, bits - 1),
        "PixelRepresentation": number(0x00280103, int(array.dtype.kind == "i")),
    }


def compressed_elements(traps: Traps, case: Case, content: bytes, **changes: Element | None) -> list[Element]:
    """Return the elements of an image in the transfer syntax of a case; `content` is its encapsulated Pixel Data."""
    attributes: dict[str, Element | None] = {}
    for keyword, value in case.header:
        assert keyword == "PhotometricInterpretation"
        attributes[keyword] = text(0x00280004, "CS", value)
    pixels = described(case.array, case.bits) | attributes | {"PixelData": undefined(content)}
    return image(**traps.identity(**(pixels | changes)))


def deflated(body: bytes) -> bytes:
    """Return a data set compressed as Deflated Explicit VR Little Endian."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return even(compressor.compress(body) + compressor.flush())
