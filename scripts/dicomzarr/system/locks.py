"""One run at a time on a results folder, and no orphan that writes beside it.

Advisory `flock`s, which the kernel drops when their process dies, so that nothing has to be cleared after a crash. The
main process holds `run.lock` alone; every job holds `jobs.lock` with the others, and the scan asks for it alone.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from dicomzarr.system import files
from dicomzarr.vocabulary.errors import UserError

RUN, JOBS = "run.lock", "jobs.lock"
NO_LOCKS = "the file system of the results has no locks, so that nothing keeps two runs apart"
ORPHANS_GET = 60.0  # seconds that jobs of an interrupted run have to end


class Held(UserError):
    """Another run, or jobs that outlived theirs, use the results folder."""


# What opening a lock to write ends in where nothing can be written.
_READ_ONLY = (errno.EROFS, errno.EACCES, errno.EPERM)


def _open(path: Path, *, to_look: bool = False) -> int:
    """Open a lock, and make it; who only looks at a folder that cannot be written opens what is there.

    Raises
    ------
    OSError
        If it cannot be opened; FileNotFoundError only to who looks: there is none, and it cannot be made.
    """
    try:
        files.make_private(path.parent)
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, files.PRIVATE_FILE)
    except OSError as error:
        if not to_look or error.errno not in _READ_ONLY:
            raise
    return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)


def _lock_soon(handle: int, how: int) -> None:
    """Lock a file within half a second: a dry run that asks who holds it holds it itself for an instant.

    Raises
    ------
    BlockingIOError
        If another process holds it all the time.
    """
    for _ in range(9):
        with contextlib.suppress(BlockingIOError):
            return fcntl.flock(handle, how | fcntl.LOCK_NB)
        time.sleep(0.05)
    return fcntl.flock(handle, how | fcntl.LOCK_NB)


def hold_run(private: Path, now: str, *, shared: bool = False) -> int:
    """Take the run lock for the life of this process and return its file descriptor.

    Parameters
    ----------
    private : Path
        The private folder of the results.
    now : str
        The time, told to whoever finds the lock held.
    shared : bool
        Only look, and allow others who do; the folder may be one that cannot be written.

    Raises
    ------
    Held
        If another process has it; the message says which and since when.
    OSError
        If it cannot be opened; see `_open`.
    """
    handle = _open(private / RUN, to_look=shared)
    try:
        _lock_soon(handle, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
    except BlockingIOError:
        holder = os.pread(handle, 200, 0)
        os.close(handle)
        with contextlib.suppress(ValueError, KeyError, TypeError):
            said = json.loads(holder)
            raise Held(
                f"another run uses this results folder: process {int(said['pid'])} since {said['since']}; "
                "wait for it to end, or choose another results folder"
            ) from None
        raise Held("another run uses this results folder; wait for it to end, or choose another one") from None
    except OSError as error:
        print(f"note: {NO_LOCKS} ({os.strerror(error.errno or 0)}); start one run at a time", file=sys.stderr)
    if fcntl.fcntl(handle, fcntl.F_GETFL) & os.O_ACCMODE != os.O_RDONLY:
        os.ftruncate(handle, 0)
        os.pwrite(handle, json.dumps({"pid": os.getpid(), "since": now}).encode(), 0)
    return handle


_held: list[int] = []  # descriptors of locks that this process holds until it ends


def hold_run_for_good(private: Path, now: str) -> None:
    """Take the run lock and keep it until this process ends; parameters and errors as `hold_run`."""
    _held.append(hold_run(private, now))


def holder(private: Path) -> str:
    """Return who holds the run lock and since when, or nothing; changes and makes no file."""
    try:
        handle = os.open(private / RUN, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return ""
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return ""
    except BlockingIOError:
        with contextlib.suppress(ValueError, KeyError, TypeError):
            said = json.loads(os.pread(handle, 200, 0))
            return f"process {int(said['pid'])} since {said['since']}"
        return "another process"
    except OSError:
        return ""
    finally:
        os.close(handle)


def wait_for_orphans(private: Path, *, to_look: bool = False) -> None:
    """Return when no job of an earlier run is alive; `to_look` as in `hold_run`.

    Raises
    ------
    Held
        If one is after a minute.
    OSError
        If the lock cannot be opened; see `_open`.
    """
    handle = _open(private / JOBS, to_look=to_look)
    try:
        deadline = time.monotonic() + ORPHANS_GET
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise Held(
                        "jobs of an interrupted run are still writing to this results folder; "
                        "they end by themselves: run the same command again in a while"
                    ) from None
                time.sleep(0.1)
            except OSError:
                return  # no locks here: told when the run lock was asked for
    finally:
        os.close(handle)


def hold_job(private: Path) -> int | None:
    """Take the jobs lock, shared, for the life of this process; return its file descriptor, if there is a lock."""
    try:
        handle = _open(private / JOBS, to_look=True)
    except FileNotFoundError:
        return None
    with contextlib.suppress(OSError):  # no locks here
        fcntl.flock(handle, fcntl.LOCK_SH)
    return handle


@contextlib.contextmanager
def job(private: Path) -> Iterator[None]:
    """Hold the jobs lock, shared, while a job runs: as far as there is one, where nothing can be written."""
    handle = hold_job(private)
    try:
        yield
    finally:
        if handle is not None:
            os.close(handle)
