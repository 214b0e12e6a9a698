"""Wait for what another process or thread does, as long as a busy machine may take."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

Answer = TypeVar("Answer")

# Seconds after which something hangs. No test depends on how fast a machine is: what takes long on an idle one is
# another bug. Less than `faulthandler_timeout` in pyproject.toml.
HANG = 300.0


def wait_until(happened: Callable[[], Answer], every: float = 0.02, explain: Callable[[], object] = str) -> Answer:
    """Return the first true answer; fail if there is none until it must be called a hang.

    Parameters
    ----------
    happened : callable
    every : float
        Seconds between two questions.
    explain : callable
        Returns what the failure shows.
    """
    deadline = time.monotonic() + HANG
    while not (answer := happened()):
        assert time.monotonic() < deadline, explain()
        time.sleep(every)
    return answer
