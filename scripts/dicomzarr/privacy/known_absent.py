"""What was looked for among the needles and was not there: the ground on which clean files may be remembered.

A file is clean as far as the needles go that it was searched for. A needle that comes later could stand in it; then its
number was looked up when the file was searched. So the numbers are kept, and where a needle is one of them everything
is searched again.
"""

from __future__ import annotations

from array import array
from collections.abc import Container
from pathlib import Path
from typing import Any

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

from dicomzarr.privacy.identifiers import distinct
from dicomzarr.system import files

_PREFIX = "looked_up-"
_MANY = 1 << 21  # numbers of one file
_SMALL, _MOST_SMALL = 1 << 20, 8  # files of fewer numbers, and how many of those are kept apart
Segment = list[Any]  # name and BLAKE3 of a file of sorted numbers


class Lookups:
    """Says whether a number is among the needles, and notes each that is not.

    Parameters
    ----------
    folder : Path
        Of the files with the numbers.
    needles : container of int
    """

    def __init__(self, folder: Path, needles: Container[int]) -> None:
        self._folder, self._needles = folder, needles
        self._new = array("Q")
        self._segments: list[Segment] = []

    def __contains__(self, number: object) -> bool:
        if number in self._needles:
            return True
        self._new.append(number)  # type: ignore[arg-type]
        if len(self._new) >= _MANY:
            self._write(distinct(np.frombuffer(self._new, np.uint64)))
            self._new = array("Q")
        return False

    def take_over(self, segments: list[Segment], needles: NDArray[np.uint64] | None) -> bool:
        """Go on with what earlier searches noted; return False where that is lost, damaged, or one is a needle now.

        Parameters
        ----------
        segments : list
            As `save` returned them.
        needles : ndarray of uint64 or None
            Sorted; None where they are those of the last search.
        """
        for name, digest in segments:
            path = self._folder / name
            if needles is None:
                if not path.is_file():
                    return False
                continue
            try:
                noted = np.load(path, allow_pickle=False)
            except (OSError, ValueError, EOFError):
                return False
            if noted.dtype != np.uint64 or noted.ndim != 1 or _digest(noted) != digest:
                return False
            places = np.searchsorted(needles, noted)
            places[places == len(needles)] = 0
            if len(needles) and bool((needles[places] == noted).any()):
                return False
        self._segments = list(segments)
        return True

    def begin_apart(self) -> None:
        """Forget, in a forked process, what its parent has noted."""
        self._new, self._segments = array("Q"), []

    def new(self) -> list[Segment]:
        """Make what was noted durable and return the files that this process wrote."""
        if self._new:
            self._write(distinct(np.frombuffer(self._new, np.uint64)))
            self._new = array("Q")
        return self._segments

    def add(self, segments: list[Segment]) -> None:
        """Take over what another process wrote."""
        self._segments += [one for one in segments if one not in self._segments]

    def save(self) -> list[Segment]:
        """Make all that was noted durable, in few files, and return these."""
        self.new()
        sizes = {name: (self._folder / name).stat().st_size // 8 for name, _ in self._segments}
        small = [one for one in self._segments if sizes[one[0]] < _SMALL]
        if len(small) > _MOST_SMALL:
            self._segments = [one for one in self._segments if one not in small]
            parts = [np.load(self._folder / name, allow_pickle=False) for name, _ in small]
            if all(_digest(part) == digest for part, (_, digest) in zip(parts, small, strict=True)):
                self._write(distinct(np.concatenate(parts)))
            else:
                self._segments.append(["damaged", ""])  # is not there: the next search forgets everything
        return self._segments

    def sweep(self) -> None:
        """Remove files that are no longer listed, once the list is on disk."""
        kept = {name for name, _ in self._segments}
        for path in self._folder.glob(f"{_PREFIX}*"):
            if path.name not in kept:
                files.remove_tree(path)

    def _write(self, numbers: NDArray[np.uint64]) -> None:
        digest = _digest(numbers)
        name = f"{_PREFIX}{digest[:16]}.npy"
        if [name, digest] in self._segments:
            return
        with files.replacing(self._folder / name, private=True) as stream:
            np.save(stream, numbers, allow_pickle=False)
        self._segments.append([name, digest])


def _digest(numbers: NDArray[np.uint64]) -> str:
    return blake3(np.ascontiguousarray(numbers).data.cast("B")).hexdigest(length=16)
