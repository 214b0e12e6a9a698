"""Fast reader of well-formed DICOM headers: little endian, explicit or implicit VR (PS3.5 7.1).

It walks the top-level elements up to the pixel data and stores the bytes of those in `WANTED`. It raises `Unclear` for
anything that is not well-formed; `pydicom_reader` then reads the header. It allocates what it reads, never what a
header declares.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass, field

from dicomzarr.dicom.vr import (
    EXPLICIT,
    IMPLICIT,
    ITEM,
    LENGTH,
    LONG_VRS,
    MAX_NAMING,
    MAX_VALUE,
    NAMING,
    PIXEL_TAGS,
    SHORT_VRS,
    SPECIAL,
    UNDEFINED,
    is_text,
    kind_of,
    max_bytes,
)
from dicomzarr.headers.attributes import WANTED
from dicomzarr.headers.item_walk import skip_items
from dicomzarr.headers.known_heads import KNOWN_HEADS, MAX_KNOWN_HEADS, parse_head
from dicomzarr.headers.reading import BLOCK, MAX_WALKED, Encoding, Reader, TooLong, Truncated, Unclear
from dicomzarr.headers.sequence_values import sequence_bytes

MAX_PADDING = 1 << 20  # zero bytes after the last element
MIN_ELEMENTS = 5  # consecutive well-formed elements required of a file without the prefix DICM

_UID = re.compile(rb"[0-2](\.(0|[1-9][0-9]*))+\Z")
_UID_TAGS = (0x00080016, 0x00080018, 0x0020000D)  # SOP Class, SOP Instance, Study Instance UID


@dataclass(slots=True)
class RawHeader:
    """The top-level elements of a data set as bytes, not yet interpreted.

    Attributes
    ----------
    values : dict
        Tag to (VR, bytes) of the wanted elements; VR is "" where the syntax has none; bytes are None where the value
        is a sequence or longer than `MAX_VALUE`.
    pixel : tuple, optional
        Tag, VR, offset and length of the value of the pixel data element; length -1 for an undefined length.
    is_empty : bool
        Whether there is no element at all.
    texts : list
        VR and bytes of the texts that are not wanted, for the privacy search; VR "" where the syntax has none.
    padding : int
        Number of zero bytes after the last element, without pixel data.
    """

    values: dict[int, tuple[str, bytes | None]] = field(default_factory=dict)
    pixel: tuple[int, str, int, int] | None = None
    is_empty: bool = False
    texts: list[tuple[str, bytes]] = field(default_factory=list)
    padding: int = 0


def read_raw(read: Reader, size: int, start: int, implicit: bool, data: bytes = b"") -> RawHeader:
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
    data : bytes
        The first bytes, from offset 0, where the caller has them already.

    Returns
    -------
    RawHeader
        Values by tag, the place of the pixel data, and the texts for the privacy search.

    Raises
    ------
    Unclear
        If the data set is not well-formed: unknown VR, tags out of order or repeated, UN of undefined length, deep
        nesting.
    Truncated
        If the data end inside an element before the pixel data.
    TooLong
        If more than `MAX_WALKED` bytes have to be parsed.

    References
    ----------
    DICOM PS3.5 7.1 (data elements), 7.5 (sequences).
    """
    header = RawHeader()
    values, texts = header.values, header.texts
    cached_heads = KNOWN_HEADS[implicit]
    unpack_length = LENGTH
    base, position, end = 0, start, len(data)
    last = walked = 0
    while True:
        try:  # nearly all elements: one dict look-up for each
            while True:
                head = data[position : position + 8]
                tag, step, vr, value_end, is_wanted = cached_heads[head]
                if tag <= last:
                    raise Unclear
                last = tag
                if vr is None:
                    position += step
                elif step > 0:
                    if position + value_end > end:
                        last -= 1
                        break
                    if is_wanted:
                        values[tag] = (vr, data[position + 8 : position + value_end])
                    else:
                        texts.append((vr, data[position + 8 : position + value_end]))
                    position += step
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
            parsed = parse_head(head, implicit)
            if parsed is not None:
                if len(cached_heads) >= MAX_KNOWN_HEADS:
                    cached_heads.clear()
                cached_heads[head] = parsed
                continue
        # The end of the block, or an element that must be parsed in place.
        if position + 12 > end:  # 12: the longest head of an element
            walked += end
            base += position
            data = _next_block(read, size, base, walked)
            position, end = 0, len(data)
            if end < 12:
                if _is_padding(read, base, size):
                    break
                if end < 8:
                    raise Truncated
        tag, vr, value, length = head_of(data, position, implicit)
        if tag <= last:
            if tag == 0 and _is_padding(read, base + position, size):
                header.padding = size - base - position
                break
            raise Unclear
        last = tag
        if tag in PIXEL_TAGS:
            header.pixel = (tag, vr, base + value, -1 if length == UNDEFINED else length)
            break
        if tag >= ITEM:
            raise Unclear
        if length == UNDEFINED:
            position = _take_items(header, read, size, implicit, (tag, vr, value), data, base)
        else:
            position = value + length
            _take_value(header, read, size, (tag, vr, value, length), data, base)
    header.is_empty = last == 0
    return header


def _next_block(read: Reader, size: int, base: int, walked: int) -> bytes:
    """Return the bytes from an offset on, none at the end; `walked` bytes before it were parsed."""
    if walked > MAX_WALKED:
        raise TooLong
    if base > size:
        raise Truncated
    return read(BLOCK, base) if base < size else b""


def _take_items(
    header: RawHeader,
    read: Reader,
    size: int,
    implicit: bool,
    element: tuple[int, str, int],
    data: bytes,
    base: int,
) -> int:
    """Add an element of undefined length to a header; return the position after it, counted from `base`.

    The element is its tag, its VR and the position of its first item in `data`, the block at offset `base`.
    """
    tag, vr, value = element
    # PS3.5 6.2.2: the items of UN are implicit VR whatever the syntax; `pydicom_reader` handles that.
    if vr not in ("", "SQ", "OB", "OW"):
        raise Unclear
    position = skip_items(read, size, base + value, implicit, None, data, base) - base
    if tag in WANTED:
        header.values[tag] = (vr, sequence_bytes(tag, read, data, base, value, position))
    if tag in NAMING:
        header.texts.append((SPECIAL[tag], read(min(position - value, MAX_NAMING), base + value)))
    return position


def _take_value(
    header: RawHeader,
    read: Reader,
    size: int,
    element: tuple[int, str, int, int],
    data: bytes,
    base: int,
) -> None:
    """Add an element to a header: its tag, VR, the position of its value in the block at offset `base`, its length."""
    tag, vr, value, length = element
    end = value + length
    if tag in WANTED:
        if base + end > size:
            raise Truncated
        if length > MAX_VALUE:
            header.values[tag] = (vr, None)
            return
        content = data[value:end] if end <= len(data) else read(length, base + value)
        if len(content) != length:
            raise Truncated
        header.values[tag] = (vr, content)
    elif length and is_text(tag, vr) and base + end <= size:
        kind = kind_of(tag, vr)
        length = min(length, max_bytes(kind))
        content = data[value : value + length]
        header.texts.append((kind, content if len(content) == length else read(length, base + value)))


def head_of(data: bytes, position: int, implicit: bool) -> tuple[int, str, int, int]:
    """Return the tag, VR, place and length of an element.

    Parameters
    ----------
    data : bytes
        Little endian.
    position : int
        Where the element begins.
    implicit : bool
        Whether VRs are implicit.

    Returns
    -------
    tuple of int, str, int and int
        Tag, VR ("" if implicit), position of the value, and its length as the header states it.

    Raises
    ------
    Truncated, Unclear
        If the data end in the head, or its VR is none of the standard's (PS3.5 section 6.2).
    """
    if implicit:
        group, element, length = IMPLICIT(data, position)
        return group << 16 | element, "", position + 8, length
    group, element, code, length = EXPLICIT(data, position)
    tag = group << 16 | element
    if code in SHORT_VRS:
        return tag, SHORT_VRS[code], position + 8, length
    if code in LONG_VRS:
        if position + 12 > len(data):
            raise Truncated
        return tag, LONG_VRS[code], position + 12, LENGTH(data, position + 8)[0]
    if tag == 0:  # possibly padding; the caller checks
        return tag, "", position + 8, 0
    raise Unclear


def _is_padding(read: Reader, offset: int, size: int) -> bool:
    """Whether nothing but zero bytes follows, as some writers pad files; true at the end of the data."""
    return size - offset <= MAX_PADDING and not any(read(max(size - offset, 0), offset))


def looks_like(data: bytes, start: int, size: int, encoding: Encoding) -> tuple[bool, bool]:
    """Whether the bytes at `start` are a data set of this encoding, and whether it contains one of its UIDs.

    `MIN_ELEMENTS` consecutive elements must be well-formed; a shorter data set, to its end.

    Parameters
    ----------
    data : bytes
        The first block of the file.
    start, size : int
        Offset of the supposed first element; size of the file.
    encoding : Encoding
        The encoding to try.

    Returns
    -------
    well_formed : bool
        Tags ascend, VRs are known, values end within the file.
    has_uid : bool
        SOP Class, SOP Instance or Study Instance UID is present, with the syntax of PS3.5 9.1.
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
    return count >= MIN_ELEMENTS or (finished and count > 0), has_uid
