"""A job that its queue starts after its run has ended changes nothing."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys

from conftest import Workflow
from dicoms import save_series
from folders import state_of
from queues import Queue
from waiting import wait_until

from dicomzarr.stages import verify_dataset
from dicomzarr.system.results_folder import Results


def start(workflow: Workflow, queue: Queue) -> subprocess.Popen[bytes]:
    """Start a run whose jobs go to the queue."""
    workflow.write_config()
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(workflow.project / "Snakefile")]
    return subprocess.Popen(
        [*command, "--configfile", "config.yaml", *queue.options()],
        cwd=workflow.folder,
        env=os.environ | workflow.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def kill(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def test_a_job_that_starts_after_its_run_ended_changes_nothing(workflow: Workflow) -> None:
    """Its run was killed while it was in the queue, and it starts after another run has ended."""
    workflow.config = {"batch": {"series": 2, "megabytes": 512}}
    for number in range(3):
        save_series(workflow.source / str(number), f"series-{number}", 3)
    close_queue = 'case "$script" in *index_headers*) touch "{folder}/closed" ;; esac'
    queue = Queue(workflow.folder, prelude=close_queue.replace("{folder}", str(workflow.folder / "queue")))
    process = start(workflow, queue)
    try:
        wait_until(lambda: any("index_headers" in script for script in queue.scripts()))
    finally:
        kill(process)
    before_late = len(queue.ended())
    sealed = workflow.run().sealed
    before = state_of(workflow.results)
    assert "private/run.json" not in before  # the run has ended: its jobs that are still in a queue are refused too
    queue.open()
    wait_until(lambda: len(queue.ended()) == len(queue.scripts()))
    assert set(queue.ended()[before_late:]) == {1}
    assert "the run that started this job is over" in queue.printed()
    assert state_of(workflow.results) == before and workflow.sealed() == sealed
    assert verify_dataset.verify(Results(workflow.results)).good
