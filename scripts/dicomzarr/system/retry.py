"""Series whose extraction killed its process: told by what it left, tried alone, and given up after two deaths.

The system kills for want of memory without warning. A job notes which series it works on; a note that is still there
when the batch is done again makes that series a suspect, whatever the cause was. A suspect is extracted in a child of
its own, so that only a death of the child, with its parent alive, counts: a run that was killed whole blames no series.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from dicomzarr.system import files, json_files

DEATHS = 2  # of a child, before its series is given up


class Died(Exception):
    """The child was killed as often as is allowed."""


class Notes:
    """The note of what a batch works on."""

    def __init__(self, private: Path, batch: str) -> None:
        self._path = private / "attempts" / f"{batch}.json"
        files.make_private(self._path.parent)

    def suspect(self) -> str:
        """Return the series at which an earlier job of this batch ended without a word, or nothing."""
        try:
            return str(json_files.read_json(self._path)["series_id"])
        except (OSError, ValueError, KeyError, TypeError):
            return ""

    def begin(self, series_id: str) -> None:
        """Note a series. Not flushed to the disk: the note is about deaths of processes, not of machines."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
        handle = os.open(self._path, flags, files.PRIVATE_FILE)
        try:
            os.write(handle, json_files.canonical_json({"series_id": series_id}))
        finally:
            os.close(handle)

    def end(self) -> None:
        """Forget: the job ends with a word."""
        self._path.unlink(missing_ok=True)


def alone(work: Callable[[], Mapping[str, Any]], answer: Path) -> dict[str, Any]:
    """Return what `work` returns, evaluated in a child process.

    Parameters
    ----------
    work : callable
        Returns a JSON value. Where it raises in the child it is called again here, so that its error is told as ever.
    answer : Path
        A temporary file for what the child returns.

    Raises
    ------
    Died
        If the child was killed by a signal, twice.
    """
    for _ in range(DEATHS):
        child = os.fork()
        if child == 0:
            status = 1
            try:
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
                answer.write_bytes(json_files.canonical_json(work()))
                status = 0
            finally:
                os._exit(status)
        _, status = os.waitpid(child, 0)
        if os.WIFEXITED(status):
            return dict(json_files.read_json(answer) if status == 0 else work())
    raise Died
