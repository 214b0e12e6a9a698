"""What this machine withholds from a process: memory, processes, open files, large files. No property of a source file.

`ulimit -v` and `ulimit -d`, the memory that a queue grants (`h_vmem` of Grid Engine), `vm.overcommit_memory=2` and
`ulimit -u` make calls fail in the midst of any library. Where such an error would become the reason of a file or a
verdict on an array, which later runs keep, `refuse` raises `Shortage` instead.
"""

from __future__ import annotations

import errno
import math
import resource
from pathlib import Path

from dicomzarr.system import limits

_OVERCOMMIT, _MEMINFO = Path("/proc/sys/vm/overcommit_memory"), Path("/proc/meminfo")
_DATA = 5  # field of /proc/self/statm: what RLIMIT_DATA counts, and the stack
_NO_THREAD = "can't start new thread"  # a RuntimeError of Python
# Errors that a lack of something causes in Python itself and in libraries that are imported when they are needed.
_CAUSED = (MemoryError, ImportError, OSError, SystemError, RuntimeError)

MEMORY = (
    "the system grants this process too little memory. Raise what limits it (ulimit -v, ulimit -d, the memory of a job "
    "of the queue, vm.overcommit_memory), or let a file take less: `limits: megabytes` in the configuration"
)
PROCESSES = (
    "the system starts no more processes or threads for this user: raise ulimit -u (or ulimit -v, where it is set), or "
    "the limit of the container or queue (pids), or use fewer --cores"
)
LARGE_FILES = (
    "this process may write no file of that size: raise ulimit -f, or use a file system that takes larger files"
)
_TEXTS = {
    errno.ENOMEM: MEMORY,
    errno.EAGAIN: PROCESSES,
    errno.EFBIG: LARGE_FILES,
    errno.EMFILE: "this process may open no more files: raise ulimit -n",
    errno.ENFILE: "the system opens no more files: raise fs.file-max, or end other programs",
}


class Shortage(BaseException):
    """The system withholds something. No `Exception`: what is broken in a file is caught everywhere, this nowhere.

    Parameters
    ----------
    number : int
        Of the error, as in `errno`; its text is that of the exception.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number

    def __str__(self) -> str:
        """Return what is withheld, and what to do."""
        return _TEXTS[self.number]


def refuse(error: BaseException | None = None, *, child: int = 0) -> None:
    """Raise `Shortage` if the system withholds something from this process that may have caused an error; else return.

    Parameters
    ----------
    error : BaseException, optional
        What happened.
    child : int
        Bytes that a child process was allowed to take, if it was the child that failed.

    Raises
    ------
    Shortage
        The caller must not blame the file.
    """
    if isinstance(error, OSError) and error.errno != errno.ENOMEM:
        if error.errno in _TEXTS:
            raise Shortage(error.errno) from None
        return
    if _is_memory_withheld(child):
        raise Shortage(errno.ENOMEM) from None
    if isinstance(error, RuntimeError) and str(error) == _NO_THREAD:
        raise Shortage(errno.EAGAIN) from None


def refuse_at_value(error: BaseException) -> None:
    """Raise `Shortage` as `refuse`, where errors are frequent: those that no lack causes are not looked into.

    Raises
    ------
    Shortage
        The value is not unreadable.
    """
    if isinstance(error, _CAUSED):
        refuse(error)


def described(error: BaseException) -> str:
    """Return what is withheld and what to do, if that is what ended a job; else an empty text."""
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
        return MEMORY
    try:
        refuse_at_value(error)
    except Shortage as lack:
        return str(lack)
    return ""


def _is_memory_withheld(child: int) -> bool:
    """Return whether the system grants less memory than the limits of the configuration allow this process to take.

    Nothing is allocated to find out: another thread of this process would be refused it. What is mapped is asked for
    once, since other threads change it.
    """
    mapped = limits.mapped()
    room = limits.room(mapped)
    wanted = min(child or room, room)
    return wanted > 0 and wanted > min(_granted(mapped), _uncommitted())


def _granted(mapped: int) -> float:
    """Return the bytes that this process may still take by its own limits; infinite without one."""
    taken = {resource.RLIMIT_AS: mapped, resource.RLIMIT_DATA: limits.mapped(_DATA)}
    softs = {kind: resource.getrlimit(kind)[0] for kind in taken}
    left = [soft - taken[kind] for kind, soft in softs.items() if soft != resource.RLIM_INFINITY]
    return min(left, default=math.inf)


def _uncommitted() -> float:
    """Return the bytes that all processes may still take where the kernel promises no more than it has, else infinity.

    References
    ----------
    proc(5), /proc/sys/vm/overcommit_memory.
    """
    try:
        if _OVERCOMMIT.read_text().strip() != "2":
            return math.inf
        rows = (line.split() for line in _MEMINFO.read_text().splitlines())
        kilobytes = {row[0].rstrip(":"): int(row[1]) for row in rows}
        return 1024 * (kilobytes["CommitLimit"] - kilobytes["Committed_AS"])
    except (OSError, ValueError, LookupError):  # no /proc, or hidden in a container
        return math.inf
