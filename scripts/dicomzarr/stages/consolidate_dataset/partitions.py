"""What the accounts say of a part of the series, kept between runs: a new series costs the part it lies in.

A shelf holds the series of one batch, or of the batches that share the first two digits of their ids, so that each file
of the provenance belongs to one shelf. Its fragment is keyed by the digests of the records it was made from, and holds
the digests of what it says and of the provenance it vouches for: what is stale, damaged or lost is made anew.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dicomzarr.privacy.pseudonyms import Pseudonyms
from dicomzarr.stages.consolidate_dataset.volume_rows import Joined, volume_line
from dicomzarr.system import csv_tables, digested_json, flush, json_files
from dicomzarr.system import files as storage
from dicomzarr.system.results_folder import Results
from dicomzarr.vocabulary import errors

MOST_SHELVES = 256  # as many as pairs of hex digits; that many files can be open at once
_PARTS = ("volumes", "files", "frames")


@dataclass(frozen=True, slots=True)
class Made:
    """What fragments are made with: a change of any of these makes them anew."""

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
    arrays : int
    risks : dict of str to int
        Files set aside by `burned_in`, by kind.
    claims : dict
        ``{path below results: [size, sha256]}`` of its files of the provenance.
    """

    folder: Path
    name: str
    arrays: int
    risks: dict[str, int]
    claims: dict[str, list[Any]]

    def part(self, part: str) -> Path:
        """Return the file with its rows of ``volumes``, ``files`` or ``frames``."""
        return self.folder / f"{self.name}.{part}"

    def rows(self, part: str) -> Iterator[bytes]:
        """Yield the rows of a part in their order."""
        with open(self.part(part), "rb") as stream:
            yield from stream


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
    """Return the fragments of all shelves in the order of their series, and how many were made anew."""
    folder = storage.make_private(made.results.private / "fragments")
    found, new = [], 0
    for name, group in shelves(batches).items():
        key = _key(made, group)
        fragment = _standing(made, folder, name, key)
        if fragment is None:
            fragment = _make(made, folder, name, key, group)
            new += 1
        found.append(fragment)
    kept = {f"{fragment.name}.{part}" for fragment in found for part in ("json", *_PARTS)}
    for path in folder.iterdir():
        if path.name not in kept:
            storage.remove_tree(path)
    claimed = {path for fragment in found for path in fragment.claims}
    for rule in _SAID:
        for path in (made.results.dataset / "provenance" / rule).glob("*"):
            if f"dataset/provenance/{rule}/{path.name}" not in claimed:
                storage.remove_tree(path)
    return found, new


def _key(made: Made, batches: Sequence[str]) -> str:
    """Return a digest of all that a fragment is made from, but for what is joined to its series."""
    records = [
        [digested_json.digest_of_record(made.results.records / rule / f"{batch}.json") for rule in _SAID]
        for batch in batches
    ]
    return storage.sha256_of_bytes(json_files.canonical_json([made.code, made.pseudonyms.key_check, batches, records]))


def _joined(made: Made, series: Mapping[str, str]) -> str:
    """Return a digest of what is joined to series, which are given with their subjects."""
    joined = made.joined
    said = [[*joined.of(one, subject).values()] for one, subject in sorted(series.items())] if joined.is_wanted else []
    return storage.sha256_of_bytes(json_files.canonical_json([*joined.columns, said]))


def _standing(made: Made, folder: Path, name: str, key: str) -> Fragment | None:
    """Return a fragment that was made from these records and is whole, with the provenance it vouches for."""
    try:
        said = digested_json.read_record(folder / f"{name}.json")
        if said["key"] != key or said["joined"] != _joined(made, said["series"]):
            return None
        fragment = Fragment(folder, name, said["arrays"], said["risks"], said["claims"])
        whole = [(fragment.part(part), said["parts"][part]) for part in _PARTS]
        whole += [(made.results.root / path, digest) for path, (_, digest) in said["claims"].items()]
        return fragment if all(storage.sha256_of(path) == digest for path, digest in whole) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _make(made: Made, folder: Path, name: str, key: str, batches: Sequence[str]) -> Fragment:
    parts: dict[str, list[bytes]] = {part: [] for part in _PARTS}
    provenance: dict[str, list[bytes]] = {}
    subjects: dict[str, str] = {}
    risks: Counter[str] = Counter()
    arrays = 0
    for record, checked in _records(made.results, batches):
        series_id = record["series_id"]
        subjects[series_id] = record["subject_id"]
        for rule, said in zip(_SAID, (_extraction_said(record, made.pseudonyms), _check_said(checked)), strict=True):
            line = json_files.canonical_json({"series_id": series_id, **said})
            provenance.setdefault(f"{rule}/{series_id[:2]}.jsonl", []).append(line)
        for said in record["files"]:
            parts["files"].append(file_row(said["path"], said["outcome"], said["reason"], series_id))
            if said["reason"] == "burned_in_risk":
                risks[said["risk"]] += 1
        for volume in record["volumes"]:
            arrays += 1
            for source, number, t, z, _ in volume["frames"]:
                parts["frames"].append(frame_row(record["files"][source]["path"], number, volume["array"], t, z))
            parts["volumes"].append(volume_line(record, volume, made.joined).encode("utf-8", "surrogateescape"))
    parts["files"].sort()
    parts["frames"].sort()
    told = {path: b"".join(lines) for path, lines in provenance.items()}
    _publish(made.results.dataset / "provenance", told)
    claims = {f"dataset/provenance/{path}": [len(data), storage.sha256_of_bytes(data)] for path, data in told.items()}
    fragment = Fragment(folder, name, arrays, dict(risks), claims)
    # Not flushed to the disk: what a crash leaves of it has another digest.
    storage.remove_tree(folder / f"{name}.json")
    digests = {}
    for part, rows in parts.items():
        data = b"".join(rows)
        _write(fragment.part(part), data)
        digests[part] = storage.sha256_of_bytes(data)
    said = {"key": key, "joined": _joined(made, subjects), "series": subjects, "parts": digests}
    said |= {"arrays": arrays, "risks": fragment.risks, "claims": claims}
    _write(folder / f"{name}.json", digested_json.record_json(said))
    return fragment


def _publish(folder: Path, told: Mapping[str, bytes]) -> None:
    """Write the files that hold something else, by path below a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    disk = flush.Disk(folder)
    files = flush.Staged(disk, private=False)
    try:
        for path, data in told.items():
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


def _records(results: Results, batches: Sequence[str]) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Yield the records of extraction and check of every series by increasing id.

    Raises
    ------
    storage.Damaged
        If they are not those that the record of the batch speaks of.
    """
    for batch in batches:
        path = results.records / "extract_batch" / f"{batch}.json"
        extracted = digested_json.read_record(path)
        digests = []
        for series_id in sorted(extracted["series"]):
            record, digest = digested_json.read_record_and_digest(results.series_record("extract_batch", series_id))
            digests.append(digest)
            yield record, digested_json.read_record(results.series_record("check_batch", series_id))
        if digested_json.digest_of_digests(digests) != extracted["records"]:
            raise errors.Damaged(path)


def _extraction_said(record: Mapping[str, Any], pseudonyms: Pseudonyms) -> dict[str, Any]:
    inputs = sorted([pseudonyms.source_digest(f["content"]), f["outcome"], f["reason"]] for f in record["files"])
    kept = ("array", "kind", "why", "pixel_digest", "cross_checks")
    volumes = [
        {key: volume[key] for key in kept} | {"files": {path: said[1] for path, said in volume["files"].items()}}
        for volume in record["volumes"]
    ]
    return {"rule": "extract_batch", "params": record["options"], "inputs": inputs, "volumes": volumes}


def _check_said(checked: Mapping[str, Any]) -> dict[str, Any]:
    size = {row["array"]: row for row in checked["size"]}
    arrays = [
        {
            "array": row["array"],
            "read_back": row["read_back"],
            "depth": row["verdict"],
            "size": size[row["array"]]["verdict"],
        }
        for row in checked["depth"]
    ]
    return {"rule": "check_batch", "params": {"code": checked["key"]["code"]}, "arrays": arrays}


_SAID = ("extract_batch", "check_batch")  # rules that work on series, and have a record for each
