"""Check a batch: read back and draw the series of which anything changed; reuse verdicts and pictures of the others."""

from __future__ import annotations

import dataclasses
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from dicomzarr.records.batch_record import CHECK, EXTRACT, BatchRecord, CheckBatchRecord
from dicomzarr.records.check_record import CheckRecord, DepthRow, FileState, MaskVerdict, PictureRow, SizeRow
from dicomzarr.records.record_file import FileClaim
from dicomzarr.records.series_record import SeriesRecord
from dicomzarr.stages.check_batch.commit import Committer
from dicomzarr.stages.check_batch.copies import Copies, SeriesState
from dicomzarr.stages.check_batch.masks import check_masks, files_of_image, no_watcher
from dicomzarr.stages.check_batch.picture import Picture
from dicomzarr.stages.check_batch.read_back import read_back
from dicomzarr.stages.check_batch.verdicts import depth_row, size_row
from dicomzarr.system import shared_files
from dicomzarr.system.files import sha256_of_bytes
from dicomzarr.system.heartbeat import Progress
from dicomzarr.system.results_folder import Results
from dicomzarr.system.thread_pool import ThreadPool
from dicomzarr.vocabulary.pictures import NOT_DRAWN

log = logging.getLogger("dicomzarr")


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
        """Read a series back; return the verdicts on it."""
        depth: list[DepthRow] = []
        size: list[SizeRow] = []
        masks: list[MaskVerdict] = []
        rows: list[PictureRow] = []
        pictures: dict[str, bytes] = {}
        for volume in record.volumes:
            on_disk = {name: state.size for name, state in disk[volume.array].items()}
            of_array = record.masks.of_array(volume.array)
            picture = Picture(self.results.images, volume, of_array) if self.draws else None
            found = read_back(self.results.images, volume, self.pool, picture.watcher if picture else None)
            depth.append(depth_row(volume, found))
            size.append(size_row(volume, files_of_image(on_disk, has_masks=bool(of_array))))
            watcher = picture.mask_watcher if picture else no_watcher
            verdicts = [*check_masks(self.results.images, volume.array, record.masks, on_disk, watcher)]
            masks += verdicts
            if picture:
                exact_masks = {verdict.mask for verdict in verdicts if verdict.read_back == "exact"}
                row, files = picture.finish(found, exact_masks)
                pictures |= files
                rows.append(row)
            else:
                rows.append(PictureRow(volume.array, trouble=NOT_DRAWN))
        verdicts_of_series = (tuple(depth), tuple(size), tuple(masks), tuple(rows))
        checked = CheckRecord(self.code, record.fingerprint, disk, *verdicts_of_series, draws=self.draws)
        return self._commit(record.series_id, checked, pictures)

    def _commit(self, series_id: str, checked: CheckRecord, pictures: Mapping[str, bytes]) -> CheckRecord:
        """Hand the pictures and the record of a series to the committer; return the record."""
        claims = {name: FileClaim(len(data), sha256_of_bytes(data)) for name, data in pictures.items()}
        states = self.committer.write_pictures(series_id, pictures)
        checked = dataclasses.replace(checked, picture_files=claims, pictures_on_disk=states)
        self.committer.add(self.results.series_record(CHECK, series_id), checked.to_bytes().data)
        return checked


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
    """
    extracted = BatchRecord.load(record, must_exist=True)
    depth: list[DepthRow] = []
    size: list[SizeRow] = []
    read = masks = mask_mismatches = drawn = 0
    claims: dict[str, FileClaim] = {}
    committer = Committer(results, record.stem)
    copies = Copies(results, code, sorted(extracted.series))
    job = _Job(results, code, draws, committer, ThreadPool(threads), copies)
    progress = Progress(results.private, f"{CHECK}.{record.stem}")
    try:
        for series_id in sorted(extracted.series):
            series = SeriesRecord.load(results.series_record(EXTRACT, series_id), must_exist=True)
            shared_files.await_files(partial(_arrays_of, results, series))
            checked, was_read = job.check(series)
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
    paths = [results.series_record(CHECK, series_id) for series_id in extracted.series]
    mismatches = sum(row.read_back != "exact" for row in depth) + mask_mismatches
    counts = {"arrays": len(depth), "masks": masks, "pictures": drawn, "read": read, "mismatches": mismatches}
    log.info("arrays %(arrays)d, read %(read)d, mismatches %(mismatches)d", counts)
    claims |= {os.path.relpath(path, results.root): FileClaim(path.stat().st_size, "") for path in paths}
    return CheckBatchRecord(counts=counts, claims=claims, depth=tuple(depth), size=tuple(size))
