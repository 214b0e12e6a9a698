"""What the cores did during a run: from Snakemake's log events, which job ran when and on how many threads."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

# Runs a program that runs Snakemake, and writes the start and the end of each job to a file.
TRACED = """
import json, logging, runpy, sys, time
trace = open(sys.argv.pop(1), "w", buffering=1)
sys.argv.pop(0)

class Trace(logging.Handler):
    def emit(self, record):
        event, fields = str(getattr(record, "event", "")), record.__dict__
        if event == "job_info":
            batch = dict(fields.get("wildcards") or {}).get("batch", "")
            facts = {"id": fields["jobid"], "rule": fields["rule_name"], "batch": batch, "threads": fields["threads"]}
        elif event == "job_finished":
            facts = {"id": fields["job_id"]}
        else:
            return
        trace.write(json.dumps({"time": record.created, **facts}) + "\\n")

trace.write(json.dumps({"time": time.time()}) + "\\n")
events, handler = logging.getLogger("snakemake.logging"), Trace()
remove = events.removeHandler
events.removeHandler = lambda each: each is handler or remove(each)  # Snakemake begins without handlers of others
events.addHandler(handler)
runpy.run_path(sys.argv[0], run_name="__main__")
"""
BATCH_RULES = ("extract_batch", "check_batch")  # the second of a batch waits for the first of it
_NO_WORK = ("all", "all_extracted", "all_checked")  # rules that only name targets


@dataclass(frozen=True, slots=True)
class Job:
    """A job: its rule, its batch if it has one, threads, and seconds from the start of the run to its start and end."""

    rule: str
    batch: str
    threads: int
    start: float
    end: float

    @property
    def seconds(self) -> float:
        """How long it ran."""
        return self.end - self.start


@dataclass(frozen=True, slots=True)
class Trace:
    """A run: its wall seconds, its cores and its jobs."""

    wall: float
    cores: int
    jobs: tuple[Job, ...]

    def serial(self) -> float:
        """Return the seconds in which there was work for one core only.

        That is the time in which no job ran (the start of Snakemake, its end, and what it does between two jobs), and
        the time in which exactly one job ran and had one thread.
        """
        parallel = sum(
            end - start
            for start, end, running in _intervals(self.jobs)
            if len(running) > 1 or (running and running[0].threads > 1)
        )
        return self.wall - parallel

    def seconds_on(self, cores: int) -> float:
        """Return the wall seconds of the same run on more cores, at least as many as it had.

        Time without a job stays. Jobs of batches run as soon as cores are free, the longest first, reading back after
        the extraction of the same batch; other jobs run one after the other, or at the same time as they did. A job
        that had all cores of this run gets all of those, and its time shrinks in proportion, but for the time that
        the shortest job of the run took: the start of a process.
        """
        start_up = min((job.seconds for job in self.jobs), default=0.0)
        lasting = {job: self._lasting(job, cores, start_up) for job in self.jobs}
        taken = {job: cores if self._had_all_cores(job) else job.threads for job in self.jobs}
        busy = sum(end - start for start, end, running in _intervals(self.jobs) if running)
        batches = [job for job in self.jobs if job.rule in BATCH_RULES]
        seconds = self.wall - busy + _scheduled(batches, lasting, taken, cores)
        for group in _at_the_same_time([job for job in self.jobs if job.rule not in BATCH_RULES]):
            seconds += max(lasting[job] for job in group)
        return seconds

    def _lasting(self, job: Job, cores: int, start_up: float) -> float:
        if not self._had_all_cores(job):
            return job.seconds
        return start_up + (job.seconds - start_up) * self.cores / cores

    def _had_all_cores(self, job: Job) -> bool:
        return 1 < self.cores <= job.threads


def read(path: Path, wall: float, cores: int) -> Trace:
    """Return the trace of a run that took `wall` seconds on so many cores.

    Parameters
    ----------
    path : Path
        The file that `TRACED` wrote.
    wall : float
    cores : int
    """
    events = [json.loads(line) for line in path.read_text().splitlines()]
    began, started, jobs = events[0]["time"], {}, []
    for event in events[1:]:
        if "rule" in event:
            started[event["id"]] = event
        elif first := started.pop(event["id"], None):
            times = (min(each["time"] - began, wall) for each in (first, event))
            if first["rule"] not in _NO_WORK:
                jobs.append(Job(first["rule"], first["batch"], int(first["threads"]), *times))
    return Trace(wall, cores, tuple(jobs))


def _intervals(jobs: Sequence[Job]) -> Iterator[tuple[float, float, list[Job]]]:
    """Yield start and end of each time without a start or an end of a job, and the jobs that run in it."""
    times = sorted({time for job in jobs for time in (job.start, job.end)})
    for start, end in zip(times, times[1:], strict=False):
        yield start, end, [job for job in jobs if job.start <= start and job.end >= end]


def _at_the_same_time(jobs: Iterable[Job]) -> Iterator[list[Job]]:
    """Yield groups of jobs that overlap."""
    group: list[Job] = []
    for job in sorted(jobs, key=lambda job: job.start):
        if group and job.start >= max(other.end for other in group):
            yield group
            group = []
        group.append(job)
    if group:
        yield group


def _scheduled(jobs: Sequence[Job], lasting: Mapping[Job, float], taken: Mapping[Job, int], cores: int) -> float:
    """Return the seconds until all jobs of batches have ended, on so many cores."""
    extraction = BATCH_RULES[0]
    waiting = sorted(jobs, key=lambda job: (job.rule != extraction, -lasting[job]))
    extracted = {job.batch for job in waiting if job.rule == extraction}
    blocked = {job for job in waiting if job.rule != extraction and job.batch in extracted}
    running: list[tuple[float, Job]] = []
    now = 0.0
    while waiting or running:
        free = cores - sum(taken[job] for _, job in running)
        for job in [job for job in waiting if job not in blocked]:
            if taken[job] <= free:
                waiting.remove(job)
                running.append((now + lasting[job], job))
                free -= taken[job]
        now = min(end for end, _ in running)
        ended = {job.batch for end, job in running if end <= now and job.rule == extraction}
        running = [(end, job) for end, job in running if end > now]
        blocked = {job for job in blocked if job.batch not in ended}
    return now
