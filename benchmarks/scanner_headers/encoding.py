"""Encode a header once, and join its parts for each file."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_data_element
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

Values = Mapping[str, bytes]

ROOT = "1.2.3.12.2.1107.5"  # of all UIDs; not registered
CT_IMAGE, MR_IMAGE = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4"
ENHANCED_MR_IMAGE = "1.2.840.10008.5.1.4.1.1.4.1"

_LONG_VRS = ("OB", "OD", "OF", "OL", "OV", "OW", "SQ", "UC", "UN", "UR", "UT")  # four bytes of length: PS3.5 7.1.2
UNDEFINED = b"\xff\xff\xff\xff"
ITEM, END_OF_ITEM, END_OF_SEQUENCE = b"\xfe\xff\x00\xe0", b"\xfe\xff\x0d\xe0", b"\xfe\xff\xdd\xe0"


@dataclass(frozen=True, slots=True)
class Place:
    """Where an image belongs.

    Attributes
    ----------
    study, series, index : int
        Numbers of the study (one for each patient), of the series (over all studies) and of the image in its series.
    spacing : float
        Distance between slices, mm.
    extremes : tuple of int
        Smallest and largest stored value.
    """

    study: int
    series: int
    index: int
    spacing: float = 2.5
    extremes: tuple[int, int] = (0, 4095)


@dataclass(frozen=True, slots=True)
class _Element:
    """An element that is encoded for each file: tag and VR, bytes of its length field, padding, name of the value."""

    head: bytes
    length_bytes: int
    padding: bytes
    key: str


@dataclass(frozen=True, slots=True)
class _Slot:
    """A value of a fixed number of bytes within an element that is otherwise the same in each file."""

    key: str
    size: int


class Parts:
    """A data set, as the parts that stay and the parts that vary.

    Parameters
    ----------
    content : Dataset
        The value of a varying element is not used, but the element must be there.
    varying : mapping of int to str
        Tag of each element of varying length, and the name of its value. A sequence gets all bytes after its header.
    slots : mapping of bytes to str
        Placeholder in the other elements, and the name of the value that takes its place, of equal length.
    implicit : bool
        Encode without VRs.
    """

    def __init__(
        self, content: Dataset, varying: Mapping[int, str], slots: Mapping[bytes, str], *, implicit: bool = False
    ) -> None:
        parts: list[bytes | _Element | _Slot] = []
        missing = set(varying) - {int(element.tag) for element in content}
        unused = dict(slots)
        for element in content:
            raw = encode(element, implicit=implicit)
            if key := varying.get(int(element.tag)):
                parts.append(_element(raw, element, key, implicit=implicit))
                continue
            found = sorted((place, mark) for mark in slots for place in places_of(raw, mark))
            for _, mark in found:
                unused.pop(mark, None)
            end = 0
            for place, mark in found:
                parts += [raw[end:place], _Slot(slots[mark], len(mark))]
                end = place + len(mark)
            parts.append(raw[end:])
        if missing or unused:
            raise ValueError(f"not in the header: {sorted(missing)} {sorted(unused.values())}")
        self._parts = list(_merged(parts))

    def join(self, values: Values) -> bytes:
        """Return the encoded data set with these values."""
        out = []
        for part in self._parts:
            if isinstance(part, bytes):
                out.append(part)
            elif isinstance(part, _Slot):
                value = values[part.key]
                if len(value) != part.size:
                    raise ValueError(f"{part.key} has {len(value)} bytes, not {part.size}")
                out.append(value)
            else:
                value = values[part.key]
                if not part.length_bytes:
                    out += (part.head, value)
                    continue
                if len(value) % 2:
                    value += part.padding
                out += (part.head, len(value).to_bytes(part.length_bytes, "little"), value)
        return b"".join(out)


def encode(element: DataElement, *, implicit: bool = False) -> bytes:
    """Return the bytes of an element in little endian."""
    stream = DicomBytesIO()
    stream.is_little_endian, stream.is_implicit_VR = True, implicit
    write_data_element(stream, element, ["iso8859"])
    return stream.getvalue()


def _element(raw: bytes, element: DataElement, key: str, *, implicit: bool) -> _Element:
    if element.VR == "SQ":
        return _Element(raw[:4] + (b"" if implicit else b"SQ\0\0") + UNDEFINED, 0, b"", key)
    padding = b"\0" if element.VR in ("UI", "OB", "UN") else b" "
    if implicit:
        return _Element(raw[:4], 4, padding, key)
    return _Element(raw[:8], 4, padding, key) if element.VR in _LONG_VRS else _Element(raw[:6], 2, padding, key)


def places_of(raw: bytes, mark: bytes) -> Iterator[int]:
    """Yield the positions of a mark in some bytes."""
    place = raw.find(mark)
    while place >= 0:
        yield place
        place = raw.find(mark, place + len(mark))


def _merged(parts: Sequence[bytes | _Element | _Slot]) -> Iterator[bytes | _Element | _Slot]:
    constant = b""
    for part in parts:
        if isinstance(part, bytes):
            constant += part
            continue
        yield constant
        constant = b""
        yield part
    yield constant


class Header:
    """The header of a kind of scanner, and the files with it.

    Parameters
    ----------
    content : Dataset
        Without pixel data; see `Parts` for this and the next two.
    varying, slots : mapping
    values : callable
        Returns the values of the image at a place.
    syntax : str
        Transfer syntax UID.
    """

    def __init__(
        self,
        content: Dataset,
        varying: Mapping[int, str],
        slots: Mapping[bytes, str],
        values: Callable[[Place], dict[str, bytes]],
        syntax: str = ExplicitVRLittleEndian,
    ) -> None:
        self._values, self._implicit = values, syntax == ImplicitVRLittleEndian
        self._compressed = syntax not in (ExplicitVRLittleEndian, ImplicitVRLittleEndian)
        self._class, self._syntax = str(content.SOPClassUID), str(syntax)
        self._parts = Parts(content, varying, slots, implicit=self._implicit)

    def header(self, place: Place) -> bytes:
        """Return the bytes before the pixel data: preamble, file meta information, data set."""
        values = self._values(place)
        return _meta(self._class, values["instance"], self._syntax) + self._parts.join(values)

    def file(self, place: Place, pixels: bytes) -> bytes:
        """Return the bytes of a file with native pixels, or with one compressed frame."""
        head = self.header(place)
        if self._compressed:
            head += b"\xe0\x7f\x10\x00OB\0\0" + UNDEFINED
            return head + encapsulate([pixels]) + END_OF_SEQUENCE + bytes(4)
        return head + self.pixel_data(len(pixels)) + pixels

    def pixel_data(self, size: int) -> bytes:
        """Return the bytes of tag, VR and length of native pixel data of `size` bytes."""
        return b"\xe0\x7f\x10\x00" + (b"" if self._implicit else b"OW\0\0") + size.to_bytes(4, "little")


def _meta(sop_class: str, instance: bytes, syntax: str) -> bytes:
    elements = b"\x02\0\1\0OB\0\0\2\0\0\0\0\1"
    for number, value in ((2, sop_class.encode()), (3, instance), (0x10, syntax.encode()), (0x12, ROOT.encode())):
        value += b"\0" * (len(value) % 2)
        elements += struct.pack("<HH2sH", 2, number, b"UI", len(value)) + value
    elements += struct.pack("<HH2sH", 2, 0x13, b"SH", 16) + b"MADEUP_CONSOLE1 "
    return bytes(128) + b"DICM" + struct.pack("<HH2sHI", 2, 0, b"UL", 4, len(elements)) + elements
