"""What one file may cost: processor time and memory, whatever its bytes say, and never a core dump.

The operating system holds the limits, so that they hold for a library that has lost its way as well. They are set in
processes that may be lost: the workers that read headers, and the child that decodes (`dicomzarr.system.sandbox`).
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

# Times as long may pass on the clock as on the processor, before waiting counts as hanging.
PATIENCE = 10
# A frame is decoded, converted and compressed within the memory of its file: so much of it may the frame itself take.
FRAME_SHARE = 3
# What is kept of a frame until its series is written: its place, and its row in the accounts.
_BYTES_OF_A_FRAME = 2048
# A job holds the files of a series one after the other, and its frames; beyond that it is no good to the machine.
_JOB = 8
# Reasons that other limits may lift.
LIMITED = frozenset({"timeout", "too_large", "decoder_died"})


@dataclasses.dataclass(frozen=True, slots=True)
class Limits:
    """The budget of one file.

    Attributes
    ----------
    seconds : int
        Of processor time, for its header and for each of its compressed frames.
    megabytes : int
        MiB of memory beyond what the process has anyway.
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
        """Hold this process to the memory of so many files, and let it write no core dump."""
        dump_no_core()
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        _lower(resource.RLIMIT_AS, pages * resource.getpagesize() + files * self.memory)

    def confine_job(self) -> None:
        """Hold a job that works on series to what it may need at most."""
        self.confine(_JOB)

    @contextmanager
    def budget(self) -> Iterator[Callable[[], None]]:
        """Give the block its time: the system ends the process that takes more.

        What the block gets is a function that starts the time anew, for the next of many small pieces of work. It
        asks the system once a second at most, so that a piece may take a second more.
        """
        began = 0.0

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


def dump_no_core() -> None:
    """Let no core be dumped of this process and those it starts: it would hold headers and pixels.

    The system ignores the limit where it hands cores to a program, as systemd and apport have it do: there the filter
    leaves no memory to be handed over (core(5)).
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(OSError):
        Path("/proc/self/coredump_filter").write_text("0")


# mallopt(3)
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_FREED = 32 << 20  # bytes; the C library takes no larger threshold


def keep_freed_memory() -> None:
    """Let this process keep some of what it has freed: frame after frame would else be given back and faulted in again.

    The C library decides; one without that call does as ever.
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
    """Return the reason code for a process that a signal ended, or 0 for one that ended without an answer."""
    return "timeout" if number in (signal.SIGXCPU, signal.SIGALRM) else "decoder_died"


_in_force = [Limits()]


def current() -> Limits:
    """Return the limits in force."""
    return _in_force[0]


def use(limits: Limits) -> None:
    """Put limits in force for this process and those it starts from now on."""
    _in_force[0] = limits
