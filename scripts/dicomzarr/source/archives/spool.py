"""Bytes of a member: in memory up to a size, then in a file without a name in the private cache."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from dicomzarr.source.archives.bounds import IN_MEMORY

_BLOCK = 1 << 22


class Spool:
    """Bytes that are appended and read by position; closed by its owner.

    Parameters
    ----------
    folder : Path
        For more than 64 MiB; must exist by then.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self.size, self._is_file = folder, 0, False
        self.handle = os.memfd_create("member", os.MFD_CLOEXEC)

    def append(self, data: bytes) -> None:
        """Append bytes."""
        if not self._is_file and self.size + len(data) > IN_MEMORY:
            self._move()
        view = memoryview(data)
        while view:
            count = os.pwrite(self.handle, view, self.size)
            self.size, view = self.size + count, view[count:]

    def read(self, length: int, offset: int) -> bytes:
        """Return bytes as pread(2) does."""
        return os.pread(self.handle, length, offset)

    def close(self) -> None:
        """Free the memory or the disk."""
        if self.handle >= 0:
            os.close(self.handle)
            self.handle = -1

    def _move(self) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=self._folder) as stream:
            handle = os.dup(stream.fileno())
        try:
            offset = 0
            while block := os.pread(self.handle, _BLOCK, offset):
                view = memoryview(block)
                while view:
                    count = os.pwrite(handle, view, offset)
                    offset, view = offset + count, view[count:]
        except BaseException:
            os.close(handle)
            raise
        os.close(self.handle)
        self.handle, self._is_file = handle, True
