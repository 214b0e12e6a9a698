"""Encapsulated pixel data: find the fragments of each frame (PS3.5 A.4).

Items are walked by positioned reads of eight bytes each, so that a file of many gigabytes needs no memory. Fragments
are located by the walk, not by an offset table. The Basic Offset Table is used only to assign fragments to frames where
their number does not equal the number of frames. The Extended Offset Table is not used: it requires one fragment per
frame (PS3.3 C.7.6.3.1.8).
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dicomzarr.pixels.byte_source import Source
from dicomzarr.system import limits
from dicomzarr.vocabulary.reasons import NotExtracted

Indices = NDArray[np.int64]

_ITEM = b"\xfe\xff\x00\xe0"
_DELIMITER = b"\xfe\xff\xdd\xe0"
# What may follow pixel data: digital signatures, trailing padding (PS3.3 C.12.1.1.3, PS3.10 7.2).
_FOLLOWERS = (b"\xfa\xff\xfa\xff", b"\xfc\xff\xfc\xff")

# Fragments allowed beyond one per frame, in all; a walk over gigabytes of empty fragments would not end.
MORE_FRAGMENTS = 1 << 20

# First bytes of a frame: JPEG and JPEG-LS, JPEG 2000 and HTJ2K, JP2, JPEG XL bare and in boxes.
_STARTS = (b"\xff\xd8\xff", b"\xff\x4f\xff\x51", b"\x00\x00\x00\x0cjP  ", b"\xff\x0a", b"\x00\x00\x00\x0cJXL ")


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


def frame_table(source: Source, offset: int, length: int, frames: int, one_fragment: bool) -> FrameTable:
    """Walk the items of encapsulated pixel data and assign the fragments to frames.

    Parameters
    ----------
    source : Source
        Of the data set.
    offset, length : int
        Value of Pixel Data (7FE0,0010), in bytes; `length` is -1 where undefined.
    frames : int
        Number of Frames (0028,0008).
    one_fragment : bool
        The transfer syntax requires one fragment per frame (RLE, deflated, uncompressed).

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
    table, base = _offset_table(source, offset, end)
    offsets, lengths, flags = _walk(source, base, end, length < 0, frames + MORE_FRAGMENTS)
    if len(offsets) > frames:  # some writers append empty fragments
        offsets, lengths = offsets[lengths > 0], lengths[lengths > 0]
    count = len(offsets)
    groups = _group_by_table(table, offsets - 8 - base)
    if groups is None or len(groups) != frames:
        if table is None or len(table):
            flags.append("bad_offset_table")
        groups = None
    if count < frames or (count > frames and one_fragment):
        raise NotExtracted("frame_count_mismatch", found=count, needed=frames)
    if count == frames:
        firsts = np.arange(frames)
    elif groups is not None and frames > 1:
        firsts = groups
    else:
        firsts = _group_by_first_bytes(source, offsets, lengths)
        if len(firsts) != frames:
            raise NotExtracted("frame_count_mismatch", found=len(firsts), needed=frames)
    return FrameTable(offsets, lengths, np.append(firsts, count), tuple(flags))


def _offset_table(source: Source, offset: int, end: int) -> tuple[Indices | None, int]:
    """Return the Basic Offset Table (None where malformed; it may be empty) and the offset after it."""
    if offset + 8 > end:
        raise NotExtracted("truncated_pixel_data", found=max(end - offset, 0), needed=8)
    head = bytes(source.read(offset, 8))
    if head[:4] != _ITEM:
        raise NotExtracted("bad_encapsulation")
    size = int.from_bytes(head[4:], "little")
    if size > end - offset - 8:
        raise NotExtracted("truncated_pixel_data", found=end - offset - 8, needed=size)
    table_end = offset + 8 + size
    if size % 4:
        return None, table_end
    return np.frombuffer(source.read(offset + 8, size), "<u4").astype(np.int64), table_end


def _walk(
    source: Source, position: int, end: int, undefined: bool, max_count: int
) -> tuple[Indices, Indices, list[str]]:
    """Return offsets and lengths of the fragments from `position`, and flags; raise beyond `max_count` fragments."""
    offsets, lengths = array("q"), array("q")
    flags: list[str] = []
    is_odd = False
    while True:
        left = end - position
        if left <= 0:
            if undefined:
                flags.append("missing_sequence_delimiter")
            break
        head = bytes(source.read(position, min(left, 8)))
        if head[:4] == _DELIMITER:
            break
        if is_odd and head[:4] != _ITEM:
            # Some writers pad a fragment of odd length by a byte that its length does not include.
            position, is_odd = position + 1, False
            continue
        if head[:4] != _ITEM or len(head) < 8:
            if offsets and (head[:4] in _FOLLOWERS or (left <= 8 and not any(head))):
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
    return np.array(offsets, np.int64), np.array(lengths, np.int64), flags


def _group_by_table(table: Indices | None, starts: Indices) -> Indices | None:
    """Return the first fragment of each frame by the Basic Offset Table, None where that is empty or wrong."""
    if table is None or not len(table) or table[0] != 0 or (np.diff(table) <= 0).any():
        return None
    groups = np.searchsorted(starts, table)
    if groups[-1] >= len(starts) or (starts[groups] != table).any():
        return None
    return groups


def _group_by_first_bytes(source: Source, offsets: Indices, lengths: Indices) -> Indices:
    """Return the fragments with the start marker of the first one; only the first where it has no known marker."""
    heads = (
        bytes(source.read(int(offset), min(int(length), 8))) for offset, length in zip(offsets, lengths, strict=True)
    )
    first = next(heads)
    start = next((marker for marker in _STARTS if first.startswith(marker)), None)
    if start is None:
        return np.zeros(1, np.int64)
    return np.array([0, *(index for index, head in enumerate(heads, 1) if head.startswith(start))], np.int64)
