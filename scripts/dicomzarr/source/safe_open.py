"""Open files of the source: read only, below their root, without following links to files or folders."""

from __future__ import annotations

import os
from collections.abc import Mapping

from dicomzarr.source.row import StatKey
from dicomzarr.system.path_text import decode_path

FILE = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK  # a FIFO must not be waited for
FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW
_ROOT = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC  # the user chose this path: it may be a link

_63_BITS = 2**63 - 1


def stat_key(status: os.stat_result) -> StatKey:
    """Return the key by which changes of a source file are detected: size, mtime, ctime (ns) and inode.

    Times are cut to 63 bits, so that JSON libraries can represent them: some file systems store later years.
    """
    return status.st_size, status.st_mtime_ns & _63_BITS, status.st_ctime_ns & _63_BITS, status.st_ino


class Opener:
    """Open files by their manifest path, folder by folder; the last folder stays open for the next file in it.

    Parameters
    ----------
    folders : mapping of str to bytes
        Label to absolute source folder; the label is "" if there is one source only.
    """

    def __init__(self, folders: Mapping[str, bytes]) -> None:
        self._folders = {os.fsencode(label): folder for label, folder in folders.items()}
        self._last: tuple[bytes, bytes] | None = None
        self._handle = -1

    def __enter__(self) -> Opener:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def open(self, path: str) -> int:
        """Return a descriptor of a file.

        Raises
        ------
        OSError
            As open(2); NotADirectoryError or ELOOP if the file, or a folder of its path, is a link.
        """
        label, rest = self._split(path)
        folder, _, name = rest.rpartition(b"/")
        if self._last != (label, folder):
            self.close()
            self._handle = _walk(self._folders[label], folder)
            self._last = (label, folder)
        return os.open(name, FILE, dir_fd=self._handle)

    def close(self) -> None:
        """Close the last folder."""
        if self._handle >= 0:
            os.close(self._handle)
        self._last, self._handle = None, -1

    def _split(self, path: str) -> tuple[bytes, bytes]:
        raw = decode_path(path)
        if b"" in self._folders:
            return b"", raw
        label, _, rest = raw.partition(b"/")
        return label, rest


def _walk(root: bytes, folder: bytes) -> int:
    handle = os.open(root, _ROOT)
    for part in filter(None, folder.split(b"/")):
        try:
            below = os.open(part, FOLDER, dir_fd=handle)
        finally:
            os.close(handle)
        handle = below
    return handle
