"""The time left of a run, or nothing where it is not known within a factor of two.

Each job has an expected cost: seconds on one core of a server (docs/scaling.md), from files, series and bytes. What has
been done so far says how many times longer this machine takes, for extraction, for reading back and for the other jobs
each. The rest of the run is what the remaining jobs are expected to take, times these factors.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from dicomzarr.terminal.progress import CHECK, EXTRACT, SEARCH, Batch, JobProgress, Moment
from dicomzarr.vocabulary.rules import BATCH_RULES, EXPORT_RULES

START = 0.45  # s from the start of a job to its first work, and from its end to the next job
# Seconds of a job beside its start: in any case, for each file, and for each series of the source.
_WHOLE: dict[str, tuple[float, float, float]] = {
    "discover_files": (0.0, 10e-6, 0.0),
    "index_headers": (0.3, 80e-6, 0.0),
    "plan_batches": (0.0, 15e-6, 0.0),
    "report_depth": (0.0, 0.0, 30e-6),
    "report_size": (0.0, 0.0, 30e-6),
    "join_labels": (0.2, 0.0, 50e-6),
    "consolidate_dataset": (0.2, 15e-6, 200e-6),
    "render_report": (0.4, 0.0, 200e-6),
    "write_cards": (0.2, 0.0, 20e-6),
    "write_crate": (0.1, 0.0, 5e-6),
    "check_privacy": (0.3, 0.0, 1.5e-3),
    "seal_dataset": (0.1, 5e-6, 50e-6),
    "check_gate": (0.1, 0.0, 20e-6),
}
_SHARED = ("index_headers", "check_privacy")  # use all cores
# Seconds of a job of a batch: for each byte of work, each series, each file.
_BATCH = {EXTRACT: (3.0e-9, 3.5e-3, 0.2e-3), CHECK: (1.7e-9, 2.6e-3, 0.1e-3)}
_RECENT = 3  # jobs, on each core, that say how fast the machine is now
_ERRATIC = 2.0  # jobs of a kind that differ by more than this factor say that the time left is not known
_TRUST = 0.4  # s of expected cost: how long the expectation outweighs what was measured

_LAST = "seal_dataset"
SHORTEST = 5.0  # s: less is not shown
_EVIDENCE = 0.1  # share of a run that must have been done
_EVIDENCE_OF_SEARCH = 0.25  # and of the privacy search
_MOST_OF_SEARCH = 0.75  # share of the privacy search after which nothing is shown any more
_EVIDENCE_OF_BATCHES = 0.2  # and of its batches: series of one batch may differ in what their decoders cost


def _expected(moment: Moment, rule: str) -> float:
    """Return the expected seconds of a rule with one job."""
    fixed, by_file, by_series = _WHOLE.get(rule, (0.5, 0.0, 0.0))
    series = sum(batch.series for batch in moment.batches.values())
    varying = by_file * moment.files + by_series * series
    return START + fixed + (varying / max(moment.cores, 1) if rule in _SHARED else varying)


def _expected_of_batch(rule: str, batch: Batch, files_each: float) -> float:
    """Return the expected seconds of a job of a batch; `files_each` is the mean number of files of a series."""
    by_byte, by_series, by_file = _BATCH[rule]
    size = batch.work if rule == EXTRACT else batch.bytes
    return START + by_byte * size + (by_series + by_file * files_each) * batch.series


def _share(job: JobProgress, batch: Batch) -> float:
    """Return which share of its batch a running job has done."""
    done = job.bytes / batch.bytes if batch.bytes else job.items / max(batch.series, 1)
    return min(done, 1.0)


def _factor(seconds: float, expected: float, before: float = 1.0) -> float:
    """Return how many times the expected cost jobs take; `before` is the factor without a measurement."""
    return (seconds + _TRUST * before) / (expected + _TRUST)


def left(moment: Moment) -> float | None:
    """Return the seconds to the end of a run; None where they are not known well enough.

    Parameters
    ----------
    moment : Moment
    """
    if any(job.rule in EXPORT_RULES for job in moment.running):
        return _left_of_exports(moment)
    if not moment.batches or moment.rules == () or any(rule in EXPORT_RULES for rule in moment.rules):
        return None  # headers are read, and what follows is not known; or exports follow, of which nothing is known
    ended = [job for job in moment.ended if job.rule in _WHOLE][-_RECENT:]
    machine = _factor(sum(job.seconds for job in ended), sum(_expected(moment, job.rule) for job in ended))
    batches = _left_of_batches(moment, machine)
    if batches is None or _is_search_unmeasured(moment):
        return None
    seconds = batches + _left_of_rest(moment, machine)
    if seconds < SHORTEST or _is_ending(moment) or moment.seconds < _EVIDENCE * (moment.seconds + seconds):
        return None
    return seconds


def _left_of_batches(moment: Moment, machine: float) -> float | None:
    """Return the seconds until all batches are extracted and read back; None if too little of it was measured."""
    remaining: list[float] = []
    of_running: list[float] = []
    evidence = total = 0.0
    factor = machine
    files_each = moment.files / max(sum(batch.series for batch in moment.batches.values()), 1)
    for rule in BATCH_RULES:
        costs = {name: _expected_of_batch(rule, batch, files_each) for name, batch in moment.batches.items()}
        ended = [job for job in moment.ended if job.rule == rule and job.batch in costs]
        running = [job for job in moment.running if job.rule == rule and job.batch in costs]
        waiting = [costs[batch] for name, batch in moment.waiting if name == rule and batch in costs]
        measured = [(job.seconds, costs[job.batch]) for job in ended[-_RECENT * moment.cores :]]
        begun: list[float] = []
        part: list[tuple[float, float]] = []
        for job in running:
            share = _share(job, moment.batches[job.batch])
            begun.append((costs[job.batch] - START) * (1 - share))
            if share > 0:
                part.append((job.seconds, START + (costs[job.batch] - START) * share))
        done = sum(costs[job.batch] for job in ended) + sum(cost for _, cost in part)
        measured += part
        if running and _is_erratic(measured):
            return None
        # Of reading back, before it was measured: that of extraction.
        factor = _factor(sum(seconds for seconds, _ in measured), sum(cost for _, cost in measured), factor)
        remaining += [each * factor for each in (*waiting, *begun)]
        of_running += [each * factor for each in begun]
        evidence, total = evidence + done, total + done + sum(waiting) + sum(begun)
    if not remaining:
        return 0.0
    if evidence < _EVIDENCE_OF_BATCHES * total:
        return None
    return max(sum(remaining) / min(_jobs_at_once(moment), len(remaining)), *of_running, 0.0)


def _is_erratic(measured: Sequence[tuple[float, float]]) -> bool:
    """Return whether jobs of a kind differ so much that others use the machine, or that the costs are wrong.

    Parameters
    ----------
    measured : sequence of pairs of float
        Seconds and expected cost of jobs, or of what they have done so far.
    """
    factors = [_factor(seconds, cost, seconds / cost) for seconds, cost in measured if cost > 2 * START]
    return len(factors) > 1 and max(factors) > _ERRATIC * min(factors)


def _jobs_at_once(moment: Moment) -> float:
    """Return how many jobs of batches run at the same time: as many as now, since a job may use several cores."""
    now = sum(job.rule in BATCH_RULES for job in moment.running)
    return max(1, now, min(moment.cores, 1))


def _is_search_unmeasured(moment: Moment) -> bool:
    """Return whether the privacy search, which depends on what it finds, runs and has done too little yet."""
    searches = [job for job in moment.running if job.rule == SEARCH]
    return any(job.bytes <= _EVIDENCE_OF_SEARCH * moment.bytes for job in searches)


def _is_ending(moment: Moment) -> bool:
    """Return whether only the last short job is left, which takes about as long as it takes to start."""
    if [job.rule for job in moment.running] == [SEARCH]:
        return moment.running[0].bytes > _MOST_OF_SEARCH * moment.bytes
    return [job.rule for job in moment.running] == [_LAST]


def _left_of_rest(moment: Moment, machine: float) -> float:
    """Return the seconds of the jobs after the batches."""
    ended = {job.rule for job in moment.ended}
    running = {job.rule: job for job in moment.running}
    seconds = 0.0
    for rule in moment.rules:
        if rule in ended or rule not in _WHOLE:
            continue
        expected = _expected(moment, rule) * machine
        if rule in running:
            job = running[rule]
            share = job.bytes / moment.bytes if moment.bytes else 0.0
            if share > _EVIDENCE_OF_SEARCH:
                begun = (START + _WHOLE[rule][0]) * machine  # before it reads the first file
                seconds += max(job.seconds - begun, 0.0) * (1 - share) / share
            else:
                seconds += max(expected - job.seconds, 0.25 * max(expected, job.seconds))
        elif rule != "report_size":  # at the same time as the tables
            seconds += expected
    return seconds


def _left_of_exports(moment: Moment) -> float | None:
    """Return the seconds to the end of the one export that runs last."""
    jobs = [job for job in moment.running if job.rule in EXPORT_RULES]
    others = {rule for rule in moment.rules if rule in EXPORT_RULES} - {job.rule for job in moment.ended}
    series = sum(batch.series for batch in moment.batches.values())
    if len(others) > 1 or len(jobs) > 1 or jobs[0].items < _EVIDENCE * series:
        return None
    seconds = jobs[0].seconds * max(series - jobs[0].items, 0) / jobs[0].items
    return seconds if seconds >= SHORTEST else None


def rounded(seconds: float) -> float:
    """Return seconds in steps that are not more exact than the estimate: 1, 5, 10, 30 s, minutes."""
    for limit, step in ((10, 1), (60, 5), (120, 10), (600, 30)):
        if seconds < limit:
            return step * math.ceil(seconds / step)
    return 60 * math.ceil(seconds / 60)
