"""Progress of a job, reported to the main process by a small file of four numbers."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

from dicomzarr.system import files

FOLDER = "progress"  # below private/
_EVERY = 1.0  # seconds between two reports


class Progress:
    """Count the work of a job and report it once a second.

    Parameters
    ----------
    private : Path
        The private folder of the results.
    job : str
        Name of the rule, and of the batch where it has one.

    Notes
    -----
    The report is not flushed to the disk, and a job continues if it cannot be written: nothing depends on it.
    """

    def __init__(self, private: Path, job: str) -> None:
        self._path = private / FOLDER / job
        self._totals = [0, 0, 0, 0]  # items, bytes, and those of them that were not up to date
        self._next = 0.0
        with contextlib.suppress(OSError):
            files.make_private(self._path.parent)
        self.add(0, 0)

    def add(self, items: int, size: int, *, is_new: bool = True) -> None:
        """Count finished items (series, or files) and their bytes; `is_new` is false for those up to date before."""
        for place in (0, 2) if is_new else (0,):
            self._totals[place] += items
            self._totals[place + 1] += size
        now = time.monotonic()
        if now >= self._next:
            self._next = now + _EVERY
            self.note()

    def put(self, items: int) -> None:
        """Report a number of items that does not change, such as that of all."""
        self._totals[0] = items
        self.note()

    def note(self) -> None:
        """Write the report."""
        with contextlib.suppress(OSError):
            handle = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, files.PRIVATE_FILE)
            try:
                os.pwrite(handle, b"%20d %20d %20d %20d\n" % tuple(self._totals), 0)
            finally:
                os.close(handle)
