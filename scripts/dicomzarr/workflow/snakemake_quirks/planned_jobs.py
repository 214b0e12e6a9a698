"""The jobs that a run would start, and why."""

from __future__ import annotations

import logging
from collections import Counter
from pathlib import Path
from typing import Any

from dicomzarr.system import files, json_files

# Attributes of Snakemake's `Reason` and the words of `./run status`, in order of precedence.
_CAUSES = (
    ("forced", "forced"),
    ("missing_output", "output_missing"),
    ("incomplete_output", "interrupted"),
    ("updated_input", "input_updated"),
    ("input_changed", "input_set_changed"),
    ("code_changed", "code_changed"),
    ("params_changed", "params_changed"),
    ("software_stack_changed", "software_changed"),
)


class _PlannedJobs(logging.Handler):
    """When Snakemake closes its log, add the due jobs to the answer, or that the outputs are read-only."""

    def __init__(self, workflow: Any, answer: Path) -> None:
        super().__init__()
        self.workflow, self.answer = workflow, answer
        self.reasons: list[dict[str, Any]] = []

    def emit(self, record: logging.LogRecord) -> None:
        if getattr(record, "exception", "") == "ProtectedOutputException":
            self.reasons = [{"reason": "read_only"}]

    def close(self) -> None:
        super().close()
        answer, self.answer = self.answer, Path()
        if answer != Path() and files.exists(answer):
            reasons = json_files.read_json(answer) + (self.reasons or planned_jobs(self.workflow))
            files.write_atomically(answer, json_files.canonical_json(reasons))


def report_planned_jobs(workflow: Any, answer: Path) -> None:
    """At the end of a dry run, add the jobs that a run would start to a list of reasons.

    Purpose: `./run status`. Snakemake prints the jobs of a dry run as prose, and its log events hold the same prose
    (`reason` of `LogEvent.JOB_INFO`). The DAG has the reasons as values. A handler of Snakemake's logger is closed at
    the end, and receives the exception that ended the run (`LogEvent.ERROR`).

    Tested with Snakemake 9.27.1 and snakemake-interface-logger-plugins 2.1.0. With a version whose DAG has other
    attributes, the reason is `jobs_unknown`, so that a pending run is not taken for a finished one. A cause that is not
    in `_CAUSES` is left empty.

    Parameters
    ----------
    workflow : snakemake.workflow.Workflow
        The workflow of a dry run, before its DAG is built.
    answer : Path
        The JSON file that holds the list; without it, nothing is written.
    """
    from snakemake.logging import logger

    logger.addHandler(_PlannedJobs(workflow, answer))


def planned_jobs(workflow: Any) -> list[dict[str, Any]]:
    """Return the due jobs as reasons, one per rule, message and cause, with their count.

    Jobs that are due only because another job is due are left out.
    """
    if workflow.dag is None:  # Snakemake failed before, with a message of its own
        return []
    counts: Counter[tuple[str, str, str]] = Counter()
    try:
        for due in workflow.dag.needrun_jobs(exclude_finished=False):
            why = cause_of(workflow.dag.reason(due))
            if why is not None:
                batch = f" of batch {due.wildcards_dict.get('batch')}"
                counts[due.rule.name, str(due.message or due.rule.name).removesuffix(batch), why] += 1
    except (AttributeError, TypeError, LookupError):
        return [{"reason": "jobs_unknown"}]
    return [
        {"reason": "job", "rule": rule, "job": message, "why": why, "count": count}
        for (rule, message, why), count in sorted(counts.items())
    ]


def cause_of(reason: Any) -> str | None:
    """Return why a job is due: empty if the cause is not in `_CAUSES`, None if another job is the only cause."""
    updated_by_jobs = reason.updated_input_run
    for name, cause in _CAUSES:
        value = getattr(reason, name)
        if value - updated_by_jobs if name == "updated_input" else value:
            return cause
    return None if updated_by_jobs else ""
