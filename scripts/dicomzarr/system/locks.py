"""Locks: one run per results folder; wait for jobs left over from a killed run.

They are advisory (`flock`): the kernel releases them when their process dies, so that nothing needs cleaning up after a
crash. The main process has an exclusive lock on `run.lock`. Jobs share a lock on `jobs.lock`; the scan waits until it
can take that one exclusively. A run of another host whose lock is not visible here is noticed by
`dicomzarr.system.other_hosts`.
"""

from __future__ import annotations

import atexit
import contextlib
import errno
import fcntl
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from dicomzarr.system import files, other_hosts
from dicomzarr.vocabulary.errors import UserError

RUN, JOBS = "run.lock", "jobs.lock"
NO_LOCKS = "the file system of the results has no locks, so that two runs at the same time are not prevented"
ORPHANS_GET = 60.0  # seconds to wait for jobs of an interrupted run to end


class Locked(UserError):
    """Another run, or jobs of an interrupted one, use the results folder."""


# Errors of opening a file for writing in a folder that cannot be written.
_READ_ONLY = (errno.EROFS, errno.EACCES, errno.EPERM)


def _open(path: Path, *, read_only: bool = False) -> int:
    """Open a lock file, creating it if needed; `read_only`: an existing one, if the folder cannot be written.

    Raises
    ------
    OSError
        If it cannot be opened. FileNotFoundError only if `read_only`: it does not exist and cannot be created.
    """
    try:
        files.make_private(path.parent)
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, files.PRIVATE_FILE)
    except OSError as error:
        if not read_only or error.errno not in _READ_ONLY:
            raise
    return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)


def _lock_soon(handle: int, how: int) -> None:
    """Lock a file, retrying for half a second: a dry run that tests the lock has it for an instant itself.

    Raises
    ------
    BlockingIOError
        If another process has it all the time.
    """
    for _ in range(9):
        with contextlib.suppress(BlockingIOError):
            return fcntl.flock(handle, how | fcntl.LOCK_NB)
        time.sleep(0.05)
    return fcntl.flock(handle, how | fcntl.LOCK_NB)


def lock_run(private: Path, now: str, *, shared: bool = False) -> int:
    """Take the run lock; it is released when the descriptor is closed or this process ends.

    Parameters
    ----------
    private : Path
        The private folder of the results.
    now : str
        Current time, shown to others who find the lock taken.
    shared : bool
        For read-only commands, which may run at the same time. The folder need not be writable.

    Returns
    -------
    int
        File descriptor of the lock.

    Raises
    ------
    Locked
        If another process has the lock, or a run of another host lives; the message names it and since when.
    OSError
        If it cannot be opened; see `_open`.
    """
    lock, has_locks = private / RUN, True
    handle = _open(lock, read_only=shared)
    try:
        _lock_soon(handle, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
    except BlockingIOError:
        os.close(handle)
        owner = other_hosts.read_owner(lock)
        by = f": {other_hosts.in_words(owner)}" if owner else ""
        raise _in_use(by) from None
    except OSError as error:
        has_locks = False
        print(f"note: {NO_LOCKS} ({os.strerror(error.errno or 0)}); start one run at a time", file=sys.stderr)
    if alive := other_hosts.alive_elsewhere(lock, has_locks=has_locks, shared=shared):
        os.close(handle)
        raise _in_use(f": {alive}, whose lock this host does not see")
    if fcntl.fcntl(handle, fcntl.F_GETFL) & os.O_ACCMODE != os.O_RDONLY:
        other_hosts.write_owner(handle, other_hosts.owner_now(now, shared=shared))
    return handle


def _in_use(by: str) -> Locked:
    return Locked(f"another run uses this results folder{by}; wait for it to end, or choose another results folder")


_until_exit: list[int] = []  # descriptors of locks that stay open until this process ends


def lock_run_until_exit(private: Path, now: str, *, shared: bool = False) -> None:
    """Take the run lock until this process ends, and show other hosts that it lives; see `lock_run`."""
    _until_exit.append(lock_run(private, now, shared=shared))
    atexit.register(other_hosts.Touching(private / RUN).end)


def holder(private: Path) -> str:
    """Return which process has the run lock and since when; empty if none has. No file is changed or created."""
    lock, has_locks = private / RUN, True
    try:
        handle = os.open(lock, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return ""
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        owner = other_hosts.read_owner(lock)
        return other_hosts.in_words(owner) if owner else "another process"
    except OSError:
        has_locks = False
    finally:
        os.close(handle)
    return other_hosts.alive_elsewhere(lock, has_locks=has_locks)


def wait_for_orphans(private: Path, *, read_only: bool = False) -> None:
    """Wait until no job of an earlier run is alive; `read_only` as in `_open`.

    Raises
    ------
    Locked
        If a job is still alive after `ORPHANS_GET` seconds.
    OSError
        If the lock cannot be opened; see `_open`.
    """
    handle = _open(private / JOBS, read_only=read_only)
    try:
        deadline = time.monotonic() + ORPHANS_GET
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise Locked(
                        "jobs of an interrupted run are still writing to this results folder; "
                        "they end by themselves: run the same command again in a while"
                    ) from None
                time.sleep(0.1)
            except OSError:
                return  # no locks on this file system: `lock_run` has printed a note
    finally:
        os.close(handle)


def lock_job(private: Path) -> int | None:
    """Share the jobs lock; return its descriptor, or None if there is no lock file and none can be created."""
    try:
        handle = _open(private / JOBS, read_only=True)
    except FileNotFoundError:
        return None
    with contextlib.suppress(OSError):  # no locks on this file system
        fcntl.flock(handle, fcntl.LOCK_SH)
    return handle


@contextlib.contextmanager
def job(private: Path) -> Iterator[None]:
    """Share the jobs lock while a job runs; see `lock_job`."""
    handle = lock_job(private)
    try:
        yield
    finally:
        if handle is not None:
            os.close(handle)
