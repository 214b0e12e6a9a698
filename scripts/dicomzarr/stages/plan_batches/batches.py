"""Files into series, series into batches; a plan is rewritten only where its content changed.

The header index is read twice: once as a stream, to learn which series each line belongs to, once to gather the lines
of a batch. What stays in memory is a few numbers a file. Lines go into the plans as they are, a series a line.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import math
import os
from array import array
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import orjson
from numpy.typing import NDArray

from dicomzarr.dicom.transfer_syntaxes import DECODING_COST
from dicomzarr.privacy.pseudonyms import Pseudonyms
from dicomzarr.records.batch_record import CHECK, EXTRACT
from dicomzarr.records.plan import PREFIX_BITS, batch_name, batches_in, plan_json, series_json
from dicomzarr.records.record_file import FileClaim
from dicomzarr.records.revoke import Revocation, revoke
from dicomzarr.source.row import HeaderRow
from dicomzarr.stages.plan_batches.membership import Belonging, Ids, belonging
from dicomzarr.stages.plan_batches.vanished import KEPT, labels_now, refuse_vanished
from dicomzarr.system import files as storage
from dicomzarr.system import json_files
from dicomzarr.system.results_folder import Results

MOST_BATCHES = 4096
FILE_COSTS = 50_000  # bytes of pixels that take as long as opening one more file: many small ones are work too
_NONE = 0  # stands for "no SOP Instance UID" among hashes
_ALL_BITS = 2**64 - 1


@dataclasses.dataclass(frozen=True, slots=True)
class PlanCounts:
    """How much work there is: files that belong to a series, series, batches; and the plans that were written."""

    files: int
    series: int
    batches: int
    claims: dict[str, FileClaim] = dataclasses.field(default_factory=dict)


def number_of_batches(series: int, size: int, series_each: int, bytes_each: int, at_least: int) -> int:
    """Return a power of two of batches that keeps each near the wanted size, never fewer than before.

    No more than there are series, since one lies in one batch; the threads of its job share a long one.
    """
    batches = max(1, at_least)
    while batches < min(MOST_BATCHES, series) and (batches * series_each < series or batches * bytes_each < size):
        batches *= 2
    return batches


def _previous_number(results: Results) -> int:
    """Return the number of batches in use, kept beside the plans or, where that is lost, inferred from their names."""
    try:
        kept = int(json_files.read_json(results.private / KEPT)["batches"])
        if kept in {1 << power for power in range(PREFIX_BITS + 1)}:
            return kept
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return max((batches_in(path.stem) for path in results.plans.glob("*.json")), default=0)


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=8).digest(), "big") or 1


class _Known(NamedTuple):
    """What planning needs of a line of the index."""

    outcome: str
    reason: str
    size: int
    work: int
    instance: str
    ids: Ids


# A header may claim any size. Of one byte no more decoded ones are believed, nor of one file more work than this.
LARGEST_RATIO, LARGEST_WORK = 32, 1 << 44
_SIZES = ("Rows", "Columns", "SamplesPerPixel", "BitsAllocated", "NumberOfFrames")


def work_of(syntax: str, size: int, sizes: Iterable[int]) -> int:
    """Return how much work a file is, in bytes of native pixels.

    Parameters
    ----------
    syntax : str
        Transfer Syntax UID (0002,0010).
    size : int
        Bytes of the file.
    sizes : iterable of int
        Factors of the decoded size in bits that are known: rows, columns, samples, bits, frames. Native files have no
        need of them.
    """
    factor = DECODING_COST.get(syntax)
    decoded = min(math.prod(sizes) // 8, LARGEST_RATIO * size) * factor if factor else 0
    return min(max(size, decoded), LARGEST_WORK)


def _known(line: bytes) -> _Known:
    """Return what a line of the index says."""
    row: HeaderRow = orjson.loads(line)
    facts: Mapping[str, Any] = row["facts"]
    said, size = facts.get, row["stat"][0]
    ids = Ids(
        said("IssuerOfPatientID", ""),
        said("PatientID", ""),
        said("StudyInstanceUID", ""),
        said("SeriesInstanceUID", ""),
        said("content_sha256", ""),
    )
    sizes = (facts[name] for name in _SIZES if isinstance(facts.get(name), int))
    work = work_of(said("TransferSyntaxUID", ""), size, sizes)
    return _Known(row["outcome"], row["reason"], size, work, said("SOPInstanceUID", ""), ids)


def _belongs_to_a_series(known: _Known) -> bool:
    """Return whether a line goes into a plan: an image, or a file whose absence leaves a hole in its series."""
    if known.outcome == "image":
        return True
    return (known.outcome == "quarantined" or known.reason == "missing_pixel_data") and bool(known.ids.series)


@dataclasses.dataclass(slots=True)
class _Survey:
    """One entry a file that belongs to a series: numbers only, so that ten million fit."""

    series: NDArray[np.uint64]
    instance: NDArray[np.uint64]
    ids: NDArray[np.uint64]
    offset: NDArray[np.uint64]  # of its line, which has so many bytes
    length: NDArray[np.uint64]
    size: NDArray[np.uint64]  # bytes of the source file
    work: NDArray[np.uint64]  # bytes of native pixels that take as long
    shared: set[int]  # series that share their SeriesInstanceUID with another patient's


Finder = Callable[[Ids], Belonging | None]


def _survey(index: Path, find: Finder) -> _Survey:
    numbers, offset = array("Q"), 0
    uid_of = functools.lru_cache(maxsize=1 << 12)(_hash)
    with open(index, "rb", buffering=1 << 20) as stream:
        for line in stream:
            known = _known(line)
            found = find(known.ids) if _belongs_to_a_series(known) else None
            if found is not None:
                instance = _hash(known.instance) if known.instance else _NONE
                uid = uid_of(known.ids.series) if known.ids.series else _NONE
                ids, place = hash(known.ids) & _ALL_BITS, (offset, len(line))
                numbers.extend((int(found.series_id, 16), instance, ids, *place, known.size, known.work, uid))
            offset += len(line)
    table = (np.frombuffer(numbers, np.uint64) if numbers else np.zeros(0, np.uint64)).reshape(-1, 8)
    series, instances, kin, offsets, lengths, sizes, work, uids = (table[:, column] for column in range(8))
    return _Survey(series, instances, kin, offsets, lengths, sizes, work, _shared(uids, series))


def _shared(uids: NDArray[np.uint64], series: NDArray[np.uint64]) -> set[int]:
    """Return the series whose SeriesInstanceUID stands for another series too."""
    order = np.lexsort((series, uids))
    uids, series = uids[order], series[order]
    meets = (uids[1:] == uids[:-1]) & (series[1:] != series[:-1]) & (uids[1:] != _NONE)
    several = set(uids[1:][meets].tolist())
    return {int(one) for one in series[np.isin(uids, list(several))]} if several else set()


def _same_uid_elsewhere(survey: _Survey) -> dict[int, list[int]]:
    """Return, by series, the files of other series that carry one of its SOP Instance UIDs, as rows of the survey."""
    order = np.argsort(survey.instance, kind="stable")
    ordered = survey.instance[order]
    starts = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1]))) if len(ordered) else order
    ends = np.append(starts[1:], len(ordered))
    found: dict[int, list[int]] = defaultdict(list)
    several = (ends - starts > 1) & (ordered[starts] != _NONE)
    for start, end in zip(starts[several].tolist(), ends[several].tolist(), strict=True):
        members = [(int(survey.series[i]), i) for i in order[start:end].tolist()]
        for series in {one for one, _ in members}:
            found[series].extend(i for other, i in members if other != series)
    return found


def _series(lines: list[bytes], telling: list[bytes], elsewhere: list[bytes], shared: bool, find: Finder) -> bytes:
    """Return the plan of one series as JSON: its ids, its files by path, and files of other series with its UIDs.

    The index is sorted by path, and so are lines that are taken by their offset. `telling` are those that differ in
    where they belong, each once.
    """
    found = [one for one in {find(_known(line).ids): None for line in telling} if one is not None]
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
    return series_json(lines, elsewhere, json_files.canonical_json(ids).strip())


def plan_batches(
    results: Results,
    index: Path,
    contents: Path,
    pseudonyms: Pseudonyms,
    *,
    series_each: int,
    bytes_each: int,
    largest_drop: float = math.inf,
) -> PlanCounts:
    """Write one plan a batch and their table of contents.

    Parameters
    ----------
    results : Results
        The results folder.
    index : Path
        The header index, one JSON line a file, sorted by path.
    contents : Path
        Receives ``{"batches": {name: {digest, bytes, work, largest, series}}}``: of its plan, of its files, how
        much work they are in bytes of native pixels, in all and of the largest series, and how many series.
    pseudonyms : Pseudonyms
        Makes the ids.
    series_each, bytes_each : int
        How many series, and how much work in bytes of native pixels, a batch should hold.
    largest_drop : float
        Share of the series that earlier runs extracted which the source may have lost; infinite: all of them.

    Returns
    -------
    PlanCounts

    Raises
    ------
    UserError
        If it lost more; nothing is written then.
    """
    find = functools.lru_cache(maxsize=1 << 16)(functools.partial(belonging, pseudonyms=pseudonyms))
    survey = _survey(index, find)
    if largest_drop < math.inf:
        series_now = {f"{series:016x}" for series in np.unique(survey.series).tolist()}
        refuse_vanished(results, index, series_now, functools.partial(_first_paths, survey, index), largest_drop)
    elsewhere = _same_uid_elsewhere(survey)
    series_count = len(np.unique(survey.series))
    work = int(survey.work.sum()) + FILE_COSTS * len(survey.work)
    # Threads do not share small files (0034), so that a second core has work only in a second batch.
    many = series_count > 8 and 4 * FILE_COSTS * len(survey.work) > bytes_each
    at_least = max(_previous_number(results), 2 if many else 1)
    batches = number_of_batches(series_count, work, series_each, bytes_each, at_least)
    kept = {"batches": batches, "labels": labels_now(results)}
    storage.write_if_changed(results.private / KEPT, json_files.canonical_json(kept), private=True)
    order = np.lexsort((survey.offset, survey.series))
    numbers = (survey.series[order] >> np.uint64(64 - PREFIX_BITS)) * np.uint64(batches) >> np.uint64(PREFIX_BITS)
    bounds = np.searchsorted(numbers, np.arange(batches + 1, dtype=np.uint64))
    listed: dict[str, dict[str, str | int]] = {}
    claims: dict[str, FileClaim] = {}
    with open(index, "rb") as stream:

        def lines_of(rows: NDArray[np.int64]) -> list[bytes]:
            starts, lengths = survey.offset[rows].tolist(), survey.length[rows].tolist()
            # Not mapped into memory: what was read would count as this process's own.
            pieces = zip(lengths, starts, strict=True)
            return [os.pread(stream.fileno(), length, start).rstrip() for length, start in pieces]

        for number in range(batches):
            picked = order[bounds[number] : bounds[number + 1]]
            planned = []
            for rows in _runs(picked, survey.series[picked]):
                series = int(survey.series[rows[0]])
                telling = rows[np.sort(np.unique(survey.ids[rows], return_index=True)[1])]
                others = np.array(elsewhere.get(series, []), np.int64)
                others = others[np.argsort(survey.offset[others])]
                is_shared = series in survey.shared
                planned.append(_series(lines_of(rows), lines_of(telling), lines_of(others), is_shared, find))
            name = batch_name(number, batches)
            plan = plan_json(name, planned)
            storage.write_if_changed(results.plan(name), plan, private=True)
            digest = storage.sha256_of_bytes(plan)
            claims[os.path.relpath(results.plan(name), results.root)] = FileClaim(len(plan), digest)
            listed[name] = {
                "digest": digest[:16],
                "bytes": int(survey.size[picked].sum()),
                "work": int(survey.work[picked].sum()),
                "largest": max(
                    (int(survey.work[rows].sum()) for rows in _runs(picked, survey.series[picked])), default=0
                ),
                "series": len(planned),
            }
    _remove_other_numberings(results, set(listed))
    storage.write_atomically(contents, json_files.canonical_json({"batches": listed}), private=True)
    return PlanCounts(len(survey.series), series_count, batches, claims)


def _first_paths(survey: _Survey, index: Path) -> Iterator[tuple[str, str]]:
    """Yield the id of each series and the first of its paths."""
    order = np.lexsort((survey.offset, survey.series))
    firsts = order[np.unique(survey.series[order], return_index=True)[1]]
    with open(index, "rb") as stream:
        for row in firsts.tolist():
            line = os.pread(stream.fileno(), int(survey.length[row]), int(survey.offset[row]))
            yield f"{int(survey.series[row]):016x}", orjson.loads(line)["path"]


def _runs(rows: NDArray[np.int64], series: NDArray[np.uint64]) -> list[NDArray[np.int64]]:
    """Return the rows of each series, shape (files,) each; those of a series are neighbours."""
    return np.split(rows, np.flatnonzero(series[1:] != series[:-1]) + 1) if len(rows) else []


def _remove_other_numberings(results: Results, current: set[str]) -> None:
    """Remove the plans of another number of batches, and revoke the records of those batches."""
    for path in results.plans.glob("*.json"):
        if batches_in(path.stem) and path.stem not in current:
            path.unlink()
    for rule in (EXTRACT, CHECK):
        for record in (results.records / rule).glob("*.json"):
            if batches_in(record.stem) and record.stem not in current:
                revoke(results, record, Revocation.RENUMBERED)
