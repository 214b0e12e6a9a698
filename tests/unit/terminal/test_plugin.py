"""The logger plugin: the interface's own tests, and the lines that it makes of events."""

from __future__ import annotations

import io
import json
import logging
import os
import traceback
from pathlib import Path
from typing import Any

import pytest
from snakemake_interface_logger_plugins.common import LogEvent
from snakemake_interface_logger_plugins.settings import LogHandlerSettingsBase
from snakemake_interface_logger_plugins.tests import TestLogHandlerBase as PluginTests

from dicomzarr.system.heartbeat import Progress
from dicomzarr.system.results_folder import Results
from dicomzarr.terminal import live_line, stages
from dicomzarr.terminal.run_view import FACTS, RunView
from dicomzarr.vocabulary.rules import RULES
from snakemake_logger_plugin_dicomzarr import LogHandler


class TestPlugin(PluginTests):
    __test__ = True

    def get_log_handler_cls(self) -> type[LogHandler]:
        return LogHandler

    def get_log_handler_settings(self) -> LogHandlerSettingsBase | None:  # type: ignore[override]
        return None


def event(name: LogEvent | None, level: int = logging.INFO, text: str = "", **fields: Any) -> logging.LogRecord:
    record = logging.LogRecord("snakemake.logging", level, "", 0, text, (), None)
    record.__dict__.update({"event": name} if name else {}, **fields)
    record.created = fields.get("at", 100.0)
    return record


def job(number: int, rule: str, began: float, ended: float = 0.0, batch: str = "") -> list[logging.LogRecord]:
    wildcards = {"batch": batch} if batch else {}
    started = event(LogEvent.JOB_INFO, jobid=number, rule_name=rule, wildcards=wildcards, log=["a.log"], at=began)
    return [started, *([event(LogEvent.JOB_FINISHED, job_id=number, at=ended)] if ended else [])]


@pytest.fixture
def results(tmp_path: Path) -> Results:
    folder = Results(tmp_path)
    folder.records.mkdir(parents=True)
    (folder.private / "progress").mkdir()
    counts = {"counts": {"pass": 3, "warn": 1, "fail": 0}, "work": {}}
    (folder.records / "report_depth.json").write_text(json.dumps(counts))
    for batch in ("0001-0000", "0001-0001"):
        (folder.private / "progress" / f"extract_batch.{batch}").write_text("3 1500000 3 1500000")
    return folder


def shown(results: Results, *records: logging.LogRecord) -> list[str]:
    out = io.StringIO()
    view = RunView(out)
    view._results = results  # what `start` notes, without its thread
    for record in records:
        view.take(record)
    view.close()
    return out.getvalue().splitlines()


def test_batches_are_one_line_once_a_job_of_the_whole_dataset_starts(results: Results) -> None:
    batches = [*job(1, "extract_batch", 10, 12, "0001-0000"), *job(2, "extract_batch", 11, 16.5, "0001-0001")]
    lines = shown(results, *batches, *job(3, "report_depth", 17, 17.4))
    assert [" ".join(line.split()) for line in lines] == [
        "Extraction 6 series, 3.0 MB in 2 batches 6.5 s",
        "Depth 3 of 4 arrays pass, 1 warn 0.4 s",
    ]
    assert {len(line) for line in lines} == {80}


def test_series_that_were_up_to_date_are_not_counted_as_extracted(results: Results) -> None:
    progress = Progress(results.private, "extract_batch.0001-0000")
    progress.add(1, 2_000_000)
    progress.add(75, 300_000_000, is_new=False)
    progress.note()
    (line,) = shown(results, *job(1, "extract_batch", 10, 11, "0001-0000"))
    assert " ".join(line.split()) == "Extraction 1 series, 2.0 MB; 75 up to date already 1.0 s"


def test_a_failed_batch_is_named_and_words_of_snakemake_are_not_repeated(
    results: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.log").write_text("2026-11-29 12:00:00,123 ERROR extract_batch: it says why\n")
    failed = event(LogEvent.JOB_ERROR, logging.ERROR, jobid=1, rule_name="extract_batch", log=["a.log"], at=13)
    words = event(None, logging.ERROR, "Exiting because a job execution failed. Look above for error messages")
    lines = shown(results, *job(1, "extract_batch", 10, batch="0001-0000"), failed, words)
    (line,) = lines
    assert line.startswith("Extraction  batch 0001-0000 failed; its log: a.log")


def failed_group(log: str) -> list[logging.LogRecord]:
    """What Snakemake logs of a job in a queue that ran one job of ours."""
    logs = [".snakemake/slurm_logs/group_batch/7.log"]
    group = event(LogEvent.GROUP_ERROR, logging.ERROR, "Error in group batch", aux_logs=logs, job_error_info=[])
    why = event(None, logging.ERROR, "the queue says OUT_OF_MEMORY\n    sbatch call:\n  a long line")
    return [
        event(LogEvent.RESOURCES_INFO, nodes=4),
        event(LogEvent.RESOURCES_INFO, provided_resources={}),
        *job(1, "extract_batch", 10, batch="0001-0000"),
        group,
        event(LogEvent.JOB_ERROR, logging.ERROR, jobid=1, rule_name="extract_batch", rule_msg=None, log=[log], at=13),
        why,
        event(None, logging.ERROR, "WorkflowError:\nAt least one job did not complete successfully."),
    ]


@pytest.mark.parametrize("log", ["", "2026-11-29 12:00:00,123 INFO extract_batch starts\n", "of an earlier run"])
def test_of_a_job_that_cannot_say_why_it_failed_the_queue_says_it(
    results: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, log: str
) -> None:
    monkeypatch.chdir(tmp_path)
    if log:
        Path("a.log").write_text(log)
    if log == "of an earlier run":
        Path("a.log").write_text("2026-11-29 12:00:00,123 ERROR extract_batch: something else\n")
        os.utime("a.log", (1, 1))
    first, *others = shown(results, *failed_group("a.log"))
    assert ("its log: a.log" in first) is ("INFO" in log) and "Extraction  batch 0001-0000 failed" in first
    assert others == ["log of the queue: .snakemake/slurm_logs/group_batch/7.log", "the queue says OUT_OF_MEMORY"]


def test_where_no_thread_can_be_started_the_limits_are_named(results: Results) -> None:
    failed = event(LogEvent.JOB_ERROR, logging.ERROR, jobid=1, rule_name="extract_batch", log=["a.log"], at=13)
    words = event(None, logging.ERROR, "RuleException:\nRuntimeError in file x.smk, line 3:\ncan't start new thread")
    *_, last = shown(results, *job(1, "extract_batch", 10, batch="0001-0000"), failed, words)
    assert "raise ulimit -u" in last


def test_of_an_exception_in_snakemake_its_last_line_is_shown(results: Results) -> None:
    try:
        raise PermissionError(13, "Permission denied", ".snakemake/x")
    except PermissionError as error:
        text = "\n".join(traceback.format_exception(error))
    (line,) = shown(results, event(None, logging.ERROR, text))
    assert line == "Snakemake failed: PermissionError: [Errno 13] Permission denied: '.snakemake/x'"


def test_a_job_that_the_system_killed_may_have_filled_the_memory(results: Results) -> None:
    words = event(None, logging.ERROR, "RuleException:\nCommand 'a b' returned non-zero exit status 137.\n  File a")
    failed = event(LogEvent.JOB_ERROR, logging.ERROR, jobid=1, rule_name="extract_batch", log=["none.log"], at=13)
    _, *others = shown(results, *job(1, "extract_batch", 10, batch="0001-0000"), words, failed)
    assert others[-2].endswith("exit status 137.") and others[-1].startswith("The system killed the job, perhaps")


def test_what_a_job_on_another_node_said_is_shown(
    results: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.log").write_text("2026-11-29 12:00:00,123 ERROR extract_batch: it says why\n")
    assert shown(results, *failed_group("a.log"))[1:] == ["extract_batch: it says why"]


def test_a_job_that_ctrl_c_ended_has_not_failed(results: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_line, "_ending", [False])
    view_lines = [*job(1, "index_headers", 10), event(LogEvent.JOB_ERROR, logging.ERROR, jobid=1, at=12)]
    live_line.stop_at_signal()
    (line,) = shown(results, *view_lines)
    assert " ".join(line.split()) == "Headers ended before it was done 2.0 s"


def test_words_of_snakemake_are_shown_if_it_fails_itself(results: Results) -> None:
    warning = event(None, logging.WARNING, "a warning")
    error = event(LogEvent.ERROR, logging.ERROR, "MissingInputException in line 3", exception="MissingInputException")
    assert shown(results, event(None, text="Building DAG of jobs..."), warning, error) == [
        "a warning",
        "MissingInputException in line 3",
    ]


def test_the_launcher_gets_the_facts(results: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FACTS, str(tmp_path / "facts.json"))
    planned = event(LogEvent.RUN_INFO, stats={"report_depth": 1, "all": 1, "total": 2})
    shown(results, planned, *job(3, "report_depth", 17, 17.4))
    facts = json.loads((tmp_path / "facts.json").read_bytes())
    assert facts["planned"] == {"report_depth": 1} and facts["failed"] == []
    assert facts["stages"] == [{"rule": "report_depth", "jobs": 1, "failed": 0, "seconds": 0.4}]


def test_every_rule_has_a_name_and_words_for_what_it_does() -> None:
    for rule in RULES:
        assert stages.name_of(rule.name) != rule.name and stages.doing(rule.name) != rule.name, rule.name
        assert len(stages.name_of(rule.name)) < 12


@pytest.mark.parametrize(
    ("rule", "counts", "said"),
    [
        ("export_png", {"series": 9, "written": 2, "refused": 1}, "2 of 9 series written, 1 array refused"),
        # It lists files of another export, and writes no series.
        ("export_monai", {"training": 4, "validation": 1, "test": 2}, "4 for training, 1 for validation, 2 for test"),
    ],
)
def test_a_finished_export_is_told_in_words(tmp_path: Path, rule: str, counts: dict[str, int], said: str) -> None:
    results = Results(tmp_path)
    results.records.mkdir(parents=True)
    (results.records / f"{rule}.json").write_text(json.dumps({"counts": counts, "work": {}}))
    assert stages.did(results, rule) == said
