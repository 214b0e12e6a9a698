"""Limit processor time and memory for one file, and disable core dumps.

The operating system enforces the limits, so that they hold for a library that loops or leaks too. They are set in
processes that may be killed: the workers that read headers, and the child that decodes (`dicomzarr.system.sandbox`).
"""

from __future__ import annotations

import contextlib
import dataclasses
import resource
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

# A call times out once the wall-clock time is this many times the limit of processor time.
PATIENCE = 10
# A frame is decoded, converted and compressed within the memory of its file: the frame itself may take 1/FRAME_SHARE.
FRAME_SHARE = 3
# Bytes stored per frame until its series is written: its place, and its row in the record.
_BYTES_OF_A_FRAME = 2048
# A job may take the memory of this many files: it reads the files of a series one after the other.
_JOB = 8
# Reasons that may not occur under other limits.
LIMITED = frozenset({"timeout", "too_large", "decoder_died", "text_search_failed"})


@dataclasses.dataclass(frozen=True, slots=True)
class Limits:
    """The budget of one file.

    Attributes
    ----------
    seconds : int
        Processor time for its header, and for each of its compressed frames.
    megabytes : int
        MiB of memory beyond what the process has at the start.
    """

    seconds: int = 60
    megabytes: int = 768

    @property
    def memory(self) -> int:
        """Bytes that reading one file may take."""
        return self.megabytes << 20

    @property
    def frame(self) -> int:
        """Bytes of the largest decoded frame."""
        return self.memory // FRAME_SHARE

    @property
    def frames(self) -> int:
        """Frames that a file may have."""
        return self.memory // _BYTES_OF_A_FRAME

    def confine(self, files: int = 1) -> None:
        """Limit this process to the memory of `files` files, and disable core dumps."""
        dump_no_core()
        _allowed[0] = mapped() + files * self.memory
        _lower(resource.RLIMIT_AS, _allowed[0])

    def confine_job(self) -> None:
        """Limit the memory of a job that works on series."""
        self.confine(_JOB)

    @contextmanager
    def budget(self) -> Iterator[Callable[[], None]]:
        """Limit the processor time of the block: the system kills the process if it takes more.

        Yields
        ------
        callable
            Restarts the budget, for the next of many small pieces of work. It does so once a second at most, so that a
            piece may take a second more.
        """
        began, before = 0.0, resource.getrlimit(resource.RLIMIT_CPU)

        def renew() -> None:
            nonlocal began
            now = time.monotonic()
            if now - began < 1:
                return
            began = now
            used = resource.getrusage(resource.RUSAGE_SELF)
            _lower(resource.RLIMIT_CPU, int(used.ru_utime + used.ru_stime) + 2 + self.seconds)
            signal.alarm(PATIENCE * self.seconds + 1)

        renew()
        try:
            yield renew
        finally:
            signal.alarm(0)
            resource.setrlimit(resource.RLIMIT_CPU, before)  # this process may live for long after the block


_allowed = [0]  # bytes that this process may map, by `confine`; 0: as many as it likes


def mapped(field: int = 0) -> int:
    """Return the bytes that this process has mapped, or another field of /proc/self/statm."""
    return int(Path("/proc/self/statm").read_text().split()[field]) * resource.getpagesize()


def room(taken: int) -> int:
    """Return the bytes that a process that has mapped `taken` may still take; without `confine`, those of a file."""
    return _allowed[0] - taken if _allowed[0] else current().memory


def dump_no_core() -> None:
    """Disable core dumps of this process and its children: they would contain headers and pixels.

    The kernel ignores the limit if it pipes core dumps to a program, such as systemd-coredump or apport. In that case
    the filter excludes all memory from the dump (core(5)).
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(OSError):
        Path("/proc/self/coredump_filter").write_text("0")


# mallopt(3)
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_FREED = 32 << 20  # bytes; the C library takes no larger threshold


def keep_freed_memory() -> None:
    """Let the C library retain freed memory, instead of returning and requesting the memory of each frame.

    A C library without `mallopt` is left as it is.
    """
    import ctypes

    with contextlib.suppress(AttributeError):
        choose = ctypes.CDLL(None).mallopt
        choose(_M_MMAP_THRESHOLD, _FREED)
        choose(_M_TRIM_THRESHOLD, 2 * _FREED)


def _lower(kind: int, value: int) -> None:
    hard = resource.getrlimit(kind)[1]
    resource.setrlimit(kind, (value if hard == resource.RLIM_INFINITY else min(value, hard), hard))


def verdict(number: int) -> str:
    """Return the reason code for a process that ended by a signal; 0 means that it ended without an answer."""
    return "timeout" if number in (signal.SIGXCPU, signal.SIGALRM) else "decoder_died"


_in_force = [Limits()]


def current() -> Limits:
    """Return the limits in force."""
    return _in_force[0]


def use(limits: Limits) -> None:
    """Set the limits for this process and the processes that it starts from now on."""
    _in_force[0] = limits
