"""The one door to the source: open a file by its manifest path, whatever its root is, also in an archive."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol, cast

from dicomzarr.source import restored
from dicomzarr.source.archives import names
from dicomzarr.source.folder_door import FolderDoor
from dicomzarr.source.object_store import is_object_store
from dicomzarr.source.open_file import OpenFile
from dicomzarr.source.row import StatKey
from dicomzarr.system.path_text import decode_path

if TYPE_CHECKING:
    from dicomzarr.source.object_door import ObjectDoor


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
        Label to root: an absolute folder, or the URL of object storage. The label is "" if there is one source only.
    whole : bool
        Request objects as a whole; else by ranges, for their headers.
    """

    def __init__(self, roots: Mapping[str, bytes], *, whole: bool = True) -> None:
        self._roots_as_given = roots
        self._roots = {os.fsencode(label): root for label, root in roots.items()}
        self._whole = whole
        self._doors: dict[bytes, Door] = {}
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
        label, below = self._split(path)
        return restored.as_verified(path, self._door(label).open(below))

    def ahead(self, files: Sequence[tuple[str, int]]) -> None:
        """Announce which files will be opened next, in order: objects are requested ahead.

        Parameters
        ----------
        files : sequence of (str, int)
            Paths and sizes in bytes.
        """
        if not any(map(is_object_store, self._roots.values())):
            return
        announced: dict[bytes, list[tuple[bytes, int]]] = {}
        for path, size in files:
            if names.is_member(path):
                continue
            label, below = self._split(path)
            announced.setdefault(label, []).append((below, size))
        for label, of_label in announced.items():
            if is_object_store(self._roots[label]):
                self._object_door(label).ahead(of_label)

    def _split(self, path: str) -> tuple[bytes, bytes]:
        """Return the label of a path, and the path below the root."""
        raw = decode_path(path)
        if b"" in self._roots:
            return b"", raw
        label, _, below = raw.partition(b"/")
        return label, below

    def _door(self, label: bytes) -> Door:
        if label not in self._doors:
            root = self._roots[label]
            is_object = is_object_store(root)
            self._doors[label] = _new_object_door(root, whole=self._whole) if is_object else FolderDoor(root)
        return self._doors[label]

    def _open_member(self, path: str, key: StatKey) -> OpenFile:
        from dicomzarr.source.archives.opening import open_member

        name, _ = names.split(path)
        if self._archive is None or self._archive[0] != name:
            self._close_archive()
            self._archive = name, self._open_archive(name)
        return open_member(self._roots_as_given, self._archive[1], path, key)

    def close(self) -> None:
        """Close what stays open between two files."""
        self._close_archive()
        for door in self._doors.values():
            door.close()
        self._doors = {}

    def _open_archive(self, path: str) -> OpenFile:
        """Return an archive; if it is an object, by ranges, since only parts of it are read."""
        label, below = self._split(path)
        if is_object_store(self._roots[label]):
            return self._object_door(label).open(below, whole=False)
        return self.open(path)

    def _object_door(self, label: bytes) -> ObjectDoor:
        return cast("ObjectDoor", self._door(label))

    def _close_archive(self) -> None:
        if self._archive is not None:
            self._archive[1].close()
        self._archive = None


def _new_object_door(root: bytes, *, whole: bool) -> ObjectDoor:
    from dicomzarr.source.object_door import ObjectDoor  # imports that a source of folders does not need

    return ObjectDoor(root, whole=whole)
