"""Progress: the counts that jobs write, the jobs of Snakemake's log events, and the live line made of them."""

from __future__ import annotations

import json
import logging
import os
import pty
import termios
from pathlib import Path
from typing import Any

import pytest

from dicomzarr.system import heartbeat, locks
from dicomzarr.system.results_folder import Results
from dicomzarr.terminal import live_line, progress
from dicomzarr.terminal.jobs import Jobs
from dicomzarr.terminal.screen import Screen
from dicomzarr.vocabulary.errors import UserError
from dicomzarr.workflow import prepare

BATCHES = {
    "0002-0000": {"series": 3, "bytes": 3_000_000, "work": 3_000_000},
    "0002-0001": {"series": 1, "bytes": 1_000_000, "work": 1_000_000},
}


@pytest.fixture
def results(tmp_path: Path) -> Results:
    folder = Results(tmp_path)
    folder.plans.mkdir(parents=True)
    (folder.plans / "contents.json").write_text(json.dumps({"batches": BATCHES}))
    return folder


def write_counts(results: Results, job: str, items: int, size: int) -> None:
    counts = heartbeat.Progress(results.private, job)
    counts.add(items, size)
    counts.note()


def event(name: str, **fields: Any) -> logging.LogRecord:
    """Return a log record as Snakemake emits it; see snakemake_interface_logger_plugins."""
    record = logging.LogRecord("snakemake.logging", logging.INFO, "", 0, "", (), None)
    record.__dict__.update(event=name, **fields)
    return record


def job_info(jobid: int, rule: str, batch: str = "") -> logging.LogRecord:
    wildcards = {"batch": batch} if batch else {}
    return event("job_info", jobid=jobid, rule_name=rule, wildcards=wildcards, log=[f"results/logs/{rule}.log"])


def jobs_of(*records: logging.LogRecord) -> Jobs:
    jobs = Jobs()
    for record in (event("run_info", stats={"plan_batches": 1, "all": 1, "total": 2}), *records):
        jobs.take(record)
    return jobs


def text(results: Results, jobs: Jobs) -> str:
    return live_line.line(progress.Source(results, 10, 4_000_000, jobs).moment(), None, 80)


def test_headers_are_counted_before_the_batches_are_known(results: Results) -> None:
    jobs = jobs_of(job_info(1, "index_headers"))
    assert text(results, jobs) == "reading headers: 0 of 10 files"
    write_counts(results, "index_headers", 4, 0)
    assert text(results, jobs) == "reading headers: 4 of 10 files"


def test_the_total_is_what_this_run_extracts_not_what_an_earlier_one_did(results: Results) -> None:
    planned = (job_info(1, "plan_batches"), event("job_finished", job_id=1))
    jobs = jobs_of(*planned, job_info(2, "extract_batch", "0002-0000"))
    write_counts(results, "extract_batch.0002-0000", 2, 2_000_000)
    assert text(results, jobs) == "extracting: 2 of 4 series, 2.0 MB of 4.0 MB"
    for rule in ("extract_batch", "check_batch"):
        record = results.records / rule / "0002-0001.json"
        record.parent.mkdir(parents=True)
        record.touch()
    (results.plans / "0002-0001.json").write_text("an older plan")
    os.utime(results.plans / "0002-0001.json", (1, 1))
    assert text(results, jobs) == "extracting: 2 of 3 series, 2.0 MB of 3.0 MB"
    os.utime(results.plans / "0002-0001.json")  # its series changed: the batch is due again
    assert text(results, jobs) == "extracting: 2 of 4 series, 2.0 MB of 4.0 MB"


def test_the_line_fits_and_rather_leaves_out_bytes_than_the_time_left(results: Results) -> None:
    jobs = jobs_of(job_info(1, "plan_batches"), event("job_finished", job_id=1))
    jobs.take(job_info(2, "extract_batch", "0002-0000"))
    moment = progress.Source(results, 10, 4_000_000, jobs).moment()
    wide = "extracting: 0 of 4 series, 0 kB of 4.0 MB, about 1 min 20 s left"
    assert live_line.line(moment, 77, 80) == wide
    assert live_line.line(moment, 77, 59) == "extracting: 0 of 4 series, about 1 min 20 s left"
    assert live_line.line(moment, None, 20) == "extracting: 0 of 4 s"


def test_the_processes_of_the_privacy_search_are_added_up(results: Results) -> None:
    jobs = jobs_of(job_info(1, "check_privacy"))
    for name, items in (("0", 20), ("1", 13), ("all", 50)):
        write_counts(results, f"check_privacy.{name}", items, 1000 * items)
    assert text(results, jobs) == "searching for identities: 33 of 50 files"


def test_a_failed_job_has_ended_and_keeps_its_log(results: Results) -> None:
    jobs = jobs_of(job_info(1, "render_report"), event("job_error", jobid=1, rule_name="render_report", log=[]))
    (job,) = jobs.by_id.values()
    assert job.failed and job.ended and job.log == "results/logs/render_report.log"
    assert not jobs.running() and text(results, jobs) == ""


def test_a_job_continues_if_its_counts_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "private").write_text("a file where the folder should be")
    counts = heartbeat.Progress(tmp_path / "private", "index_headers")
    counts.add(1, 1)
    counts.note()


def test_damaged_counts_and_plans_are_ignored(results: Results) -> None:
    jobs = jobs_of(job_info(1, "index_headers"))
    write_counts(results, "index_headers", 4, 0)
    (results.private / "progress" / "index_headers").write_text("half a no")
    (results.plans / "contents.json").write_text('{"batches": [')
    assert text(results, jobs) == "reading headers: 0 of 10 files"
    assert progress.batches_of(results) == {}


def test_the_live_line_fits_a_terminal_that_is_narrower_than_other_lines(results: Results) -> None:
    """A line that wraps could not be overwritten: each moment would leave one behind."""
    (results.private / "progress").mkdir()
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 25))
    with open(theirs, "w") as out, open(ours, "rb", buffering=0) as terminal:
        line = live_line.LiveLine(out, Screen(79, live=True))
        line.start(progress.Source(results, 10, 4_000_000, jobs_of(job_info(1, "index_headers"))))
        shown = terminal.read(999)
        while b"reading" not in shown:
            shown += terminal.read(999)
        line.end()
    assert max(map(len, shown.split(b"\r"))) == 24
    assert progress.noted_line(results) == "reading headers: 0 of 10 files"  # for others, in full


def test_a_command_beside_a_run_says_how_far_the_run_is(results: Results) -> None:
    os.close(locks.lock_run(results.private, "today"))
    progress.note_line(results, "extracting: 1 of 4 series")
    prepare.refuse_active_run(results)  # it has ended
    lock = locks.lock_run(results.private, "today")
    with pytest.raises(UserError) as refusal:
        prepare.refuse_active_run(results)
    assert str(refusal.value).endswith("; wait for it to end")  # there is no folder for the line, or none was written
    (results.private / "progress").mkdir()
    progress.note_line(results, "extracting: 1 of 4 series")
    with pytest.raises(
        UserError, match=f"process {os.getpid()} since today; wait for it to end. It is extracting: 1 of"
    ):
        prepare.refuse_active_run(results)
    progress.note_line(results, "\x1b[2J")
    assert progress.noted_line(results) == ""
    os.close(lock)
