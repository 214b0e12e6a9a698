"""After a kill the same command continues; two runs never use one folder at the same time."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import FULL, ROOT, Launch, Workflow, leftovers
from dicoms import save_series
from edits import mask_of
from forks import Forks
from waiting import HANG, wait_until

BATCH = {"series": 2, "megabytes": 512}


def start(workflow: Workflow) -> subprocess.Popen[bytes]:
    """Start a run in a process group of its own."""
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(workflow.project / "Snakefile")]
    return subprocess.Popen(
        [*command, "--cores", "2", "--configfile", "config.yaml"],
        cwd=workflow.folder,
        env=os.environ | workflow.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


@pytest.fixture(scope="module")
def baseline(tmp_path_factory: pytest.TempPathFactory, warm: Forks | None) -> tuple[Path, str]:
    """A source, and the digest of an undisturbed run on it."""
    folder = tmp_path_factory.mktemp("baseline")
    workflow = Workflow(folder, {"batch": BATCH}, {"DICOMZARR_KEY": "k" * 32}, forks=warm)
    for number in range(8):
        save_series(workflow.source / str(number), f"series-{number}", 6)
        (workflow.source / str(number) / "mask").write_bytes(mask_of(f"series-{number}"))
    return workflow.source, workflow.run().sealed["digest"]


@pytest.fixture
def undisturbed(workflow: Workflow, baseline: tuple[Path, str]) -> str:
    """Point the workflow at the source of the baseline and return the digest to reach."""
    workflow.config = {"source": str(baseline[0]), "batch": BATCH}
    workflow.write_config()
    return baseline[1]


# When to kill a run: in the full form as a share of the time of an undisturbed run, else in seconds.
INSTANTS = [round(random.Random(number).random(), 3) for number in range(50)] if FULL else []
INSTANTS = INSTANTS or [round(random.Random(number).uniform(0.8, 4.5), 2) for number in range(3)]


@pytest.fixture(scope="module")
def seconds_of_a_run(
    baseline: tuple[Path, str], tmp_path_factory: pytest.TempPathFactory, forks: Forks | None
) -> float:
    """Duration of an undisturbed run, so that a kill happens during a run."""
    workflow = Workflow(tmp_path_factory.mktemp("timed"), {"batch": BATCH}, {"DICOMZARR_KEY": "k" * 32}, forks=forks)
    workflow.config = {"source": str(baseline[0]), "batch": BATCH}
    start_time = time.monotonic()
    workflow.run()
    return time.monotonic() - start_time


@pytest.mark.parametrize("after", INSTANTS)
def test_the_same_command_continues_after_a_kill(
    workflow: Workflow, undisturbed: str, after: float, request: pytest.FixtureRequest, forks: Forks | None
) -> None:
    warm, workflow.forks = workflow.forks, forks
    workflow.killed(after * request.getfixturevalue("seconds_of_a_run") if FULL else after, "--cores", "2")
    workflow.forks = warm
    if FULL:  # shows in the output whether the kill came in time
        print("sealed already" if (workflow.results / "dataset/dataset.json").exists() else "not sealed yet")
    run = workflow.run()
    assert run.sealed["digest"] == undisturbed
    assert not FULL or workflow.run().nothing_to_do
    assert not leftovers(workflow.results)


def test_a_killed_launcher_takes_its_run_along(
    workflow: Workflow, undisturbed: str, environment: Path, launch: Launch
) -> None:
    """A `kill -9` of the process of `./run` alone, as by `timeout -s KILL`, leaves no run that holds the lock."""
    settings = {**os.environ, **workflow.environment, "DICOMZARR_VENV": str(environment)}
    command = [sys.executable, str(ROOT / "run"), "--cores", "2", "--configfile", "config.yaml"]
    process = subprocess.Popen(
        command, cwd=workflow.folder, env=settings, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        contents = workflow.results / "private/plans/contents.json"
        wait_until(lambda: contents.exists() or process.poll() is not None)
    finally:
        process.kill()
        process.wait()
    done = launch(workflow, "")
    assert done.returncode == 0, done.stderr
    assert json.loads((workflow.results / "dataset/dataset.json").read_text())["digest"] == undisturbed
    assert not leftovers(workflow.results)


def test_a_second_run_is_refused_and_names_the_process_of_the_first(workflow: Workflow, undisturbed: str) -> None:
    process = start(workflow)
    try:
        lock = workflow.results / "private" / "run.lock"
        wait_until(lambda: lock.exists() and lock.stat().st_size)
        os.killpg(process.pid, signal.SIGSTOP)  # it lasts as long as the others need to be refused
        run = workflow.run(ok=False)
        lock_record = json.loads(lock.read_text())
        assert run.process.returncode != 0
        assert (
            f"process {lock_record['pid']} since {lock_record['since']}" in run.output and "Traceback" not in run.output
        )
        dry_run = workflow.run("-n", ok=False)
        assert dry_run.process.returncode != 0 and "another run uses" in dry_run.output
    finally:
        os.killpg(process.pid, signal.SIGCONT)
        assert process.wait(timeout=HANG) == 0
    assert workflow.run().sealed["digest"] == undisturbed
