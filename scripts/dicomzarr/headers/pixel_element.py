"""The head of the pixel data element, and what follows its value: whether the value can be the pixels of the image."""

from __future__ import annotations

from typing import Literal, TypeAlias

from dicomzarr.dicom.vr import ITEM, LONG_VRS, PIXEL_TAGS, SEQUENCE_END, SHORT_VRS, UNDEFINED, VRS
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
    for _ in range(_MAX_FOLLOWERS):
        if length < 0 or position + length + 8 > size:
            return False
        position += length
        try:
            tag, head, length = _element(read(12, position), encoding)
        except TooLong:  # a deflated header beyond the part in memory
            return False
        if tag in PIXEL_TAGS:
            return True
        if tag < min(PIXEL_TAGS):  # padding, or no element
            return False
        position += head
    return False


def may_end_at(read: Reader, size: int, encoding: Encoding, end: int, *, with_padding: bool = True) -> bool:
    """Return whether the value of a pixel data element may end at a place: before nothing, padding or elements.

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
        False if bytes follow that are no elements and no padding: bytes may have been inserted before them, or lost.
        Elements have rising tags, and the last one ends where the file ends, or its padding begins.
    """
    before, left = max(PIXEL_TAGS), _MAX_FOLLOWERS
    while end < size and left:
        try:
            data = read(min(size - end, _LOOKED_AT), end)
        except TooLong:  # a deflated data set beyond the part in memory
            return True
        if with_padding and data == data[:1] * len(data) and data[0] in _FILLS:
            return size % _BLOCK == 0 or data == b"\0"
        tag, head, length = _element(data, encoding)
        if length == UNDEFINED and tag > before:
            return _element(data[head:], encoding)[0] in (ITEM, SEQUENCE_END)
        if tag <= before or end + head + length > size:
            return False
        end, before, left = end + head + length, tag, left - 1
    return True


def _element(data: bytes, encoding: Encoding) -> tuple[int, int, int]:
    """Return the tag of the element that begins here, and the lengths of its head and its value.

    The tag is 0 where the bytes are too few, or have no VR of the standard.
    """
    order: Literal["little", "big"] = "little" if encoding.little else "big"
    group = int.from_bytes(data[0:2], order)
    tag, code = group << 16 | int.from_bytes(data[2:4], order), int.from_bytes(data[4:6], "little")
    if encoding.implicit or group == _DELIMITERS:
        return tag if len(data) >= 8 else 0, 8, int.from_bytes(data[4:8], order)
    if code in LONG_VRS:
        return tag if len(data) >= 12 else 0, 12, int.from_bytes(data[8:12], order)
    return tag if code in SHORT_VRS and len(data) >= 8 else 0, 8, int.from_bytes(data[6:8], order)
