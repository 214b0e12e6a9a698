"""Files into series, series into batches; a plan is rewritten only where its content changed.

The header index is read twice, as a stream: once to learn which series each line belongs to, once to gather the lines
of a batch. What stays in memory is a few numbers a file.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
import os
import re
from array import array
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from dicomzarr import storage
from dicomzarr.identity import Pseudonyms
from dicomzarr.model import HeaderRow
from dicomzarr.paths import Results

MOST_BATCHES = 4096
PREFIX_BITS = 12  # three hex digits of a series id: a batch owns whole prefixes
_NAME = re.compile(r"(\d{4})-(\d{4})")
_NONE = 0  # stands for "no SOP Instance UID" among hashes


@dataclasses.dataclass(frozen=True, slots=True)
class PlanCounts:
    """How much work there is: files that belong to a series, series, batches; and the plans that were written."""

    files: int
    series: int
    batches: int
    claims: dict[str, list[Any]] = dataclasses.field(default_factory=dict)


def batch_name(number: int, batches: int) -> str:
    """Return the name of the batch with this number among so many."""
    return f"{batches:04d}-{number:04d}"


def batch_of(series_id: str, batches: int) -> str:
    """Return the name of the batch that owns a series."""
    return batch_name(int(series_id[:3], 16) * batches >> PREFIX_BITS, batches)


def owned_prefixes(batch: str) -> list[str]:
    """Return the three-digit prefixes of the series ids that a batch owns."""
    match = _NAME.fullmatch(batch)
    if match is None:
        raise ValueError(f"no batch name: {batch!r}")
    batches, number = map(int, match.groups())
    width = (1 << PREFIX_BITS) // batches
    return [f"{prefix:03x}" for prefix in range(number * width, (number + 1) * width)]


def number_of_batches(series: int, size: int, series_each: int, bytes_each: int, at_least: int) -> int:
    """Return a power of two of batches that keeps each near the wanted size, never fewer than before."""
    batches = max(1, at_least)
    while batches < MOST_BATCHES and (batches * series_each < series or batches * bytes_each < size):
        batches *= 2
    return batches


def _previous_number(results: Results) -> int:
    """Return the number of batches in use, kept beside the plans or, where that is lost, inferred from their names."""
    try:
        kept = int(storage.read_json(results.private / "batches.json")["batches"])
        if kept in {1 << power for power in range(PREFIX_BITS + 1)}:
            return kept
    except (OSError, ValueError, KeyError, TypeError):
        pass
    names = [_NAME.fullmatch(path.stem) for path in results.plans.glob("*.json")]
    return max((int(match.group(1)) for match in names if match), default=0)


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=8).digest(), "big") or 1


@dataclasses.dataclass(frozen=True, slots=True)
class Belonging:
    """Which patient, study and series a header belongs to, as ids, and what is uncertain about it."""

    subject_id: str
    study_id: str
    series_id: str
    flags: tuple[str, ...]


def belonging(row: HeaderRow, pseudonyms: Pseudonyms) -> Belonging | None:
    """Return the ids of a header row, or None where it names no series and its content is not known."""
    facts = row["facts"]
    series_uid, study_uid = facts.get("SeriesInstanceUID", ""), facts.get("StudyInstanceUID", "")
    content = facts.get("content_sha256", "")
    issuer, patient = facts.get("IssuerOfPatientID", ""), facts.get("PatientID", "")
    flags = []
    if patient or issuer:
        subject = pseudonyms.subject_id(issuer, patient)
    else:
        flags.append("unknown_subject")
        subject = pseudonyms.unknown_subject_id(study_uid or series_uid or content)
    if series_uid:
        series = pseudonyms.series_id(subject, series_uid)
    elif content:
        flags.append("no_series_uid")
        series = pseudonyms.series_id(subject, f"content\0{content}")
    else:
        return None
    return Belonging(subject, pseudonyms.study_id(study_uid) if study_uid else "", series, tuple(flags))


def belongs_to_a_series(row: HeaderRow) -> bool:
    """Return whether a row goes into a plan: an image, or a file whose absence leaves a hole in its series."""
    if row["outcome"] == "image":
        return True
    hole = row["outcome"] == "quarantined" or row["reason"] == "missing_pixel_data"
    return hole and bool(row["facts"].get("SeriesInstanceUID"))


def _lines(stream: IO[bytes]) -> Iterator[tuple[int, bytes]]:
    offset = 0
    for line in stream:
        yield offset, line
        offset += len(line)


@dataclasses.dataclass(slots=True)
class _Survey:
    """One entry a file that belongs to a series: numbers only, so that ten million fit."""

    series: NDArray[np.uint64]
    instance: NDArray[np.uint64]
    offset: NDArray[np.uint64]
    shared: set[int]  # series that share their SeriesInstanceUID with another patient's
    bytes: int


def _survey(index: Path, pseudonyms: Pseudonyms) -> _Survey:
    series, instance, offsets, uid = array("Q"), array("Q"), array("Q"), array("Q")
    size = 0
    with open(index, "rb") as stream:
        for offset, line in _lines(stream):
            row: HeaderRow = json.loads(line)
            if not belongs_to_a_series(row):
                continue
            found = belonging(row, pseudonyms)
            if found is None:
                continue
            facts = row["facts"]
            series.append(int(found.series_id, 16))
            instance.append(_hash(facts["SOPInstanceUID"]) if facts.get("SOPInstanceUID") else _NONE)
            uid.append(_hash(facts["SeriesInstanceUID"]) if facts.get("SeriesInstanceUID") else _NONE)
            offsets.append(offset)
            size += row["stat"][0]
    ids = np.frombuffer(series, np.uint64) if series else np.zeros(0, np.uint64)
    uids = np.frombuffer(uid, np.uint64) if uid else np.zeros(0, np.uint64)
    pairs = np.unique(np.stack([uids, ids], axis=1), axis=0) if len(ids) else np.zeros((0, 2), np.uint64)
    names, counts = np.unique(pairs[:, 0], return_counts=True)
    several = set(names[counts > 1].tolist()) - {_NONE}
    shared = {int(one) for name, one in pairs.tolist() if name in several}
    return _Survey(
        ids,
        np.frombuffer(instance, np.uint64) if instance else ids,
        np.frombuffer(offsets, np.uint64) if offsets else ids,
        shared,
        size,
    )


def _rivals(survey: _Survey) -> dict[int, list[int]]:
    """Return, by series, the offsets of the files of other series that carry one of its SOP Instance UIDs."""
    order = np.argsort(survey.instance, kind="stable")
    ordered = survey.instance[order]
    bounds = [0, *(np.flatnonzero(ordered[1:] != ordered[:-1]) + 1).tolist(), len(ordered)]
    found: dict[int, list[int]] = defaultdict(list)
    for start, end in itertools.pairwise(bounds):
        if end - start < 2 or ordered[start] == _NONE:
            continue
        members = [(int(survey.series[i]), int(survey.offset[i])) for i in order[start:end].tolist()]
        for series in {one for one, _ in members}:
            found[series].extend(offset for other, offset in members if other != series)
    return found


def _entry(rows: list[HeaderRow], rivals: list[HeaderRow], shared: bool, pseudonyms: Pseudonyms) -> dict[str, Any]:
    """Return the plan of one series: its ids, its files in the order of their paths, and files that rival them."""
    found = [one for one in (belonging(row, pseudonyms) for row in rows) if one is not None]
    studies = sorted({one.study_id for one in found if one.study_id})
    flags = {flag for one in found for flag in one.flags}
    flags |= {"shared_series_uid"} if shared else set()
    flags |= {"several_studies"} if len(studies) > 1 else set()
    return {
        "series_id": found[0].series_id,
        "study_id": studies[0] if studies else "",
        "subject_id": found[0].subject_id,
        "flags": sorted(flags),
        "files": sorted(rows, key=lambda row: row["path"]),
        "rivals": sorted(rivals, key=lambda row: row["path"]),
    }


def plan_batches(
    results: Results, index: Path, contents: Path, pseudonyms: Pseudonyms, *, series_each: int, bytes_each: int
) -> PlanCounts:
    """Write one plan a batch and their table of contents.

    Parameters
    ----------
    results : Results
        The results folder.
    index : Path
        The header index, one JSON line a file, sorted by path.
    contents : Path
        Receives ``{"batches": {name: digest of its plan}}``.
    pseudonyms : Pseudonyms
        Makes the ids.
    series_each, bytes_each : int
        How many series, and how many bytes of source, a batch should hold.

    Returns
    -------
    PlanCounts
    """
    survey = _survey(index, pseudonyms)
    rivals = _rivals(survey)
    series_count = len(np.unique(survey.series))
    batches = number_of_batches(series_count, survey.bytes, series_each, bytes_each, _previous_number(results))
    storage.write_if_changed(
        results.private / "batches.json", storage.canonical_json({"batches": batches}), private=True
    )
    order = np.lexsort((survey.offset, survey.series))
    numbers = (survey.series[order] >> np.uint64(64 - PREFIX_BITS)) * np.uint64(batches) >> np.uint64(PREFIX_BITS)
    bounds = np.searchsorted(numbers, np.arange(batches + 1, dtype=np.uint64))
    digests: dict[str, dict[str, Any]] = {}
    claims: dict[str, list[Any]] = {}
    with open(index, "rb") as stream:

        def row_at(offset: int) -> HeaderRow:
            stream.seek(offset)
            row: HeaderRow = json.loads(stream.readline())
            return row

        for number in range(batches):
            picked = order[bounds[number] : bounds[number + 1]]
            members: dict[int, list[HeaderRow]] = defaultdict(list)
            for i in picked.tolist():
                members[int(survey.series[i])].append(row_at(int(survey.offset[i])))
            entries = [
                _entry(rows, [row_at(o) for o in rivals.get(series, [])], series in survey.shared, pseudonyms)
                for series, rows in sorted(members.items())
            ]
            name = batch_name(number, batches)
            plan = storage.canonical_json({"batch": name, "series": entries})
            storage.write_if_changed(results.plan(name), plan, private=True)
            claims[os.path.relpath(results.plan(name), results.root)] = [len(plan), ""]
            size = sum(row["stat"][0] for entry in entries for row in entry["files"])
            digests[name] = {"digest": storage.sha256_of_bytes(plan)[:16], "bytes": size, "series": len(entries)}
    _remove_other_numberings(results, set(digests))
    storage.write_atomically(contents, storage.canonical_json({"batches": digests}), private=True)
    return PlanCounts(len(survey.series), series_count, batches, claims)


def _remove_other_numberings(results: Results, current: set[str]) -> None:
    folders = (results.plans, results.records / "extract_batch", results.records / "check_batch")
    for folder in folders:
        for path in folder.glob("*.json"):
            if _NAME.fullmatch(path.stem) and path.stem not in current:
                path.unlink()
