"""How far a run is: the jobs of Snakemake's log events, with the counts that jobs write to files (`heartbeat`)."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dicomzarr.system import files
from dicomzarr.system.heartbeat import FOLDER
from dicomzarr.system.results_folder import Results
from dicomzarr.terminal import stages
from dicomzarr.terminal.jobs import Jobs
from dicomzarr.terminal.screen import amount
from dicomzarr.vocabulary.rules import BATCH_RULES, EXPORT_RULES

Count = tuple[int, int]  # items and bytes done
EXTRACT, CHECK = BATCH_RULES
SEARCH = "check_privacy"
HEADERS = "index_headers"  # with archives, the rule before it counts their members
TOTAL = ".all"  # ends the name of a file that holds the items in all of a job
LINE, LONGEST = "line", 200  # name and characters of the file with the live line


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch of the plan: its series, their bytes, and their bytes as work of decoding."""

    series: int
    bytes: int
    work: int


@dataclass(frozen=True, slots=True)
class JobProgress:
    """A job that runs or has ended: seconds since its start, or that it took; items and bytes done."""

    rule: str
    batch: str
    seconds: float
    items: int = 0
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class Moment:
    """A run at one moment.

    Attributes
    ----------
    seconds : float
        Since Snakemake began.
    cores : int
        Most jobs at the same time.
    files, size : int
        Number of the files in the source, with the members of archives; bytes of the files.
    running : tuple of JobProgress
    ended : tuple of JobProgress
    batches : mapping of str to Batch
        All batches of the plan; empty before it is known.
    waiting : tuple of pairs of str
        Rule and batch of the jobs of batches that are due and have not started.
    rules : tuple of str
        Rules with one job that this run is known to need.
    items, bytes : int
        Items and bytes (of the privacy search: cost) in all of the job that runs alone, 0 if not known.
    """

    seconds: float
    cores: int
    files: int
    size: int
    running: tuple[JobProgress, ...] = ()
    ended: tuple[JobProgress, ...] = ()
    batches: Mapping[str, Batch] = field(default_factory=dict)
    waiting: tuple[tuple[str, str], ...] = ()
    rules: tuple[str, ...] = ()
    items: int = 0
    bytes: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return the moment as JSON values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Moment:
        """Return a moment from its JSON values."""
        return cls(
            **{
                **raw,
                "running": tuple(JobProgress(**job) for job in raw["running"]),
                "ended": tuple(JobProgress(**job) for job in raw["ended"]),
                "batches": {name: Batch(**batch) for name, batch in raw["batches"].items()},
                "waiting": tuple((rule, batch) for rule, batch in raw["waiting"]),
                "rules": tuple(raw["rules"]),
            }
        )

    def text(self) -> tuple[str, str]:
        """Return what runs with its counts, and bytes where they are counted; empty if nothing runs."""
        rules = {job.rule for job in self.running}
        for rule in BATCH_RULES:
            if rule in rules:
                return self._text_of_batches(rule)
        if not self.running:
            return "", ""
        job = self.running[-1]
        of_items = self.items or (self.files if job.rule == HEADERS else 0)
        if not job.items and not of_items:
            return stages.doing(job.rule), ""
        noun = "series" if job.rule in EXPORT_RULES else "archives" if job.rule == "discover_files" else "files"
        total = f" of {of_items:,}" if of_items else ""
        return f"{stages.doing(job.rule)}: {job.items:,}{total} {noun}", ""

    def _text_of_batches(self, rule: str) -> tuple[str, str]:
        jobs = [*self.ended, *self.running]
        done = [job for job in jobs if job.rule == rule]
        due = {job.batch for job in done} | {batch for name, batch in self.waiting if name == rule}
        series = sum(self.batches[name].series for name in due if name in self.batches)
        size = sum(self.batches[name].bytes for name in due if name in self.batches)
        text = f"{stages.doing(rule)}: {sum(job.items for job in done):,} of {series:,} series"
        return text, f"{amount(sum(job.bytes for job in done))} of {amount(size)}" if size else ""


def count_of(results: Results, name: str) -> Count:
    """Return items and bytes done by a job; zeros if its file is missing or damaged."""
    try:
        items, size = (results.private / FOLDER / name).read_text().split()[:2]
        return int(items), int(size)
    except (OSError, ValueError):
        return 0, 0


def new_of(results: Results, name: str) -> Count:
    """Return those items and bytes of a job that were not up to date before; zeros if they are not known."""
    try:
        items, size = (results.private / FOLDER / name).read_text().split()[2:4]
        return int(items), int(size)
    except (OSError, ValueError):
        return 0, 0


def count_of_job(results: Results, name: str) -> Count:
    """Return items and bytes done by a job; the privacy search counts in each of its processes."""
    if name != SEARCH:
        return count_of(results, name)
    names = [path.name for path in (results.private / FOLDER).glob(f"{SEARCH}.*")]
    counts = [count_of(results, each) for each in names if not each.endswith(TOTAL)]
    return sum(items for items, _ in counts), sum(size for _, size in counts)


def note_line(results: Results, text: str) -> None:
    """Write what the live line says to a file, for `./run status` in another terminal."""
    with contextlib.suppress(OSError):
        handle = os.open(results.private / FOLDER / LINE, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, files.PRIVATE_FILE)
        with open(handle, "w", encoding="utf-8") as stream:
            stream.write(text)


def forget_line(results: Results) -> None:
    """Remove what the live line of an earlier run said last. Nothing changes where it said nothing."""
    with contextlib.suppress(OSError):
        (results.private / FOLDER / LINE).unlink()


def noted_line(results: Results) -> str:
    """Return what the live line of the last run said last; empty if it said nothing."""
    try:
        text = (results.private / FOLDER / LINE).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    return text[:LONGEST] if text.isprintable() else ""


def clear(results: Results) -> None:
    """Remove the counts of an earlier run."""
    for path in (results.private / FOLDER).glob("*"):
        with contextlib.suppress(OSError):
            path.unlink()


def batches_of(results: Results) -> dict[str, Batch]:
    """Return the batches of the plan; none if there is no plan."""
    try:
        raw = json.loads((results.plans / "contents.json").read_bytes())["batches"]
        return {name: Batch(int(one["series"]), int(one["bytes"]), int(one["work"])) for name, one in raw.items()}
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return {}


class Source:
    """Where moments come from: the jobs of a run, and the files of its results folder.

    Parameters
    ----------
    results : Results
    files, size : int
        Number and bytes of the files in the source.
    jobs : Jobs
    """

    def __init__(self, results: Results, files: int, size: int, jobs: Jobs) -> None:
        self.results, self.files, self.size, self.jobs = results, files, size, jobs
        self._counts: dict[str, Count] = {}  # of ended jobs
        self._batches: dict[str, Batch] = {}
        self._due: set[tuple[str, str]] = set()
        self._is_planned = False

    def moment(self) -> Moment:
        """Return the run as it is now."""
        self._read_plan()
        now, ended, running = time.time(), [], []
        for job in list(self.jobs.by_id.values()):
            self._due.discard((job.rule, job.batch))
            if job.ended:
                if job.name not in self._counts:
                    self._counts[job.name] = count_of(self.results, job.name)
                took = round(job.ended - job.started, 2)
                ended.append(JobProgress(job.rule, job.batch, took, *self._counts[job.name]))
            else:
                counts = count_of_job(self.results, job.name)
                running.append(JobProgress(job.rule, job.batch, round(now - job.started, 2), *counts))
        items, size = count_of(self.results, running[0].rule + TOTAL) if len(running) == 1 else (0, 0)
        return Moment(
            seconds=round(now - (self.jobs.began or now), 2),
            cores=self.jobs.cores,
            files=count_of(self.results, HEADERS + TOTAL)[0] or self.files,
            size=self.size,
            running=tuple(running),
            ended=tuple(ended),
            batches=self._batches,
            waiting=tuple(sorted(self._due)),
            rules=tuple(sorted(self.jobs.planned)),
            items=items,
            bytes=size,
        )

    def _read_plan(self) -> None:
        """Read the plan once it is known which batches this run has to work on."""
        plans = self.jobs.of_rule("plan_batches")
        if self._is_planned or not self.jobs.planned or (plans and not plans[-1].ended):
            return
        if "plan_batches" in self.jobs.planned and not plans:
            return
        self._is_planned = True
        self._batches = batches_of(self.results)
        self._due = {
            (rule, name)
            for rule in BATCH_RULES
            for name in self._batches
            if (rule in self.jobs.planned or plans) and self._is_due(rule, name)
        }

    def _is_due(self, rule: str, batch: str) -> bool:
        """Return whether a batch has no record of a rule, or a newer plan."""
        try:
            record = os.stat(self.results.records / rule / f"{batch}.json").st_mtime_ns
            return record < os.stat(self.results.plan(batch)).st_mtime_ns
        except OSError:
            return True
