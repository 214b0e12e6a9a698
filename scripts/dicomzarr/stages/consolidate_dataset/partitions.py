"""What the accounts say of a part of the series, kept between runs: a new series costs the part it lies in.

A shelf holds the series of one batch, or of the batches that share the first two digits of their ids, so that each file
of the provenance belongs to one shelf. Its fragment is keyed by the digests of the records it was made from, and holds
the digests of its rows and of the provenance that goes with them: what is stale, damaged or lost is rebuilt.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from dicomzarr.privacy.pseudonyms import Pseudonyms
from dicomzarr.records import batch_record, record_file
from dicomzarr.records.batch_record import CHECK, EXTRACT
from dicomzarr.records.check_record import CheckRecord
from dicomzarr.records.record_file import FileClaim
from dicomzarr.records.series_record import SeriesRecord
from dicomzarr.stages.consolidate_dataset.volume_rows import Joined, volume_line
from dicomzarr.system import csv_tables, digested_json, flush, json_files
from dicomzarr.system import files as storage
from dicomzarr.system.results_folder import Results
from dicomzarr.vocabulary import errors

MOST_SHELVES = 256  # as many as pairs of hex digits; that many files can be open at once
_PARTS = ("volumes", "files", "frames")


@dataclass(frozen=True, slots=True)
class Made:
    """What fragments are made with: a change of any of these rebuilds them."""

    results: Results
    pseudonyms: Pseudonyms
    joined: Joined
    code: str


@dataclass(frozen=True, slots=True)
class Fragment:
    """What the accounts say of the series of a shelf.

    Attributes
    ----------
    folder : Path
    name : str
        Of the shelf.
    risks : mapping of str to int
        Files that are not extracted because of `burned_in`, by kind.
    claims : mapping of str to FileClaim
        Its files of the provenance, by path below the results folder.
    """

    folder: Path
    name: str
    risks: Mapping[str, int]
    claims: Mapping[str, FileClaim]

    def part(self, part: str) -> Path:
        """Return the file with its rows of ``volumes``, ``files`` or ``frames``."""
        return self.folder / f"{self.name}.{part}"

    def rows(self, part: str) -> Iterator[bytes]:
        """Yield the rows of a part in their order."""
        with open(self.part(part), "rb") as stream:
            yield from stream


@dataclass(frozen=True, slots=True)
class _FragmentRecord:
    """What a fragment was made from, and the digests of what it holds.

    Attributes
    ----------
    key : str
        Digest of all that it was made from, but for what is joined to its series.
    joined : str
        Digest of what is joined to its series.
    series : mapping of str to str
        The subject of each series.
    parts : mapping of str to str
        SHA-256 of each file of rows.
    risks, claims
        As a `Fragment` has them.
    """

    SCHEMA: ClassVar[int] = 1

    key: str
    joined: str
    series: Mapping[str, str]
    parts: Mapping[str, str]
    risks: Mapping[str, int]
    claims: Mapping[str, FileClaim]

    def to_bytes(self) -> bytes:
        return record_file.to_bytes(self.SCHEMA, record_file.fields_of(self)).data

    @classmethod
    def load(cls, path: Path) -> _FragmentRecord:
        """Return the record of a fragment; raises `OSError` or `Damaged`."""
        raw = record_file.read(path, cls.SCHEMA).fields
        raw["claims"] = {name: FileClaim(*claim) for name, claim in raw["claims"].items()}
        return cls(**raw)


def file_row(path: str, outcome: str, reason: str, series_id: str) -> bytes:
    """Return a row of `files.csv` behind what it is sorted and counted by, with tabs between.

    A path holds no control character (`paths.encode_path`), so that rows sort as their paths do. What a series says of
    a file comes before what its header said.
    """
    line = csv_tables.line((path, outcome, reason, series_id))
    return f"{path}\t{0 if series_id else 1}\t{outcome} {reason}\t{line}".encode("utf-8", "surrogateescape")


def frame_row(path: str, number: int, array: str, t: int | None, z: int | None) -> bytes:
    """Return a row of `frames.csv` behind what it is sorted by, with tabs between."""
    line = csv_tables.line((path, number, array, t, z))
    return f"{path}\t{number:012d}\t{line}".encode("utf-8", "surrogateescape")


def shelves(batches: Sequence[str]) -> dict[str, list[str]]:
    """Return the batches of each shelf, by the name of the shelf; both in the order of the ids of their series."""
    ordered = sorted(batches)
    each = max(1, -(-len(ordered) // MOST_SHELVES))
    groups = [ordered[start : start + each] for start in range(0, len(ordered), each)]
    return {f"{len(groups):03d}-{number:03d}": group for number, group in enumerate(groups)}


def fragments(made: Made, batches: Sequence[str]) -> tuple[list[Fragment], int]:
    """Return the fragments of all shelves in the order of their series, and how many were rebuilt."""
    folder = storage.make_private(made.results.private / "fragments")
    found, new = [], 0
    for name, group in shelves(batches).items():
        key = _key(made, group)
        fragment = _cached(made, folder, name, key)
        if fragment is None:
            fragment = _make(made, folder, name, key, group)
            new += 1
        found.append(fragment)
    kept = {f"{fragment.name}.{part}" for fragment in found for part in ("json", *_PARTS)}
    for path in folder.iterdir():
        if path.name not in kept:
            storage.remove_tree(path)
    claimed = {path for fragment in found for path in fragment.claims}
    for rule in (EXTRACT, CHECK):
        for path in (made.results.dataset / "provenance" / rule).glob("*"):
            if f"dataset/provenance/{rule}/{path.name}" not in claimed:
                storage.remove_tree(path)
    return found, new


def _key(made: Made, batches: Sequence[str]) -> str:
    """Return a digest of all that a fragment is made from, but for what is joined to its series."""
    records = [
        [
            digested_json.digest_of_record(batch_record.batch_record_path(made.results, rule, batch))
            for rule in (EXTRACT, CHECK)
        ]
        for batch in batches
    ]
    return storage.sha256_of_bytes(json_files.canonical_json([made.code, made.pseudonyms.key_check, batches, records]))


def _joined(made: Made, series: Mapping[str, str]) -> str:
    """Return a digest of what is joined to series, which are given with their subjects."""
    joined = made.joined
    cells = [[*joined.of(one, subject).values()] for one, subject in sorted(series.items())] if joined.is_wanted else []
    return storage.sha256_of_bytes(json_files.canonical_json([*joined.columns, cells]))


def _cached(made: Made, folder: Path, name: str, key: str) -> Fragment | None:
    """Return a fragment that was made from these records and is whole, with its provenance; None if there is none."""
    try:
        record = _FragmentRecord.load(folder / f"{name}.json")
        if record.key != key or record.joined != _joined(made, record.series):
            return None
        fragment = Fragment(folder, name, record.risks, record.claims)
        digests = [(fragment.part(part), record.parts[part]) for part in _PARTS]
        digests += [(made.results.root / path, claim.digest) for path, claim in record.claims.items()]
        return fragment if all(storage.sha256_of(path) == digest for path, digest in digests) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _make(made: Made, folder: Path, name: str, key: str, batches: Sequence[str]) -> Fragment:
    parts: dict[str, list[bytes]] = {part: [] for part in _PARTS}
    provenance: dict[str, list[bytes]] = {}
    subjects: dict[str, str] = {}
    risks: Counter[str] = Counter()
    for record, checked in _records(made.results, batches):
        series_id = record.series_id
        subjects[series_id] = record.subject_id
        for rule, projection in (
            (EXTRACT, _extraction_projection(record, made.pseudonyms)),
            (CHECK, _check_projection(checked)),
        ):
            line = json_files.canonical_json({"series_id": series_id, "rule": rule, **projection})
            provenance.setdefault(f"{rule}/{series_id[:2]}.jsonl", []).append(line)
        files = record.files
        for file in files:
            parts["files"].append(file_row(file.path, file.outcome, file.reason, series_id))
            if file.reason == "burned_in_risk":
                risks[file.risk] += 1
        for volume in record.volumes:
            for frame in volume.frames:
                path = files[frame.source].path
                parts["frames"].append(frame_row(path, frame.number, volume.array, frame.t, frame.z))
            parts["volumes"].append(volume_line(record, volume, made.joined).encode("utf-8", "surrogateescape"))
    parts["files"].sort()
    parts["frames"].sort()
    shared = {path: b"".join(lines) for path, lines in provenance.items()}
    _publish(made.results.dataset / "provenance", shared)
    claims = {
        f"dataset/provenance/{path}": FileClaim(len(data), storage.sha256_of_bytes(data))
        for path, data in shared.items()
    }
    fragment = Fragment(folder, name, dict(risks), claims)
    # Not flushed to the disk: what a crash leaves of it has another digest.
    storage.remove_tree(folder / f"{name}.json")
    digests = {}
    for part, rows in parts.items():
        data = b"".join(rows)
        _write(fragment.part(part), data)
        digests[part] = storage.sha256_of_bytes(data)
    whole = _FragmentRecord(key, _joined(made, subjects), subjects, digests, fragment.risks, claims)
    _write(folder / f"{name}.json", whole.to_bytes())
    return fragment


def _publish(folder: Path, shared: Mapping[str, bytes]) -> None:
    """Write the files that hold something else, by path below a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    disk = flush.Disk(folder)
    files = flush.Staged(disk, private=False)
    try:
        for path, data in shared.items():
            files.add_if_changed(folder / path, data)
        files.publish()
    finally:
        files.abandon()
        disk.close()


def _write(path: Path, data: bytes) -> None:
    storage.remove_tree(path)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, storage.PRIVATE_FILE)
    with open(handle, "wb") as stream:
        stream.write(data)


def _records(results: Results, batches: Sequence[str]) -> Iterator[tuple[SeriesRecord, CheckRecord]]:
    """Yield the records of extraction and check of every series by increasing id.

    Raises
    ------
    Damaged
        If they are not those that the record of the batch was made with.
    """
    for batch in batches:
        extracted = batch_record.load_extracted(results, batch)
        digests = []
        for series_id in sorted(extracted.series):
            record, _, digest = SeriesRecord.read(results.series_record(EXTRACT, series_id))
            digests.append(digest)
            yield record, CheckRecord.load(results.series_record(CHECK, series_id))
        if digested_json.digest_of_digests(digests) != extracted.records_digest:
            raise errors.Damaged(batch_record.batch_record_path(results, EXTRACT, batch))


def _extraction_projection(record: SeriesRecord, pseudonyms: Pseudonyms) -> dict[str, object]:
    """Return what may be shared of the extraction of a series."""
    inputs = sorted([pseudonyms.source_digest(file.content), file.outcome, file.reason] for file in record.files)
    volumes = [
        {
            "array": volume.array,
            "kind": volume.kind,
            "why": volume.why,
            "pixel_digest": volume.pixel_digest,
            "cross_checks": volume.cross_checks,
            "files": {path: claim.digest for path, claim in volume.files.items()},
        }
        for volume in record.volumes
    ]
    return {"params": record.options, "inputs": inputs, "volumes": volumes}


def _check_projection(checked: CheckRecord) -> dict[str, object]:
    """Return what may be shared of the reading back of a series."""
    sizes = {row.array: row.verdict for row in checked.size}
    arrays = [
        {"array": row.array, "read_back": row.read_back, "depth": row.verdict, "size": sizes[row.array]}
        for row in checked.depth
    ]
    return {"params": {"code": checked.code}, "arrays": arrays}
