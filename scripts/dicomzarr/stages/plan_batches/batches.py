"""Group files into series and series into batches; a plan is rewritten only if its content changed.

The header index is read twice: first to find the series of each line (`survey`), then to collect the lines of each
batch whose plan is not written yet (`known_plans`). Memory holds a few numbers for each file. Lines are copied into the
plans unchanged, one line for each series.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import orjson
from blake3 import blake3
from numpy.typing import NDArray

from dicomzarr.privacy.pseudonyms import Pseudonyms
from dicomzarr.records.batch_record import CHECK, EXTRACT, batch_record_path
from dicomzarr.records.plan import PREFIX_BITS, batch_name, batches_in, plan_json, series_json
from dicomzarr.records.record_file import FileClaim
from dicomzarr.records.revoke import Revocation, revoke
from dicomzarr.stages.plan_batches import known_plans
from dicomzarr.stages.plan_batches.known_plans import KnownPlan
from dicomzarr.stages.plan_batches.masks import Line, SurveyColumns, assign_masks
from dicomzarr.stages.plan_batches.survey import (
    BYTES_PER_PROCESS,
    NO_UID,
    WORK_PER_FILE,
    Survey,
    same_uid_elsewhere,
    survey_of,
)
from dicomzarr.stages.plan_batches.vanished import STATE, labels_now, refuse_vanished
from dicomzarr.system import files, json_files
from dicomzarr.system.forked_work import sharing
from dicomzarr.system.results_folder import Results

MOST_BATCHES = 1 << PREFIX_BITS  # one for each prefix


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


def _number_now(results: Results, survey: Survey, series: int, series_each: int, bytes_each: int) -> int:
    """Return the number of batches for the source as it is, which is never below that of the last run."""
    work = int(survey.work.sum()) + WORK_PER_FILE * len(survey.work)
    # Threads do not share small files (0034): a second core has work only if there is a second batch.
    is_parallel = series > 8 and 4 * WORK_PER_FILE * len(survey.work) > bytes_each
    at_least = max(_previous_number(results), 2 if is_parallel else 1)
    return number_of_batches(series, work, series_each, bytes_each, at_least)


def _rows_of_batches(survey: Survey, batches: int) -> list[NDArray[np.int64]]:
    """Return the rows of the survey of each batch, shape (files,) each, sorted by series and place in the index."""
    order = np.lexsort((survey.offset, survey.series))
    numbers = (survey.series[order] >> np.uint64(64 - PREFIX_BITS)) * np.uint64(batches) >> np.uint64(PREFIX_BITS)
    bounds = np.searchsorted(numbers, np.arange(batches + 1, dtype=np.uint64))
    return [order[start:end] for start, end in itertools.pairwise(bounds.tolist())]


def _ids_json(survey: Survey, rows: Sequence[int]) -> bytes:
    """Return ids and flags of a series as canonical JSON; `rows` are those of its files in the survey."""
    series, subject = int(survey.series[rows[0]]), int(survey.subject[rows[0]])
    if len(rows) > 1:
        studies = np.unique(survey.study[rows]).tolist()
        combinations = np.unique(survey.flags[rows]).tolist()
    else:
        studies, combinations = [int(survey.study[rows[0]])], [int(survey.flags[rows[0]])]
    studies = [study for study in studies if study != NO_UID]
    flags = {flag for number in combinations for flag in survey.combinations[number]}
    flags |= {"shared_series_uid"} if series in survey.shared else set()
    flags |= {"several_studies"} if len(studies) > 1 else set()
    flags |= {"shared_study_uid"} if survey.shared_studies.intersection(studies) else set()
    study = f"{studies[0]:016x}" if studies else ""
    # Ids are digits, and flags are codes: nothing is to be escaped.
    words = ",".join(f'"{flag}"' for flag in sorted(flags))
    return (
        f'{{"flags":[{words}],"series_id":"{series:016x}","study_id":"{study}","subject_id":"{subject:016x}"}}'
    ).encode("ascii")


@dataclasses.dataclass(frozen=True, slots=True)
class _Sources:
    """What plans are written from.

    Attributes
    ----------
    index : Path
        The header index.
    survey : Survey
        Of its lines.
    elsewhere : mapping of int to list of int
        By series, the files of other series that have one of its SOP Instance UIDs, as rows of the survey.
    masks : mapping of int to list of Line
        By series, its mask files.
    known : mapping of str to KnownPlan
        Plans that are written already, by batch.
    code : str
        Digest of the code that plans.
    """

    index: Path
    survey: Survey
    elsewhere: Mapping[int, list[int]]
    masks: Mapping[int, list[Line]]
    known: Mapping[str, KnownPlan]
    code: str


def _key_of(sources: _Sources, name: str, of_batch: NDArray[np.int64]) -> str:
    """Return a digest of everything that the plan of a batch is made from; the lines are in it by their digests."""
    survey = sources.survey
    key = blake3(orjson.dumps([sources.code, name, len(of_batch), survey.combinations]))
    columns = (survey.series, survey.subject, survey.study, survey.flags, survey.digest)
    for column in columns:
        key.update(column[of_batch].tobytes())
    numbers = set(survey.series[of_batch].tolist())
    key.update(orjson.dumps(sorted(numbers & survey.shared)))
    key.update(orjson.dumps(sorted(survey.shared_studies.intersection(survey.study[of_batch].tolist()))))
    for series in sorted(numbers & sources.elsewhere.keys()):
        others = np.array(sources.elsewhere[series], np.int64)
        key.update(orjson.dumps(["elsewhere", series, len(others)]))
        key.update(survey.digest[others[np.argsort(survey.offset[others])]].tobytes())
    with open(sources.index, "rb") as stream:
        for series in sorted(numbers & sources.masks.keys()):
            for line in sources.masks[series]:
                key.update(orjson.dumps(["mask", series, line.length]))
                key.update(os.pread(stream.fileno(), line.length, line.offset))
    return key.hexdigest()


def _write_plan(results: Results, sources: _Sources, batch: tuple[str, NDArray[np.int64]]) -> KnownPlan:
    """Write the plan of a batch, given by its name and its rows of the survey by series; skip one that is written."""
    name, of_batch = batch
    key = _key_of(sources, name, of_batch)
    known = sources.known.get(name)
    if known is not None and known.key == key and known_plans.is_written(results.plan(name), known.claim):
        return known
    plan, counts = _plan_of(sources, name, of_batch)
    digest = files.sha256_of_bytes(plan)
    if not known_plans.is_written(results.plan(name), FileClaim(len(plan), digest)):
        # The records go first: they may be of older results that were put back; Snakemake remembers this very plan.
        for record in (batch_record_path(results, EXTRACT, name), results.records / "join_labels.json"):
            revoke(results, record, Revocation.INPUT_CHANGED)
        files.write_atomically(results.plan(name), plan, private=True)
    return KnownPlan(key, {"digest": digest[:16], **counts}, FileClaim(len(plan), digest))


def _plan_of(sources: _Sources, name: str, of_batch: NDArray[np.int64]) -> tuple[bytes, dict[str, int]]:
    """Return the plan of a batch, and its sizes and numbers as they stand in the table of contents."""
    survey = sources.survey
    planned, mask_files, largest = [], 0, 0
    with open(sources.index, "rb") as stream:

        def read_line(start: int, length: int) -> bytes:
            # Read, not mapped into memory: mapped pages would count as memory of this process.
            return os.pread(stream.fileno(), length, start).rstrip()

        def lines_of(rows: NDArray[np.int64]) -> list[bytes]:
            starts, lengths = survey.offset[rows].tolist(), survey.length[rows].tolist()
            return [read_line(start, length) for start, length in zip(starts, lengths, strict=True)]

        for rows in _runs(of_batch, survey.series[of_batch]):
            largest = max(largest, int(survey.work[rows].sum()))
            series = int(survey.series[rows[0]])
            others = []
            if series in sources.elsewhere:
                of_others = np.array(sources.elsewhere[series], np.int64)
                others = lines_of(of_others[np.argsort(survey.offset[of_others])])
            mask_lines = [read_line(*line) for line in sources.masks.get(series, ())]
            mask_files += len(mask_lines)
            ids = _ids_json(survey, rows.tolist())
            planned.append(series_json(lines_of(rows), others, mask_lines, ids))
    counts = {
        "bytes": int(survey.size[of_batch].sum()),
        "work": int(survey.work[of_batch].sum()),
        "largest": largest,
        "frame": int(survey.frame[of_batch].max(initial=0)),
        "files": len(of_batch),
        "masks": mask_files,
        "series": len(planned),
    }
    return plan_json(name, planned), counts


def plan_batches(
    results: Results,
    index: Path,
    contents: Path,
    pseudonyms: Pseudonyms,
    *,
    series_each: int,
    bytes_each: int,
    largest_drop: float = math.inf,
    processes: int = 1,
    code: str = "",
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
    processes : int
        Most processes to use.
    code : str
        Digest of the code that plans; what other code cached is not used.

    Returns
    -------
    PlanCounts

    Raises
    ------
    UserError
        If a larger share is missing; nothing is written then.
    """
    caches = files.make_private(results.private / "cache")
    survey, membership_of = survey_of(index, pseudonyms, caches, processes, code)
    if largest_drop < math.inf:
        series_now = {f"{series:016x}" for series in np.unique(survey.series).tolist()}
        refuse_vanished(results, index, series_now, functools.partial(_first_paths, survey, index), largest_drop)
    columns = SurveyColumns(*(getattr(survey, name) for name in SurveyColumns._fields))
    masks = assign_masks(index, survey.mask_files, columns, membership_of)
    unplaced = json_files.canonical_json([mask._asdict() for mask in masks.unplaced])
    files.write_atomically(results.unplaced_masks, unplaced, private=True)
    series_count = len(np.unique(survey.series))
    batches = _number_now(results, survey, series_count, series_each, bytes_each)
    state = {"batches": batches, "labels": labels_now(results)}
    files.write_private_if_changed(results.private / STATE, json_files.canonical_json(state))
    names = [batch_name(number, batches) for number in range(batches)]
    sources = _Sources(index, survey, same_uid_elsewhere(survey), masks.of_series, known_plans.load(caches), code)
    write = functools.partial(_write_plan, results, sources)
    others = min(processes - 1, index.stat().st_size // BYTES_PER_PROCESS)
    with sharing(write, list(zip(names, _rows_of_batches(survey, batches), strict=True)), others) as shared:
        written = dict(zip(names, shared.finish(), strict=True))
    known_plans.save(caches, written)
    batch_entries = {name: plan.entry for name, plan in written.items()}
    claims = {os.path.relpath(results.plan(name), results.root): plan.claim for name, plan in written.items()}
    _remove_other_numberings(results, set(batch_entries))
    files.write_atomically(contents, json_files.canonical_json({"batches": batch_entries}), private=True)
    return PlanCounts(len(survey.series), series_count, batches, claims)


def _first_paths(survey: Survey, index: Path) -> Iterator[tuple[str, str]]:
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
