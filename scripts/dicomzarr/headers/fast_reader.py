"""Fast reader of well-formed DICOM headers: little endian, explicit or implicit VR (PS3.5 7.1).

It walks the top-level elements up to the pixel data and stores the bytes of the wanted ones. It raises `Unclear` for
anything that is not well-formed; `pydicom_reader` then reads the header. It allocates what it reads, never what a
header declares.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from dataclasses import dataclass, field

from dicomzarr.dicom.vr import (
    EXPLICIT,
    IMPLICIT,
    ITEM,
    ITEM_END,
    LENGTH,
    LONG_VRS,
    MAX_NAMING,
    MAX_VALUE,
    NAMING,
    OB,
    OW,
    PIXEL_TAGS,
    SEQUENCE_END,
    SHORT_VRS,
    SPECIAL,
    SQ,
    UNDEFINED,
    is_text,
    max_bytes,
)
from dicomzarr.headers.item_shapes import Head, Shapes, shapes_of
from dicomzarr.headers.known_heads import KNOWN_HEADS, MAX_KNOWN_HEADS, parse_head
from dicomzarr.headers.sequence_values import sequence_bytes

# read(length, offset) -> at most `length` bytes from `offset`; fewer only at the end of the data
Reader = Callable[[int, int], bytes]

BLOCK = 24 * 1024  # bytes: a header of CT or MR fits; a longer one costs further reads
MAX_STEP = 256 * 1024  # of a long sequence that are read at once
# Bytes of a header that are parsed element by element; values of a block or more do not count. The functional groups
# of 50,000 frames stay below the limit; parsing that many takes a few seconds.
MAX_WALKED = 128 << 20
MAX_DEPTH = 16  # nested sequences
MAX_PADDING = 1 << 20  # zero bytes after the last element

_UID = re.compile(rb"[0-2](\.(0|[1-9][0-9]*))+\Z")
_UID_TAGS = (0x00080016, 0x00080018, 0x0020000D)  # SOP Class, SOP Instance, Study Instance UID


class Unclear(Exception):
    """The header is not well-formed; `pydicom_reader` may still read it."""


class Truncated(Exception):
    """The data end inside the header."""


class TooLong(Exception):
    """The header has more elements, or a longer value, than a valid one."""


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
        Tags whose values are read.
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
    cached_heads = KNOWN_HEADS.setdefault((implicit, wanted), {})
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
            parsed = parse_head(head, implicit, wanted)
            if parsed is not None:
                if len(cached_heads) >= MAX_KNOWN_HEADS:
                    cached_heads.clear()
                cached_heads[head] = parsed
                continue
        # The end of the block, or an element that must be parsed in place.
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
        tag, vr, value, length = head_of(data, position, implicit)
        if tag <= last:
            if tag == 0 and _is_padding(read, base + position, size):
                break
            raise Unclear
        last = tag
        if tag in PIXEL_TAGS:
            header.pixel = (tag, vr, base + value, -1 if length == UNDEFINED else length)
            break
        if tag >= ITEM:
            raise Unclear
        if length == UNDEFINED:
            # PS3.5 6.2.2: the items of UN are implicit VR whatever the syntax; `pydicom_reader` handles that.
            if vr not in ("", "SQ", "OB", "OW"):
                raise Unclear
            position = skip_items(read, size, base + value, implicit, None, data, base) - base
            if tag in wanted:
                values[tag] = (vr, sequence_bytes(tag, read, data, base, value, position))
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
        elif length and is_text(tag, vr) and base + position <= size:
            kind = SPECIAL.get(tag, vr)
            texts.append((kind, read(min(length, max_bytes(kind)), base + value)))
    header.is_empty = last == 0
    return header


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


def skip_items(
    read: Reader,
    size: int,
    start: int,
    implicit: bool,
    wrong: list[tuple[int, bool]] | None = None,
    block: bytes = b"",
    base: int = 0,
    heads: list[Head] | None = None,
) -> int:
    """Return the offset after the sequence of undefined length whose first item is at `start` (PS3.5 7.5).

    Fragments of encapsulated data (PS3.5 A.4) are items too and are skipped in the same way. Some writers end an item
    with the delimiter of a sequence, which stands for that of the item, or for both.

    Parameters
    ----------
    read, size, start, implicit
        Reader and size of the file, offset of the first item, and whether VRs are implicit.
    wrong : list, optional
        Gets the offset of each such delimiter, and whether it ends both.
    block : bytes
        A part of the file that is in memory.
    base : int
        Offset of the block in the file.
    heads : list, optional
        Gets tag, VR and length of each element, item and delimiter, in offsets from `start`.

    Returns
    -------
    int
    """
    found: list[tuple[int, bool]] = []
    try:
        end = _skip_items(read, size, start, implicit, found, block, base, heads, ends_both=False)
    except (Unclear, Truncated):
        if not found:
            raise
        found.clear()
        end = _skip_items(read, size, start, implicit, found, block, base, None, ends_both=True)
    if wrong is not None:
        wrong += found
    return end


def _skip_items(
    read: Reader,
    size: int,
    start: int,
    implicit: bool,
    found: list[tuple[int, bool]],
    block: bytes,
    base: int,
    all_heads: list[Head] | None,
    *,
    ends_both: bool,
) -> int:
    """Return the offset after a sequence; add the sequence delimiters that end an item to `found`.

    Such a delimiter ends the sequence too with `ends_both`, or where what follows is neither an item nor a delimiter of
    a sequence.
    """
    # One entry per open sequence or item of undefined length; True for a sequence, False for an item.
    stack = [True]
    data, position = block, start - base
    step = BLOCK
    bound = min(size, start + MAX_WALKED)
    is_doubtful = False  # the sequence may have ended with its item
    shapes: Shapes | None = None  # of the item that is walked
    heads: list[Head] = []  # of this item
    first = wrong_before = 0  # offset of this item; sequence delimiters that were wrong before it
    while stack:
        if position + 12 > len(data):
            base += position
            position = 0
            data = read(step, base) if base < size else b""
            step = min(2 * step, MAX_STEP)
            if len(data) < 8:
                if is_doubtful and len(stack) == 1 and not data:
                    found[-1] = found[-1][0], True
                    break
                raise Truncated
        group, element, length = IMPLICIT(data, position)
        tag = group << 16 | element
        if is_doubtful:
            is_doubtful = False
            if ends_both or tag not in (ITEM, SEQUENCE_END):
                stack.pop()
                found[-1] = found[-1][0], True
                continue
        width = 4
        begin = position
        position += 8
        if group == 0xFFFE:
            if stack[-1]:
                if tag == SEQUENCE_END:
                    stack.pop()
                    length = width = 0
                elif tag != ITEM:
                    raise Unclear
                elif length == UNDEFINED:
                    if len(stack) == 1 and all_heads is None:
                        shapes = shapes_of(implicit, data, begin)
                        if begin + shapes.size + 12 > len(data) and base + len(data) < size:
                            base += begin
                            data, begin, position = read(max(step, 2 * shapes.size), base), 0, 8
                            step = min(2 * step, MAX_STEP)
                        stop = shapes.skip(data, begin)
                        if stop > begin:
                            position, shapes = stop, None
                            if base + position > bound:
                                raise TooLong
                            continue
                        heads.clear()
                        first, wrong_before = base + begin, len(found)
                    stack.append(False)
                    length = width = 0
            elif tag in (ITEM_END, SEQUENCE_END):
                stack.pop()
                length = width = 0
                if tag == SEQUENCE_END:
                    found.append((base + begin, False))
                    is_doubtful = True
            else:
                raise Unclear
        elif stack[-1]:
            raise Unclear
        elif implicit:
            if length == UNDEFINED:
                stack.append(True)
                length = width = 0
        else:
            _, _, vr, length = EXPLICIT(data, begin)
            if vr in LONG_VRS:
                if position + 4 > len(data):
                    raise Truncated
                length = LENGTH(data, position)[0]
                position += 4
                if length == UNDEFINED:
                    if vr not in (SQ, OB, OW):
                        raise Unclear
                    stack.append(True)
                    length = width = 0
            elif vr in SHORT_VRS:
                width = 2
            else:
                raise Unclear
        if all_heads is not None:
            all_heads.append((base + begin - start, base + position - start, width))
        elif shapes is not None:
            heads.append((base + begin - first, base + position - first, width))
            if len(stack) == 1:
                begin = first - base
                if begin >= 0 and len(found) == wrong_before:
                    shapes.learn(data[begin:position], heads)
                shapes = None
        position += length
        if length >= BLOCK:
            bound = min(size, bound + length)
        if len(stack) > 2 * MAX_DEPTH:
            raise Unclear
        if base + position > bound:
            raise Truncated if base + position > size else TooLong
    return base + position


def looks_like(data: bytes, start: int, size: int, encoding: Encoding, min_elements: int) -> tuple[bool, bool]:
    """Whether the bytes at `start` are a data set of this encoding, and whether it contains one of its UIDs.

    Parameters
    ----------
    data : bytes
        The first block of the file.
    start, size : int
        Offset of the supposed first element; size of the file.
    encoding : Encoding
        The encoding to try.
    min_elements : int
        Consecutive well-formed elements required; a shorter data set needs only be well-formed to its end.

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
    return count >= min_elements or (finished and count > 0), has_uid
