"""The end of the main process: by a signal, or as soon as its work is done."""

from __future__ import annotations

import _thread
import contextlib
import gc
import os
import signal
import threading
import time
from pathlib import Path
from types import FrameType
from typing import Any

from dicomzarr.system.project import ROOT
from dicomzarr.workflow.snakemake_quirks.tried import is_tried

ENDS_WITHIN = 8.0  # s from a signal to the end of the main process, whatever holds it


KILLS_AFTER = 3.0  # s that jobs have to end by SIGTERM


def end_on_signals(workflow: Any) -> None:
    """Let SIGINT and SIGTERM end the run within `ENDS_WITHIN` seconds, at any moment from now on.

    For: a service that is stopped, a batch job that is cancelled, Ctrl-C. Snakemake's handler of SIGTERM takes the lock
    of its scheduler in the main thread, which holds it while it brings its DAG up to date: the process then waits for
    itself for ever, with the run lock. It also lets jobs run to their end that it starts at that moment, for hours.
    SIGINT becomes an exception at any line, and a traceback; jobs that are still importing print one each.

    Here, handlers take no lock and raise nothing. A thread makes the scheduler end, ends the jobs of this machine,
    first by SIGTERM, then by SIGKILL, and at last the process itself; jobs of other nodes are cancelled as Snakemake
    does it. Whatever moment that is, the same command goes on from there. Jobs of this machine do not see SIGINT.

    Uses `JobScheduler.exit_gracefully`, `_user_kill`, `_open_jobs` and `_executor`; `shell.prefix` is public.
    Where ours is not the main Snakefile, the jobs are not ours alone: there, SIGTERM does what Snakemake says it does,
    without the lock.
    """
    if not is_tried():
        return
    from snakemake.scheduling.job_scheduler import JobScheduler
    from snakemake.shell import shell

    if Path(workflow.main_snakefile).resolve().parent != ROOT:
        JobScheduler.exit_gracefully = _end_after_running_jobs
        return
    _end.workflow = workflow
    JobScheduler.exit_gracefully = lambda scheduler, number, frame: _end.signalled(number, scheduler)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _end.interrupted)
    if Path(shell.get_executable() or "").name == "bash":
        shell.prefix("set -euo pipefail; trap '' INT; ")  # the first half is Snakemake's own


def _end_after_running_jobs(scheduler: Any, *_: Any) -> None:
    """Do what `JobScheduler.exit_gracefully` does, and take no lock in the main thread."""
    scheduler._user_kill = "graceful"
    _thread.start_new_thread(scheduler._open_jobs.release, ())


class _End:
    """The end of this process by a signal."""

    def __init__(self) -> None:
        self.workflow: Any = None
        self.number = 0  # of the signal

    @property
    def status(self) -> int:
        """The exit status that shells give to a process that the signal ended."""
        return 128 + self.number

    def interrupted(self, number: int, frame: FrameType | None) -> None:
        """Handle SIGINT."""
        scheduler = self.workflow.scheduler
        if scheduler is None:  # no job can run yet
            _say("Interrupted; run the same command again to go on\n")
            os._exit(128 + number)
        self.signalled(number, scheduler)

    def signalled(self, number: int, scheduler: Any) -> None:
        """Begin to end, once there may be jobs; called by handlers, so that nothing here may wait for a lock."""
        if not self.number:
            self.number = number
            _say("Ending all jobs; run the same command again to go on\n")
            _thread.start_new_thread(self._run, (scheduler,))

    def _run(self, scheduler: Any) -> None:
        began = time.monotonic()
        scheduler._user_kill = "at once"
        scheduler._open_jobs.release()
        jobs: set[Any] = set()
        try:
            if self.workflow.local_exec:
                while time.monotonic() < began + ENDS_WITHIN:
                    _end_children(jobs, by_force=time.monotonic() > began + KILLS_AFTER)
                    time.sleep(0.1)
            else:
                threading.Timer(ENDS_WITHIN, os._exit, (self.status,)).start()
                scheduler._executor.cancel()
        finally:
            with contextlib.suppress(Exception):
                _end_children(jobs, by_force=True)
            os._exit(self.status)


_end = _End()


def _say(text: str) -> None:
    """Print to standard error from a signal handler, which may have interrupted another print."""
    with contextlib.suppress(OSError):
        os.write(2, text.encode())


def _end_children(known: set[Any], *, by_force: bool) -> None:
    """Signal all processes that this one started, also those whose parents have ended since."""
    import psutil  # type: ignore[import-untyped]

    with contextlib.suppress(psutil.Error):
        known.update(psutil.Process().children(recursive=True))
    for process in list(known):
        try:
            process.kill() if by_force else process.terminate()
        except psutil.Error:
            known.discard(process)


def end_without_waiting() -> None:
    """End the main process as soon as its work is done; with the status of a signal where one ended it.

    For: Snakemake's scheduler starts a timer of a second for each round of jobs, and Python waits for them at its end.
    Then it would look for garbage among all that it is about to give back. Timers of others are not touched. With
    another version of Snakemake a timer of another name goes on: the process ends a second later.

    Raises
    ------
    SystemExit
        If a signal ended the run.
    """
    for thread in threading.enumerate():
        function = getattr(thread, "function", None) if isinstance(thread, threading.Timer) else None
        if str(getattr(function, "__module__", "")).startswith("snakemake.scheduling"):
            thread.cancel()  # type: ignore[attr-defined]
    gc.freeze()
    if _end.number:
        raise SystemExit(_end.status)
