"""A batch: extract the series that changed, skip the rest, retire what is gone, publish by rename, record last."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dicomzarr.arrays import ome_metadata
from dicomzarr.privacy.pseudonyms import Pseudonyms
from dicomzarr.records.plan import PlannedSeries, owned_prefixes, read_plan
from dicomzarr.records.series_record import files_of
from dicomzarr.stages.extract_batch.series import extract, fingerprint, options_of, set_aside
from dicomzarr.stages.extract_batch.series_files import UNREADABLE, Contents, Roots, content_of
from dicomzarr.system import digested_json, flush, json_files, limits, retry, run_token, safe_messages
from dicomzarr.system import files as storage
from dicomzarr.system.heartbeat import Progress
from dicomzarr.system.path_text import decode_path
from dicomzarr.system.results_folder import Results
from dicomzarr.system.thread_pool import Crew
from dicomzarr.vocabulary.errors import SourceChanged, UserError
from dicomzarr.volumes.model import Options

log = logging.getLogger("dicomzarr")

RULE = "extract_batch"
# Series are published in groups: two flushes of the file system a group instead of many a series.
GROUP_BYTES, GROUP_SERIES = 256 << 20, 64


@dataclass(slots=True)
class BatchResult:
    """What a batch did, and what it vouches for.

    Attributes
    ----------
    counts : dict of str to int
        series, extracted, unchanged, retired; hashed: files whose content was read to learn whether it changed.
    claims : dict
        ``{path below results: [size, sha256]}`` of every file of its arrays and of its series records.
    series : dict of str to str
        Fingerprint of each series, by id.
    unreadable : list of str
        Paths of files that the disk did not give: the scan takes the record back once it does.
    records : str
        Digest of the digests of the records of the series, by increasing id.
    """

    counts: dict[str, int]
    claims: dict[str, list[Any]] = field(default_factory=dict)
    series: dict[str, str] = field(default_factory=dict)
    unreadable: list[str] = field(default_factory=list)
    records: str = ""


def read_roots(inventory: Path) -> Roots:
    """Return the source folders from the first line of the inventory."""
    with open(inventory, "rb") as stream:
        folders = json.loads(stream.readline())["roots"]
    return Roots({label: decode_path(path) for label, path in folders.items()})


def _read_record(path: Path) -> dict[str, Any] | None:
    try:
        record = digested_json.read_record(path)
        return record if {"files", "volumes", "fingerprint"} <= set(record) else None
    except (OSError, ValueError):
        return None


def _stands(results: Results, record: Mapping[str, Any]) -> bool:
    """Return whether every file of the series is there with its size."""
    try:
        return all(os.stat(results.images / path).st_size == said[0] for path, said in files_of(record).items())
    except OSError:
        return False


def _contents(
    entry: Mapping[str, Any], record: Mapping[str, Any] | None, roots: Roots, crew: Crew
) -> tuple[dict[str, str], dict[str, bytes]]:
    """Return the content digests of a series' files, and the bytes of small ones, by path.

    Files whose stat is known are not opened again. Without a record nothing is known, so that all are read.
    """
    known = _known(record)
    rows = [*entry["files"], *entry["rivals"]]
    found = {row["path"]: known.get((row["path"], tuple(row["stat"])), "") for row in rows}
    unread = [row for row in rows if not found[row["path"]]]
    each = sum(row["stat"][0] for row in unread) // max(len(unread), 1)
    if crew.is_worth(each):
        read = crew.map(lambda row: content_of(row, roots, crew.threads), unread, each)
        return found | dict(zip((row["path"] for row in unread), read, strict=True)), {}
    with contextlib.closing(Contents(roots)) as contents:
        return found | {row["path"]: contents.digest(row) for row in unread}, contents.kept


def _known(record: Mapping[str, Any] | None) -> dict[tuple[str, tuple[int, ...]], str]:
    """Return the content digests that a record knows, by path and stat."""
    files = [*(record or {}).get("files", []), *(record or {}).get("rivals", [])]
    known = {(file["path"], tuple(file["stat"])): file["content"] for file in files}
    return {key: content for key, content in known.items() if content != UNREADABLE}


def _unread(record: Mapping[str, Any]) -> list[str]:
    """Return the paths of the files of a series that the disk did not give."""
    return [file["path"] for file in [*record["files"], *record.get("rivals", [])] if file["content"] == UNREADABLE]


def _unknown(entry: Mapping[str, Any], record: Mapping[str, Any] | None) -> list[str]:
    known = _known(record)
    rows = [*entry["files"], *entry["rivals"]]
    return [row["path"] for row in rows if (row["path"], tuple(row["stat"])) not in known]


def _entry_digest(planned: PlannedSeries, options: Options) -> str:
    return storage.sha256_of_bytes(planned.raw + json_files.canonical_json(options_of(options)))


def _renamed(record: dict[str, Any], entry: Mapping[str, Any], contents: Mapping[str, str]) -> None:
    """Bring paths and stats of an unchanged series up to date: its files are listed by content."""
    rows = sorted(entry["files"], key=lambda row: (contents[row["path"]], row["path"]))
    for said, row in zip(record["files"], rows, strict=True):
        said["path"], said["stat"] = row["path"], list(row["stat"])


@dataclass(slots=True)
class _Batch:
    """A batch at work."""

    results: Results
    store: Path
    disk: flush.Disk
    pseudonyms: Pseudonyms
    options: Options
    roots: Roots
    notes: retry.Notes
    crew: Crew
    waiting: list[dict[str, Any]] = field(default_factory=list)
    waiting_bytes: int = 0
    paranoid: bool = False
    keep_removed: bool = False
    hashed: int = 0
    extracted: int = 0
    suspect: str = ""
    outcome: BatchResult = field(default_factory=lambda: BatchResult({}))
    digests: dict[str, str] = field(default_factory=dict)  # of records, by series id

    def record_path(self, series_id: str) -> Path:
        return self.results.series_record(RULE, series_id)

    @property
    def limits(self) -> list[int]:
        """Of one file, as a record notes them where they decided something."""
        return list(dataclasses.astuple(limits.current()))

    def save(self, record: Mapping[str, Any]) -> None:
        path, data = self.record_path(record["series_id"]), digested_json.record_json(record)
        storage.write_atomically(path, data, private=True)
        self.vouch(record, len(data), digested_json.digest_said_by(data))

    def vouch(self, record: Mapping[str, Any], size: int, digest: str) -> None:
        """Note what the batch vouches for: a series whose record, of so many bytes and with this digest, is on disk."""
        series = record["series_id"]
        self.digests[series] = digest
        self.outcome.series[series] = record["fingerprint"]
        self.outcome.unreadable += _unread(record)
        self.outcome.claims[os.path.relpath(self.record_path(series), self.results.root)] = [size, ""]
        for file, said in files_of(record).items():
            self.outcome.claims[f"dataset/images.zarr/{file}"] = said

    def series(self, planned: PlannedSeries) -> bool:
        """Bring one series up to date; return whether it was extracted."""
        record = _read_record(self.record_path(planned.series_id))
        said = _entry_digest(planned, self.options)
        standing = record is not None and _stands(self.results, record)
        lifted = record is not None and record.get("limits", self.limits) != self.limits
        died = record is not None and bool(record.get("died"))
        again = self.paranoid or lifted or died
        if record is not None and standing and record.get("entry") == said and not again and not _unread(record):
            path = self.record_path(planned.series_id)
            self.vouch(record, path.stat().st_size, digested_json.digest_of_record(path))
            return False
        entry = planned.entry
        contents, kept = _contents(entry, None if self.paranoid else record, self.roots, self.crew)
        self.hashed += len(_unknown(entry, None if self.paranoid else record))
        rivals = [{"path": r["path"], "stat": list(r["stat"]), "content": contents[r["path"]]} for r in entry["rivals"]]
        same = record is not None and record["fingerprint"] == fingerprint(entry, contents, self.options)
        if record is not None and standing and same and not died and not lifted:
            _renamed(record, entry, contents)
            self.save(record | {"entry": said, "rivals": rivals})
            return False
        storage.remove_tree(self.record_path(entry["series_id"]))
        store = self.store / entry["series_id"]
        made = self._extract(entry, contents, kept, store, suspect=died or entry["series_id"] == self.suspect)
        for file in made["files"]:
            if "found" in file and "needed" in file:
                known = (entry["series_id"], file["reason"], file["found"], file["needed"])
                log.info("series %s: a file set aside as %s, found %d, needed %d", *known)
        if any(file["reason"] in limits.LIMITED for file in made["files"]):
            made["limits"] = self.limits
        self.waiting.append(made | {"entry": said, "rivals": rivals})
        self.waiting_bytes += sum(volume["stored_bytes"] for volume in made["volumes"])
        if self.waiting_bytes > GROUP_BYTES or len(self.waiting) >= GROUP_SERIES:
            self.publish()
        return True

    def _extract(
        self,
        entry: Mapping[str, Any],
        contents: Mapping[str, str],
        kept: Mapping[str, bytes],
        store: Path,
        *,
        suspect: bool,
    ) -> dict[str, Any]:
        """Extract a series; one at which a process died before is done in a child. What fails whole is set aside."""
        self.notes.begin(entry["series_id"])

        def work() -> dict[str, Any]:
            return extract(entry, contents, store, self.roots, self.pseudonyms, self.options, self.crew, kept)

        try:
            return retry.alone(work, store.with_name(f"{store.name}.answer")) if suspect else work()
        except retry.Died:
            reason = "decoder_died"
            log.error("series %s: %s", entry["series_id"], reason)
        except (UserError, OSError):
            raise
        except MemoryError:
            reason = "too_large"
            log.error("series %s: %s", entry["series_id"], reason)
        except Exception as error:  # one series must not cost the others; the batch's next job tries it again
            reason = "internal_error"
            log.error("series %s: %s, %s; please open an issue", entry["series_id"], reason, safe_messages.where(error))
        storage.remove_tree(store)
        return set_aside(entry, contents, self.options, reason) | {"died": True}

    def publish(self) -> None:
        """Make what waits durable, rename it into the dataset, and write the records last."""
        if not self.waiting:
            return
        records, written = flush.Staged(self.disk), []
        try:
            for record in self.waiting:
                data = digested_json.record_json(record)
                records.add(self.record_path(record["series_id"]), data)
                written.append((len(data), digested_json.digest_said_by(data)))
            self.disk.flush(path for path in self.store.rglob("*") if path.is_file())
            run_token.check(self.results.private)
            for record in self.waiting:
                self._place(record)
                self.retired_path(record["series_id"]).unlink(missing_ok=True)
            self.disk.flush()
            records.rename()
        finally:
            records.abandon()
        for record, said in zip(self.waiting, written, strict=True):
            self.vouch(record, *said)
        self.waiting, self.waiting_bytes = [], 0

    def _place(self, record: Mapping[str, Any]) -> None:
        home = self.results.images / record["series_id"]
        storage.remove_tree(home)
        store = self.store / record["series_id"]
        if record["volumes"]:
            # The group is whole before it appears: its own metadata first, then its volumes, in one rename.
            (store / "zarr.json").write_bytes(ome_metadata.GROUP)
            os.replace(store, home)
        else:
            storage.remove_tree(store)

    def retired_path(self, series_id: str) -> Path:
        return self.results.private / "retired" / f"{series_id}.json"

    def retire(self, current: set[str], batch: str) -> list[str]:
        """Take series of this batch that the plan no longer holds out of the dataset, and note them.

        The note comes first and the record goes last, so that an interrupted job is done again whole.
        """
        gone = []
        folder = self.results.records / RULE
        there = os.listdir(folder) if folder.is_dir() else ()
        for prefix in sorted(set(owned_prefixes(batch)).intersection(there)):
            for path in (folder / prefix).glob("*.json"):
                if path.stem not in current:
                    self._retire(path)
                    gone.append(path.stem)
        return gone

    def _retire(self, path: Path) -> None:
        home = self.results.images / path.stem
        record = _read_record(path) or {"volumes": [], "files": []}
        note = {
            "series_id": path.stem,
            "arrays": {volume["array"]: volume["pixel_digest"] for volume in record["volumes"]},
            "files": [file["path"] for file in record["files"]],
            "kept": self.keep_removed,
        }
        if home.is_dir():  # else an interrupted job has done this part
            storage.write_atomically(self.retired_path(path.stem), json_files.canonical_json(note), private=True)
            if self.keep_removed:
                kept = storage.make_private(self.results.private / "removed") / path.stem
                storage.remove_tree(kept)
                os.replace(home, kept)
                storage.sync_folder(kept.parent)
        storage.remove_tree(self.results.series_record("check_batch", path.stem))
        storage.remove_tree(path)
        storage.remove_tree(home)


def _work(batch: _Batch, planned: Sequence[PlannedSeries], progress: Progress) -> list[PlannedSeries]:
    """Bring series up to date; return those with a file that changed or vanished while it was read."""
    changed = []
    for one in planned:
        try:
            if batch.series(one):
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
) -> BatchResult:
    """Bring the arrays of a batch up to date.

    Parameters
    ----------
    plan : Path
        The plan of the batch: series with their files.
    inventory : Path
        Its first line tells where the source folders are.
    results : Results
    pseudonyms : Pseudonyms
    options : Options
    threads : int
        That share the frames of a series; they decide nothing about what is written.
    paranoid : bool
        Read every source file again, whatever its stat.
    keep_removed : bool
        Move the arrays of series that are gone below `private/removed/` instead of deleting them.

    Returns
    -------
    BatchResult

    Raises
    ------
    SourceChanged
        If files changed or vanished while they were read, twice; all other series are published first.
    """
    name, planned = read_plan(plan)
    results.images.mkdir(parents=True, exist_ok=True)
    store = results.temporary / f"{name}.{os.getpid()}"
    storage.make_private(store)
    notes = retry.Notes(results.private, name)
    disk = flush.Disk(store)
    batch = _Batch(results, store, disk, pseudonyms, options, read_roots(inventory), notes, Crew(threads))
    batch.suspect = notes.suspect()
    batch.paranoid, batch.keep_removed = paranoid, keep_removed
    try:
        gone = batch.retire({one.series_id for one in planned}, name)
        progress = Progress(results.private, f"{RULE}.{name}")
        again = _work(batch, planned, progress)
        changed = _work(batch, again, progress)
        batch.publish()
        progress.note()
    finally:
        notes.end()
        storage.remove_tree(store)
        disk.close()
    if changed:
        raise SourceChanged(len(changed), "series")
    batch.outcome.unreadable.sort()
    batch.outcome.records = digested_json.digest_of_digests(
        batch.digests[series_id] for series_id in sorted(batch.digests)
    )
    total, extracted = len(planned), batch.extracted
    batch.outcome.counts = {
        "series": total,
        "extracted": extracted,
        "unchanged": total - extracted,
        "retired": len(gone),
        "hashed": batch.hashed,
    }
    log.info("extracted %d, unchanged %d, retired %d", extracted, total - extracted, len(gone))
    return batch.outcome
