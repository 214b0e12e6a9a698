"""The end of the main process: its handlers take no lock, and it does not wait for timers of Snakemake."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version

from conftest import ROOT
from waiting import HANG

from dicomzarr.workflow.snakemake_quirks import tested_versions

SCRIPTS = ROOT / "scripts"
# A timer of Snakemake that would block the process for ten minutes, and one of a plugin.
PROGRAM = """
import sys, threading
sys.path.insert(0, sys.argv[1])
from dicomzarr.workflow.snakemake_quirks.ending import end_without_waiting
from snakemake.scheduling.job_scheduler import JobScheduler
scheduler = object.__new__(JobScheduler)
scheduler._schedule_reevalutation(600)
threading.Timer(0.5, print, ["the timer of a plugin went off"]).start()
end_without_waiting()
"""


def test_timers_of_the_scheduler_are_cancelled_and_others_run() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(SCRIPTS)], capture_output=True, text=True, timeout=HANG, check=True
    )
    assert done.stdout == "the timer of a plugin went off\n"


# The lock as the main thread may hold it when the signal comes.
LOCKED = """
import sys, threading
sys.path.insert(0, sys.argv[1])
from dicomzarr.workflow.snakemake_quirks.ending import _end_after_running_jobs
from snakemake.scheduling.job_scheduler import JobScheduler
JobScheduler.exit_gracefully = _end_after_running_jobs
scheduler = object.__new__(JobScheduler)
scheduler._lock, scheduler._open_jobs = threading.Lock(), threading.Semaphore(0)
with scheduler._lock:
    scheduler.exit_gracefully(15, None)
assert scheduler._open_jobs.acquire(timeout=60)
print(scheduler._user_kill)
"""


def test_the_handler_of_sigterm_takes_no_lock() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOCKED, str(SCRIPTS)], capture_output=True, text=True, timeout=HANG, check=True
    )
    assert done.stdout == "graceful\n"


def test_the_installed_version_of_snakemake_was_tried() -> None:
    assert version("snakemake") in tested_versions.TESTED
