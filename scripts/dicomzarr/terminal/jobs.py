"""The jobs of a run, from Snakemake's log events: which rules run, since when, and how they ended."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

NOT_OURS = ("all", "all_extracted", "all_checked")  # rules that only name targets


@dataclass(slots=True)
class Job:
    """One job.

    Attributes
    ----------
    rule, batch : str
        Its rule; its batch, empty if the rule has none.
    started, ended : float
        Seconds on the clock of the log records; `ended` is 0 while it runs.
    failed : bool
    log : str
        Path of its log.
    """

    rule: str
    batch: str
    started: float
    ended: float = 0.0
    failed: bool = False
    log: str = ""

    @property
    def name(self) -> str:
        """The name under which it reports its progress."""
        return f"{self.rule}.{self.batch}" if self.batch else self.rule


@dataclass(slots=True)
class Jobs:
    """All jobs of a run, in the order in which they started.

    Attributes
    ----------
    by_id : dict of int to Job
        By Snakemake's number of the job.
    began : float
        Clock of the first record.
    cores : int
        Most jobs at the same time; 0 if it is not known.
    planned : dict of str to int
        Number of jobs of each rule, as Snakemake planned them before the first one; batches that the checkpoint
        `plan_batches` plans are missing. Empty if there is nothing to do.
    are_elsewhere : bool
        Whether they run on other nodes.
    """

    by_id: dict[int, Job] = field(default_factory=dict)
    began: float = 0.0
    cores: int = 0
    planned: dict[str, int] = field(default_factory=dict)
    are_elsewhere: bool = False

    def take(self, record: logging.LogRecord) -> Job | None:
        """Note a log event; return the job that started, ended or failed, None for other events."""
        self.began = self.began or record.created
        event = str(getattr(record, "event", ""))
        fields = record.__dict__
        if event == "resources_info":
            self.cores = int(fields.get("cores") or fields.get("nodes") or self.cores)
            self.are_elsewhere = self.are_elsewhere or bool(fields.get("nodes"))
        elif event == "run_info" and not self.planned:
            stats = dict(fields.get("stats") or {})
            self.planned = {rule: int(count) for rule, count in stats.items() if rule not in (*NOT_OURS, "total")}
        elif event == "job_info" and fields["rule_name"] not in NOT_OURS:
            batch = str(dict(fields.get("wildcards") or {}).get("batch", ""))
            log = next(iter(fields.get("log") or ()), "")
            job = Job(str(fields["rule_name"]), batch, record.created, log=str(log))
            self.by_id[int(fields["jobid"])] = job
            return job
        elif event in ("job_finished", "job_error"):
            ended = self.by_id.get(int(fields["job_id" if event == "job_finished" else "jobid"]))
            if ended:
                ended.ended, ended.failed = record.created, event == "job_error"
            return ended
        return None

    def of_rule(self, rule: str) -> list[Job]:
        """Return the jobs of a rule."""
        return [job for job in list(self.by_id.values()) if job.rule == rule]

    def running(self) -> list[Job]:
        """Return the jobs that have not ended."""
        return [job for job in list(self.by_id.values()) if not job.ended]
