"""What the beginning of a header says whose file ends inside it: which series lost an image, and at which place."""

from __future__ import annotations

import contextlib
from typing import cast

from dicomzarr.dicom.facts import ImageFacts
from dicomzarr.dicom.vr import LONG_VRS, MAX_VALUE, PIXEL_TAGS, SHORT_VRS, UNDEFINED
from dicomzarr.headers.attributes import WANTED, Values, interpret
from dicomzarr.headers.item_walk import skip_items
from dicomzarr.headers.reading import Encoding, Reader, TooLong, Truncated, Unclear

_MOST_ELEMENTS = 100_000


def facts_before_the_end(read: Reader, size: int, start: int, encoding: Encoding) -> tuple[ImageFacts, Values]:
    """Return what the complete elements before the end of a file say, and their values by tag.

    Parameters
    ----------
    read : callable
        ``read(length, offset)`` gives bytes of the file, or of the inflated data set.
    size : int
        Number of bytes that `read` can give.
    start : int
        Offset of the first element of the data set.
    encoding : Encoding
        Nothing is read of a big-endian data set.

    Returns
    -------
    facts : ImageFacts
        Without the pixel data.
    values : dict of int to (str, bytes or None)
        As `attributes.interpret` takes them.
    """
    values: Values = {}
    if encoding.little:
        # Whatever stops the reading, the elements before it count.
        with contextlib.suppress(Truncated, Unclear, TooLong):
            _read(read, size, start, encoding.implicit, values)
    facts, _ = interpret(values, little=True)
    return cast(ImageFacts, facts), values


def _read(read: Reader, size: int, start: int, implicit: bool, values: Values) -> None:
    """Add the values of the wanted elements at top level, up to the first element that is not complete."""
    position, last = start, 0
    for _ in range(_MOST_ELEMENTS):
        head = read(12, position)
        if len(head) < 12:
            return
        group, element = (int.from_bytes(head[i : i + 2], "little") for i in (0, 2))
        tag, vr = group << 16 | element, ""
        value, length = position + 8, int.from_bytes(head[4:8], "little")
        if not implicit:
            code = int.from_bytes(head[4:6], "little")
            if code in LONG_VRS:
                vr, value, length = LONG_VRS[code], position + 12, int.from_bytes(head[8:12], "little")
            elif code in SHORT_VRS:
                vr, length = SHORT_VRS[code], int.from_bytes(head[6:8], "little")
            else:
                return
        if tag <= last or tag in PIXEL_TAGS:
            return
        last = tag
        if length == UNDEFINED:
            position = skip_items(read, size, value, implicit)
            continue
        position = value + length
        if position > size:
            return
        if tag in WANTED and length <= MAX_VALUE:
            values[tag] = (vr, read(length, value))
