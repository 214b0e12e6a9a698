"""End the main process: on a signal, or without delay after its work."""

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
from dicomzarr.system.stop_signals import not_ignored
from dicomzarr.terminal import live_line
from dicomzarr.workflow.snakemake_quirks import forked_jobs
from dicomzarr.workflow.snakemake_quirks.tested_versions import is_tested

ENDS_WITHIN = 8.0  # s from a signal to the end of the main process, whatever blocks it
KILLS_AFTER = 3.0  # s from SIGTERM to SIGKILL, for jobs


def end_on_signals(workflow: Any) -> None:
    """From now on, let SIGINT, SIGTERM, SIGHUP and SIGQUIT end the run within `ENDS_WITHIN` seconds.

    Purpose: a service is stopped, a batch job is cancelled, a terminal is closed, a user presses Ctrl-C. Snakemake's
    handler of SIGTERM takes the scheduler's lock in the main thread. If the main thread holds it already, to update the
    DAG, the process waits for itself for ever and keeps the run lock. Jobs that start at that moment run to their end,
    for hours. SIGINT raises KeyboardInterrupt at any line and prints a traceback; so does each job that is still
    importing. SIGHUP and SIGQUIT end the main process alone.

    Here, handlers take no lock and raise nothing. A thread stops the scheduler, ends the local jobs with SIGTERM, then
    with SIGKILL, and last the process itself; jobs on other nodes are cancelled by their executor plugin. The same
    command then continues the run. Local jobs ignore SIGINT from their start (`trap '' INT` in the shell that starts
    them), so that Ctrl-C prints no traceback while they import.

    Uses `JobScheduler.exit_gracefully`, `_user_kill`, `_open_jobs` and `_executor`; `shell.prefix` is public. If
    another Snakefile uses this workflow, other jobs run too: SIGTERM then does what Snakemake documents, without the
    lock.
    """
    if not is_tested():
        return
    from snakemake.scheduling.job_scheduler import JobScheduler
    from snakemake.shell import shell

    if Path(workflow.main_snakefile).resolve().parent != ROOT:
        JobScheduler.exit_gracefully = _end_after_running_jobs
        return
    _end.workflow, _end.pid = workflow, os.getpid()
    JobScheduler.exit_gracefully = lambda scheduler, number, frame: _end.signalled(number, scheduler)
    for number in not_ignored() - {signal.SIGTERM}:  # of which the scheduler has a handler
        if signal.getsignal(number) in (signal.default_int_handler, signal.SIG_DFL):
            signal.signal(number, _end.interrupted)
    if Path(shell.get_executable() or "").name == "bash":
        shell.prefix("set -euo pipefail; trap '' INT; ")  # the first half is Snakemake's default


def _end_after_running_jobs(scheduler: Any, *_: Any) -> None:
    """Replace `JobScheduler.exit_gracefully`: the same, without a lock in the main thread."""
    scheduler._user_kill = "graceful"
    _thread.start_new_thread(scheduler._open_jobs.release, ())


class _End:
    """The end of this process by a signal."""

    def __init__(self) -> None:
        self.workflow: Any = None
        self.pid = 0  # of the main process
        self.number = 0  # of the signal

    @property
    def status(self) -> int:
        """The exit status that a shell reports for a process ended by the signal."""
        return 128 + self.number

    def interrupted(self, number: int, frame: FrameType | None) -> None:
        """Handle a signal that may come before the first job."""
        if os.getpid() != self.pid:  # a fork, which has the handler too
            os._exit(128 + number)
        scheduler = self.workflow.scheduler
        if scheduler is None:  # no job has started yet
            _write("Interrupted; run the same command again to continue\n")
            os._exit(128 + number)
        self.signalled(number, scheduler)

    def signalled(self, number: int, scheduler: Any) -> None:
        """Start the thread that ends the run. Called by signal handlers: nothing here may wait for a lock."""
        if not self.number:
            self.number = number
            _write("Ending all jobs; run the same command again to continue\n")
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


def _write(text: str) -> None:
    """Write to standard error from a signal handler, which may have interrupted a `print`."""
    with contextlib.suppress(OSError):
        os.write(2, (live_line.stop_at_signal() + text).encode())


def _end_children(known: set[Any], *, by_force: bool) -> None:
    """Signal all descendants of this process; `known` keeps those whose parents have ended since."""
    import psutil  # type: ignore[import-untyped]

    with contextlib.suppress(psutil.Error):
        known.update(psutil.Process().children(recursive=True))
    for process in list(known):
        try:
            process.kill() if by_force else process.terminate()
        except psutil.Error:
            known.discard(process)


def end_without_waiting() -> None:
    """End the main process without delay after its work; with the exit status of a signal if one ended the run.

    Purpose: Snakemake's scheduler starts a timer of one second for each round of jobs, and Python waits for timers
    before it exits. A last garbage collection is skipped as well. Other timers are left alone. With another version of
    Snakemake the timer may have another name: the process ends a second later.

    Raises
    ------
    SystemExit
        If a signal ended the run.
    """
    for thread in threading.enumerate():
        function = getattr(thread, "function", None) if isinstance(thread, threading.Timer) else None
        if str(getattr(function, "__module__", "")).startswith("snakemake.scheduling"):
            thread.cancel()  # type: ignore[attr-defined]
    forked_jobs.end()
    gc.freeze()
    if _end.number:
        raise SystemExit(_end.status)
