"""Extracted series into the dataset: made durable in groups, renamed into place, records last; and out of it again."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from dicomzarr.records.batch_record import CHECK, EXTRACT
from dicomzarr.records.plan import owned_prefixes
from dicomzarr.records.revoke import Revocation, revoke
from dicomzarr.records.series_record import GROUP, SeriesRecord
from dicomzarr.system import files as storage
from dicomzarr.system import flush, json_files, run_token
from dicomzarr.system.results_folder import Results
from dicomzarr.vocabulary.errors import Damaged

# Two flushes of the file system for a group of series, instead of many for each.
GROUP_BYTES, GROUP_SERIES = 256 << 20, 64


def load_if_whole(path: Path) -> SeriesRecord | None:
    """Return the record of a series, or None where there is none that can be read."""
    try:
        return SeriesRecord.load(path)
    except (OSError, Damaged):
        return None


def files_exist(results: Results, record: SeriesRecord) -> bool:
    """Return whether every file that the record claims is there with its size."""
    try:
        return all(
            os.stat(results.images / path).st_size == claim.size for path, claim in record.claimed_files().items()
        )
    except OSError:
        return False


def removal_note(results: Results, series_id: str) -> Path:
    """Return where it is noted that a series was removed from the dataset."""
    return results.private / "retired" / f"{series_id}.json"


@dataclass(slots=True)
class Publisher:
    """Extracted series on their way into the dataset.

    Attributes
    ----------
    results : Results
    store : Path
        The folder that holds their arrays, by series.
    disk : Disk
        The file system of both.
    claim : callable
        Called for each series that is published, with its record, the size of its record in bytes and its digest.
    """

    results: Results
    store: Path
    disk: flush.Disk
    claim: Callable[[SeriesRecord, int, str], None]
    _waiting: list[SeriesRecord] = field(default_factory=list)
    _waiting_bytes: int = 0

    def add(self, record: SeriesRecord) -> None:
        """Publish a series together with others."""
        self._waiting.append(record)
        self._waiting_bytes += sum(volume.stored_bytes for volume in record.volumes)
        if self._waiting_bytes > GROUP_BYTES or len(self._waiting) >= GROUP_SERIES:
            self.publish()

    def publish(self) -> None:
        """Make what waits durable, rename it into the dataset, and write the records last."""
        if not self._waiting:
            return
        staged, written = flush.Staged(self.disk), []
        try:
            for record in self._waiting:
                data, digest = record.to_bytes()
                staged.add(self.results.series_record(EXTRACT, record.series_id), data)
                written.append((record, len(data), digest))
            self.disk.flush(path for path in self.store.rglob("*") if path.is_file())
            run_token.check(self.results.private)
            for record in self._waiting:
                self._place(record)
                removal_note(self.results, record.series_id).unlink(missing_ok=True)
            self.disk.flush()
            staged.rename()
        finally:
            staged.abandon()
        for record, size, digest in written:
            self.claim(record, size, digest)
        self._waiting, self._waiting_bytes = [], 0

    def _place(self, record: SeriesRecord) -> None:
        home = self.results.images / record.series_id
        storage.remove_tree(home)
        store = self.store / record.series_id
        if record.volumes:
            # The group is whole before it appears: its own metadata first, then its volumes, in one rename.
            (store / "zarr.json").write_bytes(GROUP)
            os.replace(store, home)
        else:
            storage.remove_tree(store)


def remove_others(results: Results, batch: str, planned: set[str], *, keep: bool) -> int:
    """Remove the series of a batch that its plan no longer has from the dataset; return how many there were.

    Parameters
    ----------
    results : Results
    batch : str
    planned : set of str
        The series that the plan has.
    keep : bool
        Move their arrays below `private/removed/` instead of deleting them.
    """
    removed = [path for path in _records_of(results, batch) if path.stem not in planned]
    for path in removed:
        _remove(results, path, keep=keep)
    return len(removed)


def _records_of(results: Results, batch: str) -> Iterator[Path]:
    folder = results.records / EXTRACT
    there = os.listdir(folder) if folder.is_dir() else ()
    for prefix in sorted(set(owned_prefixes(batch)).intersection(there)):
        yield from (folder / prefix).glob("*.json")


def _remove(results: Results, path: Path, *, keep: bool) -> None:
    """Note the removal first and revoke the record before the arrays go, so that an interrupted job does the rest."""
    home = results.images / path.stem
    record = load_if_whole(path)
    if home.is_dir():  # else an interrupted job has done this part
        note = {
            "series_id": path.stem,
            "arrays": {volume.array: volume.pixel_digest for volume in record.volumes} if record else {},
            "files": [file.path for file in record.files] if record else [],
            "kept": keep,
        }
        storage.write_atomically(removal_note(results, path.stem), json_files.canonical_json(note), private=True)
        if keep:
            kept = storage.make_private(results.private / "removed") / path.stem
            storage.remove_tree(kept)
            os.replace(home, kept)
            storage.sync_folder(kept.parent)
    revoke(results, results.series_record(CHECK, path.stem), Revocation.REMOVED)
    revoke(results, path, Revocation.REMOVED)
    storage.remove_tree(home)
