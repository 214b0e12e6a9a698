"""How far a job is, told to the main process by a tiny file: numbers alone, nothing of the source."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

from dicomzarr.system import files

FOLDER = "progress"  # below private/
_EVERY = 1.0  # seconds between two notes


class Progress:
    """Counts what a job has done and notes it once a second.

    Parameters
    ----------
    private : Path
        The private folder of the results.
    job : str
        Name of the rule, and of the batch where it has one.

    Notes
    -----
    The note is not flushed to the disk, and a job goes on where it cannot be written: nothing rests on it.
    """

    def __init__(self, private: Path, job: str) -> None:
        self._path = private / FOLDER / job
        self._done = [0, 0]
        self._next = 0.0
        with contextlib.suppress(OSError):
            files.make_private(self._path.parent)
        self.add(0, 0)

    def add(self, items: int, size: int) -> None:
        """Count items (series, or files) that are done, and their bytes."""
        self._done[0] += items
        self._done[1] += size
        now = time.monotonic()
        if now >= self._next:
            self._next = now + _EVERY
            self.note()

    def note(self) -> None:
        """Write the numbers down."""
        with contextlib.suppress(OSError):
            handle = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, files.PRIVATE_FILE)
            try:
                os.pwrite(handle, b"%20d %20d\n" % tuple(self._done), 0)
            finally:
                os.close(handle)
