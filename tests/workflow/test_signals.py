"""A signal ends a run soon, at any moment, and the same command continues."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import SNAKEMAKE, Workflow
from dicoms import save_series

SOON = 60.0  # s: `ending.py` takes at most eight; what is wrong waits for the work of jobs, or for ever
Moment = Callable[[Workflow, str, float], bool]  # called with the output so far and the start time of the run


def at_work(rule: str) -> Moment:
    """Return the moment at which a job of a rule is running its script, not merely started."""

    def is_at_work(workflow: Workflow, output: str, start_time: float) -> bool:
        for pattern in (f"{rule}/*.log", f"{rule}.log"):
            for log in (workflow.results / "logs").glob(pattern):
                with contextlib.suppress(FileNotFoundError):  # the run may remove a log between the two calls
                    if log.stat().st_mtime > start_time:
                        return True
        return False

    return is_at_work


def printed_text(text: str) -> Moment:
    """Return the moment at which the main process has printed something."""
    return lambda workflow, output, start_time: text in output


MOMENTS: dict[str, Moment] = {
    "reading the rules": lambda workflow, output, start_time: (workflow.results / "private/run.json").exists(),
    "building the DAG": printed_text("Building DAG of jobs"),
    "after the checkpoint": printed_text("(Rule: plan_batches)"),
    "extraction begins": printed_text("Extracting the pixels of batch"),
    "extraction": at_work("extract_batch"),
    "a batch ends": printed_text("(Rule: extract_batch)"),
    "consolidation": at_work("consolidate_dataset"),
}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("signals") / "source"
    for number in range(8):
        save_series(folder / str(number), f"series-{number}", 4)
    return folder


@pytest.fixture(scope="module", autouse=True)
def load() -> Iterator[None]:
    """Keep every core busy, as other tests do meanwhile: processes then receive a signal at different moments."""
    cores = 0 if "PYTEST_XDIST_WORKER" in os.environ else os.cpu_count() or 1
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(cores)]
    yield
    for process in busy:
        process.kill()
        process.wait()


def signalled(workflow: Workflow, moment: Moment, number: int) -> tuple[int, str]:
    """Start a run, send a signal to its whole process group at a moment; return its exit status and what it printed.

    It is killed, and the test fails, if it does not end soon.
    """
    printed, start_time = workflow.folder / "printed.txt", time.time()
    command = [sys.executable, "-P", str(workflow.project / SNAKEMAKE)]
    command += ["--snakefile", str(workflow.project / "Snakefile"), "--cores", "2"]
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
        while process.poll() is None and not moment(workflow, printed.read_text(errors="replace"), start_time):
            time.sleep(0.01)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        process.wait(timeout=SOON)
    except subprocess.TimeoutExpired:
        pytest.fail(f"did not end within {SOON} s:\n{printed.read_text(errors='replace')[-3000:]}")
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    return process.returncode, printed.read_text(errors="replace")


@pytest.mark.parametrize(
    ("number", "moments"),
    [(signal.SIGTERM, [*MOMENTS]), (signal.SIGINT, [*MOMENTS]), (signal.SIGHUP, ["building the DAG", "extraction"])],
    ids=["SIGTERM", "SIGINT", "SIGHUP"],
)
def test_a_signal_to_the_group_ends_the_run_soon(
    workflow: Workflow, source: Path, number: signal.Signals, moments: list[str]
) -> None:
    """At each moment in turn; each time the next run takes over the lock of the last one."""
    workflow.config = {"source": str(source), "batch": {"series": 1, "megabytes": 512}}
    workflow.write_config()
    for name in moments:
        status, printed = signalled(workflow, MOMENTS[name], number)
        for _ in range(5):
            if status:
                break
            shutil.rmtree(workflow.results)  # it had ended before the signal came: once more, from the beginning
            status, printed = signalled(workflow, MOMENTS[name], number)
        print(name, status)
        assert status in (128 + number, -number), printed[-3000:]
        assert number == signal.SIGTERM or status == 128 + number, printed[-3000:]
        assert "Traceback" not in printed, printed[-3000:]
        assert "another run uses" not in printed
