"""The members of a tar archive."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterator
from typing import Any, Self

from dicomzarr.source.archives.entry import ArchiveEntry, without_content
from dicomzarr.source.archives.streams import Reader
from dicomzarr.vocabulary.reasons import NotExtracted

_BLOCK = 512  # bytes
_USTAR, _GNU = b"ustar", b"ustar  \0"  # magic, in their headers
# Of GNU: a folder in an incremental backup, whose content is a list of names; the label of a volume.
_NO_FILES = (b"D", b"V")
_LONGEST_PADDING = 16 << 20  # bytes of zeros at the end; records of 10 KiB are usual


class _Info(tarfile.TarInfo):
    """A header whose name has the prefix of ustar only where it is one.

    In the format of GNU that place has times, as of `tar --listed-incremental`; in that of V7, anything.
    """

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        return cls._without_times(super().frombuf(buf, encoding, errors), buf, encoding, errors)

    @classmethod
    def _frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str, **options: Any) -> Self:
        """Do the same for `tarfile` of Python 3.14, which calls this in place of `frombuf`."""
        info = super()._frombuf(buf, encoding, errors, **options)  # type: ignore[misc]
        return cls._without_times(info, buf, encoding, errors)

    @classmethod
    def _without_times(cls, info: Self, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        magic = bytes(buf[257:265])
        if info.type not in tarfile.GNU_TYPES and (magic == _GNU or not magic.startswith(_USTAR)):
            name = bytes(buf[:100]).partition(b"\0")[0].decode(encoding, errors)
            info.name = name.rstrip("/") if info.isdir() else name
        return info


class _File:
    """The part of a file object that `tarfile` needs; `is_short` once a read went beyond the end."""

    def __init__(self, archive: Reader) -> None:
        self._archive, self._position, self.is_short = archive, 0, False

    def read(self, length: int = -1) -> bytes:
        left = max(self._archive.size - self._position, 0)
        data = self._archive.read(left if length < 0 else min(length, left), self._position) if left else b""
        self._position += len(data)
        self.is_short |= len(data) < length
        return data

    def seek(self, position: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._archive.size}[whence]
        self._position = max(base + position, 0)
        return self._position

    def tell(self) -> int:
        return self._position


def is_tar(head: bytes) -> bool:
    """Return whether a file begins with the header of a member, whose checksum is right, or with the end of a tar."""
    if len(head) < _BLOCK:
        return False
    if not any(head[:_BLOCK]):
        return True
    try:
        tarfile.TarInfo.frombuf(head[:_BLOCK], "utf-8", "surrogateescape")
    except (tarfile.TarError, ValueError):
        return False
    return True


def read_members(archive: Reader) -> Iterator[ArchiveEntry]:
    """Yield the members but folders and labels of volumes, in their order.

    Parameters
    ----------
    archive : Reader

    Raises
    ------
    NotExtracted
        After the last member: `truncated_archive` or `unreadable_archive`, if the archive does not end there as a tar
        does, with zeros.
    """
    file = _File(archive)
    try:
        tar = tarfile.open(fileobj=file, mode="r:", tarinfo=_Info, encoding="utf-8", errors="surrogateescape")  # type: ignore[call-overload]  # noqa: SIM115
    except (tarfile.TarError, ValueError, OverflowError, EOFError, UnicodeError, RecursionError):
        raise NotExtracted("truncated_archive" if file.is_short else "unreadable_archive") from None
    before = -1
    while True:
        try:
            info = tar.next()
            # Some versions follow a negative size back to where they came from.
            if info is not None and tar.offset <= before:
                raise tarfile.ReadError
            before = tar.offset
        except (tarfile.TarError, ValueError, OverflowError, EOFError, UnicodeError, RecursionError):
            is_cut = file.is_short or tar.offset >= archive.size  # also within or behind a long name or other header
            raise NotExtracted("truncated_archive" if is_cut else "unreadable_archive") from None
        if info is None:
            break
        tar.members = []  # it keeps them all
        if not info.isdir() and info.type not in _NO_FILES:
            yield _entry(info, archive.size)
    padding = (
        archive.read(min(_LONGEST_PADDING, archive.size - tar.offset), tar.offset) if tar.offset < archive.size else b""
    )
    if len(padding) < _BLOCK:  # the mark of the end is a block of zeros
        raise NotExtracted("truncated_archive")
    if padding.count(0) < len(padding):  # such as a second tar, of which nothing would be read; or a header that is cut
        raise NotExtracted("truncated_archive" if file.is_short else "unreadable_archive")
    if archive.size - tar.offset > _LONGEST_PADDING:  # a place for a download that did not come to its end
        raise NotExtracted("truncated_archive")


def _entry(info: tarfile.TarInfo, end: int) -> ArchiveEntry:
    name = info.name.encode("utf-8", "surrogateescape")
    if info.islnk():
        return without_content(name, "symbolic_link", info.linkname.encode("utf-8", "surrogateescape"))
    if info.issym():
        return without_content(name, "symbolic_link")
    if not info.isreg():
        is_known = info.type in (tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE)
        return without_content(name, "special_file" if is_known else "unsupported_member")
    if info.sparse is not None:
        return without_content(name, "unsupported_member")
    if info.size < 0 or info.offset_data + info.size > end:
        return without_content(name, "damaged_member")
    return ArchiveEntry(name, info.size, 0, 0, info.offset_data, "")
