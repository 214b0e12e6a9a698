"""Work spread over the threads of a job, its results in order: what comes out does not depend on how many there are.

Threads are enough where the work is done outside of Python: positioned reads, digests, codecs, and calls that another
process answers.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

WAITING = 128 << 20  # bytes of results that may wait for their turn
WORTH_IT = 64 << 10  # bytes of a result: of smaller ones, handing them over takes longer than making them


class ThreadPool:
    """The threads of a job, which start when they are first needed.

    Parameters
    ----------
    threads : int
        With one, `map` does everything in the calling thread, when the caller asks for the next result.
    """

    def __init__(self, threads: int = 1) -> None:
        self.threads = threads
        self._pool: tuple[int, ThreadPoolExecutor] | None = None

    def map(self, work: Callable[[Item], Result], items: Iterable[Item], size: int) -> Iterator[Result]:
        """Yield `work(item)` for each item, in order.

        Parameters
        ----------
        work : callable
            Safe to be called by several threads. What it raises is raised in its turn.
        items : iterable
            Taken from by the caller alone, a few ahead of what was yielded.
        size : int
            Bytes that a result takes; so many are made ahead that they take no more than `WAITING`. The caller makes
            small ones itself.
        """
        if not self.is_worth(size):
            yield from map(work, items)
            return
        most = max(1, min(2 * self.threads, WAITING // max(size, 1)))
        waiting: deque[Future[Result]] = deque()
        try:
            for item in items:
                waiting.append(self.submit(work, item))
                if len(waiting) > most:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
            for future in waiting:  # nothing goes on behind the back of a caller that has given up
                if not future.cancelled():
                    future.exception()

    def submit(self, work: Callable[..., Result], *arguments: Any) -> Future[Result]:
        """Return a future of `work(*arguments)`, evaluated by one of the threads."""
        return self._threads().submit(work, *arguments)

    def close(self) -> None:
        """Wait for the threads and end them; those of the parent of a fork are left alone."""
        if self._pool is not None and self._pool[0] == os.getpid():
            self._pool[1].shutdown(wait=True, cancel_futures=True)
        self._pool = None

    def is_worth(self, size: int) -> bool:
        """Say whether several threads would make results of so many bytes faster than one."""
        return self.threads > 1 and size >= WORTH_IT

    def _threads(self) -> ThreadPoolExecutor:
        """Return the threads of this process: a fork has none of its parent's."""
        if self._pool is None or self._pool[0] != os.getpid():
            self._pool = (os.getpid(), ThreadPoolExecutor(self.threads))
        return self._pool[1]


SERIAL = ThreadPool()
