"""The head of the pixel data element, and what follows its value: whether the value can be the pixels of the image."""

from __future__ import annotations

from typing import Literal, TypeAlias

from dicomzarr.dicom.vr import LONG_VRS, PIXEL_TAGS, SHORT_VRS, UNDEFINED, VRS
from dicomzarr.headers.reading import Encoding, Reader, TooLong

Place: TypeAlias = tuple[int, str, int, int]  # tag, VR, offset and length of the value, as in `RawHeader.pixel`

_MAX_FOLLOWERS = 16  # elements after the pixel data that are looked at
_LOOKED_AT = 512  # bytes after the pixel data
_FILLS = (0, 0xFF, 0x20)  # bytes of padding
_BLOCK = 128  # bytes: padding fills up a file to a multiple of them, as those of tapes and disks are
_DELIMITERS = 0xFFFE  # group


def reason_against(read: Reader, size: int, pixel: Place, encoding: Encoding) -> str:
    """Return why the value of a pixel data element is not taken for pixels, or an empty string.

    Parameters
    ----------
    read : callable
        ``read(length, offset)`` gives bytes of the file, or of the inflated data set.
    size : int
        Number of bytes that `read` can give.
    pixel : tuple
        Tag, VR, offset and length of the value; length -1 for an undefined length.
    encoding : Encoding

    Returns
    -------
    str
        ``several_pixel_data``, or ``unreadable_header`` if the head has no such form: then the value begins elsewhere,
        and what stands there may be the rest of the header.
    """
    _, _, offset, length = pixel
    if length < 0 or offset + length == size:
        return ""
    if not _has_form(read, size, pixel, encoding):
        return "unreadable_header"
    is_within = offset + length + 8 <= size
    return "several_pixel_data" if is_within and _is_followed_by_another(read, size, pixel, encoding) else ""


def _has_form(read: Reader, size: int, pixel: Place, encoding: Encoding) -> bool:
    """Whether the head of a pixel data element has the form of the encoding (PS3.5 7.1.2), if its value ends elsewhere.

    In explicit VR two bytes of 0 lie between VR and length. If they are not, the tag or the VR may be damaged: those of
    a text, whose length has two bytes, would make of its first letters a length that reaches to the end of the file.
    Without a VR of the standard, pydicom reads a head in implicit VR, whose value begins four bytes earlier: it is one
    if an element follows where it ends. In implicit VR, a length that spells a VR is a head in explicit VR.
    """
    _, vr, offset, length = pixel
    if encoding.implicit:
        return length not in LONG_VRS
    if vr in VRS:
        return not VRS[vr].is_long or not any(read(2, offset - 6))
    try:
        following = read(8, offset + length) if offset + length < size else b""
    except TooLong:  # a deflated data set beyond the part in memory
        return False
    code = int.from_bytes(following[4:6], "little")
    return code in LONG_VRS or code in SHORT_VRS


def _is_followed_by_another(read: Reader, size: int, pixel: Place, encoding: Encoding) -> bool:
    """Whether another pixel data element follows; PS3.3 C.7.6.3, C.7.6.24 and C.7.6.25 allow one of the three."""
    _, _, position, length = pixel
    order: Literal["little", "big"] = "little" if encoding.little else "big"
    for _ in range(_MAX_FOLLOWERS):
        if length < 0 or position + length + 8 > size:
            return False
        position += length
        try:
            head = read(12, position)
        except TooLong:  # a deflated header beyond the part in memory
            return False
        tag = int.from_bytes(head[0:2], order) << 16 | int.from_bytes(head[2:4], order)
        if tag in PIXEL_TAGS:
            return True
        if tag < min(PIXEL_TAGS):  # padding, or no element
            return False
        position += 8
        if encoding.implicit:
            length = int.from_bytes(head[4:8], order)
        elif int.from_bytes(head[4:6], "little") in LONG_VRS:
            position += 4
            length = int.from_bytes(head[8:12], order)
        else:
            length = int.from_bytes(head[6:8], order)
    return False


def may_end_at(read: Reader, size: int, encoding: Encoding, end: int, *, with_padding: bool = True) -> bool:
    """Return whether the value of a pixel data element may end at a place: before nothing, padding or an element.

    Parameters
    ----------
    read : callable
        As in `reason_against`.
    size : int
        Number of bytes that `read` can give.
    encoding : Encoding
    end : int
        Offset of the byte after the value.
    with_padding : bool
        Whether bytes that are all alike may follow.

    Returns
    -------
    bool
        False if bytes follow that are no element and no padding: bytes may have been inserted before them, or lost.
    """
    rest = size - end
    if rest <= 0:
        return True
    try:
        data = read(min(rest, _LOOKED_AT), end)
    except TooLong:  # a deflated data set beyond the part in memory
        return True
    if with_padding and data == data[:1] * len(data) and data[0] in _FILLS:
        return size % _BLOCK == 0 or data == b"\0"
    return len(data) >= 8 and _is_element(data, rest, encoding)


def _is_element(data: bytes, rest: int, encoding: Encoding) -> bool:
    """Whether bytes are the head of an element that may follow pixel data, and fits into the rest of the file."""
    order: Literal["little", "big"] = "little" if encoding.little else "big"
    group, tag_low = int.from_bytes(data[0:2], order), int.from_bytes(data[2:4], order)
    if group << 16 | tag_low <= min(PIXEL_TAGS):
        return False
    length, head = int.from_bytes(data[4:8], order), 8
    if group != _DELIMITERS and not encoding.implicit:
        code = int.from_bytes(data[4:6], "little")
        if code in LONG_VRS and len(data) >= 12:
            length, head = int.from_bytes(data[8:12], order), 12
        elif code in SHORT_VRS:
            length = int.from_bytes(data[6:8], order)
        else:
            return False
    return length == UNDEFINED or head + length <= rest
