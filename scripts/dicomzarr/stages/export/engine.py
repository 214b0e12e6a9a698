"""Bring an export up to date: the series that changed, by a child process for each core, published by rename.

The records of the series decide what is done: a series is exported again where the files of its arrays, the code or
the level of compression differ, or a file of its export is missing. Records come last, and `export.json` after them.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import logging
import os
import re
import sys
import zlib
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from dicomzarr.records import export_record
from dicomzarr.records.batch_record import EXTRACT, load_extracted
from dicomzarr.records.export_record import FILES, REPORT, ExportRecord, Kind
from dicomzarr.records.record_file import FileClaim
from dicomzarr.records.revoke import Revocation, revoke
from dicomzarr.records.rule_record import RuleRecord
from dicomzarr.records.series_record import SeriesRecord, VolumeRecord
from dicomzarr.stages.export import verified_arrays
from dicomzarr.stages.export.tables import Exported, Work
from dicomzarr.stages.export.verified_arrays import of_series
from dicomzarr.system import csv_tables, flush, json_files, safe_messages, sandbox
from dicomzarr.system import files as storage
from dicomzarr.system.heartbeat import Progress
from dicomzarr.system.results_folder import Results
from dicomzarr.vocabulary.errors import Damaged, UserError
from dicomzarr.vocabulary.reasons import SetAside

log = logging.getLogger("dicomzarr")

SCHEMA_VERSION = 1
GROUP_BYTES, GROUP_SERIES = 256 << 20, 64  # made durable together, as extraction does


@dataclass(frozen=True, slots=True)
class Recipe:
    """What an export depends on beside the arrays.

    Attributes
    ----------
    kind : Kind
    work : callable
        Writes a series; see `tables.Work`.
    level : int
        Effort of compression, 0 to 9.
    code : str
        Digest of the code of the rule.
    software : mapping of str to str
        Versions of what shapes the bytes.
    """

    kind: Kind
    work: Work
    level: int
    code: str
    software: Mapping[str, str]

    def fingerprint(self, volumes: Sequence[VolumeRecord]) -> str:
        """Return the digest of everything that the export of a series depends on."""
        files = {volume.array: volume.files for volume in volumes}
        whole = [files, self.level, self.code, dict(self.software)]
        return storage.sha256_of_bytes(json_files.canonical_json(whole))


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a series could not be exported: words of our own, never the text of an exception.

    Attributes
    ----------
    error : str
        ``damaged``, ``system``, ``internal`` or ``died``.
    detail : str
    """

    error: str
    detail: str


class Failed(UserError):
    """Some series could not be exported; all others are."""


class Refusing(UserError):
    """The export is whole, and the format cannot hold more of the arrays than the configuration allows."""


def _is_up_to_date(results: Results, kind: Kind, series_id: str, fingerprint: str) -> bool:
    """Return whether the export of a series is whole and was made with this fingerprint."""
    try:
        record = ExportRecord.load(results.series_record(kind.rule, series_id))
        return record.fingerprint == fingerprint and record.files_exist(results, kind)
    except (OSError, Damaged):
        return False


def _current(results: Results, batches: Sequence[str]) -> list[str]:
    """Return the series of the dataset, sorted."""
    found: set[str] = set()
    for batch in batches:
        found.update(load_extracted(results, batch).series)
    return sorted(found)


@dataclass(slots=True)
class _Export:
    """An export at work."""

    results: Results
    recipe: Recipe
    store: Path
    disk: flush.Disk
    waiting: list[ExportRecord] = field(default_factory=list)

    @property
    def kind(self) -> Kind:
        return self.recipe.kind

    def remove_others(self, current: set[str]) -> int:
        """Remove series that the dataset no longer has, and what lies here without a record."""
        others = {path.stem for path in export_record.series_records(self.results, self.kind)} - current
        folder = export_record.folder_of(self.results, self.kind)
        ours = re.compile(r"([0-9a-f]{16})" + re.escape(self.kind.suffix))
        for name in os.listdir(folder) if folder.is_dir() else ():
            match = ours.fullmatch(name)
            if match and not self.results.series_record(self.kind.rule, match[1]).exists():
                storage.remove_tree(folder / name)
        for series_id in others:
            export_record.remove(self.results, self.kind, series_id, Revocation.REMOVED)
        return len(others)

    def changed(self, current: Sequence[str], progress: Progress) -> list[tuple[int, str, str]]:
        """Return the series to be exported, the largest first: bytes, id, fingerprint."""
        found = []
        for series_id in current:
            volumes = SeriesRecord.load(self.results.series_record(EXTRACT, series_id)).volumes
            fingerprint = self.recipe.fingerprint(volumes)
            if not volumes:
                export_record.remove(self.results, self.kind, series_id, Revocation.REMOVED)
                progress.add(1, 0)
            elif _is_up_to_date(self.results, self.kind, series_id, fingerprint):
                progress.add(1, 0)
            else:
                found.append((sum(volume.stored_bytes for volume in volumes), series_id, fingerprint))
        return sorted(found, key=lambda one: (-one[0], one[1]))

    def add(self, record: ExportRecord) -> None:
        """Publish a series together with others."""
        self.waiting.append(record)
        size = sum(file.bytes for record in self.waiting for file in record.files)
        if size > GROUP_BYTES or len(self.waiting) >= GROUP_SERIES:
            self.publish()

    def publish(self) -> None:
        """Make what waits durable, rename it into place, and write the records last."""
        if not self.waiting:
            return
        staged = flush.Staged(self.disk)
        try:
            for record in self.waiting:
                path = self.results.series_record(self.kind.rule, record.series_id)
                staged.add(path, record.to_bytes().data)
            self.disk.flush(path for path in self.store.rglob("*") if path.is_file())
            for record in self.waiting:
                home = export_record.series_path(self.results, self.kind, record.series_id)
                path = self.results.series_record(self.kind.rule, record.series_id)
                revoke(self.results, path, Revocation.SUPERSEDED)
                storage.remove_tree(home)
                if record.files:
                    os.replace(self.store / home.name, home)
            self.disk.flush()
            staged.rename()
        finally:
            staged.abandon()
        self.waiting = []


def software(*names: str) -> dict[str, str]:
    """Return the versions of packages, and of the zlib that Python runs with, which shapes what it deflates."""
    return {name: zlib.ZLIB_RUNTIME_VERSION if name == "zlib" else importlib.metadata.version(name) for name in names}


def export(
    results: Results, batches: Sequence[str], recipe: Recipe, processes: int, allowed: int | None = None
) -> RuleRecord:
    """Bring an export up to date with the dataset.

    Parameters
    ----------
    results : Results
        With a sealed dataset.
    batches : sequence of str
        The batches of the plan.
    recipe : Recipe
    processes : int
        How many series to export at once.
    allowed : int, optional
        How many arrays may be refused (`gate`).

    Returns
    -------
    RuleRecord
        Counts of series (in all, written, removed), arrays, refused arrays and files.

    Raises
    ------
    Failed
        If an array is damaged or a process died; everything else is exported first.
    Refusing
        If more arrays are refused than are allowed; the export is whole.
    """
    kind = recipe.kind
    folder = export_record.folder_of(results, kind)
    folder.mkdir(parents=True, exist_ok=True)
    store = storage.make_private(results.temporary / f"{kind.rule}.{os.getpid()}")
    work = _Export(results, recipe, store, flush.Disk(store))
    export_record.mark_incomplete(results, kind, Revocation.SUPERSEDED)
    trouble: list[str] = []
    progress = Progress(results.private, kind.rule)
    try:
        current = _current(results, batches)
        removed = work.remove_others(set(current))
        changed = work.changed(current, progress)
        with closing(_answers(results, recipe, store, changed, processes)) as answers:
            for series_id, fingerprint, answer in answers:
                if isinstance(answer, Failure):
                    trouble.append(f"{series_id}: {answer.error}, {answer.detail}")
                    storage.remove_tree(store / export_record.series_path(results, kind, series_id).name)
                else:
                    work.add(ExportRecord(series_id, fingerprint, tuple(answer.arrays), tuple(answer.files)))
                    log.info("series %s exported", series_id)
                progress.add(1, 0)
        work.publish()
        progress.note()
    finally:
        work.disk.close()
        storage.remove_tree(store)
    if trouble:
        more = f" and {len(trouble) - 5} more" if len(trouble) > 5 else ""
        raise Failed(
            "series that could not be exported: "
            + "; ".join(sorted(trouble)[:5])
            + more
            + ". An array that is damaged "
            "is rebuilt by ./run verify --repair; then run the same command again"
        )
    done = _summarise(results, recipe, current)
    counts = {**done.counts, "written": len(changed), "removed": removed}
    refused, finding = counts["refused"], kind.rule.replace("export_", "") + "_refused"
    if refused:
        print(
            f"{kind.rule}: {refused} of {counts['arrays']} arrays refused; reasons in "
            f"exports/{kind.folder}/report.csv below the results",
            file=sys.stderr,
            flush=True,
        )
    if allowed is not None and refused > allowed:
        raise Refusing(
            f"the export is complete, but the configuration allows less: gate.{finding}: found {refused}, "
            f"allowed {allowed}; reasons in exports/{kind.folder}/report.csv below the results"
        )
    log.info("series %(series)d, written %(written)d, removed %(removed)d, refused arrays %(refused)d", counts)
    return replace(done, counts=counts)


def _answers(
    results: Results, recipe: Recipe, store: Path, changed: Sequence[tuple[int, str, str]], count: int
) -> Generator[tuple[str, str, Exported | Failure]]:
    """Yield id, fingerprint and answer of each series as they come."""
    fingerprints = {series_id: fingerprint for _, series_id, fingerprint in changed}

    def work(series_id: str) -> Exported | Failure:
        return _export_series(recipe, results, store, series_id)

    calls = [(series_id,) for series_id in fingerprints]  # the largest first
    with closing(sandbox.each(work, calls, min(count, len(calls)))) as done:
        for (series_id,), answer in done:
            try:
                exported: Exported | Failure = answer.result()
            except SetAside:
                exported = Failure("died", "its process was ended by the system, which may lack memory")
            yield series_id, fingerprints[series_id], exported


def _export_series(recipe: Recipe, results: Results, store: Path, series_id: str) -> Exported | Failure:
    """Return the rows of an exported series, or why there are none."""
    try:
        return recipe.work(of_series(results, series_id), store, recipe.level)
    except verified_arrays.Damaged as damaged:
        return Failure("damaged", str(damaged))
    except OSError as error:
        return Failure("system", safe_messages.os_error_message(error))
    except Exception as error:
        return Failure("internal", safe_messages.error_location(error))


def _summarise(results: Results, recipe: Recipe, current: Sequence[str]) -> RuleRecord:
    """Write the tables and, last, `export.json`."""
    kind = recipe.kind
    folder = export_record.folder_of(results, kind)
    counts = dict.fromkeys(("series", "arrays", "refused", "files", "bytes"), 0)
    whole = hashlib.sha256()

    def records() -> Iterator[ExportRecord]:
        for series_id in current:
            with suppress(FileNotFoundError):
                yield ExportRecord.load(results.series_record(kind.rule, series_id))

    def report() -> Iterator[str]:
        for record in records():
            counts["series"] += 1
            for row in record.arrays:
                counts["arrays"] += 1
                counts["refused"] += row.outcome == "refused"
                yield csv_tables.row_of(REPORT, row)

    def files() -> Iterator[str]:
        for record in records():
            for row in record.files:
                counts["files"] += 1
                counts["bytes"] += row.bytes
                whole.update(f"{row.file}\0{row.sha256}\n".encode())
                yield csv_tables.row_of(FILES, row)

    csv_tables.write(folder / "report.csv", REPORT, report())
    csv_tables.write(folder / "files.csv", FILES, files())
    claims = {}
    for name in ("files.csv", "report.csv"):  # sorted: names of series are hexadecimal, so that these come after them
        digest = storage.sha256_of(folder / name)
        claims[f"exports/{kind.folder}/{name}"] = FileClaim((folder / name).stat().st_size, digest)
        whole.update(f"{name}\0{digest}\n".encode())
    summary = {
        "schema_version": SCHEMA_VERSION,
        "rule": kind.rule,
        "lossy": kind.lossy,
        "digest": whole.hexdigest(),
        "dataset_digest": json_files.read_json(results.sealed)["digest"],
        "counts": counts,
        "params": {"export_level": recipe.level, "code": recipe.code},
        "software": dict(recipe.software),
    }
    data = json_files.canonical_json(summary)
    storage.write_atomically(folder / export_record.SUMMARY, data)
    claims[f"exports/{kind.folder}/{export_record.SUMMARY}"] = FileClaim(len(data), storage.sha256_of_bytes(data))
    return RuleRecord(counts=counts, claims=claims)
