"""Elements of explicit VR whose VR is none of the standard's: two spaces, zeros, `--`, `RE`, or no VR at all.

What such an element is follows from what comes behind it: of the forms that its head may have (PS3.5 7.1.2, 7.1.3),
the one counts after which an element of a higher tag begins.
"""

from __future__ import annotations

import functools
from typing import Final

from dicomzarr.dicom.vr import LONG_VRS, PIXEL_TAGS, SHORT_VRS, UNDEFINED
from dicomzarr.headers.fast_reader import BLOCK, Reader, TooLong, Truncated, Unclear, skip_items

_MOST_ELEMENTS: Final = 100_000
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

    def __call__(self, length: int, offset: int) -> bytes:
        """Return bytes of the file, with the heads as they should be."""
        data = bytearray(self._read(length, offset))
        for place, head in self._heads.items():
            for index, value in enumerate(head, place - offset):
                if 0 <= index < len(data):
                    data[index] = value
        return bytes(data)


def with_known_vrs(read: Reader, size: int, start: int) -> MendedReader | None:
    """Return a reader in which each element at top level has a VR of the standard.

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
    heads: dict[int, bytes] = {}
    position = base = start
    block = read(BLOCK, start)
    try:
        for _ in range(_MOST_ELEMENTS):
            if position + 12 > base + len(block):
                base, block = position, read(BLOCK, position)
            head = block[position - base :][:12]
            tag = _tag(head)
            if len(head) < 12 or tag in PIXEL_TAGS or tag == 0:
                break
            code = int.from_bytes(head[4:6], "little")
            if code in LONG_VRS:
                value, length = position + 12, int.from_bytes(head[8:12], "little")
            elif code in SHORT_VRS:
                value, length = position + 8, int.from_bytes(head[6:8], "little")
            else:
                found = _mended(read, size, position, head)
                if found is None:
                    return None
                value, length, heads[position + 4] = found
            is_implicit = LONG_VRS.get(code) == "UN"
            position = skip_items(read, size, value, is_implicit) if length == UNDEFINED else value + length
    except (Unclear, Truncated, TooLong):
        return None
    return MendedReader(read, heads, position) if heads else None


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
    code = int.from_bytes(following[4:6], "little")
    return code in LONG_VRS or code in SHORT_VRS or following[4:6] == head[4:6]


def _tag(head: bytes) -> int:
    return int.from_bytes(head[:2], "little") << 16 | int.from_bytes(head[2:4], "little")


@functools.cache
def _vr_of(tag: int) -> str:
    """Return the VR of PS3.6; empty where it does not know the element."""
    from pydicom._dicom_dict import DicomDictionary

    return str(DicomDictionary[tag][0])[:2] if tag in DicomDictionary else ""
