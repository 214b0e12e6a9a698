"""Extract a batch: the series that changed are extracted, those no longer in the plan are removed."""

from __future__ import annotations

import dataclasses
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from dicomzarr.privacy.pseudonyms import Pseudonyms
from dicomzarr.records.batch_record import CHECK, EXTRACT, BatchRecord
from dicomzarr.records.plan import PlannedSeries, SeriesPlan, read_plan
from dicomzarr.records.record_file import FileClaim
from dicomzarr.records.revoke import Revocation, revoke
from dicomzarr.records.series_record import SeriesRecord
from dicomzarr.source import inventory as source_inventory
from dicomzarr.source.object_store import NOT_REACHED, UNREACHABLE, is_object_store
from dicomzarr.stages.extract_batch import faces
from dicomzarr.stages.extract_batch.commit import (
    Committer,
    files_exist,
    move_pictures,
    pictures_of,
    remove_unplanned,
)
from dicomzarr.stages.extract_batch.contents import SeriesContents, read_contents, unreadable_in
from dicomzarr.stages.extract_batch.extraction import Extraction
from dicomzarr.stages.extract_batch.look_for_text import control
from dicomzarr.stages.extract_batch.one_pass import extract_in_one_pass
from dicomzarr.stages.extract_batch.options import Options
from dicomzarr.stages.extract_batch.series import (
    extract,
    extract_masks,
    failed,
    fingerprint,
    has_looked,
    image_fingerprint,
    look_again,
    options_of,
    other_files,
    plan_digest,
)
from dicomzarr.stages.extract_batch.series_files import Roots
from dicomzarr.system import digested_json, files, flush, limits, safe_messages, sandbox, shortage
from dicomzarr.system.heartbeat import Progress
from dicomzarr.system.results_folder import Results
from dicomzarr.system.thread_pool import ThreadPool
from dicomzarr.vocabulary.errors import Damaged, SourceChanged, UserError

log = logging.getLogger("dicomzarr")


def read_roots(inventory: Path) -> Roots:
    """Return the roots of the source from the first line of the inventory."""
    return Roots(source_inventory.read_roots(inventory))


def _with_paths_of(record: SeriesRecord, plan: SeriesPlan, contents: SeriesContents) -> SeriesRecord:
    """Return a record with the paths and stats of the plan; the contents of the files must be those of the record."""
    rows = sorted(plan.files, key=lambda row: (contents.digests[row["path"]], row["path"]))
    pairs = zip(record.files, rows, strict=True)
    outcomes = tuple(file._replace(path=row["path"], stat=(*row["stat"],)) for file, row in pairs)
    return dataclasses.replace(record, file_rows=outcomes)


def _with_mask_paths_of(record: SeriesRecord, plan: SeriesPlan, contents: SeriesContents) -> SeriesRecord:
    """Return a record with the paths and stats of the plan for its mask files; their contents must be the same."""
    rows = sorted(plan.masks, key=lambda row: (contents.digests[row["path"]], row["path"]))
    pairs = zip(record.masks.files, rows, strict=True)
    files = tuple(file._replace(path=row["path"], stat=(*row["stat"],)) for file, row in pairs)
    return dataclasses.replace(record, masks=dataclasses.replace(record.masks, files=files))


@dataclass(slots=True)
class _Claims:
    """Collects what the batch record will contain, from the records of its series that are on disk."""

    results: Results
    claims: dict[str, FileClaim] = field(default_factory=dict)
    fingerprints: dict[str, str] = field(default_factory=dict)
    record_digests: dict[str, str] = field(default_factory=dict)
    unreadable: list[str] = field(default_factory=list)

    def add(self, record: SeriesRecord, size: int, digest: str) -> None:
        """Add the files of a series, and its record with the size (in bytes) and digest of that record."""
        series = record.series_id
        self.record_digests[series] = digest
        self.fingerprints[series] = record.fingerprint
        self.unreadable += unreadable_in(record)
        path = self.results.series_record(EXTRACT, series)
        self.claims[os.path.relpath(path, self.results.root)] = FileClaim(size, "")
        for file, claim in record.claimed_files().items():
            self.claims[f"dataset/images.zarr/{file}"] = claim

    def record(self, counts: dict[str, int], detector: str) -> BatchRecord:
        """Return the record of the batch."""
        digests = (self.record_digests[series_id] for series_id in sorted(self.record_digests))
        return BatchRecord(
            counts=counts,
            claims=self.claims,
            unreadable=tuple(sorted(self.unreadable)),
            series=self.fingerprints,
            records_digest=digested_json.digest_of_digests(digests),
            detector=detector,
        )


class _Last(NamedTuple):
    """The last extraction of a series."""

    record: SeriesRecord | None
    size: int  # of the file of the record, in bytes
    digest: str  # in that file
    reason: Revocation  # why the record would be revoked


@dataclass(slots=True)
class _Batch:
    """The state of one job: what extracting a series needs, and counts."""

    results: Results
    store: Path
    pseudonyms: Pseudonyms
    options: Options
    roots: Roots
    notes: sandbox.Notes
    pool: ThreadPool
    claims: _Claims
    committer: Committer
    suspect: str
    paranoid: bool
    hashed: int = 0
    extracted: int = 0

    @property
    def limits(self) -> tuple[int, ...]:
        """The limits for one file, as a record has them if a file exceeded one."""
        return tuple(dataclasses.astuple(limits.current()))

    def _extraction(self, plan: SeriesPlan) -> Extraction:
        store = self.store / plan.series_id
        return Extraction(plan, store, self.roots, self.pseudonyms, self.options, self.pool)

    def update(self, planned: PlannedSeries, *, again: bool) -> bool:
        """Bring one series up to date; return whether it was extracted.

        The second time (`again`) digests of the last run are not used: bytes may differ under the same stat.
        """
        path = self.results.series_record(EXTRACT, planned.series_id)
        last = self._last(path)
        record, digest_of_plan = last.record, plan_digest(planned, self.options)
        must_extract = record is None or self._is_outdated(record, last.reason)
        must_look = record is not None and not has_looked(record, self.options)
        may_differ = self.paranoid or record is None or record.plan_digest != digest_of_plan or unreadable_in(record)
        if record and not (must_extract or must_look or may_differ):
            self.claims.add(record, last.size, last.digest)
            return False
        plan = planned.parse()
        if record is None and (new := self._extract_in_one_pass(plan, path, last.reason)):
            self._add(new, digest_of_plan)
            return True
        contents = read_contents(plan, None if self.paranoid or again else record, self.roots, self.pool)
        self.hashed += contents.hashed
        if record and must_look and not must_extract:
            looked = self._look_again(plan, contents, record)
            record, must_extract = looked or record, looked is None
        if record and not must_extract and record.fingerprint == fingerprint(plan, contents.digests, self.options):
            others = other_files(plan, contents.digests)
            updated = _with_mask_paths_of(_with_paths_of(record, plan, contents), plan, contents)
            shown = options_of(self.options, has_masks=bool(plan.masks))
            updated = dataclasses.replace(updated, options=shown, same_uid_elsewhere=others)
            self._save(dataclasses.replace(updated, plan_digest=digest_of_plan))
            return False
        base = None
        if record and not must_extract:
            images = image_fingerprint(plan, contents.digests, self.options)
            base = _with_paths_of(record, plan, contents) if record.image_fingerprint == images else None
        # The arrays that are written now must be read back, also if all their bytes are those of before.
        revoke(self.results, self.results.series_record(CHECK, planned.series_id), Revocation.SUPERSEDED)
        revoke(self.results, path, last.reason)
        suspect = plan.series_id == self.suspect or bool(record and record.failed)
        self._add(self._extract(plan, contents, base, suspect=suspect), digest_of_plan)
        return True

    def _last(self, path: Path) -> _Last:
        """Return what the record of a series says, and why it would be revoked if the series is extracted again."""
        try:
            record, size, digest = SeriesRecord.read(path)
        except FileNotFoundError:
            return _Last(None, 0, "", Revocation.SUPERSEDED)
        except (OSError, Damaged):
            return _Last(None, 0, "", Revocation.DAMAGED)
        is_complete = files_exist(self.results, record)
        return _Last(record, size, digest, Revocation.SUPERSEDED if is_complete else Revocation.FILE_MISSING)

    def _is_outdated(self, record: SeriesRecord, reason: Revocation) -> bool:
        """Return whether a series must be extracted again, whatever its files and options are now."""
        return (
            reason is Revocation.FILE_MISSING
            or record.failed
            or record.limits not in ((), self.limits)
            or faces.is_outdated(record, self.options.faces)
        )

    def _add(self, record: SeriesRecord, digest_of_plan: str) -> None:
        """Commit a series that was extracted."""
        new = dataclasses.replace(record, plan_digest=digest_of_plan)
        for file in new.files:
            if file.found is not None and file.needed is not None:
                numbers = (new.series_id, file.reason, file.found, file.needed)
                log.info("series %s: a file was not extracted: %s, found %d, needed %d", *numbers)
        reasons = {file.reason for file in new.files} | {file.problem for file in new.masks.files}
        if not reasons.isdisjoint(limits.LIMITED):
            new = dataclasses.replace(new, limits=self.limits)
        self.committer.add(new)

    def _extract_in_one_pass(self, plan: SeriesPlan, path: Path, reason: Revocation) -> SeriesRecord | None:
        """Extract a series without a record in one pass over its files; None if it needs two, or anything fails."""
        if plan.series_id == self.suspect:
            return None
        revoke(self.results, self.results.series_record(CHECK, plan.series_id), Revocation.SUPERSEDED)
        revoke(self.results, path, reason)
        self.notes.begin(plan.series_id)
        try:
            new = extract_in_one_pass(self._extraction(plan))
        except (UserError, OSError):
            raise
        except Exception:  # two passes meet it again, and say what it is
            return None
        self.hashed += len(plan.all_files()) if new else 0
        return new

    def _look_again(self, plan: SeriesPlan, contents: SeriesContents, record: SeriesRecord) -> SeriesRecord | None:
        """Look at a series as the options say now; return its new record, or None if the series must be extracted."""
        if plan.series_id == self.suspect or record.fingerprint != fingerprint(plan, contents.digests, self.options):
            return None
        self.notes.begin(plan.series_id)
        extraction = self._extraction(plan)
        try:
            looked = look_again(extraction, contents.digests, record)
        except (UserError, OSError):
            raise
        except Exception:  # the extraction meets it again, and says what it is
            looked = None
        if looked:
            move_pictures(self.results, looked, pictures_of(extraction.store))
        return looked

    def _save(self, record: SeriesRecord) -> None:
        """Write the record of a series whose arrays did not change."""
        data, digest = record.to_bytes()
        files.write_atomically(self.results.series_record(EXTRACT, record.series_id), data, private=True)
        self.claims.add(record, len(data), digest)

    def _extract(
        self, plan: SeriesPlan, contents: SeriesContents, base: SeriesRecord | None, *, suspect: bool
    ) -> SeriesRecord:
        """Extract a series, or only its masks if a record with the same images is given.

        In a child process if a job died at the series before; a series that fails has no array.
        """
        self.notes.begin(plan.series_id)
        extraction, digests = self._extraction(plan), contents.digests

        def work() -> SeriesRecord:
            if base:
                return extract_masks(extraction, digests, self.results.images, base)
            return extract(extraction, contents)

        try:
            record: SeriesRecord = sandbox.call_again(work) if suspect else work()
            return record
        except sandbox.Died:
            reason = "decoder_died"
            log.error("series %s: %s", plan.series_id, reason)
        except (UserError, OSError):
            raise
        except MemoryError:
            shortage.refuse()
            reason = "too_large"
            log.error("series %s: %s", plan.series_id, reason)
        except Exception as error:  # the other series must be extracted; the next job of the batch retries this one
            shortage.refuse(error)
            reason = "internal_error"
            log.error(
                "series %s: %s, %s; please open an issue", plan.series_id, reason, safe_messages.error_location(error)
            )
        files.remove_tree(extraction.store)
        files.remove_tree(pictures_of(extraction.store))
        return failed(plan, digests, self.options, reason)


def _update_all(
    batch: _Batch, planned: Sequence[PlannedSeries], progress: Progress, *, again: bool = False
) -> list[PlannedSeries]:
    """Bring series up to date; return those with a file that changed or vanished while it was read."""
    changed = []
    for series in planned:
        try:
            is_new = batch.update(series, again=again)
            if is_new:
                batch.extracted += 1
                log.info("series %s extracted", series.series_id)
        except SourceChanged:
            log.warning("series %s: changed_while_reading", series.series_id)
            changed.append(series)
        else:
            progress.add(1, series.size, is_new=is_new)
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
        Its first line holds the source folders.
    results : Results
    pseudonyms : Pseudonyms
        Computes the ids of volumes.
    options : Options
    threads : int
        Number of threads that decode and compress; they do not change the result.
    paranoid : bool
        Read every source file, even if its stat did not change.
    keep_removed : bool
        Move the arrays of removed series to `private/removed/` instead of deleting them.

    Returns
    -------
    BatchRecord
        Its counts are `series`, `extracted`, `unchanged`, `removed`, and `hashed`: the files that were read to find
        out whether their content changed.

    Raises
    ------
    SourceChanged
        If files changed or vanished while they were read, in two attempts; all other series are committed first.
    """
    if options.burned_in == "scan" and not control():
        raise UserError(
            "the search for text in pixels does not work here: its control failed, in which it looks at a made-up "
            "image with text and at one without; nothing was extracted. Raise limits.megabytes or limits.seconds if "
            "they are low, check out scripts/dicomzarr/burned_in/weights again, run ./run check, or set burned_in: skip"
        )
    name, planned = read_plan(plan)
    results.images.mkdir(parents=True, exist_ok=True)
    store = files.make_private(results.temporary / f"{name}.{os.getpid()}")
    notes, disk, claims = sandbox.Notes(results.private, name), flush.Disk(store), _Claims(results)
    batch = _Batch(
        results, store, pseudonyms, options, read_roots(inventory), notes, ThreadPool(threads), claims,
        Committer(results, store, disk, claims.add), notes.suspect(), paranoid,
    )  # fmt: skip
    try:
        removed = remove_unplanned(results, name, {series.series_id for series in planned}, keep=keep_removed)
        progress = Progress(results.private, f"{EXTRACT}.{name}")
        to_retry = _update_all(batch, planned, progress)
        changed = _update_all(batch, to_retry, progress, again=True)
        batch.committer.commit()
        progress.note()
    except OSError as error:
        is_remote = any(map(is_object_store, batch.roots.by_label.values()))
        if is_remote and error.errno == UNREACHABLE:
            raise UserError(NOT_REACHED) from None
        raise
    finally:
        notes.end()
        files.remove_tree(store)
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
        },
        options.detector if options.burned_in == "scan" else "",
    )
