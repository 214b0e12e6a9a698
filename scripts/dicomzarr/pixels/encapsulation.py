"""Encapsulated pixel data: find the fragments of each frame (PS3.5 A.4).

Items are walked by positioned reads of eight bytes each, so that a file of many gigabytes needs no memory. Fragments
are located by the walk, not by an offset table. The Basic Offset Table is used only to assign fragments to frames where
their number does not equal the number of frames; without one, the first and last bytes of the fragments decide. The
Extended Offset Table is not used: it requires one fragment per frame (PS3.3 C.7.6.3.1.8).
"""

from __future__ import annotations

from array import array
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dicomzarr.dicom.transfer_syntaxes import Family
from dicomzarr.pixels.byte_source import Source
from dicomzarr.system import limits
from dicomzarr.vocabulary.reasons import NotExtracted

Indices = NDArray[np.int64]

_ITEM = b"\xfe\xff\x00\xe0"
_DELIMITER = b"\xfe\xff\xdd\xe0"
_ITEM_END = b"\xfe\xff\x0d\xe0\0\0\0\0"
# What may follow pixel data: digital signatures, trailing padding (PS3.3 C.12.1.1.3, PS3.10 7.2).
_FOLLOWERS = (b"\xfa\xff\xfa\xff", b"\xfc\xff\xfc\xff")

# Fragments allowed beyond one per frame, in all; a walk over gigabytes of empty fragments would not end.
MORE_FRAGMENTS = 1 << 20
# Zero bytes that may stand in place of the delimiter.
_MOST_ZEROS = 1 << 20

# The end of a JPEG, JPEG-LS or JPEG 2000 stream (EOI, EOC), and what may pad it to even length.
_END, _PADDING = b"\xff\xd9", b"\x00\xff"

# First bytes of a frame: JPEG and JPEG-LS, JPEG 2000 and HTJ2K, JP2, JPEG XL bare and in boxes.
_STARTS = (b"\xff\xd8\xff", b"\xff\x4f\xff\x51", b"\x00\x00\x00\x0cjP  ", b"\xff\x0a", b"\x00\x00\x00\x0cJXL ")


# The standard requires one fragment per frame (PS3.5 A.4.2, A.4.11, 8.2.16).
_ONE_FRAGMENT = ("rle", "deflated", "uncompressed")


@dataclass(frozen=True, slots=True)
class FrameTable:
    """Offset and length of each frame's fragments.

    Attributes
    ----------
    offsets, lengths : ndarray of int64, shape (fragments,)
        Of each fragment, in bytes from the start of the data set.
    firsts : ndarray of int64, shape (frames + 1,)
        Index of each frame's first fragment; the last entry is the number of fragments.
    flags : tuple of str
        Flags of the encapsulation.
    """

    offsets: Indices
    lengths: Indices
    firsts: Indices
    flags: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.firsts) - 1

    def read(self, source: Source, frame: int) -> bytes:
        """Return the bytes of one frame, its fragments joined.

        Parameters
        ----------
        source : Source
            Of the data set.
        frame : int
            Its number, from 0.

        Returns
        -------
        bytes
            As one decoder takes them.

        Raises
        ------
        NotExtracted
            `too_large` where the fragments exceed the limit of a frame.
        """
        fragments = range(int(self.firsts[frame]), int(self.firsts[frame + 1]))
        size, max_bytes = int(self.lengths[fragments.start : fragments.stop].sum()), limits.current().frame
        if size > max_bytes:
            raise NotExtracted("too_large", found=size, needed=max_bytes)
        pieces = [source.read(int(self.offsets[i]), int(self.lengths[i])) for i in fragments]
        return bytes(pieces[0]) if len(pieces) == 1 else b"".join(pieces)


def frame_table(source: Source, offset: int, length: int, frames: int, family: Family | None) -> FrameTable:
    """Walk the items of encapsulated pixel data and assign the fragments to frames.

    Parameters
    ----------
    source : Source
        Of the data set.
    offset, length : int
        Value of Pixel Data (7FE0,0010), in bytes; `length` is -1 where undefined.
    frames : int
        Number of Frames (0028,0008).
    family : str
        Of the transfer syntax.

    Returns
    -------
    FrameTable
        With flags for deviations that leave no doubt about the frames.

    Raises
    ------
    NotExtracted
        `bad_encapsulation` where the items cannot be followed, `truncated_pixel_data` where the file ends inside one,
        `frame_count_mismatch` where the number of frames differs from the header.

    References
    ----------
    DICOM PS3.5 A.4.
    """
    end = source.size if length < 0 else min(source.size, offset + length)
    table, base = _offset_table(source, offset, end, family)
    offsets, lengths, flags = _walk(source, base, end, length < 0, frames + MORE_FRAGMENTS)
    if len(offsets) > frames:  # some writers append empty fragments
        offsets, lengths = offsets[lengths > 0], lengths[lengths > 0]
    count = len(offsets)
    groups = _group_by_table(table, offsets - 8 - base)
    if groups is None or len(groups) != frames:
        if table is None or len(table):
            flags.append("bad_offset_table")
        groups = None
    if count < frames:
        raise NotExtracted("frame_count_mismatch", found=count, needed=frames)
    if count == frames:
        return FrameTable(offsets, lengths, np.arange(frames + 1), tuple(flags))
    if groups is not None and frames > 1:
        bounds = np.append(groups, count)
        if _has_more_streams(source, offsets, lengths, groups):
            flags.append("surplus_frames")
    else:
        bounds = _group_by_content(source, offsets, lengths, frames, family)
        if bounds[-1] < count:
            flags.append("surplus_frames")
    # The standard allows it where a table says so, but for RLE.
    if (groups is None or family in _ONE_FRAGMENT) and (np.diff(bounds) > 1).any():
        flags.append("joined_fragments")
    return FrameTable(offsets, lengths, bounds, tuple(flags))


def _offset_table(source: Source, offset: int, end: int, family: Family | None) -> tuple[Indices | None, int]:
    """Return the Basic Offset Table and the offset after it; None where it is malformed, or missing."""
    if offset + 8 > end:
        raise NotExtracted("truncated_pixel_data", found=max(end - offset, 0), needed=8)
    head = bytes(source.read(offset, 8))
    if head[:4] != _ITEM:
        raise NotExtracted("bad_encapsulation")
    size = int.from_bytes(head[4:], "little")
    if size > end - offset - 8:
        raise NotExtracted("truncated_pixel_data", found=end - offset - 8, needed=size)
    table_end = offset + 8 + size
    content = source.read(offset + 8, size)
    # The first offset of a table is 0. Some writers leave the item of the table out: the first one is a fragment.
    if size >= 8 and any(content[:4]) and _begins_frame(bytes(content[:64]), family):
        return None, offset
    if size % 4:
        return None, table_end
    return np.frombuffer(content, "<u4").astype(np.int64), table_end


def _begins_frame(head: bytes, family: Family | None) -> bool:
    """Return whether a frame of a codec with markers, or of RLE, begins with these bytes."""
    return _is_rle_header(head) if family == "rle" else head.startswith(_STARTS)


def _walk(
    source: Source, position: int, end: int, undefined: bool, max_count: int
) -> tuple[Indices, Indices, list[str]]:
    """Return offsets and lengths of the fragments from `position`, and flags; raise beyond `max_count` fragments."""
    offsets, lengths = array("q"), array("q")
    flags: list[str] = []
    is_odd, strays = False, 0
    while True:
        left = end - position
        if left <= 0:
            if undefined:
                flags.append("missing_sequence_delimiter")
            break
        head = bytes(source.read(position, min(left, 8)))
        if head[:4] == _DELIMITER:
            break
        if head == _ITEM_END and offsets:  # stray, or in place of the delimiter
            position, is_odd, strays = position + 8, False, strays + 1
            if strays > MORE_FRAGMENTS:
                raise NotExtracted("too_large", found=strays, needed=MORE_FRAGMENTS)
            continue
        if is_odd and head[:4] != _ITEM:
            # Some writers pad a fragment of odd length by a byte that its length does not include.
            position, is_odd = position + 1, False
            continue
        if head[:4] != _ITEM or len(head) < 8:
            if offsets and (head[:4] in _FOLLOWERS or _is_zero(source, position, left)):
                flags.append("missing_sequence_delimiter")
                break
            raise NotExtracted("bad_encapsulation")
        size = int.from_bytes(head[4:], "little")
        if size == 0xFFFFFFFF:
            raise NotExtracted("bad_encapsulation")
        if size > left - 8:
            raise NotExtracted("truncated_pixel_data", found=left - 8, needed=size)
        offsets.append(position + 8)
        lengths.append(size)
        if len(offsets) > max_count:
            raise NotExtracted("too_large", found=len(offsets), needed=max_count)
        is_odd = bool(size % 2)
        if is_odd and "odd_fragment" not in flags:
            flags.append("odd_fragment")
        position += 8 + size
    if not offsets:
        raise NotExtracted("bad_encapsulation")
    if "missing_sequence_delimiter" in flags and _holds_delimiter(source, offsets[-1], lengths[-1], end):
        raise NotExtracted("truncated_pixel_data")
    return np.array(offsets, np.int64), np.array(lengths, np.int64), flags


def _holds_delimiter(source: Source, offset: int, length: int, end: int) -> bool:
    """Return whether a fragment reaches over the delimiter, since bytes were lost from the fragment."""
    start, stop = max(offset, offset + length - _MOST_ZEROS), min(offset + length + 4, end)
    return _DELIMITER + bytes(4) in bytes(source.read(start, stop - start))


def _is_zero(source: Source, position: int, length: int) -> bool:
    """Return whether these bytes are all 0."""
    return length <= _MOST_ZEROS and not any(source.read(position, length))


def _group_by_table(table: Indices | None, starts: Indices) -> Indices | None:
    """Return the first fragment of each frame by the Basic Offset Table, None where that is empty or wrong."""
    if table is None or not len(table) or table[0] != 0 or (np.diff(table) <= 0).any():
        return None
    groups = np.searchsorted(starts, table)
    if groups[-1] >= len(starts) or (starts[groups] != table).any():
        return None
    return groups


def _group_by_content(
    source: Source, offsets: Indices, lengths: Indices, frames: int, family: Family | None
) -> Indices:
    """Return the first fragment of each frame, and the fragment after the last frame, by the bytes of the fragments.

    A fragment that begins like the first one begins a frame. More of them than frames are whole frames beyond those
    declared, if each follows the end of a stream.

    Raises
    ------
    NotExtracted
        `frame_count_mismatch` where this does not give the frames.
    """
    count = len(offsets)
    heads = [bytes(source.read(int(o), min(int(n), 64))) for o, n in zip(offsets, lengths, strict=True)]
    if family == "rle":
        begins = [_is_rle_header(_joined(heads, i, _may_be_rle_header)) for i in range(count)]
    else:
        first = _joined(heads, 0, lambda head: len(head) < 8)
        start = next((marker for marker in _STARTS if first.startswith(marker)), None)
        # Without a marker, as deflated or uncompressed frames are, the only frame holds all fragments.
        begins = [start is None and frames == 1] + [False] * (count - 1)
        if start is not None:
            begins = [_joined(heads, i, start.startswith).startswith(start) for i in range(count)]
    bounds = np.append(np.flatnonzero(begins), count)
    found = len(bounds) - 1
    if found > frames and family != "rle":
        ended = [True, *(_is_ended(source, offsets, lengths, i) for i in bounds[1:].tolist())]
        if family == "jpegls":  # a SPIFF header inside a stream ends with a start marker (ISO/IEC 10918-3 annex F)
            bounds = bounds[np.array([*ended[:-1], True])]
            found = len(bounds) - 1
        elif not all(ended):
            raise NotExtracted("frame_count_mismatch", found=found, needed=frames)
    if found < frames or bounds[0] != 0:
        raise NotExtracted("frame_count_mismatch", found=found or count, needed=frames)
    return bounds[: frames + 1]


def _has_more_streams(source: Source, offsets: Indices, lengths: Indices, groups: Indices) -> bool:
    """Return whether a fragment that an offset table gives to the frame before it begins a stream of its own."""
    return any(
        bytes(source.read(int(offsets[index]), min(int(lengths[index]), 64))).startswith(_STARTS)
        and _is_ended(source, offsets, lengths, index)
        for index in np.setdiff1d(np.arange(len(offsets)), groups).tolist()
    )


def _joined(heads: list[bytes], index: int, is_short: Callable[[bytes], bool]) -> bytes:
    """Return the first bytes from a fragment on, across fragments while they are too few to tell."""
    head = heads[index]
    while len(head) < 64 and index + 1 < len(heads) and is_short(head):
        index += 1
        head += heads[index]
    return head


def _is_ended(source: Source, offsets: Indices, lengths: Indices, end: int) -> bool:
    """Return whether the bytes before the fragment `end` are the end of a stream."""
    tail = b""
    while end > 0 and not tail.strip(_PADDING):
        end -= 1
        size = min(int(lengths[end]), 16)
        tail = bytes(source.read(int(offsets[end] + lengths[end]) - size, size)) + tail
    if tail.startswith(_END[1:]) and end > 0:  # the marker itself is in two fragments
        tail = bytes(source.read(int(offsets[end - 1] + lengths[end - 1]) - 1, 1)) + tail
    tail = tail.rstrip(_PADDING)
    return tail.endswith(_END) or tail[-3:-1] == _END  # any byte may make a fragment even


def _may_be_rle_header(head: bytes) -> bool:
    return len(head) < 4 or 1 <= int.from_bytes(head[:4], "little") <= 15


def _is_rle_header(head: bytes) -> bool:
    """Return whether these are the 64 bytes before the segments of an RLE frame (PS3.5 G.5)."""
    fields = np.frombuffer(head[:64], "<u4") if len(head) >= 64 else np.zeros(16, "<u4")
    count = int(fields[0])
    if not 1 <= count <= 15 or fields[1] != 64 or fields[count + 1 :].any():
        return False
    return bool((np.diff(fields[1 : count + 1].astype(np.int64)) > 0).all())
