"""The processes that export, and the pipes by which they are told which series: what `worker` answers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from dicomzarr.system.project import SCRIPTS


class Processes:
    """As many processes as are needed at once, each answering one series after the other.

    Parameters
    ----------
    module : str
        Dotted name of the module that is run, and calls `worker.serve`.
    first : sequence
        The first line that each of them is told, but for the number of this process.
    count : int
        How many at most.
    """

    def __init__(self, module: str, first: Sequence[Any], count: int) -> None:
        self._module, self._first = module, [*first, os.getpid()]
        self._mine = threading.local()
        self._all: list[subprocess.Popen[str]] = []
        self._threads = ThreadPoolExecutor(count)

    def ask(self, series_id: str) -> Future[dict[str, Any]]:
        """Return the answer of one of the processes, as a future."""
        return self._threads.submit(self._ask, series_id)

    def _ask(self, series_id: str) -> dict[str, Any]:
        worker: subprocess.Popen[str] | None = getattr(self._mine, "worker", None)
        if worker is None:
            worker = self._mine.worker = self._start()
        assert worker.stdin is not None and worker.stdout is not None
        answer = ""
        with suppress(OSError):
            worker.stdin.write(json.dumps(series_id) + "\n")
            worker.stdin.flush()
            answer = worker.stdout.readline()
        if answer.endswith("\n"):
            said: dict[str, Any] = json.loads(answer)
            return said
        self._mine.worker = None
        worker.kill()
        worker.wait()
        return {"error": "died", "said": "its process was ended by the system, which may lack memory"}

    def _start(self) -> subprocess.Popen[str]:
        search = [str(SCRIPTS), *filter(None, [os.environ.get("PYTHONPATH")])]
        worker = subprocess.Popen(
            [sys.executable, "-P", "-m", self._module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(search)},
            encoding="utf-8",
        )
        self._all.append(worker)
        assert worker.stdin is not None
        with suppress(OSError):
            worker.stdin.write(json.dumps(self._first) + "\n")
        return worker

    def kill(self) -> None:
        """End them wherever they are."""
        for worker in list(self._all):
            worker.kill()

    def close(self) -> None:
        """End them when they have answered."""
        self._threads.shutdown(wait=True, cancel_futures=True)
        for worker in self._all:
            for pipe in (worker.stdin, worker.stdout):
                with suppress(OSError):
                    assert pipe is not None
                    pipe.close()
            worker.wait()
