"""The parsed first 8 bytes of elements, which repeat in the headers of a series: a look-up instead of parsing them."""

from __future__ import annotations

from dicomzarr.dicom.vr import (
    EXPLICIT,
    IMPLICIT,
    ITEM,
    LONG_VRS,
    MAX_VALUE,
    PIXEL_TAGS,
    SHORT_VRS,
    UNDEFINED,
    is_text,
    kind_of,
    max_bytes,
)
from dicomzarr.headers.attributes import WANTED

# The parsed first 8 bytes of an element (PS3.5 7.1.2): tag; bytes to the next element; VR, or None if the value is
# neither wanted nor a text; bytes to the end of the value that is read; whether it is wanted. The bytes to the next
# element are 0 where a 4-byte length follows, and -1 where the element must be parsed in place. The same 8 bytes repeat
# in each file of a series; a dict look-up costs a third of parsing them.
Head = tuple[int, int, "str | None", int, bool]
MAX_KNOWN_HEADS = 1 << 16


def parse_head(head: bytes, implicit: bool) -> Head | None:
    """Return the parsed first 8 bytes of an element.

    Parameters
    ----------
    head : bytes
        The first 8 bytes of a little endian element.
    implicit : bool
        Whether the VR is implicit.

    Returns
    -------
    Head or None
        None for what `fast_reader` must judge itself: fewer than 8 bytes, an unknown VR, or tag (0000,0000).

    References
    ----------
    DICOM PS3.5 7.1.2, 7.1.3.
    """
    if len(head) < 8:
        return None
    if implicit:
        group, element, length = IMPLICIT(head)
        name: str | None = ""
    else:
        group, element, vr, length = EXPLICIT(head)
        name = SHORT_VRS.get(vr)
        if name is None and vr in LONG_VRS:
            name, length = LONG_VRS[vr], UNDEFINED
    tag = group << 16 | element
    if name is None or tag == 0:
        return None
    is_wanted, is_searched = tag in WANTED, is_text(tag, name)
    if not is_wanted:
        name = kind_of(tag, name)
    if tag in PIXEL_TAGS or tag >= ITEM:
        return tag, -1, "", 0, False
    if length == UNDEFINED:
        return tag, -1 if implicit or is_wanted or is_searched else 0, "", 0, False
    if is_wanted:
        return tag, 8 + length if length <= MAX_VALUE else -1, name, 8 + length, True
    if is_searched and length:
        return tag, 8 + length, name, 8 + min(length, max_bytes(name)), False
    return tag, 8 + length, None, 0, False


KNOWN_HEADS: dict[bool, dict[bytes, Head]] = {False: {}, True: {}}  # by whether VRs are implicit
