"""Walk over sequences and items of undefined length, up to the delimiter that ends them (PS3.5 7.5)."""

from __future__ import annotations

from dicomzarr.dicom.vr import (
    EXPLICIT,
    IMPLICIT,
    ITEM,
    ITEM_END,
    LENGTH,
    LONG_VRS,
    OB,
    OW,
    SEQUENCE_END,
    SHORT_VRS,
    SQ,
    UNDEFINED,
)
from dicomzarr.headers.item_shapes import Head, Shapes, shapes_of
from dicomzarr.headers.reading import BLOCK, MAX_DEPTH, MAX_WALKED, Reader, TooLong, Truncated, Unclear

MAX_STEP = 256 * 1024  # bytes of a long sequence that are read at once


def skip_items(
    read: Reader,
    size: int,
    start: int,
    implicit: bool,
    wrong: list[tuple[int, bool]] | None = None,
    block: bytes = b"",
    base: int = 0,
    heads: list[Head] | None = None,
) -> int:
    """Return the offset after the sequence of undefined length whose first item is at `start` (PS3.5 7.5).

    Fragments of encapsulated data (PS3.5 A.4) are items too and are skipped in the same way. Some writers end an item
    with the delimiter of a sequence, which stands for that of the item, or for both.

    Parameters
    ----------
    read, size, start, implicit
        Reader and size of the file, offset of the first item, and whether VRs are implicit.
    wrong : list, optional
        Gets the offset of each such delimiter, and whether it ends both.
    block : bytes
        A part of the file that is in memory.
    base : int
        Offset of the block in the file.
    heads : list, optional
        Gets tag, VR and length of each element, item and delimiter, in offsets from `start`.

    Returns
    -------
    int
    """
    found: list[tuple[int, bool]] = []
    try:
        end = _walk(read, size, start, implicit, found, block, base, heads)
    except (Unclear, Truncated):
        if not found:
            raise
        found.clear()
        end = _walk(read, size, start, implicit, found, block, base, ends_both=True)
    if wrong is not None:
        wrong += found
    return end


def skip_item(read: Reader, size: int, start: int, implicit: bool) -> int:
    """Return the offset after an item of undefined length, and after its delimiter.

    Parameters
    ----------
    read, size, start, implicit
        As in `skip_items`; `start` is the offset of its first element.

    Returns
    -------
    int
    """
    return _walk(read, size, start, implicit, [], in_item=True)


def _walk(
    read: Reader,
    size: int,
    start: int,
    implicit: bool,
    found: list[tuple[int, bool]],
    block: bytes = b"",
    base: int = 0,
    all_heads: list[Head] | None = None,
    *,
    ends_both: bool = False,
    in_item: bool = False,
) -> int:
    """Return the offset after a sequence, or an item; add the sequence delimiters that end an item to `found`.

    Such a delimiter ends the sequence too with `ends_both`, or where what follows is neither an item nor a delimiter of
    a sequence.
    """
    # One entry per open sequence or item of undefined length; True for a sequence, False for an item.
    stack = [not in_item]
    data, position = block, start - base
    step = BLOCK
    bound = min(size, start + MAX_WALKED)
    is_doubtful = False  # the sequence may have ended with its item
    shapes: Shapes | None = None  # of the item that is walked
    heads: list[Head] = []  # of this item
    first = wrong_before = 0  # offset of this item; sequence delimiters that were wrong before it
    while stack:
        if position + 12 > len(data):
            base += position
            position = 0
            data = read(step, base) if base < size else b""
            step = min(2 * step, MAX_STEP)
            if len(data) < 8:
                if is_doubtful and len(stack) == 1 and not data:
                    found[-1] = found[-1][0], True
                    break
                raise Truncated
        group, element, length = IMPLICIT(data, position)
        tag = group << 16 | element
        if is_doubtful:
            is_doubtful = False
            if ends_both or tag not in (ITEM, SEQUENCE_END):
                stack.pop()
                found[-1] = found[-1][0], True
                continue
        width = 4
        begin = position
        position += 8
        if group == 0xFFFE:
            if stack[-1]:
                if tag == SEQUENCE_END:
                    stack.pop()
                    length = width = 0
                elif tag != ITEM:
                    raise Unclear
                elif length == UNDEFINED:
                    if len(stack) == 1 and all_heads is None:
                        known = data
                        shapes, data, base, begin, stop = _skip_known(read, size, implicit, data, base, begin, step)
                        step = step if data is known else min(2 * step, MAX_STEP)
                        if stop > begin:
                            position, shapes = stop, None
                            if base + position > bound:
                                raise TooLong
                            continue
                        position = begin + 8
                        heads.clear()
                        first, wrong_before = base + begin, len(found)
                    stack.append(False)
                    length = width = 0
            elif tag in (ITEM_END, SEQUENCE_END):
                stack.pop()
                length = width = 0
                if tag == SEQUENCE_END:
                    found.append((base + begin, False))
                    is_doubtful = True
            else:
                raise Unclear
        elif stack[-1]:
            raise Unclear
        elif implicit:
            if length == UNDEFINED:
                stack.append(True)
                length = width = 0
        else:
            _, _, vr, length = EXPLICIT(data, begin)
            if vr in LONG_VRS:
                if position + 4 > len(data):
                    raise Truncated
                length = LENGTH(data, position)[0]
                position += 4
                if length == UNDEFINED:
                    if vr not in (SQ, OB, OW):
                        raise Unclear
                    stack.append(True)
                    length = width = 0
            elif vr in SHORT_VRS:
                width = 2
            else:
                raise Unclear
        if all_heads is not None:
            all_heads.append((base + begin - start, base + position - start, width))
        elif shapes is not None:
            heads.append((base + begin - first, base + position - first, width))
            if len(stack) == 1:
                begin = first - base
                if begin >= 0 and len(found) == wrong_before:
                    shapes.learn(data[begin:position], heads)
                shapes = None
        position += length
        if length >= BLOCK:
            bound = min(size, bound + length)
        if len(stack) > 2 * MAX_DEPTH:
            raise Unclear
        if base + position > bound:
            raise Truncated if base + position > size else TooLong
    return base + position


def _skip_known(
    read: Reader, size: int, implicit: bool, data: bytes, base: int, begin: int, step: int
) -> tuple[Shapes, bytes, int, int, int]:
    """Skip the items from `begin` on that have a shape that is known; return the shapes, where they begin, and end.

    A longer block is read, and returned with its offset and the place of the first item in it, where an item as long as
    the last ones may not end in this one.
    """
    shapes = shapes_of(implicit, data, begin)
    if begin + shapes.size + 12 > len(data) and base + len(data) < size:
        base += begin
        data, begin = read(max(step, 2 * shapes.size), base), 0
    return shapes, data, base, begin, shapes.skip(data, begin)
