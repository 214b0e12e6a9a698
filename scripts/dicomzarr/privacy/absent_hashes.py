"""Hashes of words that were searched and are no identifiers; they decide whether the cache of clean files is valid.

A file is clean with regard to the identifiers at the time of its search. If an identifier of a later run occurs in it,
the hash of that identifier was looked up, and was absent, when the file was searched. Therefore absent hashes are
stored. If a new identifier is among them, everything is searched again.
"""

from __future__ import annotations

from array import array
from collections.abc import Container
from pathlib import Path

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

from dicomzarr.privacy.identifiers import distinct
from dicomzarr.system import files

_PREFIX = "absent-"  # of the names of their files, followed by the BLAKE3 digest of the sorted hashes
_MAX_IN_MEMORY = 1 << 21  # hashes, before they are written to a file
_SMALL_FILE, _MAX_SMALL_FILES = 1 << 20, 8  # hashes of a small file; small files before they are merged


class AbsentHashes:
    """Tests whether a hash is an identifier, and records each that is not.

    Parameters
    ----------
    folder : Path
        Of the files with the absent hashes.
    identifiers : container of int
        Hashes of 64 bits.
    """

    def __init__(self, folder: Path, identifiers: Container[int]) -> None:
        self._folder, self._identifiers = folder, identifiers
        self._new = array("Q")
        self._digests: list[str] = []  # of the files

    def __contains__(self, number: object) -> bool:
        if number in self._identifiers:
            return True
        self._new.append(number)  # type: ignore[arg-type]
        if len(self._new) >= _MAX_IN_MEMORY:
            self.flush()
        return False

    def load(self, digests: list[str], identifiers: NDArray[np.uint64] | None) -> bool:
        """Use the absent hashes of earlier searches.

        Parameters
        ----------
        digests : list of str
            Of the files, as `save` returned them.
        identifiers : ndarray of uint64 or None
            Sorted; None where the identifiers are those of the last search.

        Returns
        -------
        bool
            False where a file is lost or damaged, or an absent hash is an identifier now: the cache is not valid.
        """
        for digest in digests:
            path = self._path(digest)
            if identifiers is None:
                if not files.is_file(path):
                    return False
                continue
            try:
                absent = np.load(path, allow_pickle=False)
            except (OSError, ValueError, EOFError):
                return False
            if absent.dtype != np.uint64 or absent.ndim != 1 or _digest(absent) != digest:
                return False
            places = np.searchsorted(identifiers, absent)
            places[places == len(identifiers)] = 0
            if len(identifiers) and bool((identifiers[places] == absent).any()):
                return False
        self._digests = list(digests)
        return True

    def start_in_child(self) -> None:
        """Start empty in a forked process: the parent has its own hashes."""
        self._new, self._digests = array("Q"), []

    def flush(self) -> list[str]:
        """Write the hashes in memory to a file; return the digests of the files of this process."""
        if self._new:
            self._write(distinct(np.frombuffer(self._new, np.uint64)))
            self._new = array("Q")
        return self._digests

    def merge(self, digests: list[str]) -> None:
        """Add the files that another process wrote, by their digests."""
        self._digests += [digest for digest in digests if digest not in self._digests]

    def save(self) -> list[str]:
        """Write all hashes, merge small files, and return the digests of the files."""
        self.flush()
        small = [digest for digest in self._digests if self._path(digest).stat().st_size // 8 < _SMALL_FILE]
        if len(small) > _MAX_SMALL_FILES:
            self._digests = [digest for digest in self._digests if digest not in small]
            parts = [np.load(self._path(digest), allow_pickle=False) for digest in small]
            if [_digest(part) for part in parts] == small:
                self._write(distinct(np.concatenate(parts)))
            else:
                self._digests.append("damaged")  # no such file: the next `load` returns False
        return self._digests

    def remove_unlisted(self) -> None:
        """Remove files that are no longer listed, once the list is on disk."""
        listed = {self._path(digest) for digest in self._digests}
        for path in self._folder.glob(f"{_PREFIX}*"):
            if path not in listed:
                files.remove_tree(path)

    def _path(self, digest: str) -> Path:
        return self._folder / f"{_PREFIX}{digest}.npy"

    def _write(self, hashes: NDArray[np.uint64]) -> None:
        digest = _digest(hashes)
        if digest in self._digests:
            return
        with files.replacing(self._path(digest), private=True) as stream:
            np.save(stream, hashes, allow_pickle=False)
        self._digests.append(digest)


def _digest(hashes: NDArray[np.uint64]) -> str:
    return blake3(np.ascontiguousarray(hashes).data.cast("B")).hexdigest(length=16)
