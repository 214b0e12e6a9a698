"""Jobs on other nodes: whether there are any, their threads, and their outputs after a failure."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from typing import Any

from dicomzarr.vocabulary.errors import UserError

THREADS_ELSEWHERE = 8  # of a job on a node with an unknown number of cores


def executor_of(parsed: Mapping[str, Any]) -> str:
    """Return the executor plugin that runs jobs elsewhere; empty if jobs run on this machine.

    Parameters
    ----------
    parsed : mapping
        What `command_line.options` returned. While the rules are read, the workflow does not know its executor yet.
    """
    executor = str(parsed.get("executor") or "")
    return "" if executor in ("local", "dryrun", "touch") else executor


def refuse_unreachable_slurm(workflow: Any, parsed: Mapping[str, Any], executor: str) -> None:
    """Refuse a run on Slurm where Slurm cannot be reached.

    Purpose: the plugin asks `sinfo` for a partition if none is named. An error there, or a command that is missing,
    ends a thread of Snakemake, which then waits for ever. Tested with version 2.8.0 of the plugin. Uses
    `ResourceSettings.overwrite_resources`.

    Parameters
    ----------
    workflow : snakemake.workflow.Workflow
    parsed : mapping
        What `command_line.options` returned.
    executor : str
        What `executor_of` returned.

    Raises
    ------
    UserError
        If `sbatch` is missing; or if no partition is named and `sinfo` fails.
    """
    if executor != "slurm":
        return
    where = "start the run on a node from which jobs can be submitted, such as a login node"
    if not shutil.which("sbatch"):
        raise UserError(f"--executor slurm: the command sbatch of Slurm is not on PATH; {where}")
    of_rules = getattr(workflow.resource_settings, "overwrite_resources", None) or {}
    table = parsed.get("slurm_partition_config")  # where it is not given, an object of `dataclasses` without a value
    if _partition(workflow) or isinstance(table, (str, os.PathLike)) or "slurm_partition" in str(of_rules):
        return
    try:
        asked = subprocess.run(["sinfo", "-o", "%P"], capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.SubprocessError) as error:
        problem = type(error).__name__
    else:
        if asked.returncode == 0:
            return
        problem = (asked.stderr.strip().splitlines() or [f"exit code {asked.returncode}"])[-1]
    raise UserError(f"--executor slurm: Slurm does not answer ({problem}); {where}")


def _partition(workflow: Any) -> str:
    """Return the partition among the default resources; empty if none is named."""
    named = getattr((workflow.resource_settings.default_resources or {}).get("slurm_partition"), "raw", "")
    return str(named or "").strip("'\"")


def limit_threads_to_nodes(workflow: Any, executor: str) -> None:
    """Let no job on Slurm ask for more cores than the smallest node has, unless the user gave `--max-threads`.

    Purpose: Slurm refuses a job that no node can run, or lets it wait for ever. Snakemake hands `--max-threads` to the
    jobs, so that they come to the same number. Sets `ResourceSettings.max_threads`; nodes are those of the partition
    `slurm_partition` among the default resources, else of Slurm's default partition, else all.
    """
    settings = workflow.resource_settings
    if executor != "slurm" or settings.max_threads is not None:
        return
    cores = _cores_of_nodes(_partition(workflow))
    if cores:
        settings.max_threads = min(cores, THREADS_ELSEWHERE)


def _cores_of_nodes(partition: str) -> int:
    """Return the cores of the smallest node of a partition; 0 if Slurm does not answer."""
    command = ["sinfo", "--noheader", "--Node", "--format=%P %c"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout
        nodes = [(name, int(cores)) for name, cores in map(str.split, answer.splitlines())]
    except (OSError, ValueError, subprocess.SubprocessError):
        return 0
    of_partition = [cores for name, cores in nodes if (name.rstrip("*") == partition if partition else "*" in name)]
    return min(of_partition or [cores for _, cores in nodes], default=0)


def say_why_groups_fail() -> None:
    """Let Snakemake log what an executor says of a failed group of jobs.

    Purpose: `GroupJob.log_error` of 9.27.1 drops that text, such as the answer of `sbatch` to a wrong partition, or the
    state `OUT_OF_MEMORY`; that of a single job is logged. With another version the text may stand in the log twice.
    """
    from snakemake.jobs import GroupJob
    from snakemake.logging import logger

    log_error = GroupJob.log_error

    def log_with_text(self: Any, msg: Any = None, *arguments: Any, **options: Any) -> None:
        log_error(self, msg, *arguments, **options)
        if msg:
            logger.error(str(msg))

    GroupJob.log_error = log_with_text


def local_cores(workflow: Any) -> int:
    """Return the number of local cores of this run; 1 if its jobs run on other nodes.

    Purpose: to share idle cores among few batches. The main process and the job on a node must compute the same number
    of threads, and the job knows only the cores of its node. Uses `is_main_process`, `local_exec`, `resource_settings`.
    """
    is_local = workflow.is_main_process and workflow.local_exec
    return int(workflow.resource_settings.cores or 1) if is_local else 1


def threads_up_to(workflow: Any, most: int) -> Callable[[Any], int]:
    """Return a function for `threads:`: `most` in a local run, at most `THREADS_ELSEWHERE` on other nodes.

    Purpose: Snakemake scales threads down to the cores of a local run and to `--max-threads`. Without the latter, a
    batch system would be asked for more cores than any node has, and the job would wait for ever.
    """

    def threads(wildcards: Any) -> int:
        return most if workflow.is_main_process and workflow.local_exec else min(most, THREADS_ELSEWHERE)

    return threads


def leave_outputs_to_main_process(workflow: Any) -> None:
    """Keep the Snakemake process that runs one job on another node from deleting the outputs of a failed job.

    Purpose: a job whose run is over (`dicomzarr.system.run_token`) fails, and its outputs belong to a newer run. While
    the main process lives, it deletes the outputs of failed jobs itself. Sets
    `Workflow.execution_settings.keep_incomplete`, the option `--keep-incomplete`.
    """
    with contextlib.suppress(AttributeError):
        workflow.execution_settings.keep_incomplete = True
