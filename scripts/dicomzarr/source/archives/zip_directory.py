"""The central directory of a zip archive: its members, and which of them cannot be read (PKWARE APPNOTE 6.3)."""

from __future__ import annotations

import stat
import struct
from array import array
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from dicomzarr.source.archives.entry import ArchiveEntry
from dicomzarr.source.archives.streams import BZIP2, DEFLATE, LZMA, STORED, ZSTD, Reader
from dicomzarr.vocabulary.reasons import NotExtracted

_END, _END_64, _LOCATOR = struct.Struct("<4s4H2LH"), struct.Struct("<4sQ2H2L4Q"), struct.Struct("<4sLQL")
_ENTRY, _LOCAL = struct.Struct("<4s4B4HL2L5H2L"), struct.Struct("<4s5H3L2H")
_IS_ENCRYPTED = 0x0001 | 0x0040 | 0x2000  # bits of the flags: encrypted, strongly, or a directory with masked values
_IS_UTF8 = 0x0800
_SUPPORTED = frozenset((STORED, DEFLATE, BZIP2, LZMA, ZSTD))
_UNIX, _MACOS = 3, 19  # systems whose mode is in the upper half of the external attributes
_16_BITS, _32_BITS, _63_BITS = 0xFFFF, 0xFFFFFFFF, (1 << 63) - 1
_LONGEST_COMMENT = 0xFFFF


def read_directory(archive: Reader) -> Iterator[ArchiveEntry]:
    """Yield the entries of files in the order of the directory; folders have none.

    Raises
    ------
    NotExtracted
        `truncated_archive` without an end of the directory, `unreadable_archive` where it is malformed; after the last
        entry `unreadable_archive`, if bytes stand before the archive.
    """
    start, size, count, shift = _place(archive)
    data = archive.read(size, start)
    if len(data) != size:
        raise NotExtracted("unreadable_archive")
    # The directory is parsed twice, since its entries take several times the memory of its bytes.
    refused = _overlapping(data, shift, start)
    if len(refused) & _16_BITS != count & _16_BITS:
        raise NotExtracted("unreadable_archive", found=len(refused), needed=count)
    for entry, is_refused in zip(_entries(data, shift), refused.tolist(), strict=True):
        if is_refused and not entry.reason:
            entry = entry._replace(reason="overlapping_member")
        if entry.size or entry.name[-1:] != b"/":
            yield entry
    if shift:  # another zip stands before this one, of which nothing would be read
        raise NotExtracted("unreadable_archive", found=shift, needed=0)


def _place(archive: Reader) -> tuple[int, int, int, int]:
    """Return position, size and number of entries of the directory, and the bytes before the archive in its file."""
    tail_start = max(archive.size - _END.size - _LONGEST_COMMENT, 0)
    tail = archive.read(archive.size - tail_start, tail_start)
    at = _end_in(tail)
    if at < 0:
        raise NotExtracted("truncated_archive")
    _, disk, first_disk, on_disk, count, size, offset, _ = _END.unpack_from(tail, at)
    end = tail_start + at
    locator = archive.read(_LOCATOR.size, end - _LOCATOR.size) if end >= _LOCATOR.size else b""
    if len(locator) == _LOCATOR.size and locator[:4] == b"PK\6\7":
        _, _, position, disks = _LOCATOR.unpack(locator)
        # Where bytes stand before the archive, the record is right before its locator.
        for end_64 in (position, end - _LOCATOR.size - _END_64.size):
            record = archive.read(_END_64.size, end_64) if 0 <= end_64 <= archive.size else b""
            if len(record) == _END_64.size and record[:4] == b"PK\6\6":
                break
        else:
            raise NotExtracted("unreadable_archive")
        if disks > 1:
            raise NotExtracted("unreadable_archive")
        *_, disk, first_disk, on_disk, count, size, offset = _END_64.unpack(record)
        end = end_64
    shift = end - size - offset
    if disk or first_disk or on_disk != count or shift < 0:
        raise NotExtracted("unreadable_archive")
    return end - size, size, count, shift


def _end_in(tail: bytes) -> int:
    """Return where the end of the directory begins: the last one whose comment ends with the file, else the last."""
    best, at = -1, len(tail)
    while (at := tail.rfind(b"PK\5\6", 0, at)) >= 0:
        if at + _END.size <= len(tail):
            comment = int.from_bytes(tail[at + 20 : at + 22], "little")
            if at + _END.size + comment == len(tail):
                return at
            best = max(best, at)
        at += 3  # the next match begins before this one
    return best


def _entries(data: bytes, shift: int) -> Iterator[ArchiveEntry]:
    position = 0
    while position < len(data):
        if position + _ENTRY.size > len(data) or data[position : position + 4] != b"PK\1\2":
            raise NotExtracted("unreadable_archive")
        fields = _ENTRY.unpack_from(data, position)
        _, _, system, _, _, flags, method, _, _, crc, compressed, size = fields[:12]
        name_length, extra_length, comment_length, _, _, attributes, offset = fields[12:]
        position += _ENTRY.size
        end = position + name_length + extra_length + comment_length
        if end > len(data):
            raise NotExtracted("unreadable_archive")
        name = data[position : position + name_length]
        extra = data[position + name_length : position + name_length + extra_length]
        size, compressed, offset, is_complete = _in_64_bits(extra, size, compressed, offset)
        mode = attributes >> 16 if system in (_UNIX, _MACOS) else 0
        reason = _reason(flags, method, mode) or ("" if is_complete else "damaged_member")
        if not reason and method == STORED and size != compressed:
            reason = "damaged_member"
        yield ArchiveEntry(_as_utf8(name, flags), size, crc, compressed, offset + shift, reason)
        position = end


def _in_64_bits(extra: bytes, size: int, compressed: int, offset: int) -> tuple[int, int, int, bool]:
    """Return sizes and offset from the extra field of zip64 where needed, and whether it has those."""
    values, wanted = [size, compressed, offset], [size, compressed, offset].count(_32_BITS)
    at = 0
    while wanted and at + 4 <= len(extra):
        kind, length = struct.unpack_from("<2H", extra, at)
        if kind == 1:
            if 8 * wanted > length or at + 4 + length > len(extra):
                break
            found = iter(struct.unpack_from(f"<{wanted}Q", extra, at + 4))
            return *((next(found) if value == _32_BITS else value) for value in values), True  # type: ignore[return-value]
        at += 4 + length
    return size, compressed, offset, not wanted


def _reason(flags: int, method: int, mode: int) -> str:
    if stat.S_ISLNK(mode):
        return "symbolic_link"
    if stat.S_IFMT(mode) and not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        return "special_file"
    if flags & _IS_ENCRYPTED:
        return "encrypted_member"
    return "" if method in _SUPPORTED else "unsupported_member"


def _as_utf8(name: bytes, flags: int) -> bytes:
    """Return a name in UTF-8; the standard is code page 437, but many tools store UTF-8 without saying so."""
    if flags & _IS_UTF8 or name.isascii():
        return name
    try:
        name.decode("utf-8")
        return name
    except UnicodeDecodeError:
        return name.decode("cp437").encode("utf-8")


def _overlapping(data: bytes, shift: int, end: int) -> NDArray[np.bool_]:
    """Return which entries share bytes with another one, or with the directory, which begins at `end`."""
    places = array("Q")
    for entry in _entries(data, shift):
        stop = entry.offset + _LOCAL.size + entry.compressed
        places.extend((min(entry.offset, _63_BITS), min(stop, _63_BITS)))
    starts, stops = np.array(places, np.uint64).reshape(-1, 2).T
    refused = stops > end
    order = np.argsort(starts, kind="stable")
    starts, stops = starts[order], stops[order]
    furthest = np.maximum.accumulate(stops)
    # For each entry the one that reaches furthest so far.
    which = np.maximum.accumulate(np.where(stops == furthest, np.arange(len(stops)), 0))
    later = np.flatnonzero(starts[1:] < furthest[:-1]) + 1
    refused[order[later]] = True
    refused[order[which[later - 1]]] = True
    return refused


def data_of(archive: Reader, offset: int) -> tuple[int, int]:
    """Return the method of a member, and the position of its data, from its local header.

    Raises
    ------
    NotExtracted
        `damaged_member` where there is no local header, `encrypted_member` where it says so.
    """
    head = archive.read(_LOCAL.size, offset)
    if len(head) < _LOCAL.size or head[:4] != b"PK\3\4":
        raise NotExtracted("damaged_member")
    _, _, flags, method, _, _, _, _, _, name_length, extra_length = _LOCAL.unpack(head)
    if flags & _IS_ENCRYPTED:
        raise NotExtracted("encrypted_member")
    return method, offset + _LOCAL.size + name_length + extra_length
