"""What the beginning of a header says that cannot be read whole.

Facts: which series lost an image, and at which place. Texts: of whom, for the privacy search.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import NamedTuple, cast

from dicomzarr.dicom.facts import ImageFacts
from dicomzarr.dicom.vr import LONG_VRS, MAX_VALUE, PIXEL_TAGS, SHORT_VRS, UNDEFINED, is_text, kind_of, max_bytes
from dicomzarr.headers.attributes import WANTED, Values, interpret
from dicomzarr.headers.item_walk import skip_items
from dicomzarr.headers.reading import Encoding, Reader, TooLong, Truncated, Unclear

_MOST_ELEMENTS = 100_000


class _Element(NamedTuple):
    """Tag and VR of an element, the offset of its value, and of its end, which is beyond the file if it is cut."""

    tag: int
    vr: str
    value: int
    end: int
    has_length: bool


def facts_before_the_end(read: Reader, size: int, start: int, encoding: Encoding) -> ImageFacts:
    """Return what the complete elements before the end of a file say.

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
    ImageFacts
        Without the pixel data.
    """
    values: Values = {}
    last = 0
    with contextlib.suppress(TooLong):  # a deflated header beyond the part in memory
        for tag, vr, value, end, has_length in _elements(read, size, start, encoding):
            if tag <= last or end > size:
                break
            last = tag
            if has_length and tag in WANTED and end - value <= MAX_VALUE:
                values[tag] = (vr, read(end - value, value))
    facts, _ = interpret(values, little=True)
    return cast(ImageFacts, facts)


def texts_before_the_end(read: Reader, size: int, start: int, encoding: Encoding) -> list[tuple[str, bytes]]:
    """Return the texts of a header, as far as its elements can be followed.

    Parameters
    ----------
    read, size, start, encoding
        As for `facts_before_the_end`.

    Returns
    -------
    list of tuple of str and bytes
        Kind and value, as `layouts.texts_of` returns them; the last value may be cut.
    """
    texts: list[tuple[str, bytes]] = []
    with contextlib.suppress(TooLong):  # a deflated header beyond the part in memory
        for tag, vr, value, end, _ in _elements(read, size, start, encoding):
            if is_text(tag, vr) and end > value:
                kind = kind_of(tag, vr)
                texts.append((kind, read(min(end - value, max_bytes(kind)), value)))
    return texts


def _elements(read: Reader, size: int, start: int, encoding: Encoding) -> Iterator[_Element]:
    """Yield the elements at top level, in the order of the file, up to the first that cannot be followed."""
    position = start
    for _ in range(_MOST_ELEMENTS if encoding.little else 0):
        head = read(12, position)
        if len(head) < 12:
            return
        group, element = (int.from_bytes(head[i : i + 2], "little") for i in (0, 2))
        tag, vr = group << 16 | element, ""
        value, length = position + 8, int.from_bytes(head[4:8], "little")
        if not encoding.implicit:
            code = int.from_bytes(head[4:6], "little")
            if code in LONG_VRS:
                vr, value, length = LONG_VRS[code], position + 12, int.from_bytes(head[8:12], "little")
            elif code in SHORT_VRS:
                vr, length = SHORT_VRS[code], int.from_bytes(head[6:8], "little")
            else:
                return
        if tag in PIXEL_TAGS:
            return
        position = value + length
        if length == UNDEFINED:
            position = size + 1
            try:
                with contextlib.suppress(Truncated):
                    position = skip_items(read, size, value, encoding.implicit)
            except (Unclear, TooLong):
                return
        yield _Element(tag, vr, value, position, length != UNDEFINED)
        if position > size:
            return
