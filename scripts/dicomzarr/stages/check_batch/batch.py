"""Check a batch: read back the series whose arrays, record or code changed; reuse the verdicts on the others."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from dicomzarr.records.batch_record import CHECK, EXTRACT, BatchRecord, CheckBatchRecord
from dicomzarr.records.check_record import CheckRecord, DepthRow, FileState, MaskVerdict, SizeRow
from dicomzarr.records.record_file import FileClaim
from dicomzarr.records.series_record import SeriesRecord
from dicomzarr.stages.check_batch.masks import check_masks, files_of_image
from dicomzarr.stages.check_batch.read_back import read_back
from dicomzarr.stages.check_batch.verdicts import depth_row, size_row
from dicomzarr.system import flush
from dicomzarr.system.heartbeat import Progress
from dicomzarr.system.results_folder import Results
from dicomzarr.system.thread_pool import ThreadPool
from dicomzarr.vocabulary.errors import Damaged

log = logging.getLogger("dicomzarr")

GROUP_SERIES = 256  # records that are flushed together: a crash loses at most as many


def _on_disk(folder: Path) -> dict[str, FileState]:
    """Return the state of the files below an image, by path."""
    states = {}
    for base, _, names in os.walk(folder):
        for name in names:
            status = os.lstat(os.path.join(base, name))
            relative = os.path.relpath(os.path.join(base, name), folder)
            states[relative] = FileState(status.st_size, status.st_mtime_ns, status.st_ino)
    return states


def _check_series(
    results: Results, record: SeriesRecord, code: str, staged: flush.Staged, pool: ThreadPool
) -> tuple[CheckRecord, bool]:
    """Return the verdicts on a series, and whether it was read; it is read if its files or the code changed."""
    path = results.series_record(CHECK, record.series_id)
    disk = {volume.array: _on_disk(results.images / volume.array) for volume in record.volumes}
    try:
        last = CheckRecord.load(path)
        if (last.code, last.fingerprint, last.disk) == (code, record.fingerprint, disk):
            return last, False
    except (OSError, Damaged):
        pass
    depth: list[DepthRow] = []
    size: list[SizeRow] = []
    masks: list[MaskVerdict] = []
    for volume in record.volumes:
        on_disk = {name: state.size for name, state in disk[volume.array].items()}
        has_masks = bool(record.masks.of_array(volume.array))
        depth.append(depth_row(volume, read_back(results.images, volume, pool)))
        size.append(size_row(volume, files_of_image(on_disk, has_masks=has_masks)))
        masks += check_masks(results.images, volume.array, record.masks, on_disk)
    checked = CheckRecord(code, record.fingerprint, disk, tuple(depth), tuple(size), tuple(masks))
    staged.add(path, checked.to_bytes().data)
    return checked, True


def check_batch(results: Results, record: Path, code: str, threads: int = 1) -> CheckBatchRecord:
    """Read back the arrays of a batch; return a depth verdict and a size verdict for each.

    Parameters
    ----------
    results : Results
    record : Path
        The record of the batch's extraction.
    code : str
        Digest of this rule's code.
    threads : int
        Number of threads that read and compare frames.

    Returns
    -------
    CheckBatchRecord
        Its counts are `arrays`, `masks`, `read` (arrays read by this job) and `mismatches`.
    """
    extracted = BatchRecord.load(record)
    depth: list[DepthRow] = []
    size: list[SizeRow] = []
    read = masks = mask_mismatches = 0
    disk = flush.Disk(results.records)
    staged, pool = flush.Staged(disk), ThreadPool(threads)
    progress = Progress(results.private, f"{CHECK}.{record.stem}")
    try:
        for series_id in sorted(extracted.series):
            series = SeriesRecord.load(results.series_record(EXTRACT, series_id))
            checked, was_read = _check_series(results, series, code, staged, pool)
            depth += checked.depth
            size += checked.size
            read += len(checked.depth) if was_read else 0
            masks += len(checked.masks)
            mask_mismatches += sum(row.read_back != "exact" for row in checked.masks)
            progress.add(1, sum(file.stat[0] for file in series.files))
            if len(staged) >= GROUP_SERIES:
                staged.publish()
        staged.publish()
        progress.note()
    finally:
        staged.abandon()
        disk.close()
    paths = [results.series_record(CHECK, series_id) for series_id in extracted.series]
    mismatches = sum(row.read_back != "exact" for row in depth) + mask_mismatches
    counts = {"arrays": len(depth), "masks": masks, "read": read, "mismatches": mismatches}
    log.info("arrays %(arrays)d, read %(read)d, mismatches %(mismatches)d", counts)
    return CheckBatchRecord(
        counts=counts,
        claims={os.path.relpath(path, results.root): FileClaim(path.stat().st_size, "") for path in paths},
        depth=tuple(depth),
        size=tuple(size),
    )
