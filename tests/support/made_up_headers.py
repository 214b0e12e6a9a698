"""Write DICOM files as bytes, element by element, so that a test can write invalid ones that no library writes."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
BIG = "1.2.840.10008.1.2.2"
DEFLATED = "1.2.840.10008.1.2.1.99"
JPEG = "1.2.840.10008.1.2.4.50"
LONG = {"OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"}
CT = "1.2.840.10008.5.1.4.1.1.2"
UNDEFINED = 0xFFFFFFFF


@dataclass(frozen=True)
class Element:
    """One element; its value is bytes, or the items of a sequence. `length` replaces its true length."""

    tag: int
    vr: str
    value: bytes | tuple[tuple[Element, ...], ...]
    undefined: bool = False
    length: int | None = None
    item_lengths_undefined: bool = field(default=False)

    def encode(self, syntax: str) -> bytes:
        order = ">" if syntax == BIG else "<"
        if isinstance(self.value, bytes):
            content = self.value
        else:
            content = b"".join(self._item(item, syntax, order) for item in self.value)
        length = len(content) if self.length is None else self.length
        if self.undefined:
            length = UNDEFINED
            content += struct.pack(order + "HHI", 0xFFFE, 0xE0DD, 0)
        return head(self.tag, self.vr, length, syntax) + content

    def _item(self, item: Sequence[Element], syntax: str, order: str) -> bytes:
        content = encode(item, syntax)
        if self.item_lengths_undefined:
            end = struct.pack(order + "HHI", 0xFFFE, 0xE00D, 0)
            return struct.pack(order + "HHI", 0xFFFE, 0xE000, UNDEFINED) + content + end
        return struct.pack(order + "HHI", 0xFFFE, 0xE000, len(content)) + content


def head(tag: int, vr: str, length: int, syntax: str) -> bytes:
    """Return tag, VR and length of an element."""
    order = ">" if syntax == BIG else "<"
    if syntax == IMPLICIT:
        return struct.pack("<HHI", tag >> 16, tag & 0xFFFF, length)
    if vr in LONG:
        return struct.pack(order + "HH2s2xI", tag >> 16, tag & 0xFFFF, vr.encode(), length)
    return struct.pack(order + "HH2sH", tag >> 16, tag & 0xFFFF, vr.encode(), length)


def encode(elements: Iterable[Element], syntax: str) -> bytes:
    """Return elements as bytes."""
    return b"".join(element.encode(syntax) for element in elements)


def text(tag: int, vr: str, value: str) -> Element:
    """Return an element of text, padded to even length."""
    raw = value.encode("latin-1")
    return Element(tag, vr, raw + (b"\0" if vr == "UI" else b" ") * (len(raw) % 2))


def number(tag: int, value: int, syntax: str = EXPLICIT, vr: str = "US") -> Element:
    """Return an element of one binary number."""
    code = {"US": "H", "SS": "h", "UL": "I"}[vr]
    return Element(tag, vr, struct.pack((">" if syntax == BIG else "<") + code, value))


def meta(syntax: str | None = EXPLICIT, sop_class: str = CT) -> bytes:
    """Return preamble and file meta information; without `syntax` it has no Transfer Syntax UID."""
    elements = [text(0x00020002, "UI", sop_class), text(0x00020003, "UI", "1.2.3.4")]
    if syntax is not None:
        elements.append(text(0x00020010, "UI", syntax))
    content = encode(elements, EXPLICIT)
    return bytes(128) + b"DICM" + Element(0x00020000, "UL", struct.pack("<I", len(content))).encode(EXPLICIT) + content


def image(syntax: str = EXPLICIT, pixels: bytes | None = None, **changes: Element | None) -> list[Element]:
    """Return the elements of a plain image, 4 rows by 6 columns of 16 bits.

    Parameters
    ----------
    syntax : str
        Transfer syntax in which numbers are written.
    pixels : bytes, optional
        Value of Pixel Data.
    **changes
        Elements by name that replace or add one; None removes one.
    """
    elements = {
        "ImageType": text(0x00080008, "CS", "ORIGINAL\\PRIMARY"),
        "SOPClassUID": text(0x00080016, "UI", CT),
        "SOPInstanceUID": text(0x00080018, "UI", "1.2.3.4"),
        "Modality": text(0x00080060, "CS", "CT"),
        "PatientID": text(0x00100020, "LO", "ID 1"),
        "StudyInstanceUID": text(0x0020000D, "UI", "1.2.3"),
        "SeriesInstanceUID": text(0x0020000E, "UI", "1.2.3.1"),
        "InstanceNumber": text(0x00200013, "IS", "7"),
        "ImagePositionPatient": text(0x00200032, "DS", "-1.5\\2\\3e1"),
        "SamplesPerPixel": number(0x00280002, 1, syntax),
        "PhotometricInterpretation": text(0x00280004, "CS", "MONOCHROME2"),
        "Rows": number(0x00280010, 4, syntax),
        "Columns": number(0x00280011, 6, syntax),
        "BitsAllocated": number(0x00280100, 16, syntax),
        "BitsStored": number(0x00280101, 12, syntax),
        "HighBit": number(0x00280102, 11, syntax),
        "PixelRepresentation": number(0x00280103, 0, syntax),
        "PixelData": Element(0x7FE00010, "OW", bytes(48) if pixels is None else pixels),
    }
    for name, element in changes.items():
        if element is None:
            del elements[name]
        else:
            elements[name] = element
    return sorted(elements.values(), key=lambda element: element.tag)


def file(elements: Iterable[Element], syntax: str = EXPLICIT, declared: str | None = "") -> bytes:
    """Return a file in `syntax`; `declared` is the Transfer Syntax UID in its meta information, None for none."""
    return meta(syntax if declared == "" else declared) + encode(elements, syntax)


def acr_nema(code: str = "ACR-NEMA 2.0", **changes: Element | None) -> bytes:
    """Return an image of the standard before DICOM, with the voxels 0 to 23: no preamble, no UID, implicit VR.

    Parameters
    ----------
    code : str
        Recognition Code; without one it is left out.
    **changes
        Elements by name that replace or add one; None removes one.
    """
    elements: dict[str, Element | None] = {
        "GroupLength": Element(0x00080000, "UL", struct.pack("<I", 100)),
        "LengthToEnd": Element(0x00080001, "UL", struct.pack("<I", 400)),
        "RecognitionCode": text(0x00080010, "LO", code),
    }
    elements |= changes
    if not code:
        del elements["RecognitionCode"]
    absent = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
    absent += ("SamplesPerPixel", "PhotometricInterpretation")
    known = {name for name in elements if elements[name] is None and name in ("GroupLength", "LengthToEnd")}
    changed = {name: element for name, element in elements.items() if name not in known}
    pixels = struct.pack("<24H", *range(24))
    return encode(image(IMPLICIT, pixels, **{**dict.fromkeys(absent), **changed}), IMPLICIT)
