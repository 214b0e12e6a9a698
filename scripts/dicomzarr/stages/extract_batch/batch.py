"""A batch: extract the series that changed, skip the rest, remove those that the plan no longer has."""

from __future__ import annotations

import dataclasses
import json
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dicomzarr.privacy.pseudonyms import Pseudonyms
from dicomzarr.records.batch_record import EXTRACT, BatchRecord
from dicomzarr.records.plan import PlannedSeries, SeriesPlan, read_plan
from dicomzarr.records.record_file import FileClaim
from dicomzarr.records.revoke import Revocation, revoke
from dicomzarr.records.series_record import SeriesRecord
from dicomzarr.stages.extract_batch.contents import SeriesContents, read_contents, unreadable_in
from dicomzarr.stages.extract_batch.options import Options
from dicomzarr.stages.extract_batch.publish import Publisher, files_exist, remove_others
from dicomzarr.stages.extract_batch.series import extract, failed, fingerprint, other_files, plan_digest
from dicomzarr.stages.extract_batch.series_files import Roots
from dicomzarr.system import digested_json, flush, limits, safe_messages, sandbox
from dicomzarr.system import files as storage
from dicomzarr.system.heartbeat import Progress
from dicomzarr.system.path_text import decode_path
from dicomzarr.system.results_folder import Results
from dicomzarr.system.thread_pool import ThreadPool
from dicomzarr.vocabulary.errors import Damaged, SourceChanged, UserError

log = logging.getLogger("dicomzarr")


def read_roots(inventory: Path) -> Roots:
    """Return the source folders from the first line of the inventory."""
    with open(inventory, "rb") as stream:
        folders = json.loads(stream.readline())["roots"]
    return Roots({label: decode_path(path) for label, path in folders.items()})


def _with_paths_of(record: SeriesRecord, plan: SeriesPlan, contents: SeriesContents) -> SeriesRecord:
    """Return the record of a series whose contents did not change with the paths and stats of now."""
    rows = sorted(plan.files, key=lambda row: (contents.digests[row["path"]], row["path"]))
    pairs = zip(record.files, rows, strict=True)
    files = tuple(file._replace(path=row["path"], stat=(*row["stat"],)) for file, row in pairs)
    return dataclasses.replace(record, file_rows=files)


@dataclass(slots=True)
class _Claims:
    """What the batch claims: series whose records are on disk."""

    results: Results
    files: dict[str, FileClaim] = field(default_factory=dict)
    fingerprints: dict[str, str] = field(default_factory=dict)
    record_digests: dict[str, str] = field(default_factory=dict)
    unreadable: list[str] = field(default_factory=list)

    def add(self, record: SeriesRecord, size: int, digest: str) -> None:
        """Claim the files of a series and its record, which has so many bytes and this digest."""
        series = record.series_id
        self.record_digests[series] = digest
        self.fingerprints[series] = record.fingerprint
        self.unreadable += unreadable_in(record)
        path = self.results.series_record(EXTRACT, series)
        self.files[os.path.relpath(path, self.results.root)] = FileClaim(size, "")
        for file, claim in record.claimed_files().items():
            self.files[f"dataset/images.zarr/{file}"] = claim

    def record(self, counts: dict[str, int]) -> BatchRecord:
        """Return the record of the batch."""
        digests = (self.record_digests[series_id] for series_id in sorted(self.record_digests))
        return BatchRecord(
            counts=counts,
            claims=self.files,
            unreadable=tuple(sorted(self.unreadable)),
            series=self.fingerprints,
            records_digest=digested_json.digest_of_digests(digests),
        )


@dataclass(slots=True)
class _Batch:
    """A batch at work."""

    results: Results
    store: Path
    pseudonyms: Pseudonyms
    options: Options
    roots: Roots
    notes: sandbox.Notes
    pool: ThreadPool
    claims: _Claims
    publisher: Publisher
    suspect: str
    paranoid: bool
    hashed: int = 0
    extracted: int = 0

    @property
    def limits(self) -> tuple[int, ...]:
        """Of one file, as a record notes them where they decided something."""
        return tuple(dataclasses.astuple(limits.current()))

    def bring_up_to_date(self, planned: PlannedSeries) -> bool:
        """Bring one series up to date; return whether it was extracted."""
        path = self.results.series_record(EXTRACT, planned.series_id)
        why = Revocation.SUPERSEDED
        try:
            record, size, digest = SeriesRecord.read(path)
        except FileNotFoundError:
            record, size, digest = None, 0, ""
        except (OSError, Damaged):
            record, size, digest, why = None, 0, "", Revocation.DAMAGED
        if record and not files_exist(self.results, record):
            why = Revocation.FILE_MISSING
        is_whole = record is not None and why is not Revocation.FILE_MISSING
        in_plan = plan_digest(planned.raw, self.options)
        must_extract = not record or not is_whole or record.failed or record.limits not in ((), self.limits)
        if record and not (must_extract or self.paranoid or record.plan_digest != in_plan or unreadable_in(record)):
            self.claims.add(record, size, digest)
            return False
        plan = planned.parse()
        contents = read_contents(plan, None if self.paranoid else record, self.roots, self.pool)
        self.hashed += contents.hashed
        if record and not must_extract and record.fingerprint == fingerprint(plan, contents.digests, self.options):
            others = other_files(plan, contents.digests)
            updated = _with_paths_of(record, plan, contents)
            self._save(dataclasses.replace(updated, plan_digest=in_plan, same_uid_elsewhere=others))
            return False
        revoke(self.results, path, why)
        suspect = plan.series_id == self.suspect or bool(record and record.failed)
        new = dataclasses.replace(self._extract(plan, contents, suspect=suspect), plan_digest=in_plan)
        for file in new.files:
            if file.found is not None and file.needed is not None:
                numbers = (plan.series_id, file.reason, file.found, file.needed)
                log.info("series %s: a file not extracted, %s, found %d, needed %d", *numbers)
        if any(file.reason in limits.LIMITED for file in new.files):
            new = dataclasses.replace(new, limits=self.limits)
        self.publisher.add(new)
        return True

    def _save(self, record: SeriesRecord) -> None:
        """Write the record of a series whose arrays are as they were."""
        data, digest = record.to_bytes()
        storage.write_atomically(self.results.series_record(EXTRACT, record.series_id), data, private=True)
        self.claims.add(record, len(data), digest)

    def _extract(self, plan: SeriesPlan, contents: SeriesContents, *, suspect: bool) -> SeriesRecord:
        """Extract a series, in a child process if one died at it before; where that fails, it has no array."""
        self.notes.begin(plan.series_id)
        store, digests = self.store / plan.series_id, contents.digests

        def work() -> SeriesRecord:
            return extract(plan, digests, store, self.roots, self.pseudonyms, self.options, self.pool, contents.small)

        try:
            record: SeriesRecord = sandbox.call_again(work) if suspect else work()
            return record
        except sandbox.Died:
            reason = "decoder_died"
            log.error("series %s: %s", plan.series_id, reason)
        except (UserError, OSError):
            raise
        except MemoryError:
            reason = "too_large"
            log.error("series %s: %s", plan.series_id, reason)
        except Exception as error:  # one series must not cost the others; the batch's next job tries it again
            reason = "internal_error"
            log.error(
                "series %s: %s, %s; please open an issue", plan.series_id, reason, safe_messages.error_location(error)
            )
        storage.remove_tree(store)
        return failed(plan, digests, self.options, reason)


def _work(batch: _Batch, planned: Sequence[PlannedSeries], progress: Progress) -> list[PlannedSeries]:
    """Bring series up to date; return those with a file that changed or vanished while it was read."""
    changed = []
    for one in planned:
        try:
            if batch.bring_up_to_date(one):
                batch.extracted += 1
                log.info("series %s extracted", one.series_id)
        except SourceChanged:
            log.warning("series %s: changed_while_reading", one.series_id)
            changed.append(one)
        else:
            progress.add(1, one.size)
    return changed


def extract_batch(
    plan: Path,
    inventory: Path,
    results: Results,
    pseudonyms: Pseudonyms,
    options: Options,
    *,
    threads: int = 1,
    paranoid: bool = False,
    keep_removed: bool = False,
) -> BatchRecord:
    """Bring the arrays of a batch up to date.

    Parameters
    ----------
    plan : Path
        The plan of the batch: series with their files.
    inventory : Path
        Its first line says where the source folders are.
    results : Results
    pseudonyms : Pseudonyms
    options : Options
    threads : int
        That share the frames of a series; they decide nothing about what is written.
    paranoid : bool
        Read every source file again, whatever its stat.
    keep_removed : bool
        Move the arrays of series that are removed below `private/removed/` instead of deleting them.

    Returns
    -------
    BatchRecord
        Its counts are `series`, `extracted`, `unchanged`, `removed`, and `hashed`: files that were read to learn
        whether their content changed.

    Raises
    ------
    SourceChanged
        If files changed or vanished while they were read, twice; all other series are published first.
    """
    name, planned = read_plan(plan)
    results.images.mkdir(parents=True, exist_ok=True)
    store = storage.make_private(results.temporary / f"{name}.{os.getpid()}")
    notes, disk, claims = sandbox.Notes(results.private, name), flush.Disk(store), _Claims(results)
    batch = _Batch(
        results, store, pseudonyms, options, read_roots(inventory), notes, ThreadPool(threads), claims,
        Publisher(results, store, disk, claims.add), notes.suspect(), paranoid,
    )  # fmt: skip
    try:
        removed = remove_others(results, name, {one.series_id for one in planned}, keep=keep_removed)
        progress = Progress(results.private, f"{EXTRACT}.{name}")
        again = _work(batch, planned, progress)
        changed = _work(batch, again, progress)
        batch.publisher.publish()
        progress.note()
    finally:
        notes.end()
        storage.remove_tree(store)
        disk.close()
    if changed:
        raise SourceChanged(len(changed), "series")
    total, extracted = len(planned), batch.extracted
    log.info("extracted %d, unchanged %d, removed %d", extracted, total - extracted, removed)
    return claims.record(
        {
            "series": total,
            "extracted": extracted,
            "unchanged": total - extracted,
            "removed": removed,
            "hashed": batch.hashed,
        }
    )
