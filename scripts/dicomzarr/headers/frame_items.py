"""Read the items of Per-Frame Functional Groups Sequence (5200,9230) without pydicom, where their bytes are plain.

A file of 500 frames has tens of thousands of elements in these items, and most of their values are the same in each
frame. Elements are walked once, a functional group that repeats the bytes of the frame before not again; a value is
converted when it is asked for, once for equal bytes. The items answer as data sets of pydicom do. Whatever is not as
PS3.5 says, or is rare, raises `Unclear`: the caller lets pydicom read the file.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import KeysView
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, BinaryIO, Final, NamedTuple

from dicomzarr.dicom.vr import PIXEL_TAGS
from dicomzarr.headers.reading import Unclear
from dicomzarr.system import shortage

if TYPE_CHECKING:
    from pydicom import Dataset

PER_FRAME: Final = 0x52009230
# Character sets in which ASCII bytes are ASCII, by the name that the standard gives them alone.
_PLAIN_SETS: Final = frozenset(
    {None, "", "ISO_IR 6", "ISO_IR 100", "ISO_IR 101", "ISO_IR 109", "ISO_IR 110", "ISO_IR 144", "ISO_IR 148"}
    | {"ISO_IR 192"}
)
_UNDEFINED: Final = 0xFFFFFFFF
_ESCAPE: Final = re.compile(rb"\x1b[^A-Za-z0-9]")  # of ISO 2022: it may stand within a text and be no part of it
_ITEM: Final = b"\xfe\xff\x00\xe0"
_ITEM_END: Final = b"\xfe\xff\x0d\xe0" + bytes(4)
_SEQUENCE_END: Final = b"\xfe\xff\xdd\xe0" + bytes(4)
_SHORT: Final = frozenset(
    b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split()
)  # VRs whose length has two bytes
_LONG: Final = frozenset(b"OB OD OF OL OV OW SV UC UN UR UT UV".split())
_HEAD: Final = struct.Struct("<HH2sH")
_LENGTH: Final = struct.Struct("<I")
_MEANING: Final = 0x00080104  # Code Meaning: asked for as bytes
_DEEPEST: Final = 16
# What pydicom and float() both read, of at most 16 bytes (PS3.5 6.2), and not so large that it could be infinite.
_DECIMAL: Final = re.compile(rb" *[+-]?\d{1,14}(?:\.\d{0,14})?(?:[eE][+-]?\d{1,2})? *")
_STAMP: Final = re.compile(rb"[0-9.+-]+ ?")
_NUMBERS: Final = {b"US": "H", b"UL": "I", b"SS": "h", b"SL": "i", b"FD": "d", b"FL": "f"}


class RawElement(NamedTuple):
    """An element as it is stored, with the names that it has in pydicom."""

    VR: str
    value: bytes


class FrameItem:
    """An item of a sequence, with the elements that were asked for; it answers as a data set of pydicom does.

    Parameters
    ----------
    reader : FrameItems
        Converts values.
    """

    __slots__ = ("_elements", "_reader", "raw")

    def __init__(self, reader: FrameItems) -> None:
        self._reader = reader
        self._elements: dict[int, Any] = {}
        self.raw = b""

    def keys(self) -> KeysView[int]:
        """Return the tags of the elements that were asked for.

        Returns
        -------
        KeysView of int
        """
        return self._elements.keys()

    def get(self, keyword: str) -> Any:
        """Return the value of an attribute.

        Parameters
        ----------
        keyword : str
            Keyword of the attribute.

        Returns
        -------
        object
            As pydicom gives it; a list of `FrameItem` for a sequence; None if it is absent.

        Raises
        ------
        Exception
            As pydicom raises it, if it cannot convert the value.
        """
        element = self._elements.get(tag_of(keyword))
        if element is None or type(element) is list:
            return element
        return self._reader.value(keyword, element)

    def get_item(self, keyword: str) -> RawElement | None:
        """Return an attribute whose value is not converted.

        Parameters
        ----------
        keyword : str
            Keyword of an attribute that is no sequence.

        Returns
        -------
        RawElement or None
            None if it is absent.
        """
        element = self._elements.get(tag_of(keyword))
        return None if element is None else RawElement(element[0].decode(), element[1])

    def clear(self) -> None:
        """Forget all elements."""
        self._elements.clear()
        self.raw = b""

    def parsed(self) -> Dataset | None:
        """Return what pydicom reads of an item of the outermost sequence.

        Returns
        -------
        pydicom Dataset or None
            None if it does not hold the text that was asked for.
        """
        return self._reader.parsed(self.raw) if self.raw else None


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is kept of the items."""

    sequences: frozenset[int]  # tags, at all depths
    values: frozenset[int]  # tags of all other elements
    text: bytes  # ASCII; an item that has it can be parsed by pydicom later


class FrameItems:
    """The items of Per-Frame Functional Groups Sequence.

    Parameters
    ----------
    header : pydicom Dataset
        The elements before the sequence.
    wanted : Wanted

    Raises
    ------
    Unclear
        If texts are not in a character set that extends ASCII.
    """

    def __init__(self, header: Dataset, wanted: Wanted) -> None:
        from pydicom.charset import convert_encodings

        character_set = header.get("SpecificCharacterSet")
        if not (character_set is None or isinstance(character_set, str)) or character_set not in _PLAIN_SETS:
            raise Unclear
        # As pydicom hands it on to items: of a sequence that it reads at once, and of one that it converts later.
        self._encoding = header.original_character_set
        if character_set and self._encoding != convert_encodings(character_set):
            raise Unclear
        self._wanted = wanted
        self._kept = wanted.sequences | wanted.values
        self._values: dict[tuple[str, tuple[bytes, bytes]], Any] = {}
        self._groups: dict[int, tuple[bytes, list[FrameItem]]] = {}  # of the last frame that has it: bytes, items
        self.items: list[FrameItem] = []

    def read(self, data: bytes, length: int) -> int:
        """Read all items.

        Parameters
        ----------
        data : bytes
            Begins with the value of the sequence.
        length : int
            Length of the value, which may be undefined.

        Returns
        -------
        int
            Offset after the sequence.

        Raises
        ------
        Unclear
            If anything is not plain.
        """
        try:
            self.items, end = self._sequence(data, 0, len(data), length, 0)
        except struct.error:
            raise Unclear from None
        return end

    def _sequence(
        self, data: bytes, at: int, limit: int, length: int, depth: int, keep: bool = True
    ) -> tuple[list[FrameItem], int]:
        if depth > _DEEPEST:
            raise Unclear
        if length != _UNDEFINED:
            if length > limit - at:
                raise Unclear
            limit = at + length
        items: list[FrameItem] = []
        while length == _UNDEFINED or at < limit:
            if data[at : at + 4] != _ITEM:
                if length == _UNDEFINED and data[at : at + 8] == _SEQUENCE_END and at + 8 <= limit:
                    return items, at + 8
                raise Unclear
            (size,) = _LENGTH.unpack_from(data, at + 4)
            begin = at
            at += 8
            if size != _UNDEFINED and size > limit - at:
                raise Unclear
            item = FrameItem(self)
            at = self._elements(data, at, limit, size, depth, item._elements if keep else None)
            if depth == 0 and (data.find(self._wanted.text, begin, at) >= 0 or _ESCAPE.search(data, begin, at)):
                item.raw = data[begin:at]
            items.append(item)
        if at != limit:
            raise Unclear
        return items, at

    def _elements(self, data: bytes, at: int, limit: int, size: int, depth: int, into: dict[int, Any] | None) -> int:
        """Walk the elements of an item, and return the offset after it."""
        open_end = size == _UNDEFINED
        if not open_end:
            limit = at + size
        unpack, kept_tags, values = _HEAD.unpack_from, self._kept, self._wanted.values
        previous = 0
        while open_end or at < limit:
            if limit - at < 8:
                raise Unclear
            begin = at
            group, element, vr, length = unpack(data, at)
            tag = group << 16 | element
            if vr in _SHORT:
                at += 8
            elif vr == b"SQ" or vr in _LONG:
                if length or limit - at < 12:
                    raise Unclear
                (length,) = _LENGTH.unpack_from(data, at + 8)
                at += 12
            elif open_end and data[at : at + 8] == _ITEM_END:
                return at + 8
            else:
                raise Unclear
            # Ascending: nothing is there twice, and no delimiter is taken for an element.
            if tag <= previous or group < 8 or group >= 0xFFFE or tag == 0x00080005:
                raise Unclear
            previous = tag
            if vr == b"SQ":
                kept = into is not None and tag in kept_tags
                if not depth and (known := self._known_group(tag, data, begin, limit)):
                    if kept and into is not None:
                        into[tag] = known[1]
                    at = begin + len(known[0])
                    continue
                if length != _UNDEFINED and not kept:  # pydicom does not look into it either until it is asked for
                    if length > limit - at:
                        raise Unclear
                    at += length
                    continue
                items, at = self._sequence(data, at, limit, length, depth + 1, kept)
                if kept and into is not None:
                    if tag in values:
                        raise Unclear
                    into[tag] = items
                if not depth:
                    self._groups[tag] = data[begin:at], items
                continue
            if length > limit - at:  # an undefined length too
                raise Unclear
            if into is not None and tag in kept_tags:
                if tag not in values:  # a sequence by another VR
                    raise Unclear
                value = data[at : at + length]
                if vr not in _NUMBERS and tag != _MEANING and not value.isascii():
                    raise Unclear
                into[tag] = (vr, value)
            at += length
        if at != limit:
            raise Unclear
        return at

    def _known_group(self, tag: int, data: bytes, begin: int, limit: int) -> tuple[bytes, list[FrameItem]] | None:
        """Return the bytes of a functional group and its items if the last frame that has it has the same bytes."""
        known = self._groups.get(tag)
        is_same = known is not None and data.startswith(known[0], begin) and begin + len(known[0]) <= limit
        return known if is_same else None

    def value(self, keyword: str, element: tuple[bytes, bytes]) -> Any:
        """Return a value as pydicom converts it, or numbers and texts that are equal to those.

        Parameters
        ----------
        keyword : str
            Keyword of the attribute.
        element : tuple of bytes
            VR and value, as they are stored.

        Returns
        -------
        object
        """
        key = (keyword, element)
        if key not in self._values:
            self._values[key] = self._converted(keyword, *element)
        result = self._values[key]
        if isinstance(result, _Failed):
            raise ValueError
        return result

    def _converted(self, keyword: str, vr: bytes, value: bytes) -> Any:
        if value and vr == _vr_of(keyword):
            quick = _quick(vr, value)
            if quick is not None:
                return quick
        from pydicom import Dataset
        from pydicom.dataelem import RawDataElement, empty_value_for_VR
        from pydicom.tag import BaseTag

        tag = BaseTag(tag_of(keyword))
        name = vr.decode()
        content: Any = value or empty_value_for_VR(name, raw=True)
        item = Dataset(
            {tag: RawDataElement(tag, name, len(value), content, 0, False, True)}, parent_encoding=self._encoding
        )
        item.set_original_encoding(False, True, self._encoding)
        try:
            return item.get(keyword)
        except Exception as error:  # the value cannot be converted: for each frame that has it
            shortage.refuse_at_value(error)
            return _Failed()

    def parsed(self, raw: bytes) -> Dataset | None:
        """Return what pydicom reads of the bytes of an item.

        Parameters
        ----------
        raw : bytes
            An item of the outermost sequence, with its head.

        Returns
        -------
        pydicom Dataset or None
        """
        import io

        from pydicom.filereader import read_sequence_item

        return read_sequence_item(io.BytesIO(raw), False, True, self._encoding)


class _Failed:
    """Stands for a value that cannot be converted."""


@lru_cache(maxsize=512)
def tag_of(keyword: str) -> int:
    """Return the tag of an attribute, 0 if there is none of this keyword."""
    from pydicom.datadict import tag_for_keyword

    return tag_for_keyword(keyword) or 0


@lru_cache(maxsize=512)
def _vr_of(keyword: str) -> bytes:
    from pydicom.datadict import dictionary_VR

    return dictionary_VR(tag_of(keyword)).encode()


def _quick(vr: bytes, value: bytes) -> Any:
    """Return a number, a list of numbers, or a text; None if pydicom has to convert the value."""
    if vr == b"DS":
        parts = value.split(b"\\")
        if not all(len(part) <= 16 and _DECIMAL.fullmatch(part) for part in parts):
            return None
        numbers = list(map(float, parts))
        return numbers if len(numbers) > 1 else numbers[0]
    if vr == b"DT":
        return value.decode().rstrip(" ") if len(value) <= 26 and _STAMP.fullmatch(value) else None
    code = _NUMBERS.get(vr)
    if code is None or len(value) % struct.calcsize(code):
        return None
    several = struct.unpack(f"<{len(value) // struct.calcsize(code)}{code}", value)
    if not all(map(math.isfinite, several)):
        return None
    return list(several) if len(several) > 1 else several[0]


def read_quickly(stream: BinaryIO, wanted: Wanted, most: int) -> tuple[Dataset, list[FrameItem]]:
    """Return the header of a file without Per-Frame Functional Groups Sequence, and the items of that sequence.

    Parameters
    ----------
    stream : file
        At its beginning.
    wanted : Wanted
        What is kept of the items.
    most : int
        Bytes of the file that can belong to the header.

    Returns
    -------
    header : pydicom Dataset
    items : list of FrameItem

    Raises
    ------
    Unclear
        If anything is not plain; pydicom reads the file then.
    """
    from pydicom.filereader import data_element_generator, read_partial

    found: list[tuple[str | None, int]] = []

    def stop(tag: int, vr: str | None, length: int) -> bool:
        if tag == PER_FRAME:
            found.append((vr, length))
        return tag == PER_FRAME or tag in PIXEL_TAGS

    header = read_partial(stream, stop, force=True)
    if len(found) != 1 or found[0][0] != "SQ" or header.original_encoding != (False, True):
        raise Unclear
    if any(tag >= PER_FRAME for tag in header.keys()):  # noqa: SIM118 - iteration over a data set converts its values
        raise Unclear
    begin, length = stream.tell() + 12, found[0][1]
    if stream.read(12) != _HEAD.pack(PER_FRAME >> 16, PER_FRAME & 0xFFFF, b"SQ", 0) + _LENGTH.pack(length):
        raise Unclear
    size = most - begin if length == _UNDEFINED else length
    if not 0 < size <= most - begin:
        raise Unclear
    items = FrameItems(header, wanted)
    stream.seek(begin + items.read(stream.read(size), length))
    ends = []

    def stop_at_pixels(tag: int, vr: str | None, length: int) -> bool:
        if tag in PIXEL_TAGS:
            ends.append(tag)
        return tag in PIXEL_TAGS

    rest = {}
    for element in data_element_generator(stream, False, True, stop_at_pixels):
        if element.tag <= PER_FRAME:  # out of order: what counts depends on what pydicom has read before
            raise Unclear
        rest[element.tag] = element
    if not ends:  # at the end of the file, or a stray end of an item
        raise Unclear
    header.update(rest)
    return header, items.items
