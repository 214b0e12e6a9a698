"""Bring an export up to date: export changed series in child processes and commit them by rename.

A series is exported again if the files of its arrays, the code, the software or the level of compression differ from
its record, or if a file of its export is missing. Its record is written after its files, `export.json` last.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import logging
import os
import sys
import zlib
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from dicomzarr.records import export_record
from dicomzarr.records.batch_record import EXTRACT, load_extracted
from dicomzarr.records.export_record import FILES, REPORT, ExportRecord, Kind
from dicomzarr.records.record_file import FileClaim
from dicomzarr.records.revoke import Revocation, revoke
from dicomzarr.records.rule_record import RuleRecord
from dicomzarr.records.series_record import SeriesRecord
from dicomzarr.stages.export.tables import Exported, ExportSeries
from dicomzarr.stages.export.verified_arrays import DamagedArray, of_series
from dicomzarr.system import csv_tables, files, flush, folder_moves, json_files, safe_messages, sandbox, shortage
from dicomzarr.system.heartbeat import Progress
from dicomzarr.system.results_folder import Results
from dicomzarr.vocabulary.errors import Damaged, UserError
from dicomzarr.vocabulary.reasons import NotExtracted

log = logging.getLogger("dicomzarr")

SCHEMA_VERSION = 1
GROUP_BYTES, GROUP_SERIES = 256 << 20, 64  # limits of what is flushed together, as in extraction


@dataclass(frozen=True, slots=True)
class Recipe:
    """What an export depends on, apart from the arrays.

    Attributes
    ----------
    kind : Kind
    work : callable
        Exports a series; see `tables.ExportSeries`.
    level : int
        Level of compression, 0 to 9.
    code : str
        Digest of the code of the rule.
    software : mapping of str to str
        Versions of the packages that determine the bytes.
    settings : mapping
        Further configuration, as JSON values.
    facts : mapping of str to object
        JSON values that the export of an array depends on beside its files, such as its split; by array.
    with_masks : bool
        Whether it depends on the masks of the images.
    index : callable, optional
        Writes the lists of all series, from the folder of the export and its records; returns their paths.
    """

    kind: Kind
    work: ExportSeries
    level: int
    code: str
    software: Mapping[str, str]
    settings: Mapping[str, Any] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    with_masks: bool = False
    index: Callable[[Path, Iterator[ExportRecord]], list[Path]] | None = None

    def fingerprint(self, record: SeriesRecord) -> str:
        """Return the digest of everything that the export of a series depends on."""
        claims: dict[str, Any] = {volume.array: volume.files for volume in record.volumes}
        if self.with_masks and record.masks.masks:
            claims["masks"] = record.masks.claimed_files()
        facts = {volume.array: self.facts.get(volume.array) for volume in record.volumes}
        inputs = [claims, self.level, self.code, dict(self.software), dict(self.settings), facts]
        return files.sha256_of_bytes(json_files.canonical_json(inputs))


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a series could not be exported; never contains the text of an exception.

    Attributes
    ----------
    error : str
        ``damaged``, ``system``, ``internal`` or ``died``.
    detail : str
    """

    error: str
    detail: str


class Failed(UserError):
    """Some series could not be exported. All others were."""


class Refusing(UserError):
    """The export is complete, but more arrays were refused than the configuration allows."""


class NothingExported(UserError):
    """The export is complete, but has no array of the dataset."""


def _is_up_to_date(results: Results, kind: Kind, series_id: str, fingerprint: str) -> bool:
    """Return whether the export of a series is complete and has this fingerprint."""
    try:
        record = ExportRecord.load(results.series_record(kind.rule, series_id))
        return record.fingerprint == fingerprint and record.files_exist(results, kind)
    except (OSError, Damaged):
        return False


def _current_series(results: Results, batches: Sequence[str]) -> list[str]:
    """Return the ids of the series of the dataset, sorted."""
    series: set[str] = set()
    for batch in batches:
        series.update(load_extracted(results, batch).series)
    return sorted(series)


@dataclass(slots=True)
class _Export:
    """An export in progress.

    Attributes
    ----------
    store : Path
        Temporary folder, on the same file system as the exports.
    uncommitted : list of ExportRecord
        Series written to `store` and not yet renamed.
    """

    results: Results
    recipe: Recipe
    store: Path
    disk: flush.Disk
    uncommitted: list[ExportRecord] = field(default_factory=list)

    @property
    def kind(self) -> Kind:
        return self.recipe.kind

    def remove_others(self, current: set[str]) -> int:
        """Remove series that the dataset no longer has, and exported files without a record; return how many series."""
        others = {path.stem for path in export_record.series_records(self.results, self.kind)} - current
        folder = export_record.folder_of(self.results, self.kind)
        for path, series_id in export_record.exported(folder, self.kind):
            if not files.exists(self.results.series_record(self.kind.rule, series_id)):
                files.remove_tree(path)
        for series_id in others:
            export_record.remove(self.results, self.kind, series_id, Revocation.REMOVED)
        return len(others)

    def changed(self, current: Sequence[str], progress: Progress) -> list[tuple[int, str, str]]:
        """Return bytes, id and fingerprint of the series to export, the largest first."""
        to_export = []
        for series_id in current:
            extracted = SeriesRecord.load(self.results.series_record(EXTRACT, series_id))
            volumes, fingerprint = extracted.volumes, self.recipe.fingerprint(extracted)
            if not volumes:
                export_record.remove(self.results, self.kind, series_id, Revocation.REMOVED)
                progress.add(1, 0)
            elif _is_up_to_date(self.results, self.kind, series_id, fingerprint):
                progress.add(1, 0)
            else:
                to_export.append((sum(volume.stored_bytes for volume in volumes), series_id, fingerprint))
        return sorted(to_export, key=lambda item: (-item[0], item[1]))

    def add(self, record: ExportRecord) -> None:
        """Add an exported series; commit once enough have gathered."""
        self.uncommitted.append(record)
        size = sum(file.bytes for record in self.uncommitted for file in record.files)
        if size > GROUP_BYTES or len(self.uncommitted) >= GROUP_SERIES:
            self.commit()

    def commit(self) -> None:
        """Flush the gathered series to disk, rename them into place, and write their records last."""
        if not self.uncommitted:
            return
        staged = flush.Staged(self.disk)
        try:
            for record in self.uncommitted:
                path = self.results.series_record(self.kind.rule, record.series_id)
                staged.add(path, record.to_bytes().data)
            self.disk.flush(path for path in self.store.rglob("*") if files.is_file(path))
            for record in self.uncommitted:
                path = self.results.series_record(self.kind.rule, record.series_id)
                export_record.remove_files(self.results, self.kind, record.series_id)
                revoke(self.results, path, Revocation.SUPERSEDED)
                for name in export_record.committed_names(self.kind, record):
                    target = export_record.folder_of(self.results, self.kind) / name
                    target.parent.mkdir(parents=True, exist_ok=True)
                    folder_moves.move(self.store / name, target)
            self.disk.flush()
            staged.rename()
        finally:
            staged.abandon()
        self.uncommitted = []


def software(*names: str) -> dict[str, str]:
    """Return the versions of packages; `zlib` means the library that Python was loaded with."""
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
        Number of series exported at once.
    allowed : int, optional
        Largest number of refused arrays (`gate`).

    Returns
    -------
    RuleRecord
        Counts of series (in all, written, removed), arrays, refused arrays and files.

    Raises
    ------
    UserError
        If the folder of the dataset has files of others.
    Failed
        If an array is damaged or a process died. All other series are exported first.
    Refusing
        If more arrays are refused than allowed. The export is complete.
    NothingExported
        If every array is refused or left out, or there is none. The tables of the export say why.
    """
    kind = recipe.kind
    datasets = [str(recipe.settings["dataset"])] if kind.by_case else []
    _refuse_files_of_others(results, kind, datasets)
    folder = export_record.folder_of(results, kind)
    folder.mkdir(parents=True, exist_ok=True)
    store = files.make_private(results.temporary / f"{kind.rule}.{os.getpid()}")
    work = _Export(results, recipe, store, flush.Disk(store))
    export_record.mark_incomplete(results, kind, Revocation.SUPERSEDED, datasets)
    failures: list[str] = []
    progress = Progress(results.private, kind.rule)
    try:
        current = _current_series(results, batches)
        removed = work.remove_others(set(current))
        changed = work.changed(current, progress)
        with closing(_export_changed(results, recipe, store, changed, processes)) as exports:
            for series_id, fingerprint, outcome in exports:
                if isinstance(outcome, Failure):
                    failures.append(f"{series_id}: {outcome.error}, {outcome.detail}")
                    for path, _ in export_record.exported(store, kind, series_id):
                        files.remove_tree(path)
                else:
                    work.add(ExportRecord(series_id, fingerprint, tuple(outcome.arrays), tuple(outcome.files)))
                    log.info("series %s exported", series_id)
                progress.add(1, 0)
        work.commit()
        progress.note()
    finally:
        work.disk.close()
        files.remove_tree(store)
    export_record.remove_empty_folders(folder)
    if failures:
        raise Failed(_described(failures))
    record, reasons = _summarise(results, recipe, current)
    counts = {**record.counts, "written": len(changed), "removed": removed}
    _report_refused(kind, counts, reasons, allowed)
    log.info("series %(series)d, written %(written)d, removed %(removed)d, refused arrays %(refused)d", counts)
    return replace(record, counts=counts)


def _refuse_files_of_others(results: Results, kind: Kind, datasets: Sequence[str]) -> None:
    """Refuse to write into a folder of a dataset that has files which no export wrote."""
    for dataset in datasets:
        if export_record.is_of_others(results, kind, dataset):
            raise UserError(
                f"config key '{kind.folder}.dataset': exports/{kind.folder}/{dataset} below the results has files that "
                "this export did not write; move that folder elsewhere, or give another name"
            )


def _described(failures: Sequence[str]) -> str:
    """Return the message on series that could not be exported: the first five, and what to do."""
    more = f" and {len(failures) - 5} more" if len(failures) > 5 else ""
    return (
        f"series that could not be exported: {'; '.join(sorted(failures)[:5])}{more}. Damaged arrays are rebuilt by "
        "./run verify --repair; then run the same command again"
    )


def _report_refused(kind: Kind, counts: Mapping[str, int], reasons: Mapping[str, int], allowed: int | None) -> None:
    """Print how many arrays were refused, if any; raise if none is exported, or more are refused than allowed."""
    refused, finding = counts["refused"], kind.rule.replace("export_", "") + "_refused"
    left_out = f", {counts['left_out']} left out" if counts.get("left_out") else ""
    table = f"exports/{kind.folder}/report.csv below the results"
    found = f"{refused} of {counts['arrays']} arrays refused{left_out}; reasons in {table}"
    found += f": {_counted(reasons)}" if reasons else ""
    if counts["arrays"] == refused + counts.get("left_out", 0):
        raise NothingExported(f"nothing was exported: {found if counts['arrays'] else 'the dataset has no array'}")
    if reasons:
        print(f"{kind.rule}: {found}", file=sys.stderr, flush=True)
    if allowed is not None and refused > allowed:
        raise Refusing(
            f"the export is complete, but the configuration allows less: gate.{finding}: found {refused}, "
            f"allowed {allowed}; reasons in {table}"
        )


def _counted(reasons: Mapping[str, int]) -> str:
    """Return reasons with their numbers of arrays, the most frequent first."""
    ranked = sorted(reasons.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{code} {count}" for code, count in ranked)


def _export_changed(
    results: Results, recipe: Recipe, store: Path, changed: Sequence[tuple[int, str, str]], count: int
) -> Generator[tuple[str, str, Exported | Failure]]:
    """Export series in child processes; yield id, fingerprint and outcome of each when it is finished."""
    fingerprints = {series_id: fingerprint for _, series_id, fingerprint in changed}

    def work(series_id: str) -> Exported | Failure:
        return _export_series(recipe, results, store, series_id)

    calls = [(series_id,) for series_id in fingerprints]  # the largest first
    with closing(sandbox.each(work, calls, min(count, len(calls)))) as answers:
        for (series_id,), answer in answers:
            try:
                outcome: Exported | Failure = answer.result()
            except NotExtracted:
                outcome = Failure("died", "its process was killed by the system, which may lack memory")
            yield series_id, fingerprints[series_id], outcome


def _export_series(recipe: Recipe, results: Results, store: Path, series_id: str) -> Exported | Failure:
    """Export a series; return its rows, or why it failed."""
    try:
        return recipe.work(of_series(results, series_id), store, recipe.level)
    except DamagedArray as damaged:
        return Failure("damaged", str(damaged))
    except OSError as error:
        return Failure("system", shortage.described(error) or safe_messages.os_error_message(error))
    except Exception as error:
        shortage.refuse(error)
        return Failure("internal", safe_messages.error_location(error))


def _summarise(results: Results, recipe: Recipe, current: Sequence[str]) -> tuple[RuleRecord, Counter[str]]:
    """Write `report.csv`, `files.csv` and, last, `export.json`; return counts, claims, and arrays by reason."""
    kind = recipe.kind
    folder = export_record.folder_of(results, kind)
    counts = dict.fromkeys(("series", "arrays", "refused", "files", "bytes"), 0)
    digest, reasons = hashlib.sha256(), Counter[str]()

    def records() -> Iterator[ExportRecord]:
        for series_id in current:
            with suppress(FileNotFoundError):
                yield ExportRecord.load(results.series_record(kind.rule, series_id))

    def report_rows() -> Iterator[str]:
        for record in records():
            counts["series"] += 1
            for row in record.arrays:
                counts["arrays"] += 1
                counts["refused"] += row.outcome == "refused"
                if row.outcome == "left_out":
                    counts["left_out"] = counts.get("left_out", 0) + 1
                if row.reason:
                    reasons[row.reason] += 1
                yield csv_tables.row_of(REPORT, row)

    def file_rows() -> Iterator[str]:
        for record in records():
            for row in record.files:
                counts["files"] += 1
                counts["bytes"] += row.bytes
                digest.update(f"{row.file}\0{row.sha256}\n".encode())
                yield csv_tables.row_of(FILES, row)

    csv_tables.write(folder / "report.csv", REPORT, report_rows())
    csv_tables.write(folder / "files.csv", FILES, file_rows())
    claims = {}
    lists = [] if recipe.index is None else recipe.index(folder, records())
    for name in sorted(["files.csv", "report.csv", *(path.relative_to(folder).as_posix() for path in lists)]):
        file_digest = files.sha256_of(folder / name)
        claims[f"exports/{kind.folder}/{name}"] = FileClaim((folder / name).stat().st_size, file_digest)
        digest.update(f"{name}\0{file_digest}\n".encode())
    summary = {
        "schema_version": SCHEMA_VERSION,
        "rule": kind.rule,
        "lossy": kind.lossy,
        "digest": digest.hexdigest(),
        "dataset_digest": json_files.read_json(results.sealed)["digest"],
        "counts": counts,
        "params": {"export_level": recipe.level, "code": recipe.code, **recipe.settings},
        "software": dict(recipe.software),
    }
    data = json_files.canonical_json(summary)
    files.write_atomically(folder / export_record.SUMMARY, data)
    claims[f"exports/{kind.folder}/{export_record.SUMMARY}"] = FileClaim(len(data), files.sha256_of_bytes(data))
    return RuleRecord(counts=counts, claims=claims), reasons
