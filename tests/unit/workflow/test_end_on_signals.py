"""The main process ends by a signal or by itself, without a lock and without a timer in the way."""

from __future__ import annotations

import subprocess
import sys

import pytest
from conftest import ROOT
from snakemake import __version__
from snakemake.scheduling.job_scheduler import JobScheduler

from dicomzarr.workflow import snakemake_quirks

SCRIPTS = ROOT / "scripts"
# A timer that would hold the process for longer than this test may take, and one that is no business of ours.
PROGRAM = """
import sys, threading
sys.path.insert(0, sys.argv[1])
from dicomzarr.workflow.snakemake_quirks import end_without_waiting
from snakemake.scheduling.job_scheduler import JobScheduler
scheduler = object.__new__(JobScheduler)
scheduler._schedule_reevalutation(600)
threading.Timer(0.5, print, ["the timer of a plugin went off"]).start()
end_without_waiting()
"""


def test_a_timer_of_the_scheduler_does_not_hold_the_process_and_others_go_off() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(SCRIPTS)], capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stdout == "the timer of a plugin went off\n"


def test_the_version_that_is_installed_is_one_that_was_tried() -> None:
    assert __version__ in snakemake_quirks.TRIED


class Plain:
    """The part of a workflow that is asked before anything is changed."""

    is_main_process = True
    main_snakefile = str(ROOT / "Snakefile")


def test_another_version_runs_plain_with_a_note(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(snakemake_quirks, "TRIED", ("0.0",))
    before = JobScheduler.exit_gracefully
    snakemake_quirks.end_on_signals(Plain())
    assert JobScheduler.exit_gracefully is before
    assert f"Snakemake {__version__} was not tried" in capsys.readouterr().err


def test_in_the_workflow_of_another_sigterm_takes_no_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    import threading

    monkeypatch.setattr(JobScheduler, "exit_gracefully", JobScheduler.exit_gracefully)
    other = Plain()
    other.main_snakefile = "/somewhere/else/Snakefile"
    snakemake_quirks.end_on_signals(other)
    scheduler = object.__new__(JobScheduler)
    scheduler._lock, scheduler._open_jobs = threading.Lock(), threading.Semaphore(0)
    with scheduler._lock:  # as the main thread may hold it when the signal comes
        scheduler.exit_gracefully(15, None)
    assert scheduler._open_jobs.acquire(timeout=60) and scheduler._user_kill == "graceful"
