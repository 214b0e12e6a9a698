"""Read the File Meta Information, group 0002 (PS3.10 7.1)."""

from __future__ import annotations

from dicomzarr.dicom.vr import EXPLICIT, IMPLICIT, LENGTH, LONG_VRS, SHORT_VRS
from dicomzarr.headers.known_heads import MAX_KNOWN_HEADS
from dicomzarr.headers.reading import BLOCK, Truncated, Unclear

_META_WANTED = (0x0002, 0x0010)  # Media Storage SOP Class UID, Transfer Syntax UID
# The first 8 bytes of an element of group 0002 to (tag if wanted else 0, length of the value). Instead of the length:
# `_FOLLOWS` where it is in the next 4 bytes, `_ENDS` where the element is not of group 0002.
_META_HEADS: dict[bytes, tuple[int, int]] = {}
_FOLLOWS, _ENDS = -1, -2


def read_meta(data: bytes, start: int, size: int) -> tuple[dict[int, bytes], int]:
    """Return SOP class and transfer syntax from the File Meta Information, and the offset of the data set after it.

    Parameters
    ----------
    data : bytes
        The first block of the file.
    start : int
        Offset of the first element: 132, or 0 where preamble and prefix are missing.
    size : int
        Size of the file in bytes.

    Returns
    -------
    values : dict
        Bytes of Media Storage SOP Class UID (0002,0002) and Transfer Syntax UID (0002,0010) by tag, where present.
    position : int
        Offset of the data set in bytes.

    Raises
    ------
    Unclear
        If an element of group 0002 is not well-formed within the block; explicit VR little endian is required, implicit
        VR is read too.
    Truncated
        If the file ends inside the group.

    References
    ----------
    DICOM PS3.10 7.1.
    """
    values: dict[int, bytes] = {}
    position, end = start, len(data)
    while position + 8 <= end:
        head = data[position : position + 8]
        wanted, length = _META_HEADS.get(head) or _meta_head(head)
        if length == _ENDS:
            return values, position
        position += 8
        if length == _FOLLOWS:
            if position + 4 > end:
                break
            length = LENGTH(data, position)[0]
            position += 4
        if wanted:
            values[wanted] = data[position : position + length]
        position += length
    if position >= len(data) < size:
        raise Unclear
    if position != len(data):
        raise Truncated
    return values, position


def _meta_head(head: bytes) -> tuple[int, int]:
    """Parse the first 8 bytes of an element of group 0002, or after that group, and cache the result."""
    group, element, vr, length = EXPLICIT(head)
    if group != 2:
        length = _ENDS
    elif vr in LONG_VRS:
        length = _FOLLOWS
    elif vr not in SHORT_VRS:
        length = IMPLICIT(head)[2]  # of some writers; no two letters of a VR, which would be 16,705 bytes at least
        if length >= BLOCK:
            raise Unclear
    if len(_META_HEADS) >= MAX_KNOWN_HEADS:
        _META_HEADS.clear()
    parsed = _META_HEADS[head] = (group << 16 | element if element in _META_WANTED else 0, length)
    return parsed
