"""Open members of archives: positioned reads of what they hold, unpacked as far as it is asked for."""

from __future__ import annotations

import abc
import os
import zlib
from pathlib import Path
from typing import Protocol

from dicomzarr.source.archives.bounds import IN_MEMORY
from dicomzarr.source.archives.keys import crc_of, fingerprint, fits
from dicomzarr.source.archives.spool import Spool
from dicomzarr.source.archives.streams import PIECE, Damaged, Stream
from dicomzarr.source.open_file import OpenFile
from dicomzarr.source.row import StatKey
from dicomzarr.vocabulary.reasons import NotExtracted

_LEAST = 1 << 16  # bytes that are unpacked at once


class _Reads(Protocol):
    def read(self, length: int, offset: int) -> bytes: ...


class _Member(abc.ABC):
    """What all members share: a key that follows that of the archive, and a private copy for a descriptor."""

    def __init__(self, archive: OpenFile, key: StatKey, folder: Path) -> None:
        self._archive, self._key, self._folder = archive, key, folder
        self._copy: Spool | None = None

    def key(self) -> StatKey | None:
        """Return the key as it would be listed now; None if the archive is no regular file any more."""
        archive = self._archive.key()
        return None if archive is None else (*self._key[:3], fingerprint(archive))

    @abc.abstractmethod
    def read(self, length: int, offset: int) -> bytes:
        """Return up to `length` bytes from `offset` on."""

    def descriptor(self) -> int:
        """Return a descriptor of a private copy of the whole content."""
        if self._copy is None:
            self._copy = Spool(self._folder)
            while block := self.read(PIECE, self._copy.size):
                self._copy.append(block)
        return self._copy.handle

    def close(self) -> None:
        """Free the copy; the archive stays open for the next member."""
        if self._copy is not None:
            self._copy.close()


class TarMember(_Member):
    """A member of a tar, which is a part of it.

    Parameters
    ----------
    archive : OpenFile
        The archive, whose key decides.
    tar : OpenFile or the like
        Where the tar is read: the archive itself, or what it was decompressed to.
    key : StatKey
    folder : Path
        For private copies of large members.
    """

    def __init__(self, archive: OpenFile, tar: _Reads, key: StatKey, folder: Path) -> None:
        super().__init__(archive, key, folder)
        self._tar = tar

    def read(self, length: int, offset: int) -> bytes:
        """Return up to `length` bytes from `offset` on."""
        size, _, start, _ = self._key
        return self._tar.read(min(length, size - offset), start + offset) if offset < size else b""


class PackedMember(_Member):
    """A member that is decompressed here, from its start up to where it is read.

    Parameters
    ----------
    archive : OpenFile
    stream : Stream
        Its decompressed bytes.
    key : StatKey
        Its size is never exceeded. Size, checksum and compressed bytes are compared where the stream ends.
    folder : Path
        For more than 64 MiB.

    Attributes
    ----------
    fault : str
        Reason code once a read has failed; else empty. Libraries that read a header may hide the error itself.
    """

    def __init__(self, archive: OpenFile, stream: Stream, key: StatKey, folder: Path) -> None:
        super().__init__(archive, key, folder)
        self._stream, self._crc, self._is_checked, self.fault = stream, 0, False, ""
        self._copy = Spool(folder)

    def check(self) -> None:
        """Unpack the whole content and compare it with what the archive declares; raises `NotExtracted`."""
        self._advance(self._key[0])

    def read(self, length: int, offset: int) -> bytes:
        """Return up to `length` bytes from `offset` on.

        Raises
        ------
        NotExtracted
            `damaged_member` where the content is not what the archive declares.
        """
        assert self._copy is not None
        self._advance(min(offset + length, self._key[0]))
        return self._copy.read(length, offset)

    def descriptor(self) -> int:
        """Return a descriptor of the whole content."""
        self.check()
        return super().descriptor()

    def _advance(self, stop: int) -> None:
        try:
            self._unpack(stop)
        except Damaged:
            self.fault = "damaged_member"
        except NotExtracted as error:
            self.fault = error.code
        if self.fault:
            raise NotExtracted(self.fault)

    def _unpack(self, stop: int) -> None:
        size, copy = self._key[0], self._copy
        assert copy is not None
        while copy.size < stop:
            piece = self._stream.read(min(PIECE, size - copy.size, max(stop - copy.size, _LEAST)))
            if not piece:
                raise Damaged
            self._crc = zlib.crc32(piece, self._crc)
            copy.append(piece)
        if copy.size == size and not self._is_checked:
            is_longer = self._stream.has_end and self._stream.read(1)
            if is_longer or self._crc != crc_of(self._key) or not fits(self._key, self._stream.consumed):
                raise Damaged
            self._is_checked = True


class ReceivedMember(_Member):
    """A member that a child process has unpacked.

    Parameters
    ----------
    archive : OpenFile
    key : StatKey
    folder : Path
    content : memoryview or int
        Its bytes; for a large member a descriptor of a file that has them, closed with this object.
    """

    def __init__(self, archive: OpenFile, key: StatKey, folder: Path, content: memoryview | int) -> None:
        super().__init__(archive, key, folder)
        self._content = content

    def read(self, length: int, offset: int) -> bytes:
        """Return up to `length` bytes from `offset` on."""
        if isinstance(self._content, int):
            return os.pread(self._content, length, offset)
        return bytes(self._content[offset : offset + length])

    def descriptor(self) -> int:
        """Return a descriptor of the whole content."""
        return self._content if isinstance(self._content, int) else super().descriptor()

    def close(self) -> None:
        """Free the content."""
        super().close()
        if isinstance(self._content, int):
            os.close(self._content)
        self._content = memoryview(b"")


def fits_in_memory(key: StatKey) -> bool:
    """Return whether a member is held in memory."""
    return key[0] <= IN_MEMORY
