"""Bring an export up to date: the series that changed, by a child process for each core, published by rename.

What drives the work are the records of the series: a series is exported again where the files of its arrays, the code
or the level of compression differ, or a file of its export is gone. Records come last, and `export.json` after them.
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
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dicomzarr.records import export_record
from dicomzarr.records.export_record import Kind
from dicomzarr.stages.export.tables import FILES, REPORT, Work
from dicomzarr.stages.export.verified_arrays import Damaged, of_series
from dicomzarr.system import csv_tables, digested_json, flush, json_files, safe_messages, sandbox
from dicomzarr.system import files as storage
from dicomzarr.system.heartbeat import Progress
from dicomzarr.system.results_folder import Results
from dicomzarr.vocabulary.errors import UserError
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

    def fingerprint(self, volumes: Sequence[Mapping[str, Any]]) -> str:
        """Return the digest of everything that the export of a series depends on."""
        files = {volume["array"]: volume["files"] for volume in volumes}
        whole = [files, self.level, self.code, dict(self.software)]
        return storage.sha256_of_bytes(json_files.canonical_json(whole))


@dataclass(slots=True)
class ExportResult:
    """What an export did, and what it vouches for."""

    counts: dict[str, int]
    claims: dict[str, list[Any]] = field(default_factory=dict)


class Failed(UserError):
    """Some series could not be exported; all others are."""


class Refusing(UserError):
    """The export is whole, and the format cannot hold more of the arrays than the configuration allows."""


def _kept(results: Results, kind: Kind, series_id: str, fingerprint: str) -> bool:
    """Return whether the export of a series stands as it should be."""
    try:
        record = digested_json.read_record(results.series_record(kind.rule, series_id))
        return record["fingerprint"] == fingerprint and export_record.stands(results, kind, record)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _current(results: Results, batches: Sequence[str]) -> list[str]:
    """Return the series of the dataset, sorted."""
    found: set[str] = set()
    for batch in batches:
        found.update(digested_json.read_record(results.records / "extract_batch" / f"{batch}.json")["series"])
    return sorted(found)


@dataclass(slots=True)
class _Export:
    """An export at work."""

    results: Results
    recipe: Recipe
    store: Path
    disk: flush.Disk
    waiting: list[dict[str, Any]] = field(default_factory=list)

    @property
    def kind(self) -> Kind:
        return self.recipe.kind

    def retire(self, current: set[str]) -> int:
        """Take out series that are gone, and what lies here without a record."""
        gone = {path.stem for path in export_record.recorded(self.results, self.kind)} - current
        folder = export_record.folder_of(self.results, self.kind)
        ours = re.compile(r"([0-9a-f]{16})" + re.escape(self.kind.suffix))
        for name in os.listdir(folder) if folder.is_dir() else ():
            match = ours.fullmatch(name)
            if match and not self.results.series_record(self.kind.rule, match[1]).exists():
                storage.remove_tree(folder / name)
        for series_id in gone:
            export_record.remove(self.results, self.kind, series_id)
        return len(gone)

    def changed(self, current: Sequence[str], progress: Progress) -> list[tuple[int, str, str]]:
        """Return the series to be exported, the largest first: bytes, id, fingerprint."""
        found = []
        for series_id in current:
            said = digested_json.read_record(self.results.series_record("extract_batch", series_id))
            fingerprint = self.recipe.fingerprint(said["volumes"])
            if not said["volumes"]:
                export_record.remove(self.results, self.kind, series_id)
                progress.add(1, 0)
            elif _kept(self.results, self.kind, series_id, fingerprint):
                progress.add(1, 0)
            else:
                found.append((sum(volume["stored_bytes"] for volume in said["volumes"]), series_id, fingerprint))
        return sorted(found, key=lambda one: (-one[0], one[1]))

    def take(self, record: dict[str, Any]) -> None:
        self.waiting.append(record)
        size = sum(said["bytes"] for record in self.waiting for said in record["files"])
        if size > GROUP_BYTES or len(self.waiting) >= GROUP_SERIES:
            self.publish()

    def publish(self) -> None:
        """Make what waits durable, rename it into place, and write the records last."""
        if not self.waiting:
            return
        records = flush.Staged(self.disk)
        try:
            for record in self.waiting:
                path = self.results.series_record(self.kind.rule, record["series_id"])
                records.add(path, digested_json.record_json(record))
            self.disk.flush(path for path in self.store.rglob("*") if path.is_file())
            for record in self.waiting:
                home = export_record.home_of(self.results, self.kind, record["series_id"])
                self.results.series_record(self.kind.rule, record["series_id"]).unlink(missing_ok=True)
                storage.remove_tree(home)
                if record["files"]:
                    os.replace(self.store / home.name, home)
            self.disk.flush()
            records.rename()
        finally:
            records.abandon()
        self.waiting = []


def software(*names: str) -> dict[str, str]:
    """Return the versions of packages, and of the zlib that Python runs with, which shapes what it deflates."""
    return {name: zlib.ZLIB_RUNTIME_VERSION if name == "zlib" else importlib.metadata.version(name) for name in names}


def export(
    results: Results, batches: Sequence[str], recipe: Recipe, processes: int, allowed: int | None = None
) -> ExportResult:
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
    ExportResult
        Counts of series (in all, written, retired), arrays, refused arrays and files.

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
    export_record.open_again(results, kind)
    trouble: list[str] = []
    progress = Progress(results.private, kind.rule)
    try:
        current = _current(results, batches)
        retired = work.retire(set(current))
        changed = work.changed(current, progress)
        with closing(_answers(results, recipe, store, changed, processes)) as answers:
            for series_id, fingerprint, answer in answers:
                if "error" in answer:
                    trouble.append(f"{series_id}: {answer['error']}, {answer['said']}")
                    storage.remove_tree(store / export_record.home_of(results, kind, series_id).name)
                else:
                    work.take({"series_id": series_id, "fingerprint": fingerprint} | answer)
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
            "is made anew by ./run verify --repair; then run the same command again"
        )
    result = _summarise(results, recipe, current)
    result.counts |= {"written": len(changed), "retired": retired}
    refused, finding = result.counts["refused"], kind.rule.replace("export_", "") + "_refused"
    if refused:
        print(
            f"{kind.rule}: {refused} of {result.counts['arrays']} arrays refused; reasons in "
            f"exports/{kind.folder}/report.csv below the results",
            file=sys.stderr,
            flush=True,
        )
    if allowed is not None and refused > allowed:
        raise Refusing(
            f"the export is complete, but the configuration allows less: gate.{finding}: found {refused}, "
            f"allowed {allowed}; reasons in exports/{kind.folder}/report.csv below the results"
        )
    log.info("series %(series)d, written %(written)d, retired %(retired)d, refused arrays %(refused)d", result.counts)
    return result


def _answers(
    results: Results, recipe: Recipe, store: Path, changed: Sequence[tuple[int, str, str]], count: int
) -> Generator[tuple[str, str, dict[str, Any]]]:
    """Yield id, fingerprint and answer of each series as they come."""
    fingerprints = {series_id: fingerprint for _, series_id, fingerprint in changed}

    def work(series_id: str) -> dict[str, Any]:
        return _export_series(recipe, results, store, series_id)

    calls = [(series_id,) for series_id in fingerprints]  # the largest first
    with closing(sandbox.each(work, calls, min(count, len(calls)))) as done:
        for (series_id,), answer in done:
            try:
                said = answer.result()
            except SetAside:
                said = {"error": "died", "said": "its process was ended by the system, which may lack memory"}
            yield series_id, fingerprints[series_id], said


def _export_series(recipe: Recipe, results: Results, store: Path, series_id: str) -> dict[str, Any]:
    """Return the rows of an exported series, or an `error`: a word of our own, never the text of an exception."""
    try:
        exported = recipe.work(of_series(results, series_id), store, recipe.level)
    except Damaged as damaged:
        return {"error": "damaged", "said": str(damaged)}
    except OSError as error:
        return {"error": "system", "said": safe_messages.disk_trouble(error)}
    except Exception as error:
        return {"error": "internal", "said": safe_messages.where(error)}
    return {"arrays": exported.arrays, "files": exported.files}


def _summarise(results: Results, recipe: Recipe, current: Sequence[str]) -> ExportResult:
    """Write the tables and, last, `export.json`."""
    kind = recipe.kind
    folder = export_record.folder_of(results, kind)
    counts = dict.fromkeys(("series", "arrays", "refused", "files", "bytes"), 0)
    whole = hashlib.sha256()

    def records() -> Iterator[dict[str, Any]]:
        for series_id in current:
            with suppress(FileNotFoundError):
                yield digested_json.read_record(results.series_record(kind.rule, series_id))

    def report() -> Iterator[str]:
        for record in records():
            counts["series"] += 1
            for row in record["arrays"]:
                counts["arrays"] += 1
                counts["refused"] += row["outcome"] == "refused"
                yield csv_tables.row(REPORT, row)

    def files() -> Iterator[str]:
        for record in records():
            for row in record["files"]:
                counts["files"] += 1
                counts["bytes"] += row["bytes"]
                whole.update(f"{row['file']}\0{row['sha256']}\n".encode())
                yield csv_tables.row(FILES, row)

    csv_tables.write(folder / "report.csv", REPORT, report())
    csv_tables.write(folder / "files.csv", FILES, files())
    claims = {}
    for name in ("files.csv", "report.csv"):  # sorted: names of series are hexadecimal, so that these come after them
        digest = storage.sha256_of(folder / name)
        claims[f"exports/{kind.folder}/{name}"] = [(folder / name).stat().st_size, digest]
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
    claims[f"exports/{kind.folder}/{export_record.SUMMARY}"] = [len(data), storage.sha256_of_bytes(data)]
    return ExportResult(dict(counts), claims)
