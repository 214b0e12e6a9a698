"""Open files in a folder: read only, below their root, without following links to files or folders."""

from __future__ import annotations

import errno
import os
from functools import partial

from dicomzarr.source.open_file import LocalFile
from dicomzarr.system import shared_files

FILE = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK  # a FIFO must not be waited for
FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW
_ROOT = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC  # the user chose this path: it may be a link


class FolderDoor:
    """Open files below a folder, folder by folder; the last folder stays open for the next file in it.

    Parameters
    ----------
    root : bytes
        An absolute folder.
    """

    def __init__(self, root: bytes) -> None:
        self._root = root
        self._last: bytes | None = None
        self._handle = -1

    def open(self, path: bytes) -> LocalFile:
        """Return a file by its path below the root, not encoded.

        Raises
        ------
        OSError
            As open(2); NotADirectoryError or ELOOP if the file, or a folder of its path, is a link.
        """
        try:
            return self._open(path)
        except OSError as error:
            if error.errno != errno.ESTALE:
                raise
        return shared_files.again(partial(self._open_from_root, path), self._root)

    def _open_from_root(self, path: bytes) -> LocalFile:
        self.close()  # the folder that is open may be the stale one
        return self._open(path)

    def _open(self, path: bytes) -> LocalFile:
        folder, _, name = path.rpartition(b"/")
        if self._last != folder:
            self.close()
            self._handle = _walk(self._root, folder)
            self._last = folder
        return LocalFile(os.open(name, FILE, dir_fd=self._handle))

    def close(self) -> None:
        """Close the last folder."""
        if self._handle >= 0:
            os.close(self._handle)
        self._last, self._handle = None, -1


def _walk(root: bytes, folder: bytes) -> int:
    handle = os.open(root, _ROOT)
    for part in filter(None, folder.split(b"/")):
        try:
            below = os.open(part, FOLDER, dir_fd=handle)
        finally:
            os.close(handle)
        handle = below
    return handle
