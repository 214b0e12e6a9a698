"""List an archive: one row for each member, and one for the archive itself; runs in a child process."""

from __future__ import annotations

import contextlib
import errno
import os
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from dicomzarr.source.archives import bounds, names, tar_cache, tar_listing, zip_directory
from dicomzarr.source.archives.keys import fingerprint, member_key
from dicomzarr.source.archives.streams import PIECE, Damaged, Inflated, Reader
from dicomzarr.source.inventory import LISTED, MEMBER
from dicomzarr.source.open_file import OpenFile
from dicomzarr.source.opener import Opener
from dicomzarr.source.row import StatKey
from dicomzarr.system import json_files, limits
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

# (name, size, CRC, compressed bytes, offset, reason)
_Entry = tuple[bytes, int, int, int, int, str]


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


def list_archive(roots: Mapping[str, bytes], path: str, key: StatKey) -> tuple[str, bytes]:
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
    reason : str
        `archive_listed`, or why nothing of it, or only its first part, is listed; empty for a file that is no archive
        of the kind that its name says, such as DICOM; `CHANGED`; `UNREADABLE` if this user may not read it.
    rows : bytes
        ``[path, "file", size, checksum, offset, fingerprint]``, or ``[path, "member", reason]``.

    Raises
    ------
    OSError
        If the disk or the network fails, or the disk of the results is full.
    """
    try:
        return _list(roots, path, key)
    except OSError as error:
        if error.errno in _REFUSED | _VANISHED:
            return UNREADABLE if error.errno in _REFUSED else CHANGED, b""
        raise


def _list(roots: Mapping[str, bytes], path: str, key: StatKey) -> tuple[str, bytes]:
    with Opener(roots) as opener, contextlib.closing(opener.open(path)) as file, limits.current().budget() as renew:
        if file.key() != key:
            return CHANGED, b""
        archive = Bytes(file, key[0])
        kind = _kind(archive, path)
        if not kind:
            return "", b""
        try:
            entries, reason = _entries(archive, kind, path, fingerprint(key), renew)
        except NotExtracted as error:
            entries, reason = [], error.code
        except MemoryError:
            entries, reason = [], "too_large"
        if file.key() != key:
            return CHANGED, b""
        return reason, b"".join(_rows(path, fingerprint(key), entries))


def _kind(archive: Reader, path: str) -> str:
    """Return the kind of archive, if the first bytes are those that the suffix promises, and not those of DICOM."""
    kind = names.kind_by_name(path)
    head = archive.read(_HEAD, 0)
    if head[128:132] == b"DICM":
        return ""
    if kind == names.TAR:
        return kind if tar_listing.is_tar(head) else ""
    return kind if head.startswith(_MAGIC[kind]) else ""


def _entries(
    archive: Reader, kind: str, path: str, archive_fingerprint: int, renew: Callable[[], None]
) -> tuple[list[_Entry], str]:
    if kind == names.ZIP:
        return [_of_zip(entry) for entry in zip_directory.read_directory(archive)], LISTED
    if kind == names.TAR:
        return _of_tar(archive, renew)
    if kind == names.GZIP:
        return [_of_single_file(archive, path, renew)], LISTED
    in_force, name = bounds.current(), tar_cache.name_of(path, archive_fingerprint)
    tar_cache.decompress(archive, kind, name, in_force, renew)
    found = tar_cache.open_cached(in_force.folder, name)
    if found is None:
        raise NotExtracted("too_large")
    handle, is_cut = found
    try:
        tar = Descriptor(handle)
        if not tar_listing.is_tar(tar.read(_HEAD, 0)):
            return [], "truncated_archive" if is_cut else "unreadable_archive"
        entries, reason = _of_tar(tar, renew)
        return entries, "truncated_archive" if is_cut else reason
    finally:
        os.close(handle)


def _of_zip(entry: zip_directory.ZipEntry) -> _Entry:
    in_force, reason = bounds.current(), entry.reason
    if not reason and entry.size > in_force.member:
        reason = "too_large"
    if not reason and in_force.is_bomb(entry.size, entry.compressed):
        reason = "archive_bomb"
    return entry.name, entry.size, entry.crc, entry.compressed, entry.offset, reason


def _of_tar(tar: Reader, renew: Callable[[], None]) -> tuple[list[_Entry], str]:
    entries: list[_Entry] = []
    contents: dict[bytes, tuple[int, int]] = {}  # size and offset of the members so far: hard links share them
    for entry in tar_listing.read_members(tar, renew):
        if isinstance(entry, str):
            return entries, entry
        size, offset, reason = entry.size, entry.offset, entry.reason
        if entry.link in contents and entry.link:
            (size, offset), reason = contents[entry.link], ""
        if not reason and size > bounds.current().member:
            reason = "too_large"
        if not reason:
            contents[entry.name] = size, offset
        entries.append((entry.name, size, 0, 0, offset, reason))
    return entries, LISTED


def _of_single_file(archive: Reader, path: str, renew: Callable[[], None]) -> _Entry:
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
    return names.of_single_file(path), size, crc, 0, 0, ""


def _rows(path: str, archive: int, entries: list[_Entry]) -> Iterator[bytes]:
    """Yield the lines of the members, sorted by path; of several with one name the last counts, as when unpacked."""
    rows: dict[str, list[Any]] = {}
    repeated: list[str] = []
    for name, size, crc, compressed, offset, reason in entries:
        checked, is_allowed = names.checked_name(name)
        text = f"{path}{names.MARK}{names.member_text(checked)}"
        if text in rows:
            repeated.append(text)
        if reason or not is_allowed:
            rows[text] = [text, MEMBER, reason or "member_name"]
        else:
            rows[text] = [text, "file", *member_key(size, crc, compressed, offset, archive)]
    for text in repeated:
        number = 1
        while f"{text}~{number}" in rows:
            number += 1
        rows[f"{text}~{number}"] = [f"{text}~{number}", MEMBER, "duplicate_member"]
    for text in sorted(rows):
        yield json_files.compact_line(rows[text])
