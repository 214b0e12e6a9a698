"""A lean reader of well-formed DICOM headers: little endian, explicit or implicit VR (PS3.5 7.1).

It walks the top-level elements up to the pixel data, keeps the bytes of the few that are wanted, and raises `Unclear`
for whatever it does not understand wholly; then the slower, more tolerant reader is asked. It allocates what it reads,
never what a header declares.
"""

from __future__ import annotations

import functools
import re
import struct
from collections.abc import Callable
from dataclasses import dataclass, field

# read(length, offset) -> at most `length` bytes from `offset`; fewer only at the end of the data
Reader = Callable[[int, int], bytes]

BLOCK = 16 * 1024  # a header of CT or small MR fits; a longer one costs further reads
MAX_VALUE = 1 << 20  # bytes of one wanted value; Grid Frame Offset Vector is the only one that can be long
# Bytes of a header that are looked at, element by element; values that are skipped do not count. The functional groups
# of 50,000 frames stay below; it takes a few seconds.
MAX_WALKED = 128 << 20
MAX_DEPTH = 16  # nested sequences
MAX_PADDING = 1 << 20  # zero bytes after the last element

UNDEFINED = 0xFFFFFFFF
PIXEL_TAGS = {0x7FE00008: "FloatPixelData", 0x7FE00009: "DoubleFloatPixelData", 0x7FE00010: "PixelData"}
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD


def _code(vr: str) -> int:
    """Return the two letters of a VR as a little-endian number, as they are unpacked."""
    return int.from_bytes(vr.encode("ascii"), "little")


# PS3.5 7.1.2: these have a reserved field and a length of 4 bytes, all others a length of 2 bytes.
LONG_VRS = {_code(vr): vr for vr in ("OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV")}
SHORT_VRS = {
    _code(vr): vr
    for vr in (
        *("AE", "AS", "AT", "CS", "DA", "DS", "DT", "FD", "FL", "IS", "LO"),
        *("LT", "PN", "SH", "SL", "SS", "ST", "TM", "UI", "UL", "US"),
    )
}
_SQ, _OB, _OW = _code("SQ"), _code("OB"), _code("OW")

# What may identify a patient or a site stands in these, beside times, which alone tell nobody apart.
TEXT_VRS = frozenset(("AE", "DA", "DT", "LO", "LT", "PN", "SH", "ST", "UC", "UI", "UR", "UT"))
MAX_TEXT = 1024  # bytes of a text; of a longer one the beginning
# Sequences in which people and requests are named: of physicians and operators, patient, requests, original attributes.
NAMING = frozenset((
    0x00080096, 0x00081049, 0x00081052, 0x00081062, 0x00081072, 0x00081120, 0x00101002, 0x00400275, 0x04000561,
))  # fmt: skip
MAX_NAMING = 16 << 10  # bytes of such a sequence
CHARACTER_SET = 0x00080005  # says how they are to be read; among the texts it is the one of VR CS

_EXPLICIT = struct.Struct("<HHHH").unpack_from
_IMPLICIT = struct.Struct("<HHI").unpack_from
_LENGTH = struct.Struct("<I").unpack_from

_UID = re.compile(rb"[0-2](\.(0|[1-9][0-9]*))+\Z")
_UID_TAGS = (0x00080016, 0x00080018, 0x0020000D)  # SOP Class, SOP Instance, Study Instance UID


class Unclear(Exception):
    """The lean reader does not understand this header; another may."""


class Truncated(Exception):
    """The data end inside the header."""


class TooLong(Exception):
    """The header has more elements, or more bytes in one place, than any sound one."""


@dataclass(slots=True)
class RawHeader:
    """What a reader finds at the top level of a data set, not yet interpreted.

    Attributes
    ----------
    values : dict
        Tag to (VR, bytes) of the wanted elements; VR is "" where the syntax has none; bytes are None where the value
        is a sequence or too long to be kept.
    pixel : tuple, optional
        Tag, VR, offset and length of the value of the pixel data element; length -1 for an undefined length.
    is_empty : bool
        Whether there is no element at all.
    texts : list
        VR and bytes of the texts that are not wanted, for the search for leaks; VR "" where the syntax has none.
    """

    values: dict[int, tuple[str, bytes | None]] = field(default_factory=dict)
    pixel: tuple[int, str, int, int] | None = None
    is_empty: bool = False
    texts: list[tuple[str, bytes]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Encoding:
    """How a data set is encoded: VR explicit or implicit, bytes little or big endian (PS3.5 7.1, 7.3)."""

    implicit: bool
    little: bool


IMPLICIT_LITTLE = Encoding(implicit=True, little=True)
EXPLICIT_LITTLE = Encoding(implicit=False, little=True)
EXPLICIT_BIG = Encoding(implicit=False, little=False)


_META_WANTED = (0x0002, 0x0010)  # Media Storage SOP Class UID, Transfer Syntax UID


def read_meta(data: bytes, start: int, size: int) -> tuple[dict[int, bytes], int]:
    """Return SOP class and syntax of the File Meta Information (PS3.10 7.1), and the offset of the data set after it.

    Parameters
    ----------
    data : bytes
        The first block of the file.
    start : int
        Offset of the first element: 132, or 0 where preamble and prefix are missing.
    size : int
        Size of the file in bytes.

    Raises
    ------
    Unclear
        If an element of group 0002 is not well-formed explicit VR little endian within the block.
    Truncated
        If the file ends inside the group.
    """
    values: dict[int, bytes] = {}
    position = start
    while position + 8 <= len(data):
        group, element, vr, length = _EXPLICIT(data, position)
        if group != 2:
            return values, position
        position += 8
        if vr in LONG_VRS:
            if position + 4 > len(data):
                break
            length = _LENGTH(data, position)[0]
            position += 4
        elif vr not in SHORT_VRS:
            raise Unclear
        if element in _META_WANTED:
            values[group << 16 | element] = data[position : position + length]
        position += length
    if position >= len(data) < size:
        raise Unclear
    if position != len(data):
        raise Truncated
    return values, position


def read_raw(
    read: Reader, size: int, start: int, implicit: bool, wanted: frozenset[int], data: bytes = b""
) -> RawHeader:
    """Return the wanted top-level elements of a little endian data set, and where its pixel data lies.

    Parameters
    ----------
    read : callable
        ``read(length, offset)`` gives bytes of the file, or of the inflated data set.
    size : int
        Number of bytes that `read` can give.
    start : int
        Offset of the first element of the data set.
    implicit : bool
        Whether VRs are implicit.
    wanted : frozenset of int
        Tags whose values are kept.
    data : bytes
        The first bytes, from offset 0, where the caller has them already.

    Raises
    ------
    Unclear
        If anything is not plain: unknown VR, tags out of order or twice, UN of undefined length, deep nesting.
    Truncated
        If the data end inside an element before the pixel data.
    TooLong
        If more is to be walked than `MAX_WALKED`.
    """
    header = RawHeader()
    values, texts = header.values, header.texts
    known = _KNOWN_HEADS.setdefault((implicit, wanted), {})
    unpack_length = _LENGTH
    base, position, end = 0, start, len(data)
    last = walked = 0
    while True:
        try:  # the way of nearly all elements: one look-up each
            while True:
                tag, step, vr, is_wanted = known[data[position : position + 8]]
                if tag <= last:
                    raise Unclear
                last = tag
                if vr is None:
                    position += step
                elif step > 0:
                    after = position + step
                    if after > end:
                        last -= 1
                        break
                    if is_wanted:
                        values[tag] = (vr, data[position + 8 : after])
                    else:
                        texts.append((vr, data[position + 8 : after]))
                    position = after
                elif step < 0 or position + 12 > end:
                    last -= 1
                    break
                else:
                    length = unpack_length(data, position + 8)[0]
                    if length == UNDEFINED:
                        last -= 1
                        break
                    position += 12 + length
        except KeyError:
            head = data[position : position + 8]
            learned = _learn(head, implicit, wanted)
            if learned is not None:
                if len(known) >= MAX_KNOWN_HEADS:
                    known.clear()
                known[head] = learned
                continue
        # The end of the block, or an element that needs a closer look.
        if position + 12 > end:  # 12: the longest head of an element
            walked += end
            if walked > MAX_WALKED:
                raise TooLong
            base += position
            position = 0
            if base > size:
                raise Truncated
            data = read(BLOCK, base) if base < size else b""
            end = len(data)
            if end < 12:
                if _is_padding(read, base, size):
                    break
                if end < 8:
                    raise Truncated
        tag, vr, value, length = _head(data, position, implicit)
        if tag <= last:
            if tag == 0 and _is_padding(read, base + position, size):
                break
            raise Unclear
        last = tag
        if tag in PIXEL_TAGS:
            header.pixel = (tag, vr, base + value, -1 if length == UNDEFINED else length)
            break
        if tag >= _ITEM:
            raise Unclear
        if length == UNDEFINED:
            # PS3.5 6.2.2: the items of UN are implicit VR whatever the syntax; leave that to the other reader.
            if vr not in ("", "SQ", "OB", "OW"):
                raise Unclear
            if tag in wanted:
                values[tag] = (vr, None)
            position = _skip_items(read, size, base + value, implicit) - base
            if tag in NAMING:
                texts.append(("SQ", read(min(position - value, MAX_NAMING), base + value)))
            continue
        position = value + length
        if tag in wanted:
            if base + position > size:
                raise Truncated
            if length > MAX_VALUE:
                values[tag] = (vr, None)
                continue
            content = data[value:position] if position <= end else read(length, base + value)
            if len(content) != length:
                raise Truncated
            values[tag] = (vr, content)
        elif _is_text(tag, vr) and base + position <= size:
            kind = _SPECIAL.get(tag, vr)
            texts.append((kind, read(min(length, MAX_NAMING if kind == "SQ" else MAX_TEXT), base + value)))
    header.is_empty = last == 0
    return header


# What the 8 bytes at the start of an element say: tag, bytes to the next element, VR if its value is wanted or a text
# and None if not, and which of the two. The bytes are 0 where a length of 4 bytes follows, -1 where a closer look is
# needed. The same heads come again in each file of a series, and looking one up costs a third of taking it apart.
_Head = tuple[int, int, str | None, bool]
_KNOWN_HEADS: dict[tuple[bool, frozenset[int]], dict[bytes, _Head]] = {}
MAX_KNOWN_HEADS = 1 << 16


def _learn(head: bytes, implicit: bool, wanted: frozenset[int]) -> _Head | None:
    if len(head) < 8:
        return None
    if implicit:
        group, element, length = _IMPLICIT(head)
        name: str | None = ""
    else:
        group, element, vr, length = _EXPLICIT(head)
        name = SHORT_VRS.get(vr)
        if name is None and vr in LONG_VRS:
            name, length = LONG_VRS[vr], UNDEFINED
    tag = group << 16 | element
    if name is None or tag == 0:
        return None
    name = _SPECIAL.get(tag, name)
    is_wanted, is_text = tag in wanted, _is_text(tag, name)
    if tag in PIXEL_TAGS or tag >= _ITEM:
        return tag, -1, "", False
    if length == UNDEFINED:
        return tag, -1 if implicit or is_wanted or is_text else 0, "", False
    if is_wanted:
        return tag, 8 + length if length <= MAX_VALUE else -1, name, True
    if is_text and length:
        return tag, 8 + length if length <= MAX_TEXT else -1, name, False
    return tag, 8 + length, None, False


def _is_text(tag: int, vr: str) -> bool:
    """Whether an element holds text; where VRs are implicit, by PS3.6, and perhaps if it is private."""
    if vr:
        return vr in TEXT_VRS or tag in _SPECIAL
    return bool(tag >> 16 & 1) or tag in standard_texts() or tag in _SPECIAL


# What is gathered whatever its VR says, by the kind under which it is.
_SPECIAL = {CHARACTER_SET: "CS"} | dict.fromkeys(NAMING, "SQ")


@functools.cache
def standard_texts() -> frozenset[int]:
    """Return the tags of PS3.6 whose VR is one of texts."""
    from pydicom._dicom_dict import DicomDictionary

    return frozenset(tag for tag, row in DicomDictionary.items() if row[0] in TEXT_VRS) | {CHARACTER_SET}


def _head(data: bytes, position: int, implicit: bool) -> tuple[int, str, int, int]:
    """Return tag, VR ("" if implicit), position of the value and length of the element at `position`."""
    if implicit:
        group, element, length = _IMPLICIT(data, position)
        return group << 16 | element, "", position + 8, length
    group, element, code, length = _EXPLICIT(data, position)
    tag = group << 16 | element
    if code in SHORT_VRS:
        return tag, SHORT_VRS[code], position + 8, length
    if code in LONG_VRS:
        if position + 12 > len(data):
            raise Truncated
        return tag, LONG_VRS[code], position + 12, _LENGTH(data, position + 8)[0]
    if tag == 0:  # perhaps padding
        return tag, "", position + 8, 0
    raise Unclear


def _is_padding(read: Reader, offset: int, size: int) -> bool:
    """Whether only zero bytes follow, as some writers pad the file; an empty rest counts."""
    return size - offset <= MAX_PADDING and not any(read(max(size - offset, 0), offset))


def _skip_items(read: Reader, size: int, start: int, implicit: bool) -> int:
    """Return the offset behind the sequence of undefined length whose first item is at `start` (PS3.5 7.5).

    Fragments of encapsulated data (PS3.5 A.4) have the same frame of items and are skipped alike.
    """
    unpack = _IMPLICIT if implicit else _EXPLICIT
    # One entry per open sequence or item of undefined length; True for a sequence, False for an item.
    stack = [True]
    data, base, position = b"", start, 0
    walked = 0
    while stack:
        if position + 12 > len(data):
            walked += len(data)
            if walked > MAX_WALKED:
                raise TooLong
            base += position
            position = 0
            data = read(BLOCK, base) if base < size else b""
            if len(data) < 8:
                raise Truncated
        group, element, length = _IMPLICIT(data, position)
        tag = group << 16 | element
        if group == 0xFFFE:
            position += 8
            if stack[-1]:
                if tag == _SEQUENCE_END:
                    stack.pop()
                elif tag != _ITEM:
                    raise Unclear
                elif length == UNDEFINED:
                    stack.append(False)
                else:
                    position += length
            elif tag == _ITEM_END:
                stack.pop()
            else:
                raise Unclear
        elif stack[-1]:
            raise Unclear
        elif implicit:
            position += 8
            if length == UNDEFINED:
                stack.append(True)
            else:
                position += length
        else:
            group, element, vr, length = unpack(data, position)
            position += 8
            if vr in LONG_VRS:
                if position + 4 > len(data):
                    raise Truncated
                length = _LENGTH(data, position)[0]
                position += 4
                if length == UNDEFINED:
                    if vr not in (_SQ, _OB, _OW):
                        raise Unclear
                    stack.append(True)
                    length = 0
            elif vr not in SHORT_VRS:
                raise Unclear
            position += length
        if len(stack) > 2 * MAX_DEPTH:
            raise Unclear
        if base + position > size:
            raise Truncated
    return base + position


def looks_like(data: bytes, start: int, size: int, encoding: Encoding, least: int) -> tuple[bool, bool]:
    """Whether the bytes at `start` begin a data set of this encoding, and whether a UID of its own stands in it.

    Parameters
    ----------
    data : bytes
        The first block of the file.
    start, size : int
        Offset of the supposed first element; size of the file.
    encoding : Encoding
        The encoding to be tried.
    least : int
        Number of consecutive well-formed elements asked for, where the data are that long.

    Returns
    -------
    well_formed : bool
        Tags ascend, VRs are known, values end within the file.
    has_uid : bool
        SOP Class, SOP Instance or Study Instance UID is there, with the syntax of PS3.5 9.1.
    """
    mark = "<" if encoding.little else ">"
    head = struct.Struct(mark + ("HHI" if encoding.implicit else "HH2sH")).unpack_from
    wide = struct.Struct(mark + "I").unpack_from
    position, last, count, has_uid = start, 0, 0, False
    while position + 12 <= len(data):
        fields = head(data, position)
        tag = fields[0] << 16 | fields[1]
        length = fields[-1]
        value = position + 8
        if not encoding.implicit:
            code = int.from_bytes(fields[2], "little")
            if code in LONG_VRS:
                length = wide(data, value)[0]
                value += 4
            elif code not in SHORT_VRS:
                break
        if tag <= last or tag >= 0xFFFE0000:
            break
        if length == UNDEFINED:
            count += 1
            break
        if value + length > size and tag not in PIXEL_TAGS:
            break
        last = tag
        count += 1
        if tag in _UID_TAGS and _UID.match(data[value : value + length].rstrip(b" \0")):
            has_uid = True
        position = value + length
    finished = position >= size - 8
    return count >= least or (finished and count > 0), has_uid
