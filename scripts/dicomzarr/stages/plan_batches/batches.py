"""Group files into series and series into batches; a plan is rewritten only if its content changed.

The header index is read twice: once as a stream, to find the series of each line, and once to collect the lines of each
batch. Memory holds a few numbers for each file. Lines are copied into the plans unchanged, one line for each series.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import os
from array import array
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
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
from dicomzarr.stages.plan_batches.masks import Line, SurveyColumns, assign_masks, is_mask_file, uid_hash
from dicomzarr.stages.plan_batches.membership import Ids, Issuers, Membership, membership
from dicomzarr.stages.plan_batches.vanished import STATE, labels_now, refuse_vanished
from dicomzarr.system import files, json_files
from dicomzarr.system.results_folder import Results

MOST_BATCHES = 4096
# Bytes of native pixels that take as long as it takes to open one more file, and to interpret one more frame that has
# functional groups; such a frame is believed only if the file has as many bytes for it.
WORK_PER_FILE, WORK_PER_FRAME, LEAST_FRAME = 50_000, 150_000, 512
_NO_UID = 0  # instead of a hash: the file has no such UID


@dataclasses.dataclass(frozen=True, slots=True)
class PlanCounts:
    """Numbers of files that belong to a series, of series and of batches, and the claims of the plans."""

    files: int
    series: int
    batches: int
    claims: dict[str, FileClaim] = dataclasses.field(default_factory=dict)


def number_of_batches(series: int, size: int, series_each: int, bytes_each: int, at_least: int) -> int:
    """Return the number of batches: a power of two, so that no batch is much larger than wanted, and never fewer.

    The number does not grow beyond the number of series, since a series is never divided.

    Parameters
    ----------
    series, size : int
        Number of series, and their work in bytes of native pixels.
    series_each, bytes_each : int
        Wanted size of a batch, in series and in bytes of native pixels.
    at_least : int
        Smallest number: that of the last run.
    """
    batches = max(1, at_least)
    while batches < min(MOST_BATCHES, series) and (batches * series_each < series or batches * bytes_each < size):
        batches *= 2
    return batches


def _previous_number(results: Results) -> int:
    """Return the number of batches of the last run; if its file is lost, infer it from the names of the plans."""
    try:
        number = int(json_files.read_json(results.private / STATE)["batches"])
        if number in {1 << power for power in range(PREFIX_BITS + 1)}:
            return number
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return max((batches_in(path.stem) for path in results.plans.glob("*.json")), default=0)


class _IndexedFile(NamedTuple):
    """A line of the index, as far as planning needs it."""

    outcome: str
    reason: str
    size: int
    work: int
    frame: int
    instance: str
    ids: Ids
    is_mask: bool


# A header may claim any size: decoded bytes per byte of the file, and work per file, are limited to these.
LARGEST_RATIO, LARGEST_WORK = 32, 1 << 44
_FRAME_SIZES = ("Rows", "Columns", "SamplesPerPixel", "BitsAllocated")
_SIZES = (*_FRAME_SIZES, "NumberOfFrames")


def work_of(syntax: str, size: int, sizes: Iterable[int], frames: int = 0) -> int:
    """Return how much work a file is, in bytes of native pixels.

    Parameters
    ----------
    syntax : str
        Transfer Syntax UID (0002,0010).
    size : int
        Bytes of the file.
    sizes : iterable of int
        The known factors of the decoded size in bits: rows, columns, samples, bits, frames. Ignored for native files.
    frames : int
        Number of frames that have functional groups.
    """
    factor = DECODING_COST.get(syntax)
    decoded = min(math.prod(sizes) // 8, LARGEST_RATIO * size) * factor if factor else 0
    of_frames = WORK_PER_FRAME * max(0, min(frames, size // LEAST_FRAME))
    return min(max(size, decoded) + of_frames, LARGEST_WORK)


def frame_of(size: int, sizes: Iterable[int]) -> int:
    """Return the bytes of a decoded frame, as far as the header can be believed.

    Parameters
    ----------
    size : int
        Bytes of the file.
    sizes : iterable of int
        The known factors of a frame in bits: rows, columns, samples, bits.
    """
    return max(min(math.prod(sizes) // 8, LARGEST_RATIO * size, LARGEST_WORK), 0)


def _ids(facts: Mapping[str, Any]) -> Ids:
    """Return the attributes of a file that decide its membership."""
    return Ids(
        issuer=facts.get("IssuerOfPatientID", ""),
        patient=facts.get("PatientID", ""),
        study=facts.get("StudyInstanceUID", ""),
        series=facts.get("SeriesInstanceUID", ""),
        content=facts.get("content_sha256", ""),
    )


def _parse(line: bytes) -> _IndexedFile:
    """Parse a line of the index."""
    row: HeaderRow = orjson.loads(line)
    facts: Mapping[str, Any] = row["facts"]
    size = row["stat"][0]
    ids = _ids(facts)
    known = {name: facts[name] for name in _SIZES if isinstance(facts.get(name), int)}
    frames = known.get("NumberOfFrames", 0) if facts.get("has_functional_groups") else 0
    work = work_of(facts.get("TransferSyntaxUID", ""), size, known.values(), frames)
    frame = frame_of(size, (known[name] for name in _FRAME_SIZES if name in known))
    return _IndexedFile(
        row["outcome"], row["reason"], size, work, frame, facts.get("SOPInstanceUID", ""), ids, is_mask_file(row)
    )


def _belongs_to_a_series(file: _IndexedFile) -> bool:
    """Return whether a file is listed in a plan: an image, or a file without which its series is incomplete."""
    if file.outcome == "image":
        return True
    return (file.outcome == "quarantined" or file.reason == "missing_pixel_data") and bool(file.ids.series)


@dataclasses.dataclass(slots=True)
class _Survey:
    """The files that belong to a series, as arrays of shape (files,): numbers only, so that ten million fit."""

    series: NDArray[np.uint64]  # id of the series, as a number
    instance: NDArray[np.uint64]  # hash of the SOP Instance UID
    offset: NDArray[np.uint64]  # of the line in the index, in bytes
    length: NDArray[np.uint64]  # of the line, in bytes
    size: NDArray[np.uint64]  # bytes of the source file
    work: NDArray[np.uint64]  # bytes of native pixels that take as long
    frame: NDArray[np.uint64]  # bytes of a decoded frame
    series_uid: NDArray[np.uint64]  # hash of the Series Instance UID
    subject: NDArray[np.uint64]  # id of the subject, as a number
    study: NDArray[np.uint64]  # id of the study, as a number; `_NO_UID` where the header names none
    flags: NDArray[np.uint8]  # number of the flags of its membership in `combinations`
    combinations: list[tuple[str, ...]]
    mask_files: list[Line]  # segmentations and structure sets
    shared: set[int]  # series with the SeriesInstanceUID of another series, of another patient


MembershipOf = Callable[[Ids], Membership | None]


def _survey(index: Path, membership_of: MembershipOf, issuers: Issuers) -> _Survey:
    """Read the index once; return where the lines of each series are, and note their issuers."""
    numbers, offset = array("Q"), 0
    flags = array("B")
    combinations: dict[tuple[str, ...], int] = {(): 0}
    mask_files: list[Line] = []
    hash_of_uid = functools.lru_cache(maxsize=1 << 12)(uid_hash)
    with open(index, "rb", buffering=1 << 20) as stream:
        for line in stream:
            file = _parse(line)
            if file.is_mask:
                mask_files.append(Line(offset, len(line)))
            member = membership_of(file.ids) if _belongs_to_a_series(file) else None
            if member is not None:
                issuers.add(file.ids)
                instance = uid_hash(file.instance) if file.instance else _NO_UID
                uid = hash_of_uid(file.ids.series) if file.ids.series else _NO_UID
                place = (offset, len(line))
                sizes = (file.size, file.work, file.frame)
                study = int(member.study_id, 16) if member.study_id else _NO_UID
                subject = int(member.subject_id, 16)
                numbers.extend((int(member.series_id, 16), instance, *place, *sizes, uid, subject, study))
                flags.append(combinations.setdefault(member.flags, len(combinations)))
            offset += len(line)
    table = (np.frombuffer(numbers, np.uint64) if numbers else np.zeros(0, np.uint64)).reshape(-1, 10)
    series, instances, offsets, lengths, size, work, frame, uids, subjects, studies = (
        table[:, column] for column in range(10)
    )
    series, subjects = _with_issuers(index, series, subjects, offsets, lengths, issuers, membership_of)
    shared = _shared(uids, series)
    of_flags = np.frombuffer(flags, np.uint8) if flags else np.zeros(0, np.uint8)
    return _Survey(
        series,
        instances,
        offsets,
        lengths,
        size,
        work,
        frame,
        uids,
        subjects,
        studies,
        of_flags,
        [*combinations],
        mask_files,
        shared,
    )


def _with_issuers(
    index: Path,
    series: NDArray[np.uint64],
    subjects: NDArray[np.uint64],
    offsets: NDArray[np.uint64],
    lengths: NDArray[np.uint64],
    issuers: Issuers,
    membership_of: MembershipOf,
) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Return series and subject of each file, where files without an issuer belong to the one issuer of their series.

    Only after the last file is it known what a series states; the files before are moved here.
    """
    moved = np.flatnonzero(np.isin(series, np.fromiter(issuers.series_without(), np.uint64)))
    numbers, firsts, which = np.unique(series[moved], return_index=True, return_inverse=True)
    owners = subjects[moved][firsts]
    with open(index, "rb") as stream:
        for place, row in enumerate(moved[firsts].tolist()):
            line = os.pread(stream.fileno(), int(lengths[row]), int(offsets[row]))
            member = membership_of(issuers.completed(_ids(orjson.loads(line)["facts"])))
            if member is not None:
                numbers[place], owners[place] = int(member.series_id, 16), int(member.subject_id, 16)
    series, subjects = series.copy(), subjects.copy()
    series[moved], subjects[moved] = numbers[which], owners[which]
    return series, subjects


def _shared(uids: NDArray[np.uint64], series: NDArray[np.uint64]) -> set[int]:
    """Return the series whose SeriesInstanceUID also occurs in another series."""
    order = np.lexsort((series, uids))
    uids, series = uids[order], series[order]
    is_repeated = (uids[1:] == uids[:-1]) & (series[1:] != series[:-1]) & (uids[1:] != _NO_UID)
    repeated = np.unique(uids[1:][is_repeated])
    return set(series[np.isin(uids, repeated)].tolist())


def _same_uid_elsewhere(survey: _Survey) -> dict[int, list[int]]:
    """Return, by series, the files of other series that have one of its SOP Instance UIDs, as rows of the survey."""
    order = np.argsort(survey.instance, kind="stable")
    ordered = survey.instance[order]
    starts = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1]))) if len(ordered) else order
    ends = np.append(starts[1:], len(ordered))
    elsewhere: dict[int, list[int]] = defaultdict(list)
    is_group = (ends - starts > 1) & (ordered[starts] != _NO_UID)
    for start, end in zip(starts[is_group].tolist(), ends[is_group].tolist(), strict=True):
        members = [(int(survey.series[row]), row) for row in order[start:end].tolist()]
        for series in {series for series, _ in members}:
            elsewhere[series].extend(row for other, row in members if other != series)
    return elsewhere


def _ids_json(survey: _Survey, rows: Sequence[int]) -> bytes:
    """Return ids and flags of a series as canonical JSON; `rows` are those of its files in the survey."""
    series, subject = int(survey.series[rows[0]]), int(survey.subject[rows[0]])
    if len(rows) > 1:
        studies = np.unique(survey.study[rows]).tolist()
        combinations = np.unique(survey.flags[rows]).tolist()
    else:
        studies, combinations = [int(survey.study[rows[0]])], [int(survey.flags[rows[0]])]
    studies = [study for study in studies if study != _NO_UID]
    flags = {flag for number in combinations for flag in survey.combinations[number]}
    flags |= {"shared_series_uid"} if series in survey.shared else set()
    flags |= {"several_studies"} if len(studies) > 1 else set()
    study = f"{studies[0]:016x}" if studies else ""
    # Ids are digits, and flags are codes: nothing is to be escaped.
    words = ",".join(f'"{flag}"' for flag in sorted(flags))
    return (
        f'{{"flags":[{words}],"series_id":"{series:016x}","study_id":"{study}","subject_id":"{subject:016x}"}}'
    ).encode("ascii")


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
    """Write the plan of each batch and a table of contents.

    Parameters
    ----------
    results : Results
        The results folder.
    index : Path
        The header index, one JSON line for each file, sorted by path.
    contents : Path
        The table of contents to write: ``{"batches": {name: {…}}}`` with digest, bytes, work, largest, frame, files,
        masks and series: the digest of the plan, the size of its files in bytes, their work and that of the largest
        series in bytes of native pixels, the bytes of the largest decoded frame, and the numbers of files, of mask
        files and of series.
    pseudonyms : Pseudonyms
        Computes the ids.
    series_each, bytes_each : int
        Wanted size of a batch, in series and in bytes of native pixels.
    largest_drop : float
        Largest share of the series that earlier runs extracted that may be missing from the source, from 0 to 1;
        infinite: no limit.

    Returns
    -------
    PlanCounts

    Raises
    ------
    UserError
        If a larger share is missing; nothing is written then.
    """
    as_stated = functools.lru_cache(maxsize=1 << 16)(functools.partial(membership, pseudonyms=pseudonyms))
    issuers = Issuers(pseudonyms)
    survey = _survey(index, as_stated, issuers)

    def membership_of(ids: Ids) -> Membership | None:
        return as_stated(issuers.completed(ids))

    if largest_drop < math.inf:
        series_now = {f"{series:016x}" for series in np.unique(survey.series).tolist()}
        refuse_vanished(results, index, series_now, functools.partial(_first_paths, survey, index), largest_drop)
    elsewhere = _same_uid_elsewhere(survey)
    columns = SurveyColumns(survey.series, survey.instance, survey.series_uid, survey.offset, survey.length)
    masks = assign_masks(index, survey.mask_files, columns, membership_of)
    unplaced = json_files.canonical_json([mask._asdict() for mask in masks.unplaced])
    files.write_atomically(results.unplaced_masks, unplaced, private=True)
    series_count = len(np.unique(survey.series))
    work = int(survey.work.sum()) + WORK_PER_FILE * len(survey.work)
    # Threads do not share small files (0034): a second core has work only if there is a second batch.
    is_parallel = series_count > 8 and 4 * WORK_PER_FILE * len(survey.work) > bytes_each
    at_least = max(_previous_number(results), 2 if is_parallel else 1)
    batches = number_of_batches(series_count, work, series_each, bytes_each, at_least)
    state = {"batches": batches, "labels": labels_now(results)}
    files.write_if_changed(results.private / STATE, json_files.canonical_json(state), private=True)
    order = np.lexsort((survey.offset, survey.series))
    numbers = (survey.series[order] >> np.uint64(64 - PREFIX_BITS)) * np.uint64(batches) >> np.uint64(PREFIX_BITS)
    bounds = np.searchsorted(numbers, np.arange(batches + 1, dtype=np.uint64))
    batch_entries: dict[str, dict[str, str | int]] = {}
    claims: dict[str, FileClaim] = {}
    with open(index, "rb") as stream:

        def read_line(start: int, length: int) -> bytes:
            # Read, not mapped into memory: mapped pages would count as memory of this process.
            return os.pread(stream.fileno(), length, start).rstrip()

        def lines_of(rows: NDArray[np.int64]) -> list[bytes]:
            starts, lengths = survey.offset[rows].tolist(), survey.length[rows].tolist()
            return [read_line(start, length) for start, length in zip(starts, lengths, strict=True)]

        for number in range(batches):
            of_batch = order[bounds[number] : bounds[number + 1]]
            planned, mask_files, largest = [], 0, 0
            for rows in _runs(of_batch, survey.series[of_batch]):
                largest = max(largest, int(survey.work[rows].sum()))
                series = int(survey.series[rows[0]])
                others = []
                if series in elsewhere:
                    of_others = np.array(elsewhere[series], np.int64)
                    others = lines_of(of_others[np.argsort(survey.offset[of_others])])
                mask_lines = [read_line(*line) for line in masks.of_series.get(series, ())]
                mask_files += len(mask_lines)
                ids = _ids_json(survey, rows.tolist())
                planned.append(series_json(lines_of(rows), others, mask_lines, ids))
            name = batch_name(number, batches)
            plan = plan_json(name, planned)
            files.write_if_changed(results.plan(name), plan, private=True)
            digest = files.sha256_of_bytes(plan)
            claims[os.path.relpath(results.plan(name), results.root)] = FileClaim(len(plan), digest)
            batch_entries[name] = {
                "digest": digest[:16],
                "bytes": int(survey.size[of_batch].sum()),
                "work": int(survey.work[of_batch].sum()),
                "largest": largest,
                "frame": int(survey.frame[of_batch].max(initial=0)),
                "files": len(of_batch),
                "masks": mask_files,
                "series": len(planned),
            }
    _remove_other_numberings(results, set(batch_entries))
    files.write_atomically(contents, json_files.canonical_json({"batches": batch_entries}), private=True)
    return PlanCounts(len(survey.series), series_count, batches, claims)


def _first_paths(survey: _Survey, index: Path) -> Iterator[tuple[str, str]]:
    """Yield the id and the first path of each series."""
    order = np.lexsort((survey.offset, survey.series))
    firsts = order[np.unique(survey.series[order], return_index=True)[1]]
    with open(index, "rb") as stream:
        for row in firsts.tolist():
            line = os.pread(stream.fileno(), int(survey.length[row]), int(survey.offset[row]))
            yield f"{int(survey.series[row]):016x}", orjson.loads(line)["path"]


def _runs(rows: NDArray[np.int64], series: NDArray[np.uint64]) -> list[NDArray[np.int64]]:
    """Split rows that are sorted by series into one array for each series, shape (files,)."""
    return np.split(rows, np.flatnonzero(series[1:] != series[:-1]) + 1) if len(rows) else []


def _remove_other_numberings(results: Results, current: set[str]) -> None:
    """Remove plans made for another number of batches, and revoke the records of those batches."""
    for path in results.plans.glob("*.json"):
        if batches_in(path.stem) and path.stem not in current:
            path.unlink()
    for rule in (EXTRACT, CHECK):
        for record in (results.records / rule).glob("*.json"):
            if batches_in(record.stem) and record.stem not in current:
                revoke(results, record, Revocation.RENUMBERED)
