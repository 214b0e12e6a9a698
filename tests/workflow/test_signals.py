"""A run that is told to end does so soon, whatever it does at the moment, and the same command goes on."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import Workflow
from dicoms import save_series

SOON = 12.0  # s: ten, and what a busy machine needs to tell
Moment = Callable[[Workflow, str, float], bool]  # of what is printed, and of the time at which the run began


def works(rule: str) -> Moment:
    """Return the moment at which a job of a rule is at work, not merely started."""

    def is_at_work(workflow: Workflow, output: str, began: float) -> bool:
        logs = [*(workflow.results / "logs").glob(f"{rule}/*.log"), *(workflow.results / "logs").glob(f"{rule}.log")]
        return any(log.stat().st_mtime > began for log in logs)

    return is_at_work


def says(text: str) -> Moment:
    """Return the moment at which the main process has printed something."""
    return lambda workflow, output, began: text in output


MOMENTS: dict[str, Moment] = {
    "reading the rules": lambda workflow, output, began: (workflow.results / "private/run.json").exists(),
    "building the DAG": says("Building DAG of jobs"),
    "after the checkpoint": says("(Rule: plan_batches)"),
    "extraction begins": says("Extracting the pixels of batch"),
    "extraction": works("extract_batch"),
    "a batch ends": says("(Rule: extract_batch)"),
    "consolidation": works("consolidate_dataset"),
}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("signals") / "source"
    for number in range(8):
        save_series(folder / str(number), f"series-{number}", 4)
    return folder


@pytest.fixture(scope="module", autouse=True)
def load() -> Iterator[None]:
    """Other programs that want every core: the moments of a signal then fall apart."""
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(os.cpu_count() or 1)]
    yield
    for process in busy:
        process.kill()
        process.wait()


def signalled(workflow: Workflow, moment: Moment, number: int) -> tuple[int, str]:
    """Start a run, send a signal to its whole process group at a moment; return its exit status and what it printed.

    It is killed, and the test fails, if it does not end soon.
    """
    printed, began = workflow.folder / "printed.txt", time.time()
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(workflow.project / "Snakefile"), "--cores", "2"]
    with open(printed, "wb") as output:
        process = subprocess.Popen(
            [*command, "--configfile", "config.yaml"],
            cwd=workflow.folder,
            env=os.environ | workflow.environment,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        while process.poll() is None and not moment(workflow, printed.read_text(errors="replace"), began):
            time.sleep(0.01)
        assert process.poll() is None, "the run had ended before that moment"
        os.killpg(process.pid, number)
        process.wait(timeout=SOON)
    except subprocess.TimeoutExpired:
        pytest.fail(f"did not end within {SOON} s:\n{printed.read_text(errors='replace')[-3000:]}")
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    return process.returncode, printed.read_text(errors="replace")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_a_signal_to_the_group_ends_the_run_soon(workflow: Workflow, source: Path, number: signal.Signals) -> None:
    """At one moment after the other; each time the next run takes the lock that the last one had."""
    workflow.config = {"source": str(source), "batch": {"series": 1, "megabytes": 512}}
    workflow.write_config()
    for name, moment in MOMENTS.items():
        status, printed = signalled(workflow, moment, number)
        print(name, status)
        assert status in (128 + number, -number), printed[-3000:]
        assert number != signal.SIGINT or status == 130, printed[-3000:]
        assert "Traceback" not in printed, printed[-3000:]
        assert "another run uses" not in printed
