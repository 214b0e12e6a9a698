"""Commit the pictures and the records of checked series, in groups: flush, pictures, records last."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path

from dicomzarr.records.check_record import FileState
from dicomzarr.system import files, flush, folder_moves, run_token
from dicomzarr.system.results_folder import Results

GROUP_SERIES = 256  # series that are flushed together: a crash loses at most as many


class Committer:
    """Writes pictures into a folder of the private tree, and renames the folder of each series into the dataset.

    Parameters
    ----------
    results : Results
    name : str
        Of the batch.
    """

    def __init__(self, results: Results, name: str) -> None:
        self._results, self._store = results, results.temporary / f"pictures.{name}.{os.getpid()}"
        self._disk = flush.Disk(results.records)
        self._records = flush.Staged(self._disk)
        self._series: list[str] = []
        self._has_store = False

    def write_pictures(self, series_id: str, pictures: Mapping[str, bytes]) -> dict[str, FileState]:
        """Write the pictures of a series, by name; return their states."""
        self._series.append(series_id)
        states: dict[str, FileState] = {}
        if not pictures:
            return states
        if not self._has_store:
            files.make_private(self._store)
            self._has_store = True
        folder = f"{self._store}/{series_id}"
        os.mkdir(folder)
        for name, data in pictures.items():
            path = f"{folder}/{name}"
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, files.SHARED_FILE)
            with open(handle, "wb") as stream:
                stream.write(data)
            status = os.lstat(path)  # after the end of writing, when network file systems know the time
            states[name] = FileState(status.st_size, status.st_mtime_ns, status.st_ino)
        return states

    def add(self, record: Path, data: bytes) -> None:
        """Add the record of a series whose pictures were written; commit the group once it is large enough."""
        self._records.add(record, data)
        if len(self._records) >= GROUP_SERIES:
            self.commit()

    def commit(self) -> None:
        """Flush what was written, replace the pictures of the series, and rename the records last."""
        if not len(self._records):
            return
        self._records.flush()
        run_token.check(self._results.private)
        if self._has_store:
            self._results.pictures.mkdir(parents=True, exist_ok=True)
        for series_id in self._series:
            files.remove_tree(self._results.pictures / series_id)
            with contextlib.suppress(FileNotFoundError):  # no picture
                folder_moves.move(self._store / series_id, self._results.pictures / series_id)
        self._series = []
        self._records.rename()

    def close(self) -> None:
        """Remove what was not committed."""
        self._records.abandon()
        files.remove_tree(self._store)
        self._disk.close()
