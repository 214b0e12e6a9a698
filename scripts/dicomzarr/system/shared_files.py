"""Read files that another host may be writing: retry what a network file system gets wrong for a moment.

- A file that was replaced on the server while it was open or known here gives ESTALE: it is read again.
- A file that a job has just written on another node may not be visible yet. In a run whose jobs go to other nodes, a
  file that must exist is waited for.

Both end after five seconds (`DELAYS`); what is wrong then is reported as on any file system.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import TypeVar

Answer = TypeVar("Answer")

VARIABLE = "DICOMZARR_OTHER_NODES"  # set in the processes of a run whose jobs go to other nodes
DELAYS = (0.1, 0.4, 1.5, 3.0)  # seconds between attempts


def expect_other_nodes() -> None:
    """Let this process, and those that it starts, wait for files that other nodes have written."""
    os.environ[VARIABLE] = "1"


def again(read: Callable[[], Answer], folder: bytes | str | Path, *, must_exist: bool = False) -> Answer:
    """Return what `read` returns, calling it again where a network file system needs time.

    Parameters
    ----------
    read : callable
        Opens and reads a file, from its beginning at each call.
    folder : path
        Its folder. Listing it makes a client ask the server.
    must_exist : bool
        Another job has written the file: wait for it if jobs run on other nodes.

    Raises
    ------
    OSError
        As `read` raises it in the last attempt.
    """
    for delay in DELAYS:
        try:
            return read()
        except OSError as error:
            awaited = must_exist and error.errno == errno.ENOENT and VARIABLE in os.environ
            if error.errno != errno.ESTALE and not awaited:
                raise
        time.sleep(delay)
        with contextlib.suppress(OSError):
            os.listdir(folder)
    return read()


def read_bytes(path: Path, *, must_exist: bool = False) -> bytes:
    """Return the content of a file; parameters and errors as `again`. A pipe or device in its place is an error."""
    return again(partial(_read_regular, path), path.parent, must_exist=must_exist)


def _read_regular(path: Path) -> bytes:
    """Return the content of a regular file; to open a pipe as usual waits for somebody who writes to it."""
    with open(path, "rb", buffering=0, opener=_open_at_once) as stream:
        if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
            raise OSError(errno.EINVAL, "not a regular file")
        return stream.readall()


def _open_at_once(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)


def await_files(paths: Callable[[], Iterable[Path]]) -> None:
    """Wait until the files of another job are visible, if jobs run on other nodes; one that is not ends the waiting."""
    if VARIABLE in os.environ:
        with contextlib.suppress(OSError):  # whoever reads the file reports it
            for path in paths():
                again(path.stat, path.parent, must_exist=True)
