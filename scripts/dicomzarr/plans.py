"""Files into series, series into batches; a plan is rewritten only where its content changed.

The header index is read twice: once as a stream, to learn which series each line belongs to, once to gather the lines
of a batch. What stays in memory is a few numbers a file. Lines go into the plans as they are, and only a few words of
each are looked at.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import os
import re
from array import array
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from dicomzarr import storage
from dicomzarr.identity import Pseudonyms
from dicomzarr.model import HeaderRow
from dicomzarr.paths import Results

MOST_BATCHES = 4096
FILE_COSTS = 100_000  # bytes of pixels that take as long as opening one more file: many small ones are work too
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


@dataclasses.dataclass(frozen=True, slots=True)
class Ids:
    """The attributes of a header that say where it belongs; empty where there is none."""

    issuer: str
    patient: str
    study: str
    series: str
    content: str


@dataclasses.dataclass(frozen=True, slots=True)
class _Known:
    """What planning needs of a line of the index."""

    outcome: str
    reason: str
    size: int
    instance: str
    ids: Ids


_IDS = ("IssuerOfPatientID", "PatientID", "StudyInstanceUID", "SeriesInstanceUID", "content_sha256")
_MARKS = tuple(f'"{name}":"'.encode() for name in (*_IDS, "SOPInstanceUID"))
# A line ends so: keys are sorted (headers/index.py). Quotation marks cannot stand in a text without a backslash.
_TAIL = re.compile(rb',"outcome":"(\w*)","path":"[^"]*","reason":"(\w*)","stat":\[(\d+),[-\d,]*\]\}\n')


def _known(line: bytes) -> _Known:
    """Return what a line says, without parsing all of it where it can be read by its marks."""
    tail = _TAIL.fullmatch(line, max(line.rfind(b',"outcome":"'), 0)) if b"\\" not in line else None
    if tail:
        find, index, words = line.find, line.index, []
        for mark in _MARKS:
            start = find(mark) + len(mark)
            words.append("" if start < len(mark) else line[start : index(b'"', start)].decode("ascii"))
        *ids, instance = words
        return _Known(tail[1].decode(), tail[2].decode(), int(tail[3]), instance, Ids(*ids))
    row: HeaderRow = json.loads(line)
    facts: dict[str, Any] = dict(row["facts"])
    ids = [facts.get(name, "") for name in _IDS]
    return _Known(row["outcome"], row["reason"], row["stat"][0], facts.get("SOPInstanceUID", ""), Ids(*ids))


def belonging(ids: Ids, pseudonyms: Pseudonyms) -> Belonging | None:
    """Return where a header belongs, or None where it names no series and its content is not known."""
    flags = []
    if ids.patient or ids.issuer:
        subject = pseudonyms.subject_id(ids.issuer, ids.patient)
    else:
        flags.append("unknown_subject")
        subject = pseudonyms.unknown_subject_id(ids.study or ids.series or ids.content)
    if ids.series:
        series = pseudonyms.series_id(subject, ids.series)
    elif ids.content:
        flags.append("no_series_uid")
        series = pseudonyms.series_id(subject, f"content\0{ids.content}")
    else:
        return None
    return Belonging(subject, pseudonyms.study_id(ids.study) if ids.study else "", series, tuple(flags))


def _belongs_to_a_series(known: _Known) -> bool:
    """Return whether a line goes into a plan: an image, or a file whose absence leaves a hole in its series."""
    if known.outcome == "image":
        return True
    return (known.outcome == "quarantined" or known.reason == "missing_pixel_data") and bool(known.ids.series)


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
    size: NDArray[np.uint64]  # bytes of the source file
    shared: set[int]  # series that share their SeriesInstanceUID with another patient's


Finder = Callable[[Ids], Belonging | None]


def _survey(index: Path, find: Finder) -> _Survey:
    series, instance, offsets, sizes, uid = (array("Q") for _ in range(5))
    with open(index, "rb", buffering=1 << 20) as stream:
        for offset, line in _lines(stream):
            known = _known(line)
            found = find(known.ids) if _belongs_to_a_series(known) else None
            if found is None:
                continue
            series.append(int(found.series_id, 16))
            instance.append(_hash(known.instance) if known.instance else _NONE)
            uid.append(_hash(known.ids.series) if known.ids.series else _NONE)
            offsets.append(offset)
            sizes.append(known.size)
    ids = _numbers(series)
    return _Survey(ids, _numbers(instance), _numbers(offsets), _numbers(sizes), _shared(_numbers(uid), ids))


def _numbers(column: array[int]) -> NDArray[np.uint64]:
    return np.frombuffer(column, np.uint64) if column else np.zeros(0, np.uint64)


def _shared(uids: NDArray[np.uint64], series: NDArray[np.uint64]) -> set[int]:
    """Return the series whose SeriesInstanceUID stands for another series too."""
    order = np.lexsort((series, uids))
    uids, series = uids[order], series[order]
    meets = (uids[1:] == uids[:-1]) & (series[1:] != series[:-1]) & (uids[1:] != _NONE)
    several = set(uids[1:][meets].tolist())
    return {int(one) for one in series[np.isin(uids, list(several))]} if several else set()


def _rivals(survey: _Survey) -> dict[int, list[int]]:
    """Return, by series, the offsets of the files of other series that carry one of its SOP Instance UIDs."""
    order = np.argsort(survey.instance, kind="stable")
    ordered = survey.instance[order]
    starts = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1]))) if len(ordered) else order
    ends = np.append(starts[1:], len(ordered))
    found: dict[int, list[int]] = defaultdict(list)
    several = (ends - starts > 1) & (ordered[starts] != _NONE)
    for start, end in zip(starts[several].tolist(), ends[several].tolist(), strict=True):
        members = [(int(survey.series[i]), int(survey.offset[i])) for i in order[start:end].tolist()]
        for series in {one for one, _ in members}:
            found[series].extend(offset for other, offset in members if other != series)
    return found


def _entry(lines: list[bytes], rivals: list[bytes], shared: bool, find: Finder) -> bytes:
    """Return the plan of one series as JSON: its ids, its files in the order of their paths, and files that rival them.

    The index is sorted by path, and so are lines that are taken by their offset.
    """
    found = [one for one in {find(_known(line).ids): None for line in lines} if one is not None]
    studies = sorted({one.study_id for one in found if one.study_id})
    flags = {flag for one in found for flag in one.flags}
    flags |= {"shared_series_uid"} if shared else set()
    flags |= {"several_studies"} if len(studies) > 1 else set()
    ids = {
        "flags": sorted(flags),
        "series_id": found[0].series_id,
        "study_id": studies[0] if studies else "",
        "subject_id": found[0].subject_id,
    }
    files, others = (b",".join(line.rstrip() for line in some) for some in (lines, rivals))
    return b'{"files":[%b],"rivals":[%b],%b' % (files, others, storage.canonical_json(ids).strip()[1:])


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
        Receives ``{"batches": {name: {digest, bytes, largest, series}}}``: of its plan, of its files, of its largest
        series, and how many.
    pseudonyms : Pseudonyms
        Makes the ids.
    series_each, bytes_each : int
        How many series, and how many bytes of source, a batch should hold.

    Returns
    -------
    PlanCounts
    """
    find = functools.lru_cache(maxsize=1 << 16)(functools.partial(belonging, pseudonyms=pseudonyms))
    survey = _survey(index, find)
    rivals = _rivals(survey)
    series_count = len(np.unique(survey.series))
    work = int(survey.size.sum()) + FILE_COSTS * len(survey.size)
    batches = number_of_batches(series_count, work, series_each, bytes_each, _previous_number(results))
    storage.write_if_changed(
        results.private / "batches.json", storage.canonical_json({"batches": batches}), private=True
    )
    order = np.lexsort((survey.offset, survey.series))
    numbers = (survey.series[order] >> np.uint64(64 - PREFIX_BITS)) * np.uint64(batches) >> np.uint64(PREFIX_BITS)
    bounds = np.searchsorted(numbers, np.arange(batches + 1, dtype=np.uint64))
    digests: dict[str, dict[str, Any]] = {}
    claims: dict[str, list[Any]] = {}
    with open(index, "rb") as stream:

        def line_at(offset: int) -> bytes:
            stream.seek(offset)
            return stream.readline()

        for number in range(batches):
            picked = order[bounds[number] : bounds[number + 1]]
            members: dict[int, list[bytes]] = defaultdict(list)
            for series, offset in zip(survey.series[picked].tolist(), survey.offset[picked].tolist(), strict=True):
                members[series].append(line_at(offset))
            entries = [
                _entry(lines, [line_at(o) for o in sorted(rivals.get(series, []))], series in survey.shared, find)
                for series, lines in sorted(members.items())
            ]
            name = batch_name(number, batches)
            plan = b'{"batch":"%b","series":[%b]}\n' % (name.encode(), b",".join(entries))
            storage.write_if_changed(results.plan(name), plan, private=True)
            digest = storage.sha256_of_bytes(plan)
            claims[os.path.relpath(results.plan(name), results.root)] = [len(plan), digest]
            sizes = _by_series(survey.series[picked], survey.size[picked])
            digests[name] = {
                "digest": digest[:16],
                "bytes": int(sizes.sum()),
                "largest": int(sizes.max(initial=0)),
                "series": len(entries),
            }
    _remove_other_numberings(results, set(digests))
    storage.write_atomically(contents, storage.canonical_json({"batches": digests}), private=True)
    return PlanCounts(len(survey.series), series_count, batches, claims)


def _by_series(series: NDArray[np.uint64], sizes: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return the bytes of each series, from those of each file, shape (files,); files of a series are neighbours."""
    starts = np.flatnonzero(np.concatenate(([True], series[1:] != series[:-1]))) if len(series) else np.zeros(0, int)
    return np.add.reduceat(sizes, starts) if len(starts) else sizes


def _remove_other_numberings(results: Results, current: set[str]) -> None:
    folders = (results.plans, results.records / "extract_batch", results.records / "check_batch")
    for folder in folders:
        for path in folder.glob("*.json"):
            if _NAME.fullmatch(path.stem) and path.stem not in current:
                path.unlink()
