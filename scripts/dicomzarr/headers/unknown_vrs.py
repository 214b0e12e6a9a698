"""Elements of explicit VR whose VR is none of the standard's: two spaces, zeros, `--`, `RE`, or no VR at all.

What such an element is follows from what comes behind it: of the forms that its head may have (PS3.5 7.1.2, 7.1.3),
the one counts after which an element of a higher tag begins.
"""

from __future__ import annotations

import bisect
import functools
from typing import Final

from dicomzarr.dicom.vr import ITEM, ITEM_END, LONG_VRS, PIXEL_TAGS, SEQUENCE_END, SHORT_VRS, UNDEFINED
from dicomzarr.headers.item_walk import skip_items
from dicomzarr.headers.reading import BLOCK, MAX_DEPTH, Reader, TooLong, Truncated, Unclear

_MOST_ELEMENTS: Final = 100_000
_MOST_OF_A_HEAD: Final = 8  # bytes of a head that are replaced: VR, reserved bytes and length
_TEXT: Final = "LO"  # of an element that PS3.6 does not know: the privacy search reads texts


class MendedReader:
    """A reader of a file in which some bytes of heads are replaced; no value and no offset changes.

    Attributes
    ----------
    end : int
        Offset of the pixel data element, or of the end of the data set.
    """

    def __init__(self, read: Reader, heads: dict[int, bytes], end: int) -> None:
        self._read, self._heads, self.end = read, heads, end
        self._places = sorted(heads)

    def __call__(self, length: int, offset: int) -> bytes:
        """Return bytes of the file, with the heads as they should be."""
        data = bytearray(self._read(length, offset))
        first = bisect.bisect_right(self._places, offset - _MOST_OF_A_HEAD)
        last = bisect.bisect_left(self._places, offset + len(data))
        for place in self._places[first:last]:
            for index, value in enumerate(self._heads[place], place - offset):
                if 0 <= index < len(data):
                    data[index] = value
        return bytes(data)


def with_known_vrs(read: Reader, size: int, start: int) -> MendedReader | None:
    """Return a reader in which each element has a VR of the standard.

    Parameters
    ----------
    read : callable
        ``read(length, offset)`` gives bytes of the file, or of the inflated data set.
    size : int
        Number of bytes that `read` can give.
    start : int
        Offset of the first element of the data set, explicit VR little endian.

    Returns
    -------
    MendedReader or None
        None where all VRs are known, or where the bytes leave a doubt.

    References
    ----------
    DICOM PS3.5 6.2, 7.1.2.
    """
    walk = _Walk(read, size, start)
    try:
        end = walk.elements(start, 0)
    except (Unclear, Truncated, TooLong):
        return None
    return MendedReader(read, walk.heads, end) if walk.heads else None


class _Walk:
    """A walk over the elements of a data set; collects what should stand in the heads of those of no known VR."""

    def __init__(self, read: Reader, size: int, start: int) -> None:
        self._read, self._size = read, size
        self._base, self._block = start, read(BLOCK, start)
        self._left = _MOST_ELEMENTS
        self.heads: dict[int, bytes] = {}

    def _at(self, position: int) -> bytes:
        if not self._base <= position <= self._base + len(self._block) - 12:
            self._base, self._block = position, self._read(BLOCK, position)
        self._left -= 1
        if self._left < 0:
            raise TooLong
        return self._block[position - self._base :][:12]

    def elements(self, position: int, depth: int) -> int:
        """Return the offset of the pixel data, of the end, or of the delimiter that ends an item."""
        while True:
            head = self._at(position)
            tag = _tag(head)
            if len(head) < 12 or tag in PIXEL_TAGS or tag == 0 or (depth and tag == ITEM_END):
                return position
            code = int.from_bytes(head[4:6], "little")
            if code in LONG_VRS:
                value, length = position + 12, int.from_bytes(head[8:12], "little")
            elif code in SHORT_VRS:
                value, length = position + 8, int.from_bytes(head[6:8], "little")
            else:
                found = _mended(self._read, self._size, position, head)
                if found is None:
                    raise Unclear
                value, length, self.heads[position + 4] = found
            position = value + length
            if length == UNDEFINED:
                position = self._after_items(value, LONG_VRS.get(code) == "UN", depth)

    def _after_items(self, position: int, is_implicit: bool, depth: int) -> int:
        """Return the offset behind a sequence of undefined length."""
        try:
            return skip_items(self._read, self._size, position, is_implicit)
        except Unclear:
            if is_implicit or depth >= MAX_DEPTH:
                raise
        while _tag(head := self._at(position)) == ITEM:
            length = int.from_bytes(head[4:8], "little")
            position += 8
            if length != UNDEFINED:
                position += length
                continue
            position = self.elements(position, depth + 1)
            if _tag(self._at(position)) != ITEM_END:
                raise Unclear
            position += 8
        if _tag(head) != SEQUENCE_END:
            raise Unclear
        return position + 8


def _mended(read: Reader, size: int, position: int, head: bytes) -> tuple[int, int, bytes] | None:
    """Return offset and length of the value of an element, and VR and length as they should stand in its head."""
    known = _vr_of(_tag(head))
    text = known if known in SHORT_VRS.values() else _TEXT
    short, long = head[6:8], head[8:12]
    forms = [(position + 8, int.from_bytes(short, "little"), text.encode() + short)]
    if short == b"\0\0":
        forms.append((position + 12, int.from_bytes(long, "little"), b"UN\0\0" + long))
    if head[6:8] == b"\0\0":  # no VR, but four bytes of a length that fits into two
        forms.append((position + 8, int.from_bytes(head[4:8], "little"), text.encode() + head[4:6]))
    fitting = {form[:2]: form for form in forms if _follows(read, size, sum(form[:2]), head)}
    return next(iter(fitting.values())) if len(fitting) == 1 else None


def _follows(read: Reader, size: int, position: int, head: bytes) -> bool:
    """Return whether an element of a higher tag begins at an offset, with a known VR, or the same unknown one."""
    following = read(8, position) if position < size else b""
    if len(following) < 8 or _tag(following) <= _tag(head):
        return False
    if _tag(following) == ITEM_END:
        return True
    code = int.from_bytes(following[4:6], "little")
    return code in LONG_VRS or code in SHORT_VRS or following[4:6] == head[4:6]


def _tag(head: bytes) -> int:
    return int.from_bytes(head[:2], "little") << 16 | int.from_bytes(head[2:4], "little")


@functools.cache
def _vr_of(tag: int) -> str:
    """Return the VR of PS3.6; empty where it does not know the element."""
    from pydicom._dicom_dict import DicomDictionary

    return str(DicomDictionary[tag][0])[:2] if tag in DicomDictionary else ""
