"""What a run shows: lines of stages as they end, between them the live line, at the end the facts for the launcher."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import sys
from pathlib import Path
from typing import Any, TextIO

from dicomzarr.system import shortage
from dicomzarr.system.results_folder import Results
from dicomzarr.terminal import live_line, progress, stages
from dicomzarr.terminal.jobs import Job, Jobs
from dicomzarr.terminal.screen import Screen, duration, shown_path

FACTS = "DICOMZARR_FACTS"  # environment variable: path of the file to which the facts of the run are written
_INDENT = 12  # column of the text of a stage
_ERROR = re.compile(r"[\d-]+ [\d:,]+ ERROR (.*)")  # as `workflow.job` writes it into the log of a job
_CLOCKS = 5.0  # s by which the clocks of nodes may differ
_QUEUE = "slurm_logs"
_KILLED = re.compile(r"exit status (137|-9)\b|SIGKILL")
_NO_PROCESS = re.compile(r"can't start new thread|Resource temporarily unavailable")
_MEMORY = "The system killed the job, perhaps since the memory of this machine was full: docs/recovery.md"
# What Snakemake says after every failed job.
_SAYS_NOTHING = re.compile(
    r"Exiting because a job execution failed|(WorkflowError:\s+)?At least one job did not complete"
)


class RunView:
    """Shows one run of Snakemake; receives its log records.

    Parameters
    ----------
    out : text file
        Where lines are written.
    quiet : bool
        Show errors only.
    """

    def __init__(self, out: TextIO, quiet: bool = False) -> None:
        self.screen = Screen.of(out)
        self.jobs = Jobs()
        self.line = live_line.LiveLine(out, self.screen)
        self._quiet = quiet
        self._results: Results | None = None
        self._was_sealed = False
        self._shown: set[str] = set()  # batch rules whose line was written
        self._errors: list[str] = []  # texts of Snakemake
        self._closed = False

    def start(self, results: Results, files: int, size: int, *, was_sealed: bool) -> None:
        """Show the progress of jobs from now on; called when the results folder is known and locked.

        Parameters
        ----------
        results : Results
        files, size : int
            Number and bytes of the files in the source.
        was_sealed : bool
            Whether there was a complete dataset before this run.
        """
        self._results, self._was_sealed = results, was_sealed
        if not self._quiet:
            self.line.start(progress.Source(results, files, size, self.jobs))

    def take(self, record: logging.LogRecord) -> None:
        """Show a log record of Snakemake, if it is one to be shown."""
        job = self.jobs.take(record)
        if record.levelno >= logging.ERROR:
            self._keep_words(record, job)
        if job is not None:
            self._take_job(job)
        elif record.levelno == logging.WARNING:
            self.line.write([record.getMessage()])

    def _keep_words(self, record: logging.LogRecord, job: Job | None) -> None:
        """Keep what Snakemake and its executor say of an error; lines that are indented repeat commands and code."""
        fields = record.__dict__
        if job is None and "job_error_info" not in fields:  # not an event that only counts jobs of a group
            self._errors.append(_words_of(record.getMessage()))
        elif fields.get("rule_msg"):
            self._errors.append(str(fields["rule_msg"]).partition("\n  ")[0])
        logs = map(str, fields.get("aux_logs") or fields.get("log") or ())
        self._errors += [f"log of the queue: {shown_path(path)}" for path in logs if _QUEUE in path]

    def _take_job(self, job: Job) -> None:
        if job.failed:
            self._failure(job)
        elif not stages.is_batch_rule(job.rule):
            if not job.ended:
                self._end_batch_stages()  # all of them have ended when a job of the whole dataset starts
            else:
                self._stage(job.rule, stages.did(self._results, job.rule), job.ended - job.started)

    def _end_batch_stages(self) -> None:
        for rule in ("extract_batch", "check_batch"):
            jobs = [job for job in self.jobs.of_rule(rule) if job.ended and not job.failed]
            if jobs and rule not in self._shown:
                self._shown.add(rule)
                series = new = size = 0
                for job in jobs:
                    if self._results:
                        series += progress.count_of(self._results, job.name)[0]
                        items, of_bytes = progress.new_of(self._results, job.name)
                        new, size = new + items, size + of_bytes
                seconds = max(job.ended for job in jobs) - min(job.started for job in jobs)
                self._stage(rule, stages.did_in_batches(len(jobs), series, new, size), seconds)

    def _stage(self, rule: str, text: str, seconds: float) -> None:
        if not self._quiet:
            lines = self.screen.wrapped(stages.name_of(rule), text, _INDENT, duration(seconds))
            label = stages.name_of(rule)
            lines[0] = self.screen.coloured_text(label, "bold") + lines[0][len(label) :]
            self.line.write(lines)

    def _failure(self, job: Job) -> None:
        label, batch = stages.name_of(job.rule), f"batch {job.batch} " if job.batch else ""
        log, is_ending = f"; its log: {shown_path(job.log)}" if log_of(job) else "", live_line.is_ending()
        text = f"{batch}ended before it was done" if is_ending else f"{batch}failed{log}"
        lines = self.screen.wrapped(label, text, _INDENT, duration(job.ended - job.started))
        lines[0] = self.screen.coloured_text(label, "bold" if is_ending else "red") + lines[0][len(label) :]
        self.line.write(lines)
        if self.jobs.are_elsewhere and not is_ending:  # on this machine the job has written it here itself
            self.line.write([*filter(None, [last_error_of(job)])])

    def close(self, *, shown: bool = True) -> None:
        """End the live line, and write the facts of the run.

        Parameters
        ----------
        shown : bool
            Show what is left to be shown before.
        """
        if self._closed:
            return
        self._closed = True
        self.line.end()
        if shown:
            self._end_batch_stages()
        failed = [job for job in self.jobs.by_id.values() if job.failed]
        if shown and not live_line.is_ending() and not (failed and all(map(last_error_of, failed))):
            # Snakemake or a queue failed, or killed a job that could not say why.
            words = [text for text in dict.fromkeys(self._errors) if not (failed and _SAYS_NOTHING.match(text))]
            hints = ((_KILLED, _MEMORY), (_NO_PROCESS, shortage.PROCESSES))
            self.line.write(words + [hint for pattern, hint in hints if any(map(pattern.search, words))])
        path = os.environ.get(FACTS)
        if path:
            with contextlib.suppress(OSError):
                Path(path).write_text(json.dumps(self.facts()), encoding="utf-8")

    def facts(self) -> dict[str, Any]:
        """Return what the launcher shows of the run: its stages with seconds, failed jobs, and Snakemake's log."""
        jobs = list(self.jobs.by_id.values())
        by_rule: dict[str, list[Job]] = {}
        for job in jobs:
            by_rule.setdefault(job.rule, []).append(job)
        return {
            "log": log_of_snakemake(),
            "planned": self.jobs.planned,
            "was_sealed": self._was_sealed,
            "stages": [
                {
                    "rule": rule,
                    "jobs": len(some),
                    "failed": sum(job.failed for job in some),
                    "seconds": round(max(job.ended or job.started for job in some) - some[0].started, 3),
                }
                for rule, some in by_rule.items()
            ],
            "failed": [{"rule": job.rule, "batch": job.batch, "log": job.log} for job in jobs if job.failed],
        }


def _words_of(message: str) -> str:
    """Return what an error message says: of a traceback its last line, of others what comes before indented lines."""
    if message.startswith("Traceback"):
        return "Snakemake failed: " + message.rstrip().rpartition("\n")[2]
    return message.partition("\n  ")[0]


def log_of(job: Job) -> list[str]:
    """Return the lines that a job wrote into its log; none if it never began, and the log is of an earlier run."""
    try:
        is_older = os.stat(job.log).st_mtime < job.started - _CLOCKS
        return [] if is_older else Path(job.log).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []


def last_error_of(job: Job) -> str:
    """Return the last error that a job wrote into its log; empty if it wrote none, as one that was killed."""
    return next((match[1] for line in reversed(log_of(job)) if (match := _ERROR.match(line))), "")


def log_of_snakemake() -> str:
    """Return the path of the file to which Snakemake writes its own words; empty if there is none."""
    for handler in logging.getLogger("snakemake.logging").handlers:
        if isinstance(handler, logging.FileHandler):
            return handler.baseFilename
    return ""


_views: list[RunView] = []  # that of this process, if the launcher chose it


def view_of_launcher(quiet: bool) -> RunView:
    """Return the view of this process for Snakemake's logger."""
    _views[:] = [RunView(sys.stderr, quiet)]
    return _views[0]


def start(results: Results, files: int, size: int, *, was_sealed: bool) -> None:
    """Show the progress of this run until its process ends, in the launcher's view, or alone under plain Snakemake.

    Parameters
    ----------
    results : Results
    files, size : int
        Number and bytes of the files in the source.
    was_sealed : bool
        Whether there was a complete dataset before this run.
    """
    progress.clear(results)
    if _views:
        _views[0].start(results, files, size, was_sealed=was_sealed)
        return
    view = RunView(sys.stderr)
    logging.getLogger("snakemake.logging").addHandler(_JobsOnly(view))
    view.start(results, files, size, was_sealed=was_sealed)


class _JobsOnly(logging.Handler):
    """Notes the jobs of a run for its progress; Snakemake's own handlers show its words."""

    def __init__(self, view: RunView) -> None:
        super().__init__()
        self.view = view

    def emit(self, record: logging.LogRecord) -> None:
        with contextlib.suppress(LookupError, TypeError, ValueError):  # events of another version of Snakemake
            self.view.jobs.take(record)

    def close(self) -> None:
        self.view.close(shown=False)
        super().close()
