"""Everything that leans on the inside of Snakemake, each piece with its purpose and what happens without it.

With a version that is not in `TRIED` the workflow runs on what Snakemake documents: a note says what is missing then.
"""

from __future__ import annotations

import _thread
import contextlib
import enum
import gc
import io
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

TRIED = ("9.27.1",)
ENDS_WITHIN = 8.0  # s from a signal to the end of the main process, whatever holds it
KILLS_AFTER = 3.0  # s that jobs have to end by SIGTERM
THREADS_ELSEWHERE = 8  # of a job on a node whose number of cores is not known here
# What Snakemake does without building a DAG, or with one that need not know the source, by the name of its option.
_WITHOUT_SOURCE = (
    "lint", "list_rules", "list_target_rules", "print_compilation", "unlock", "report", "list_conda_envs",
    "conda_create_envs_only", "conda_cleanup_envs", "cleanup_metadata", "containerize", "archive",
    "generate_unit_tests", "cleanup_shadow", "container_cleanup_images",
)  # fmt: skip
# What Snakemake prints of a DAG without running a job.
_DRY = (
    "dryrun", "dag", "rulegraph", "filegraph", "d3dag", "summary", "detailed_summary", "list_changes",
    "list_input_changes", "list_params_changes", "list_untracked",
)  # fmt: skip


class Purpose(enum.Enum):
    """What the command line asks of Snakemake."""

    BUILD = "build"  # jobs run: the source is listed, state is written, the lock is held
    DRY = "dry"  # a DAG is shown: the source is listed and nothing below the results changes
    OTHER = "other"  # rules are listed, linted, reported …: neither source nor results are looked at


def version() -> str:
    """Return the version of the Snakemake that runs this process."""
    import snakemake

    return str(snakemake.__version__)


def is_tried() -> bool:
    """Return whether the pieces of this module were tried with this Snakemake."""
    return version() in TRIED


def options(arguments: Sequence[str]) -> Mapping[str, Any]:
    """Return what Snakemake's own parser makes of a command line, profiles and abbreviations included.

    Tried with 9.27.1: `snakemake.cli.parse_args`. Where it is missing or refuses, as under another program that uses
    Snakemake's Python API, the mapping is empty and the run counts as one that builds.
    """
    try:
        from snakemake.cli import parse_args

        with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
            parsed: dict[str, Any] = vars(parse_args(list(arguments))[1])
            return parsed
    except (ImportError, AttributeError, TypeError, ValueError, IndexError, SystemExit, OSError):
        return {}


def purpose(parsed: Mapping[str, Any]) -> Purpose:
    """Return what parsed options ask for: jobs, a look at the DAG, or neither.

    Parameters
    ----------
    parsed : mapping
        What `options` returned.
    """
    asked = {name for name, value in parsed.items() if value}
    if asked.intersection(_WITHOUT_SOURCE) and "report_after_run" not in asked:
        return Purpose.OTHER
    return Purpose.DRY if asked.intersection(_DRY) else Purpose.BUILD


class Use(enum.Enum):
    """How the workflow came to be parsed."""

    MAIN = "main"  # its Snakefile was started
    INCLUDED = "included"  # `include:` of another Snakefile, whose configuration and rules it shares
    MODULE = "module"  # `module:` of another Snakefile, with a configuration of its own


def use_of(workflow: Any, snakefile: Path) -> Use:
    """Return how the workflow is used; `snakefile` is ours.

    Tried with 9.27.1: a stack of modifiers, one for each module. With another version a module counts as included.
    """
    if len(getattr(workflow, "modifier_stack", ())) > 1:
        return Use.MODULE
    return Use.MAIN if Path(str(workflow.main_snakefile)).resolve() == snakefile.resolve() else Use.INCLUDED


class _Assumed(dict[Any, Any]):
    """A cache of Snakemake in which some answers are fixed, and all others are found out as ever."""

    def __init__(self, usual: Any, fixed: Mapping[str, Any]) -> None:
        super().__init__()
        self.usual, self.fixed = usual, fixed

    def __contains__(self, path: object) -> bool:
        return path in self.fixed or path in self.usual

    def __getitem__(self, path: Any) -> Any:
        return self.fixed[path] if path in self.fixed else self.usual[path]

    def __setitem__(self, path: Any, value: Any) -> None:
        self.usual[path] = value

    def __getattr__(self, name: str) -> Any:
        return getattr(self.usual, name)


def assume_files(workflow: Any, missing: Iterable[Path], written: Mapping[Path, tuple[int, str]]) -> bool:
    """Let a dry run see files as a run would find them after its preparation, without touching one.

    Snakemake remembers existence, time, size and digest of files while it builds a DAG (`workflow.iocache`); here the
    answers for our files of state are fixed beforehand.

    Parameters
    ----------
    workflow : snakemake.workflow.Workflow
    missing : iterable of Path
        Records that a run would revoke.
    written : mapping of Path to (int, str)
        Files of state that a run would write: size in bytes and SHA-256 in hex.

    Returns
    -------
    bool
        False with a Snakemake in which this was not tried, or that is built otherwise: its dry run then does not see
        what the preparation of a run would change.
    """
    if not is_tried() or not hasattr(workflow, "_prepare_dag"):
        return False
    from snakemake.io import Mtime, _IOFile

    exists = {name: False for path in missing for name in _names(path)}
    exists |= {name: True for path in written for name in _names(path)}
    times = {name: Mtime(local=time.time()) for path in written for name in _names(path)}
    sizes = {name: size for path, (size, _) in written.items() for name in _names(path)}
    digests = {name: f"sha256:{digest}" for path, (_, digest) in written.items() for name in _names(path)}
    prepare_dag = workflow._prepare_dag

    def prepare_and_assume(*args: Any, **kwargs: Any) -> None:
        prepare_dag(*args, **kwargs)
        cache = workflow.iocache
        cache._exists_local = _Assumed(cache._exists_local, exists)
        cache._mtime = _Assumed(cache._mtime, times)
        cache._size = _Assumed(cache._size, sizes)
        cache._checksum = _Assumed(cache._checksum, digests)
        # Nothing that is assumed may outlive the dry run, and a file that cannot be written is none of its business.
        workflow.persistence.save_iocache = lambda: None
        _IOFile.protected = _is_not_protected

    workflow._prepare_dag = prepare_and_assume
    return True


async def _is_not_protected(_: Any) -> bool:
    return False


def _names(path: Path) -> Iterator[str]:
    """Yield the spellings under which Snakemake may know a path."""
    yield from dict.fromkeys((os.fspath(path), os.path.normpath(path), os.path.abspath(path)))


def note_if_untried() -> None:
    """Tell on standard error what does not work with a Snakemake that was not tried."""
    if not is_tried():
        print(
            f"note: Snakemake {version()} was not tried with this workflow (tried: {', '.join(TRIED)}); a dry run may "
            "not list what a changed source or damaged files would bring about (ask ./run status), and a signal may "
            "take long to end a run",
            file=sys.stderr,
        )


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


def end_on_signals(workflow: Any, use: Use) -> None:
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
    without the lock. Tried with 9.27.1; another version keeps its own handlers.
    """
    if not is_tried():
        return
    from snakemake.scheduling.job_scheduler import JobScheduler
    from snakemake.shell import shell

    if use is not Use.MAIN:
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


def cancel_timers_of_scheduler() -> None:
    """Cancel the timers that Snakemake's scheduler leaves behind, which hold the process for a second at its end.

    Tried with 9.27.1: one timer of a second for each round of jobs, and Python waits for them. Timers of others, such
    as plugins, are left alone. With another version nothing is found, and the process ends a second later.
    """
    for thread in threading.enumerate():
        function = getattr(thread, "function", None)
        if isinstance(thread, threading.Timer) and getattr(function, "__module__", "").startswith("snakemake.sched"):
            thread.cancel()
    gc.freeze()  # what the process is about to give back need not be searched for garbage


def end_without_waiting() -> None:
    """End the main process as soon as its work is done, with the status of a signal where one ended it.

    Raises
    ------
    SystemExit
        If a signal ended the run.
    """
    cancel_timers_of_scheduler()
    if _end.number:
        raise SystemExit(_end.status)
