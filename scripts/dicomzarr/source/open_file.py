"""An open file of the source, wherever it lies: in a folder, in an archive, or in object storage."""

from __future__ import annotations

import os
import stat
from typing import Protocol

from dicomzarr.source.row import StatKey

_63_BITS = 2**63 - 1


class OpenFile(Protocol):
    """A file of the source, open for reading."""

    def key(self) -> StatKey | None:
        """Return four integers that say whether the file changed; the first is its size in bytes.

        None if it is no regular file any more. They are asked for before and after a file is read.
        """
        ...

    def read(self, length: int, offset: int) -> bytes:
        """Return up to `length` bytes from `offset` on: fewer at the end of the file, none behind it.

        Raises
        ------
        OSError
            If the disk or the network fails.
        """
        ...

    def descriptor(self) -> int:
        """Return a descriptor with the whole content: of the file, or of a private copy that ends with this object.

        Raises
        ------
        OSError
            If the disk or the network fails.
        """
        ...

    def close(self) -> None:
        """Close the file."""
        ...


def stat_key(status: os.stat_result) -> StatKey:
    """Return the key by which changes of a file in a folder are detected: size, mtime, ctime (ns) and inode.

    Times are cut to 63 bits, so that JSON libraries can represent them: some file systems store later years.
    """
    return status.st_size, status.st_mtime_ns & _63_BITS, status.st_ctime_ns & _63_BITS, status.st_ino


class LocalFile:
    """A file in a folder.

    Parameters
    ----------
    descriptor : int
        Open for reading; its position is neither used nor moved. It is closed with this object.
    """

    __slots__ = ("_descriptor",)

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def key(self) -> StatKey | None:
        """Return size, mtime, ctime (ns) and inode; None if it is no regular file."""
        status = os.fstat(self._descriptor)
        return stat_key(status) if stat.S_ISREG(status.st_mode) else None

    def read(self, length: int, offset: int) -> bytes:
        """Return up to `length` bytes from `offset` on."""
        return os.pread(self._descriptor, length, offset)

    def descriptor(self) -> int:
        """Return the descriptor of the file itself."""
        return self._descriptor

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)
