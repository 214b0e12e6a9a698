"""Jobs on other nodes: their threads, and their outputs after a failure."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

THREADS_ELSEWHERE = 8  # of a job on a node with an unknown number of cores


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
