"""Read numbers and codes within the items of a few sequences of the header, from its bytes; a digest of others.

Only the elements of each item itself are read, not those of sequences within it, but for the code of a unit. Malformed
items count as absent: PS3.5 7.5 (sequences), 7.1 (elements).
"""

from __future__ import annotations

import hashlib
import math
import struct
from collections.abc import Callable
from typing import Final

from dicomzarr.dicom.decimals import read_nonstandard
from dicomzarr.dicom.head_words import bytes_name_head
from dicomzarr.dicom.vr import ITEM, ITEM_END, LONG_VRS, SEQUENCE_END, SHORT_VRS, UNDEFINED
from dicomzarr.headers.attribute_table import SEQUENCES

MAX_BYTES: Final = 1 << 16  # of a sequence that is read
_MAX_DEPTH: Final = 16
_MAX_ITEMS: Final = 256
_UNITS: Final = 0x004008EA  # Measurement Units Code Sequence
_MAX_CODE: Final = 64  # bytes of a code
_MEANING: Final = 0x00080104  # Code Meaning
_MAX_MEANING: Final = 4 * 64  # bytes: LO has up to 64 characters
_Item = dict[int, bytes]


class Unreadable(Exception):
    """The value of an attribute is no number; holds the keyword alone."""

    def __init__(self, keyword: str) -> None:
        super().__init__(keyword)
        self.keyword = keyword


class _Malformed(Exception):
    """The bytes are no items of a sequence."""


def sequence_bytes(
    tag: int, read: Callable[[int, int], bytes], block: bytes, base: int, start: int, stop: int
) -> bytes | None:
    """Return the bytes of a sequence of undefined length, if its numbers are wanted.

    Parameters
    ----------
    tag : int
    read : callable
        ``read(length, offset)`` gives bytes of the file.
    block : bytes
        A part of the file that is in memory.
    base : int
        Offset of the block in the file.
    start, stop : int
        Offsets of the first item, and behind the sequence, from the beginning of the block.

    Returns
    -------
    bytes or None
        None where nobody reads the sequence, or it is longer than `MAX_BYTES`.
    """
    if tag not in SEQUENCES or stop - start > MAX_BYTES:
        return None
    return block[start:stop] if stop <= len(block) else read(stop - start, base + start)


def real_world_of(value: bytes, little: bool, odd: set[str]) -> list[float | str] | None:
    """Return slope, intercept and unit of Real World Value Mapping Sequence (0040,9096).

    Parameters
    ----------
    value : bytes
        The items of the sequence.
    little : bool
        Whether numbers are little endian.
    odd : set of str
        Gets the keywords of numbers that were read although DICOM does not allow their form.

    Returns
    -------
    list of 2 float and str, or None
        The unit is scheme and value of Measurement Units Code Sequence (0040,08EA), such as ``UCUM:Bq/ml``; there are
        the numbers alone where it is missing or items differ in it. None where the items differ in the numbers: each
        is a mapping of its own, for other units or another range of values.
    """
    items = _items(value, little)
    pairs = {(_double(item.get(0x00409225), little), _double(item.get(0x00409224), little)) for item in items}
    slope, intercept = pairs.pop() if len(pairs) == 1 else (None, None)
    if slope is None or intercept is None:
        return None
    units = {_code(item.get(_UNITS), little) for item in items}
    unit = units.pop() if len(units) == 1 else ""
    return [slope, intercept, unit] if unit else [slope, intercept]


def radionuclide_of(value: bytes, little: bool, odd: set[str]) -> dict[str, float] | None:
    """Return what Radiopharmaceutical Information Sequence (0054,0016) says in numbers.

    Parameters
    ----------
    value : bytes
        The items of the sequence.
    little : bool
        Whether numbers are little endian.
    odd : set of str
        Gets the keywords of numbers that were read although DICOM does not allow their form.

    Returns
    -------
    dict or None
        ``half_life`` (0018,1075), s, and ``dose`` (0018,1074), as stored, where known; None if there are several items.
    """
    items = _items(value, little)
    if len(items) != 1:
        return None
    read = {
        "half_life": _decimals(items[0].get(0x00181075), "RadionuclideHalfLife", odd),
        "dose": _decimals(items[0].get(0x00181074), "RadionuclideTotalDose", odd),
    }
    return {name: numbers[0] for name, numbers in read.items() if len(numbers) == 1} or None


def detector_of(value: bytes, little: bool, odd: set[str]) -> dict[str, list[float]] | None:
    """Return the position that Detector Information Sequence (0054,0022) gives.

    Parameters
    ----------
    value : bytes
        The items of the sequence.
    little : bool
        Whether numbers are little endian.
    odd : set of str
        Gets the keywords of numbers that were read although DICOM does not allow their form.

    Returns
    -------
    dict or None
        ``position`` (0020,0032) and ``orientation`` (0020,0037), of all items that have them; None where those differ.
    """
    places = {
        (
            tuple(_decimals(item.get(0x00200032), "ImagePositionPatient", odd)),
            tuple(_decimals(item.get(0x00200037), "ImageOrientationPatient", odd)),
        )
        for item in _items(value, little)
    } - {((), ())}  # of a detector about which nothing is said: both may be empty (PS3.3 C.8.4.11)
    position, orientation = places.pop() if len(places) == 1 else ((), ())
    if len(position) != 3 or len(orientation) != 6:
        return None
    return {"position": list(position), "orientation": list(orientation)}


def energy_of(value: bytes, little: bool, odd: set[str]) -> float | None:
    """Return Monoenergetic Energy Equivalent (0018,937C) of Multi-energy CT Characteristics Sequence (0018,9364).

    Parameters
    ----------
    value : bytes
        The items of the sequence.
    little : bool
        Whether numbers are little endian.
    odd : set of str
        Unused: the number is binary.

    Returns
    -------
    float or None
        keV; None where no item has it, or items differ.
    """
    energies = {_double(item.get(0x0018937C), little) for item in _items(value, little)}
    return energies.pop() if len(energies) == 1 else None


def names_head(value: bytes, little: bool, odd: set[str]) -> bool | None:
    """Return whether a code of a sequence names the head: Code Meaning (0008,0104), the text itself is not stored.

    Parameters
    ----------
    value : bytes
        The items of the sequence.
    little : bool
        Whether numbers are little endian.
    odd : set of str
        Unused.

    Returns
    -------
    bool or None
        True, or None where no meaning names it.
    """
    meanings = (item.get(_MEANING, b"")[:_MAX_MEANING] for item in _items(value, little))
    return True if any(map(bytes_name_head, meanings)) else None


def digest_of(value: bytes, little: bool, odd: set[str]) -> str | None:
    """Return a digest of the bytes of a sequence of which only matters whether it is the same in two files.

    Parameters
    ----------
    value : bytes
        The items of the sequence.
    little : bool
        Unused.
    odd : set of str
        Unused.

    Returns
    -------
    str or None
        16 hexadecimal digits; None for an empty sequence.
    """
    return hashlib.sha256(value).hexdigest()[:16] if value else None


def _code(value: bytes | None, little: bool) -> str:
    """Return scheme and value of the one item of a code sequence; empty where one of them is missing."""
    items = _items(value or b"", little)
    parts = [item.get(tag, b"").strip(b" \0") for item in items[:1] for tag in (0x00080102, 0x00080100)]
    whole = len(items) == 1 and all(0 < len(part) <= _MAX_CODE for part in parts)
    return b":".join(parts).decode("latin-1") if whole else ""


def _double(value: bytes | None, little: bool) -> float | None:
    if value is None or len(value) != 8:
        return None
    (number,) = struct.unpack("<d" if little else ">d", value)
    return float(number) if math.isfinite(number) else None


def _decimals(value: bytes | None, keyword: str, odd: set[str]) -> list[float]:
    """Return the numbers of a DS value, none where it is empty; raise `Unreadable` where it is no list of numbers."""
    text = (value or b"").rstrip(b" \0").decode("latin-1")
    if not text:
        return []
    parts = text.split("\\")
    try:
        numbers = [] if "_" in text else [float(part.rstrip(" \0")) for part in parts]
    except ValueError:
        numbers = read_nonstandard(parts, keyword) or []
        odd.add(keyword)
    if not numbers or not all(map(math.isfinite, numbers)):
        raise Unreadable(keyword)
    return numbers


def _items(value: bytes, little: bool) -> list[_Item]:
    """Return the elements of each item by tag; an empty list where the bytes are malformed.

    Where the delimiter of a sequence ends an item, it may end the sequence too: see `item_walk.skip_items`.
    """
    return _items_if(value, little, ends_both=False) or _items_if(value, little, ends_both=True)


def _items_if(value: bytes, little: bool, *, ends_both: bool) -> list[_Item]:
    items: list[_Item] = []
    position = 0
    try:
        while position < len(value):
            tag, length = _item_head(value, position, little)
            position += 8
            if tag == SEQUENCE_END:
                break
            if tag != ITEM or len(items) >= _MAX_ITEMS:
                return []
            item: _Item = {}
            position = _read_item(value, position, length, little, item, 0, ends_both)
            items.append(item)
    except (_Malformed, struct.error):
        return []
    return items


def _item_head(value: bytes, position: int, little: bool) -> tuple[int, int]:
    group, element, length = struct.unpack_from("<HHI" if little else ">HHI", value, position)
    return group << 16 | element, length


def _read_item(
    value: bytes, position: int, length: int, little: bool, item: _Item | None, depth: int, ends_both: bool
) -> int:
    """Read the elements of an item into a dict, or skip them; return the offset after it."""
    if depth > _MAX_DEPTH:
        raise _Malformed
    end = len(value) if length == UNDEFINED else position + length
    if end > len(value):
        raise _Malformed
    while position < end:
        tag, size = _item_head(value, position, little)
        if tag in (ITEM_END, SEQUENCE_END):  # some writers end an item with the delimiter of a sequence
            if length != UNDEFINED:
                raise _Malformed
            return position + 8
        code = int.from_bytes(value[position + 4 : position + 6], "little")
        is_sequence = False
        if code in LONG_VRS:
            (size,) = struct.unpack_from("<I" if little else ">I", value, position + 8)
            position += 12
            is_sequence = LONG_VRS[code] == "SQ"
        elif code in SHORT_VRS:
            (size,) = struct.unpack_from("<H" if little else ">H", value, position + 6)
            position += 8
        else:
            position += 8
        if size == UNDEFINED:
            first, position = position, _skip_sequence(value, position, little, depth, ends_both)
            if item is not None and tag == _UNITS:
                item[tag] = value[first:position]
            continue
        if position + size > end:
            raise _Malformed
        if item is not None and (not is_sequence or tag == _UNITS):
            item[tag] = value[position : position + size]
        position += size
    if length == UNDEFINED:
        raise _Malformed
    return position


def _skip_sequence(value: bytes, position: int, little: bool, depth: int, ends_both: bool) -> int:
    first = position
    while True:
        tag, length = _item_head(value, position, little)
        if (ends_both or tag not in (ITEM, SEQUENCE_END)) and position > first:
            before, _ = _item_head(value, position - 8, little)
            if before == SEQUENCE_END:  # it ended the last item and the sequence
                return position
        position += 8
        if tag == SEQUENCE_END:
            return position
        if tag != ITEM:
            raise _Malformed
        position = _read_item(value, position, length, little, None, depth + 1, ends_both)


FORMS: Final = {
    "real_world": real_world_of,
    "radionuclide": radionuclide_of,
    "detector": detector_of,
    "energy": energy_of,
    "digest": digest_of,
    "head_codes": names_head,
}
