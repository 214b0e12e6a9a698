"""Slurm for real: a controller and two nodes on this machine, and the executor plugin with our profile."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import ROOT, Workflow
from dicoms import save_series
from folders import state_of
from slurm_cluster import SlurmCluster, SlurmJob, running
from waiting import HANG

from dicomzarr.commands.launcher.environment import Environment
from dicomzarr.stages import verify_dataset
from dicomzarr.system.results_folder import Results
from dicomzarr.vocabulary.errors import UserError

PLANTED = "quetzalwren"  # in names of files, and of the patient
KEY = "k" * 32
PROFILE = (
    *("--profile", str(ROOT / "profiles" / "slurm"), "--retries", "0", "--latency-wait", "5", "--jobs", "4"),
    *("--slurm-no-account", "--slurm-status-command", "squeue", "--slurm-init-seconds-before-status-checks", "1"),
    "--slurm-keep-successful-logs",
)


@pytest.fixture(scope="module")
def cluster() -> Iterator[SlurmCluster]:
    """A cluster, and the executor for it, as `./run` adds it."""
    with running() as started:
        environment = Environment(Path(sys.prefix))
        try:
            environment.add_slurm()
        except UserError as error:
            pytest.skip(str(error))
        started.environment["PYTHONPATH"] = str(environment.slurm)
        yield started


def start(workflow: Workflow) -> subprocess.Popen[bytes]:
    """Start a run whose jobs go to Slurm."""
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(workflow.project / "Snakefile")]
    with open(workflow.folder / "output.txt", "ab") as output:
        return subprocess.Popen(
            [*command, "--configfile", "config.yaml", *PROFILE],
            cwd=workflow.folder,
            env=os.environ | workflow.environment,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )


def in_state(cluster: SlurmCluster, what: str, state_of_job: str) -> list[SlurmJob]:
    """Return the jobs with a rule in their comment that are in a state."""
    return [job for job in cluster.jobs() if what in job.what and job.state == state_of_job]


def test_jobs_on_two_nodes_survive_a_cancelled_job_and_a_killed_main_process(
    cluster: SlurmCluster, tmp_path: Path, workflow: Workflow
) -> None:
    config = {"batch": {"series": 2, "megabytes": 512}}
    for number in range(3):
        save_series(workflow.source / f"{PLANTED} {number}", f"series-{number}", 3, PatientName=f"{PLANTED}^Anna")
    workflow.config = config
    local = workflow.run(results="local").sealed

    workflow.write_config()
    workflow.environment |= cluster.environment
    # A cancelled job: the run ends with an error, and the next one does that job.
    first = start(workflow)
    try:
        with cluster.held("index_headers"):
            cluster.wait(lambda: in_state(cluster, "index", "RUNNING"))
            cluster.cancel(in_state(cluster, "index", "RUNNING")[0].number)
            assert first.wait(HANG) == 1
        assert "CANCELLED" in (workflow.folder / "output.txt").read_text()  # Snakemake drops it for a group
        assert not (workflow.results / "private" / "plans" / "contents.json").exists()
    finally:
        kill(first)

    # The main process is killed while one batch runs and the other waits for a node.
    cluster.use("n2", is_used=False)
    second = start(workflow)
    with cluster.held("extract_batch"):
        try:
            cluster.wait(
                lambda: in_state(cluster, "extract_batch", "RUNNING") and in_state(cluster, "extract_batch", "PENDING")
            )
            late = in_state(cluster, "extract_batch", "PENDING")[0].number
            cluster.control("hold", str(late))
        finally:
            kill(second)
        assert (
            in_state(cluster, "extract_batch", "RUNNING")
            and in_state(cluster, "extract_batch", "PENDING")[0].number == late
        )
    cluster.use("n2", is_used=True)
    before = {job.number for job in cluster.jobs()}

    # The same command: every job on the nodes, the batches on both.
    third = start(workflow)
    try:
        with cluster.held("extract_batch", after=max(before)):
            cluster.wait(
                lambda: (
                    {job.node for job in in_state(cluster, "extract_batch", "RUNNING") if job.number not in before}
                    == {"n1", "n2"}
                )
            )
        assert third.wait(HANG) == 0, (workflow.folder / "output.txt").read_text()[-4000:]
    finally:
        kill(third)
    sealed = workflow.sealed()
    assert sealed["digest"] == local["digest"] and sealed["seal"] == local["seal"]
    done = [job for job in cluster.jobs() if job.number not in before]
    batches = [job for job in done if "extract_batch" in job.what]
    assert {job.node for job in batches} == {"n1", "n2"} and len(batches) == 2
    # One job for a batch, none for what is small, and none that asks for more cores than a node has.
    assert len(done) == 4 and {job.cores for job in cluster.jobs()} == {1}

    # The job that waited starts now: its run is over.
    before_late = state_of(workflow.results)
    cluster.control("release", str(late))
    cluster.wait(lambda: [job for job in cluster.jobs() if job.number == late][0].state == "FAILED")
    assert state_of(workflow.results) == before_late and verify_dataset.verify(Results(workflow.results)).good
    logs = {path: path.read_text() for path in (workflow.folder / ".snakemake" / "slurm_logs").rglob("*.log")}
    assert any("the run that started this job is over" in text for text in logs.values())

    # Nothing that left the main process names the source, the patient or the key.
    scripts = [path.read_text() for path in (workflow.folder / ".snakemake").glob("tmp.*/*")]
    texts = [cluster.submitted(), *logs.values(), *scripts]
    assert len(logs) >= 7 and cluster.submitted().count("--wrap") == len(cluster.jobs())
    assert all(PLANTED not in text.lower() and KEY not in text for text in texts)


def kill(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
