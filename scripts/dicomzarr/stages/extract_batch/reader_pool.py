"""Readers of the files of a series for several threads."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import TypeVar

from dicomzarr.stages.extract_batch.series_files import Readers, Roots, SourceFile

Result = TypeVar("Result")


class ReaderPool:
    """Readers of the same files for several threads: one for each thread that reads at the same time."""

    def __init__(self, files: Sequence[SourceFile], roots: Roots) -> None:
        self._files, self._roots = files, roots
        self._idle: list[Readers] = []

    def use(self, work: Callable[[Readers], Result]) -> Result:
        """Call `work` with readers that no other thread uses; their file stays open for the next call."""
        try:
            readers = self._idle.pop()
        except IndexError:
            readers = Readers(self._files, self._roots)
        try:
            result = work(readers)
        except BaseException:
            readers.close()
            raise
        self._idle.append(readers)
        return result

    def close(self) -> None:
        """Close all files; raises `SourceChanged` if one changed while it was open."""
        with contextlib.ExitStack() as stack:
            for readers in self._idle:
                stack.callback(readers.close)
