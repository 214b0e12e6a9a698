"""The one door to the source: open a file by its manifest path, whatever its root is, also in an archive."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Protocol

from dicomzarr.source import restored
from dicomzarr.source.archives import names
from dicomzarr.source.open_file import OpenFile
from dicomzarr.source.row import StatKey
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
        self._roots_as_given = roots
        self._roots = {os.fsencode(label): root for label, root in roots.items()}
        self._last: bytes | None = None
        self._door: Door | None = None
        self._archive: tuple[str, OpenFile] | None = None  # the last one stays open for its next member

    def __enter__(self) -> Opener:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def open(self, path: str, key: StatKey | None = None) -> OpenFile:
        """Return an open file; the caller closes it.

        Parameters
        ----------
        path : str
            As in the manifest. That of a member of an archive is ``archive!/member``.
        key : StatKey, optional
            Needed for a member: it says where it is in its archive.

        Raises
        ------
        OSError
            As open(2); NotADirectoryError or ELOOP if the file, or a folder of its path, is a link.
        LookupError
            If no source has the label of the path.
        NotExtracted
            If a member cannot be unpacked.
        """
        if names.MARK in path and key is not None:
            return self._open_member(path, key)
        raw, label = decode_path(path), b""
        if b"" not in self._roots:
            label, _, raw = raw.partition(b"/")
        if self._door is None or self._last != label:
            self._close_door()
            self._door, self._last = FolderDoor(self._roots[label]), label
        return restored.as_verified(path, self._door.open(raw))

    def _open_member(self, path: str, key: StatKey) -> OpenFile:
        from dicomzarr.source.archives.opening import open_member

        name, _ = names.split(path)
        if self._archive is None or self._archive[0] != name:
            self._close_archive()
            self._archive = name, self.open(name)
        return open_member(self._roots_as_given, self._archive[1], path, key)

    def close(self) -> None:
        """Close what stays open between two files."""
        self._close_archive()
        self._close_door()

    def _close_archive(self) -> None:
        if self._archive is not None:
            self._archive[1].close()
        self._archive = None

    def _close_door(self) -> None:
        if self._door is not None:
            self._door.close()
        self._last, self._door = None, None
