"""Give items that end with the delimiter of a sequence their own, and elements a known VR: pydicom reads the header.

Items of undefined length that belong to no sequence are left out.
"""

from __future__ import annotations

from dicomzarr.dicom.prefix import offset_of_first_element
from dicomzarr.dicom.transfer_syntaxes import (
    DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
    EXPLICIT_VR_BIG_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
)
from dicomzarr.dicom.vr import ITEM, LONG_VRS, PIXEL_TAGS, SHORT_VRS, UNDEFINED
from dicomzarr.headers.file_meta import read_meta
from dicomzarr.headers.item_walk import skip_item, skip_items
from dicomzarr.headers.reading import BLOCK, Reader, TooLong, Truncated, Unclear
from dicomzarr.headers.unknown_vrs import with_known_vrs

_ITEM_END = b"\xfe\xff\x0d\xe0\0\0\0\0"
_MOST_ELEMENTS = 100_000
_MOST_BYTES = 64 << 20


def mended_file(read: Reader, size: int, syntax: str) -> bytes | None:
    """Return the bytes of a file up to its pixel data, with right delimiters of items, and with known VRs.

    Parameters
    ----------
    read : callable
        ``read(length, offset)`` gives bytes of the file.
    size : int
        Of the file.
    syntax : str
        Transfer Syntax UID (0002,0010), or the one that was assumed.

    Returns
    -------
    bytes or None
        None where nothing is wrong with items and VRs, or the header cannot be followed.
    """
    if syntax in (DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN.uid, EXPLICIT_VR_BIG_ENDIAN.uid):
        return None
    block = read(BLOCK, 0)
    _, start = read_meta(block, offset_of_first_element(block), size)
    is_implicit = syntax == IMPLICIT_VR_LITTLE_ENDIAN.uid
    known = None if is_implicit else with_known_vrs(read, size, start)
    data = mended(known or read, size, start, is_implicit)
    return known(known.end, 0) if data is None and known is not None and known.end <= _MOST_BYTES else data


def mended(read: Reader, size: int, start: int, implicit: bool) -> bytes | None:
    """Return the bytes of a file up to its pixel data, with right delimiters of items, without stray items.

    Parameters
    ----------
    read : callable
        ``read(length, offset)`` gives bytes of the file.
    size : int
        Of the file.
    start : int
        Offset of the data set, little endian.
    implicit : bool
        Whether VRs are implicit.

    Returns
    -------
    bytes or None
        None where no item has a wrong delimiter or belongs to no sequence, or the header cannot be followed.
    """
    wrong: list[tuple[int, bool]] = []
    cuts: list[tuple[int, bytes, int]] = []  # offset, what stands there instead, and where the file goes on
    position = start
    try:
        for _ in range(_MOST_ELEMENTS):
            head = read(12, position)
            if len(head) < 12:
                break
            tag = int.from_bytes(head[:2], "little") << 16 | int.from_bytes(head[2:4], "little")
            if tag in PIXEL_TAGS:
                break
            if tag == ITEM and head[4:8] == b"\xff" * 4:
                finish = skip_item(read, size, position + 8, implicit)
                cuts.append((position, b"", finish))
                position = finish
                continue
            if tag >= ITEM:
                position += 8 + int.from_bytes(head[4:8], "little")
                continue
            code = int.from_bytes(head[4:6], "little")
            is_implicit = implicit
            if implicit:
                value, length = position + 8, int.from_bytes(head[4:8], "little")
            elif code in LONG_VRS:
                value, length = position + 12, int.from_bytes(head[8:12], "little")
                is_implicit = LONG_VRS[code] == "UN"
            elif code in SHORT_VRS:
                value, length = position + 8, int.from_bytes(head[6:8], "little")
            else:
                return None
            position = skip_items(read, size, value, is_implicit, wrong) if length == UNDEFINED else value + length
    except (Unclear, Truncated, TooLong):
        return None
    cuts += [(offset, _ITEM_END, offset if ends_both else offset + 8) for offset, ends_both in wrong]
    if not cuts or position > min(size, _MOST_BYTES):
        return None
    data, pieces, last = read(position, 0), [], 0
    for offset, instead, finish in sorted(cuts):
        pieces += [data[last:offset], instead]
        last = finish
    return b"".join([*pieces, data[last:]])
