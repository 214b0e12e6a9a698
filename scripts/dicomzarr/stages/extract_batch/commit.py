"""Commit extracted series to the dataset (flush in groups, rename, records last), and remove series from it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from dicomzarr.records.batch_record import CHECK, EXTRACT
from dicomzarr.records.plan import owned_prefixes
from dicomzarr.records.revoke import Revocation, revoke
from dicomzarr.records.series_record import SeriesRecord
from dicomzarr.system import files, flush, folder_moves, json_files, run_token
from dicomzarr.system.results_folder import Results
from dicomzarr.vocabulary.errors import Damaged
from dicomzarr.vocabulary.reasons import REVIEWED

# Series become durable in groups: two flushes of the file system for each group, instead of several for each series.
GROUP_BYTES, GROUP_SERIES = 256 << 20, 64


def _load_or_none(path: Path) -> SeriesRecord | None:
    """Return the record of a series, or None if it is missing or damaged."""
    try:
        return SeriesRecord.load(path)
    except (OSError, Damaged):
        return None


def files_exist(results: Results, record: SeriesRecord) -> bool:
    """Return whether every file that the record claims exists and has the claimed size."""
    try:
        return all(
            os.stat(results.images / path).st_size == claim.size for path, claim in record.claimed_files().items()
        )
    except OSError:
        return False


def removal_note(results: Results, series_id: str) -> Path:
    """Return the path of the note that a series was removed from the dataset."""
    return results.private / "retired" / f"{series_id}.json"


def text_pictures(results: Results, series_id: str) -> Path:
    """Return the folder with the pictures of the files of a series that were set aside for text in their pixels."""
    return results.private / "text" / series_id


def pictures_of(store: Path) -> Path:
    """Return the folder beside the temporary store of a series with the pictures of its files that were set aside."""
    return store.with_name(f"{store.name}.text")


def move_pictures(results: Results, record: SeriesRecord, drawn: Path) -> None:
    """Replace the pictures of a series by those that were drawn; if none were, those of files set aside stay.

    Parameters
    ----------
    results : Results
    record : SeriesRecord
        Of the series.
    drawn : Path
        A folder that is missing if no file is set aside, or if the masks alone were extracted.
    """
    target = text_pictures(results, record.series_id)
    if files.is_dir(drawn) or not any(file.reason in REVIEWED for file in record.files):
        files.remove_tree(target)
    if files.is_dir(drawn) and any(drawn.iterdir()):
        files.make_private(target.parent)
        folder_moves.move(drawn, target)
        files.sync_folder(target.parent)


@dataclass(slots=True)
class Committer:
    """Moves extracted series into the dataset.

    Attributes
    ----------
    results : Results
    store : Path
        The temporary folder of the arrays, with one folder for each series.
    disk : Disk
        The file system of `results` and `store`.
    claim : callable
        Called for each committed series with its record, the size of the record in bytes, and its digest.
    """

    results: Results
    store: Path
    disk: flush.Disk
    claim: Callable[[SeriesRecord, int, str], None]
    _waiting: list[SeriesRecord] = field(default_factory=list)
    _waiting_bytes: int = 0

    def add(self, record: SeriesRecord) -> None:
        """Add a series; it is committed with others once the group is large enough."""
        self._waiting.append(record)
        self._waiting_bytes += sum(claim.size for claim in record.claimed_files().values())
        if self._waiting_bytes > GROUP_BYTES or len(self._waiting) >= GROUP_SERIES:
            self.commit()

    def commit(self) -> None:
        """Flush the waiting series to disk, rename them into the dataset, and write their records last."""
        if not self._waiting:
            return
        staged, staged_records = flush.Staged(self.disk), []
        try:
            for record in self._waiting:
                data, digest = record.to_bytes()
                staged.add(self.results.series_record(EXTRACT, record.series_id), data)
                staged_records.append((record, len(data), digest))
            self.disk.flush(path for path in self.store.rglob("*") if files.is_file(path))
            run_token.check(self.results.private)
            for record in self._waiting:
                self._move(record)
                removal_note(self.results, record.series_id).unlink(missing_ok=True)
            self.disk.flush()
            staged.rename()
        finally:
            staged.abandon()
        for record, size, digest in staged_records:
            self.claim(record, size, digest)
        self._waiting, self._waiting_bytes = [], 0

    def _move(self, record: SeriesRecord) -> None:
        """Rename the arrays of a series into the dataset; a series without arrays gets no folder."""
        group = self.results.images / record.series_id
        files.remove_tree(group)
        store = self.store / record.series_id
        move_pictures(self.results, record, pictures_of(store))
        if record.volumes:
            # The group is complete when it appears: metadata and volumes move in one rename.
            (store / "zarr.json").write_bytes(record.group())
            folder_moves.move(store, group)
        else:
            files.remove_tree(store)


def remove_unplanned(results: Results, batch: str, planned: set[str], *, keep: bool) -> int:
    """Remove the series of a batch that are no longer in its plan from the dataset.

    Parameters
    ----------
    results : Results
    batch : str
        Name of the batch.
    planned : set of str
        Ids of the series in the plan.
    keep : bool
        Move their arrays to `private/removed/` instead of deleting them.

    Returns
    -------
    int
        Number of series removed.
    """
    removed = [path for path in _records_of(results, batch) if path.stem not in planned]
    for path in removed:
        _remove(results, path, keep=keep)
    return len(removed)


def _records_of(results: Results, batch: str) -> Iterator[Path]:
    """Yield the records of the series whose ids have a prefix of this batch."""
    folder = results.records / EXTRACT
    on_disk = os.listdir(folder) if files.is_dir(folder) else ()
    for prefix in sorted(set(owned_prefixes(batch)).intersection(on_disk)):
        yield from (folder / prefix).glob("*.json")


def _remove(results: Results, path: Path, *, keep: bool) -> None:
    """Note the removal, revoke the records, delete arrays and pictures: in this order; the next job can finish it."""
    group = results.images / path.stem
    record = _load_or_none(path)
    if files.is_dir(group):  # else an interrupted job has done this part
        note = {
            "series_id": path.stem,
            "arrays": {volume.array: volume.pixel_digest for volume in record.volumes} if record else {},
            "files": [file.path for file in record.files] if record else [],
            "kept": keep,
        }
        files.write_atomically(removal_note(results, path.stem), json_files.canonical_json(note), private=True)
        if keep:
            target = files.make_private(results.private / "removed") / path.stem
            files.remove_tree(target)
            folder_moves.move(group, target)
            files.sync_folder(target.parent)
    revoke(results, results.series_record(CHECK, path.stem), Revocation.REMOVED)
    revoke(results, path, Revocation.REMOVED)
    files.remove_tree(group)
    files.remove_tree(text_pictures(results, path.stem))
    files.remove_tree(results.pictures / path.stem)
