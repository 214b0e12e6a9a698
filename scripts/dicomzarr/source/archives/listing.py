"""List an archive: one row for each member, and one for the archive itself; runs in a child process."""

from __future__ import annotations

import contextlib
import errno
import os
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from dicomzarr.dicom.prefix import has_prefix
from dicomzarr.source.archives import bounds, names, tar_cache, tar_listing, zip_directory
from dicomzarr.source.archives.entry import ArchiveEntry
from dicomzarr.source.archives.keys import fingerprint, member_key
from dicomzarr.source.archives.streams import PIECE, Damaged, Inflated, Reader
from dicomzarr.source.inventory import LISTED, MEMBER
from dicomzarr.source.open_file import OpenFile
from dicomzarr.source.opener import Opener
from dicomzarr.source.row import StatKey
from dicomzarr.system import json_files, limits, shortage
from dicomzarr.vocabulary.reasons import NotExtracted

UNREADABLE = "unreadable_file"
CHANGED = "changed"  # in place of a reason: the key of the archive differs from the inventory
_REFUSED = frozenset((errno.EACCES, errno.EPERM, errno.ENAMETOOLONG))
_VANISHED = frozenset((errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO))
_MAGIC = {
    names.ZIP: (b"PK\3\4", b"PK\5\6", b"PK\7\x08PK\3\4"),
    names.TAR_GZIP: (b"\x1f\x8b\x08",),
    names.GZIP: (b"\x1f\x8b\x08",),
    names.TAR_ZSTD: (b"\x28\xb5\x2f\xfd",),
}
_HEAD = 512  # bytes
_OFTEN = 1000  # members between two renewals of the budget of time
_PARTIAL = frozenset(("truncated_archive", "unreadable_archive"))  # members before the damage are read

_NUMBERS = struct.Struct("<4Q")  # size, CRC, compressed bytes and offset: a zip may have a million members


class Bytes:
    """An open file as positioned reads with a size."""

    def __init__(self, file: OpenFile, size: int) -> None:
        self._file, self.size = file, size

    def read(self, length: int, offset: int) -> bytes:
        """Return up to `length` bytes at `offset`; fewer only at the end."""
        data = self._file.read(length, offset)
        while len(data) < length and (more := self._file.read(length - len(data), offset + len(data))):
            data += more
        return data


class Descriptor:
    """A descriptor as positioned reads with a size."""

    def __init__(self, handle: int) -> None:
        self._handle, self.size = handle, os.fstat(handle).st_size

    def read(self, length: int, offset: int) -> bytes:
        """Return up to `length` bytes at `offset`."""
        return os.pread(self._handle, length, offset)


def list_archive(roots: Mapping[str, bytes], path: str, key: StatKey) -> NDArray[np.uint8]:
    """Return the reason of an archive and the rows of its members, lines of JSON that are sorted by path.

    Parameters
    ----------
    roots : mapping of str to bytes
        Roots by label.
    path : str
        As in the manifest; its suffix is that of an archive.
    key : StatKey
        In the inventory.

    Returns
    -------
    ndarray of uint8
        The reason, a line feed and the rows; see `in_answer`. The reason is `archive_listed`, or why nothing of it, or
        only its first part, is listed; empty for a file that is no archive of the kind that its name says, such as
        DICOM; `CHANGED`; `UNREADABLE` if this user may not read it.
        Rows are ``[path, "file", size, checksum, offset, fingerprint]`` or ``[path, "member", reason]``.

    Raises
    ------
    OSError
        If the disk or the network fails, or the disk of the results is full.
    """
    try:
        return _list(roots, path, key)
    except OSError as error:
        if error.errno in _REFUSED | _VANISHED:
            return answer(UNREADABLE if error.errno in _REFUSED else CHANGED)
        raise


def _list(roots: Mapping[str, bytes], path: str, key: StatKey) -> NDArray[np.uint8]:
    opened = Opener(roots, whole=False)
    with opened as opener, contextlib.closing(opener.open(path)) as file, limits.current().budget() as renew:
        if file.key() != key:
            return answer(CHANGED)
        archive = Bytes(file, key[0])
        kind = _kind(archive, path)
        if not kind:
            return answer("")
        rows, reason = _Rows(path, fingerprint(key)), LISTED
        try:
            for number, entry in enumerate(_entries(archive, kind, path, fingerprint(key), renew)):
                rows.add(entry)
                if number % _OFTEN == 0:
                    renew()
        except NotExtracted as error:
            reason = error.code
            if reason not in _PARTIAL:
                rows = _Rows(path, 0)
        except MemoryError:
            shortage.refuse()
            rows, reason = _Rows(path, 0), "too_large"
        return answer(reason, rows.lines()) if file.key() == key else answer(CHANGED)


def answer(reason: str, lines: Iterable[bytes] = ()) -> NDArray[np.uint8]:
    """Return a reason and rows as an array, the form in which a large answer of a child process is not copied twice."""
    data = bytearray(reason.encode() + b"\n")
    for line in lines:
        data += line
    return np.frombuffer(data, np.uint8)


def _kind(archive: Reader, path: str) -> str:
    """Return the kind of archive, if the first bytes are those that the suffix promises, and not those of DICOM."""
    kind = names.kind_by_name(path)
    head = archive.read(_HEAD, 0)
    if has_prefix(head):
        return ""
    if kind == names.TAR:
        return kind if tar_listing.is_tar(head) else ""
    return kind if head.startswith(_MAGIC[kind]) else ""


def _entries(
    archive: Reader, kind: str, path: str, archive_fingerprint: int, renew: Callable[[], None]
) -> Iterator[ArchiveEntry]:
    """Yield the entries of an archive; raises `NotExtracted` where it is malformed, if need be after some of them."""
    if kind == names.ZIP:
        yield from map(_no_bomb, map(_within_bounds, zip_directory.read_directory(archive)))
    elif kind == names.TAR:
        yield from map(_within_bounds, tar_listing.read_members(archive))
    elif kind == names.GZIP:
        yield _single_file(archive, path, renew)
    else:
        in_force, name = bounds.current(), tar_cache.name_of(path, archive_fingerprint)
        handle, is_cut = tar_cache.decompress(archive, kind, name, in_force, renew)
        try:
            tar = Descriptor(handle)
            if is_cut:
                with contextlib.suppress(NotExtracted):
                    yield from map(_within_bounds, tar_listing.read_members(tar))
                raise NotExtracted("truncated_archive")
            if not tar_listing.is_tar(tar.read(_HEAD, 0)):
                raise NotExtracted("unreadable_archive")
            yield from map(_within_bounds, tar_listing.read_members(tar))
        finally:
            os.close(handle)


def _within_bounds(entry: ArchiveEntry) -> ArchiveEntry:
    is_too_large = not entry.reason and entry.size > bounds.current().member
    return entry._replace(reason="too_large") if is_too_large else entry


def _no_bomb(entry: ArchiveEntry) -> ArchiveEntry:
    """Refuse a member of a zip that declares far more bytes than its compressed ones."""
    is_bomb = not entry.reason and bounds.current().is_bomb(entry.size, entry.compressed)
    return entry._replace(reason="archive_bomb") if is_bomb else entry


def _single_file(archive: Reader, path: str, renew: Callable[[], None]) -> ArchiveEntry:
    """Return the only member of a gzipped file; it is decompressed once to find its size and checksum."""
    in_force, stream = bounds.current(), Inflated(archive, 0, is_gzip=True)
    size = crc = 0
    try:
        while piece := stream.read(PIECE):
            size, crc = size + len(piece), zlib.crc32(piece, crc)
            if in_force.is_bomb(size, archive.size):
                raise NotExtracted("archive_bomb", found=size, needed=in_force.ratio * archive.size)
            if size > in_force.member:
                raise NotExtracted("too_large", found=size, needed=in_force.member)
            renew()
    except Damaged as error:
        raise NotExtracted("truncated_archive" if error.cut else "unreadable_archive") from None
    return ArchiveEntry(names.of_single_file(path), size, crc, 0, 0, "")


class _Rows:
    """The rows of the members of an archive by path; of several with one name the last counts, as when unpacked."""

    def __init__(self, path: str, archive: int) -> None:
        self._before, self._archive = path + names.MARK, archive
        self._rows: dict[str, bytes | str] = {}  # numbers, or a reason
        self._repeated: list[str] = []

    def add(self, entry: ArchiveEntry) -> None:
        """Add a member."""
        name, is_allowed = names.checked_name(entry.name)
        text = self._before + names.member_text(name)
        row: bytes | str = entry.reason or _NUMBERS.pack(*entry[1:5])
        if entry.link:  # a hard link has the content of a member before it
            target, _ = names.checked_name(entry.link)
            row = self._rows.get(self._before + names.member_text(target), row)
        if text in self._rows:
            self._repeated.append(text)
        self._rows[text] = row if is_allowed or entry.reason else "member_name"

    def lines(self) -> Iterator[bytes]:
        """Yield the rows, sorted by path."""
        for text in self._repeated:
            number = 1
            while f"{text}~{number}" in self._rows:
                number += 1
            self._rows[f"{text}~{number}"] = "duplicate_member"
        for text in sorted(self._rows):
            row = self._rows[text]
            if isinstance(row, str):
                yield json_files.compact_line([text, MEMBER, row])
            else:
                size, crc, compressed, offset = _NUMBERS.unpack(row)
                key = member_key(size, crc, compressed, offset, self._archive)
                yield json_files.compact_line([text, "file", *key])


def in_answer(data: NDArray[np.uint8]) -> tuple[str, bytes]:
    """Return the reason and the rows in an answer of `list_archive`."""
    reason, _, rows = data.tobytes().partition(b"\n")
    return reason.decode(), rows
