"""The one door to the source: open a file by its manifest path, whatever its root is."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Protocol

from dicomzarr.source import restored
from dicomzarr.source.open_file import OpenFile
from dicomzarr.source.safe_open import FolderDoor
from dicomzarr.system.path_text import decode_path


class Door(Protocol):
    """Opens the files of one root."""

    def open(self, path: bytes) -> OpenFile:
        """Return a file by its path below the root, not encoded; raises OSError as open(2) does."""
        ...

    def close(self) -> None:
        """Close what stays open between two files."""
        ...


class Opener:
    """Open files by their manifest path.

    Parameters
    ----------
    roots : mapping of str to bytes
        Label to root: an absolute folder. The label is "" if there is one source only.
    """

    def __init__(self, roots: Mapping[str, bytes]) -> None:
        self._roots = {os.fsencode(label): root for label, root in roots.items()}
        self._last: bytes | None = None
        self._door: Door | None = None

    def __enter__(self) -> Opener:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def open(self, path: str) -> OpenFile:
        """Return an open file; the caller closes it.

        Raises
        ------
        OSError
            As open(2); NotADirectoryError or ELOOP if the file, or a folder of its path, is a link.
        LookupError
            If no source has the label of the path.
        """
        raw, label = decode_path(path), b""
        if b"" not in self._roots:
            label, _, raw = raw.partition(b"/")
        if self._door is None or self._last != label:
            self.close()
            self._door, self._last = FolderDoor(self._roots[label]), label
        return restored.as_verified(path, self._door.open(raw))

    def close(self) -> None:
        """Close what stays open between two files."""
        if self._door is not None:
            self._door.close()
        self._last, self._door = None, None
