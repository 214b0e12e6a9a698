"""The time left of a run, or nothing where it is not known within a factor of two.

Each job has an expected cost: seconds on one core of a server (docs/scaling.md), from files, series and bytes. What has
been done so far says how many times longer this machine takes, for extraction, for reading back and for the other jobs
each. The rest of the run is what the remaining jobs are expected to take, times these factors.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from dicomzarr.terminal.progress import CHECK, EXTRACT, Batch, Ended, Moment, Running
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
    "render_report": (0.8, 0.0, 200e-6),
    "check_privacy": (1.0, 0.0, 1e-3),
    "seal_dataset": (0.1, 5e-6, 50e-6),
    "check_gate": (0.1, 0.0, 20e-6),
}
_SHARED = ("index_headers", "check_privacy")  # use all cores
# Seconds of a job of a batch: for each byte of work, each series, each file.
_BATCH = {EXTRACT: (3.0e-9, 3.5e-3, 0.2e-3), CHECK: (1.7e-9, 3.5e-3, 0.1e-3)}
_TRUST = 1.5  # s of expected cost: how long the expectation outweighs what was measured

SHORTEST = 4.0  # s: less is not shown
_EVIDENCE = 0.1  # share of a run, and of its batches, that must have been done


def _expected(moment: Moment, rule: str) -> float:
    """Return the expected seconds of a rule with one job."""
    fixed, by_file, by_series = _WHOLE.get(rule, (0.5, 0.0, 0.0))
    series = sum(batch.series for batch in moment.batches.values())
    varying = by_file * moment.files + by_series * series
    return START + fixed + (varying / max(moment.cores, 1) if rule in _SHARED else varying)


def _expected_of_batch(moment: Moment, rule: str, batch: Batch) -> float:
    """Return the expected seconds of a job of a batch."""
    by_byte, by_series, by_file = _BATCH[rule]
    series = sum(other.series for other in moment.batches.values())
    files = batch.series * moment.files / max(series, 1)
    size = batch.work if rule == EXTRACT else batch.bytes
    return START + by_byte * size + by_series * batch.series + by_file * files


def _share(job: Running, batch: Batch) -> float:
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
    ended = [job for job in moment.ended if job.rule in _WHOLE]
    machine = _factor(sum(job.seconds for job in ended), sum(_expected(moment, job.rule) for job in ended))
    batches = _left_of_batches(moment, machine)
    if batches is None:
        return None
    seconds = batches + _left_of_rest(moment, machine)
    if seconds < SHORTEST or moment.seconds < _EVIDENCE * (moment.seconds + seconds):
        return None
    return seconds


def _left_of_batches(moment: Moment, machine: float) -> float | None:
    """Return the seconds until all batches are extracted and read back; None if too little of it was measured."""
    waiting: list[tuple[str, float]] = []
    running: list[tuple[str, float]] = []
    factors: dict[str, float] = {}
    evidence = total = 0.0
    for rule in BATCH_RULES:
        done = seconds = 0.0
        for job in _of_rule(moment.ended, rule):
            if job.batch in moment.batches:
                done += _expected_of_batch(moment, rule, moment.batches[job.batch])
                seconds += job.seconds
        for job in _of_rule(moment.running, rule):
            if job.batch in moment.batches:
                expected = _expected_of_batch(moment, rule, moment.batches[job.batch])
                share = _share(job, moment.batches[job.batch])
                running.append((rule, expected * (1 - share)))
                done += expected * share
                seconds += job.seconds if share > 0 else 0.0
        names = [batch for name, batch in moment.waiting if name == rule and batch in moment.batches]
        expected = [_expected_of_batch(moment, rule, moment.batches[name]) for name in names]
        waiting += [(rule, each) for each in expected]
        factors[rule] = _factor(seconds, done, factors.get(EXTRACT, machine))
        evidence += done
        total += done + sum(expected)
    total += sum(each for _, each in running)
    if not waiting and not running:
        return 0.0
    if evidence < _EVIDENCE * total:
        return None
    times = [each * factors[rule] for rule, each in (*waiting, *running)]
    at_once = min(_jobs_at_once(moment), len(times))
    return max(sum(times) / at_once, max((each * factors[rule] for rule, each in running), default=0.0))


def _of_rule(jobs: Iterable[Ended | Running], rule: str) -> list[Ended | Running]:
    return [job for job in jobs if job.rule == rule]


def _jobs_at_once(moment: Moment) -> float:
    """Return how many jobs of batches run at the same time: as many as now, since a job may use several cores."""
    now = sum(job.rule in BATCH_RULES for job in moment.running)
    return max(1, now, min(moment.cores, 1))


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
            share = job.items / moment.items if moment.items else 0.0
            if share > _EVIDENCE:
                expected = job.seconds / share
            seconds += max(expected - job.seconds, 0.2 * expected)
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
