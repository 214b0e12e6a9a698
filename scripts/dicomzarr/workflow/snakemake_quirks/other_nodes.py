"""Jobs on other nodes: their threads, and what becomes of their outputs."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

THREADS_ELSEWHERE = 8  # of a job on a node whose cores nobody told us


def local_cores(workflow: Any) -> int:
    """Return how many cores this run has on this machine; 1 where its jobs run on other nodes.

    For: sharing idle cores among few batches. The main process must come to the same number of threads as the job,
    which is told nothing but the cores of its node. Uses `is_main_process`, `local_exec`, `resource_settings`.
    """
    is_local = workflow.is_main_process and workflow.local_exec
    return int(workflow.resource_settings.cores or 1) if is_local else 1


def threads_up_to(workflow: Any, most: int) -> Callable[[Any], int]:
    """Return a function for `threads:` that asks for so many, but for no more than a node is likely to have.

    For: jobs on other nodes. Snakemake scales threads down to the cores of a local run and to `--max-threads`; a queue
    without the latter would be asked for more cores than any node has, and let the job wait for ever.
    """

    def threads(wildcards: Any) -> int:
        return most if workflow.is_main_process and workflow.local_exec else min(most, THREADS_ELSEWHERE)

    return threads


def leave_outputs_to_main_process(workflow: Any) -> None:
    """Let a Snakemake that runs one job on another node delete no output when that job fails.

    For: a job that is refused since its run is over (`dicomzarr.system.run_token`): its outputs are those of a newer
    run. The main process deletes outputs of failed jobs too, as long as it lives. Sets
    `Workflow.execution_settings.keep_incomplete`, which is `--keep-incomplete`.
    """
    with contextlib.suppress(AttributeError):
        workflow.execution_settings.keep_incomplete = True
