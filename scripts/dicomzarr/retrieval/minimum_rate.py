"""A minimum rate for answers: no timeout ends one whose every byte comes in time, but of which the last never does."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Iterator
from types import FrameType

LEAST = 1 << 20  # bytes that an answer must bring in the given time, or end: slower than a modem is no connection


class MinimumRate:
    """The time that an answer has for its next bytes; what is done with them does not count.

    The main thread alone can use it: the alarm of the process interrupts a read.

    Parameters
    ----------
    seconds : float
        For each `LEAST` bytes, and for what comes after the last of them.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = self._left = seconds
        self._bytes = 0

    @contextlib.contextmanager
    def limit(self) -> Iterator[None]:
        """Interrupt the block by TimeoutError, which libraries may turn into an error of theirs, once time is up."""
        before, began = signal.signal(signal.SIGALRM, _interrupt), time.monotonic()
        signal.setitimer(signal.ITIMER_REAL, max(self._left, 0.001))
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
            self._left -= time.monotonic() - began

    def count(self, number: int) -> None:
        """Count bytes that were received."""
        self._bytes += number
        if self._bytes >= LEAST:
            self._bytes, self._left = 0, self._seconds

    @property
    def is_over(self) -> bool:
        """Whether time is up."""
        return self._left <= 0


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise TimeoutError
