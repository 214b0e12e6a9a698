"""Check a batch: read back and draw the series of which anything changed; reuse verdicts and pictures of the others.

A verdict is about what was written. Where the disk has other bytes, the series is extracted again by the next run.
"""

from __future__ import annotations

import dataclasses
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from dicomzarr.records.batch_record import CHECK, EXTRACT, BatchRecord, CheckBatchRecord
from dicomzarr.records.check_record import CheckRecord, DepthRow, FileState, MaskVerdict, PictureRow, SizeRow
from dicomzarr.records.record_file import FileClaim
from dicomzarr.records.revoke import Revocation, revoke
from dicomzarr.records.series_record import SeriesRecord
from dicomzarr.stages.check_batch.commit import Committer
from dicomzarr.stages.check_batch.copies import Copies, SeriesState
from dicomzarr.stages.check_batch.masks import check_masks, files_of_image, no_watcher
from dicomzarr.stages.check_batch.picture import Picture
from dicomzarr.stages.check_batch.read_back import read_back
from dicomzarr.stages.check_batch.verdicts import depth_row, size_row
from dicomzarr.system import files, run_token, shared_files
from dicomzarr.system.heartbeat import Progress
from dicomzarr.system.results_folder import Results
from dicomzarr.system.thread_pool import ThreadPool
from dicomzarr.vocabulary.errors import Damaged
from dicomzarr.vocabulary.pictures import NOT_DRAWN

log = logging.getLogger("dicomzarr")


@dataclass(slots=True)
class _Verdicts:
    """What reading a series back found: rows of its arrays and masks, and its pictures by name."""

    depth: list[DepthRow] = field(default_factory=list)
    size: list[SizeRow] = field(default_factory=list)
    masks: list[MaskVerdict] = field(default_factory=list)
    rows: list[PictureRow] = field(default_factory=list)
    pictures: dict[str, bytes] = field(default_factory=dict)

    @property
    def are_exact(self) -> bool:
        """Whether all that was read is what was decoded or placed."""
        return {"exact"}.issuperset([row.read_back for row in self.depth] + [row.read_back for row in self.masks])

    @property
    def fit_the_disk(self) -> bool:
        """Whether the files are those of the record, by name and size."""
        return "fail" not in [row.verdict for row in self.size] + [row.verdict for row in self.masks]


@dataclass(frozen=True, slots=True)
class _Job:
    """What checking a series needs."""

    results: Results
    code: str
    draws: bool
    committer: Committer
    pool: ThreadPool
    copies: Copies

    def check(self, record: SeriesRecord) -> tuple[CheckRecord, bool]:
        """Return the verdicts on a series, and whether it was read: if its files, its pictures or the code changed."""
        state = SeriesState.of(self.results, record, self.code)
        last = state.last
        if last and last.disk == state.arrays:
            if (last.draws, last.pictures_on_disk) == (self.draws, state.pictures):
                return last, False
            if not self.draws:
                rows = tuple(PictureRow(row.array, trouble=NOT_DRAWN) for row in last.pictures)
                without = dataclasses.replace(last, pictures=rows, draws=False)
                return self._commit(record.series_id, without, {}), False
        if last and last.draws == self.draws and state.moved(self.results) and self.copies.are_intact():
            renewed = dataclasses.replace(last, disk=state.arrays, pictures_on_disk=state.pictures)
            self.committer.add(self.results.series_record(CHECK, record.series_id), renewed.to_bytes().data)
            return renewed, False
        return self._read(record, state.arrays), True

    def _read(self, record: SeriesRecord, disk: Mapping[str, Mapping[str, FileState]]) -> CheckRecord:
        """Read a series back, twice if the first time differs; return the verdicts on it.

        Raises
        ------
        Damaged
            If a file has other bytes than were written. That is no verdict on what was written.
        """
        found = self._verdicts(record, disk)
        if not (found.are_exact and found.fit_the_disk):
            if not _is_as_written(self.results, record):
                log.error("series %s: a file has other bytes than were written", record.series_id)
                raise Damaged(self.results.series_record(EXTRACT, record.series_id))
            if not found.are_exact:  # the disk may have failed for a moment
                found = self._verdicts(record, disk)
        rows = (tuple(found.depth), tuple(found.size), tuple(found.masks), tuple(found.rows))
        checked = CheckRecord(self.code, record.fingerprint, disk, *rows, draws=self.draws)
        return self._commit(record.series_id, checked, found.pictures)

    def _verdicts(self, record: SeriesRecord, disk: Mapping[str, Mapping[str, FileState]]) -> _Verdicts:
        """Read the arrays and masks of a series, and draw its pictures."""
        found = _Verdicts()
        for volume in record.volumes:
            on_disk = {name: state.size for name, state in disk[volume.array].items()}
            of_array = record.masks.of_array(volume.array)
            picture = Picture(self.results.images, volume, of_array) if self.draws else None
            image = read_back(self.results.images, volume, self.pool, picture.watcher if picture else None)
            found.depth.append(depth_row(volume, image))
            found.size.append(size_row(volume, files_of_image(on_disk, has_masks=bool(of_array))))
            watcher = picture.mask_watcher if picture else no_watcher
            verdicts = [*check_masks(self.results.images, volume.array, record.masks, on_disk, watcher)]
            found.masks += verdicts
            if picture:
                exact_masks = {verdict.mask for verdict in verdicts if verdict.read_back == "exact"}
                row, of_picture = picture.finish(image, exact_masks)
                found.pictures |= of_picture
                found.rows.append(row)
            else:
                found.rows.append(PictureRow(volume.array, trouble=NOT_DRAWN))
        return found

    def _commit(self, series_id: str, checked: CheckRecord, pictures: Mapping[str, bytes]) -> CheckRecord:
        """Hand the pictures and the record of a series to the committer; return the record."""
        claims = {name: FileClaim(len(data), files.sha256_of_bytes(data)) for name, data in pictures.items()}
        states = self.committer.write_pictures(series_id, pictures)
        checked = dataclasses.replace(checked, picture_files=claims, pictures_on_disk=states)
        self.committer.add(self.results.series_record(CHECK, series_id), checked.to_bytes().data)
        return checked


def _is_as_written(results: Results, record: SeriesRecord) -> bool:
    """Return whether every file of a series has the recorded bytes; raises `OSError` if the disk cannot read one."""
    try:
        claims = record.claimed_files().items()
        return all(files.sha256_of(results.images / name) == claim.digest for name, claim in claims)
    except OSError as error:
        if files.is_disk_error(error):
            raise
        return False


def _arrays_of(results: Results, record: SeriesRecord) -> list[Path]:
    return [results.images / name for name in record.claimed_files()]


def check_batch(results: Results, record: Path, code: str, threads: int = 1, *, draws: bool = True) -> CheckBatchRecord:
    """Read back the arrays of a batch; return a depth verdict and a size verdict for each, and draw its pictures.

    Parameters
    ----------
    results : Results
    record : Path
        The record of the batch's extraction.
    code : str
        Digest of this rule's code.
    threads : int
        Number of threads that read and compare frames; they do not change the result.
    draws : bool
        Whether to draw pictures.

    Returns
    -------
    CheckBatchRecord
        Its counts are `arrays`, `masks`, `pictures`, `read` (arrays read by this job) and `mismatches`.

    Raises
    ------
    Damaged
        If files of arrays have other bytes than were written. The records of their series are revoked, so that the next
        run extracts them again; the verdicts on the others are kept.
    """
    extracted = BatchRecord.load(record, must_exist=True)
    depth: list[DepthRow] = []
    size: list[SizeRow] = []
    read = masks = mask_mismatches = drawn = 0
    claims: dict[str, FileClaim] = {}
    damaged: list[Path] = []
    committer = Committer(results, record.stem)
    copies = Copies(results, code, sorted(extracted.series))
    job = _Job(results, code, draws, committer, ThreadPool(threads), copies)
    progress = Progress(results.private, f"{CHECK}.{record.stem}")
    try:
        for series_id in sorted(extracted.series):
            series = SeriesRecord.load(results.series_record(EXTRACT, series_id), must_exist=True)
            shared_files.await_files(partial(_arrays_of, results, series))
            try:
                checked, was_read = job.check(series)
            except Damaged as error:
                damaged.append(error.path)
                continue
            depth += checked.depth
            size += checked.size
            read += len(checked.depth) if was_read else 0
            masks += len(checked.masks)
            mask_mismatches += sum(row.read_back != "exact" for row in checked.masks)
            drawn += sum(not row.trouble for row in checked.pictures)
            folder = os.path.relpath(results.pictures / series_id, results.root)
            claims |= {f"{folder}/{name}": claim for name, claim in checked.picture_files.items()}
            progress.add(1, sum(file.stat[0] for file in series.files), is_new=was_read)
        committer.commit()
        progress.note()
    finally:
        committer.close()
    if damaged:
        run_token.check(results.private)
        for path in damaged:
            revoke(results, path, Revocation.DAMAGED)
        raise Damaged(damaged[0])
    paths = [results.series_record(CHECK, series_id) for series_id in extracted.series]
    mismatches = sum(row.read_back != "exact" for row in depth) + mask_mismatches
    counts = {"arrays": len(depth), "masks": masks, "pictures": drawn, "read": read, "mismatches": mismatches}
    log.info("arrays %(arrays)d, read %(read)d, mismatches %(mismatches)d", counts)
    claims |= {os.path.relpath(path, results.root): FileClaim(path.stat().st_size, "") for path in paths}
    return CheckBatchRecord(counts=counts, claims=claims, depth=tuple(depth), size=tuple(size))
