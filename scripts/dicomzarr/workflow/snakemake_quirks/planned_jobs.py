"""Which jobs a dry run would start, and why."""

from __future__ import annotations

import logging
from collections import Counter
from pathlib import Path
from typing import Any

from dicomzarr.system import files, json_files

# What Snakemake's `Reason` says of a job that is due for a cause of its own, in ours, first causes first.
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
    """Writes which jobs are due when Snakemake closes its log, and whether it refused its outputs."""

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
        if answer != Path() and answer.exists():
            found = json_files.read_json(answer) + (self.reasons or planned_jobs(self.workflow))
            files.write_atomically(answer, json_files.canonical_json(found))


def report_planned_jobs(workflow: Any, answer: Path) -> None:
    """Add the jobs that a dry run would start to a list of reasons, when it ends.

    What it is for: `./run status`. Snakemake prints the jobs of a dry run as prose, and its log events hold the same
    prose (`reason` of `LogEvent.JOB_INFO`). The DAG has the reasons as values. A handler of Snakemake's logger is told
    when all is over, and which exception ended it (`LogEvent.ERROR`).

    Tried with: Snakemake 9.27.1, snakemake-interface-logger-plugins 2.1.0.

    With another version: where the DAG has other names, the reason is `jobs_unknown`, so that nobody takes a run that
    has work for one that has none. A cause that is not known here is left empty. Nothing else depends on it.

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
    """Return the jobs that are due and why, as reasons: what does the same for the same cause is one of them.

    Jobs that are due because another one is are left out: the first cause tells.
    """
    if workflow.dag is None:  # Snakemake ended before: it says why, and fails
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
    """Return why a job is due: empty where that is not known here, None where another job alone is the cause."""
    updated_by_jobs = reason.updated_input_run
    for name, cause in _CAUSES:
        value = getattr(reason, name)
        if value - updated_by_jobs if name == "updated_input" else value:
            return cause
    return None if updated_by_jobs else ""
