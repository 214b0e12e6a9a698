"""A thread pool whose results are in order: they do not depend on the number of threads.

Threads suffice for work outside of the interpreter lock: positioned reads, digests, codecs, and calls to child
processes.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

WAITING = 128 << 20  # bytes of results that may wait to be yielded
MIN_PARALLEL_BYTES = 64 << 10  # size of a result; smaller ones are computed faster than they are handed over


class ThreadPool:
    """The threads of a job; they start when they are first needed.

    Parameters
    ----------
    threads : int
        With one, `map` does all work in the calling thread, when the caller takes the next result.
    """

    def __init__(self, threads: int = 1) -> None:
        self.threads = threads
        self._pool: tuple[int, ThreadPoolExecutor] | None = None

    def map(self, work: Callable[[Item], Result], items: Iterable[Item], size: int) -> Iterator[Result]:
        """Yield `work(item)` for each item, in order.

        Parameters
        ----------
        work : callable
            Thread-safe. Its exception is raised in place of the result.
        items : iterable
            Consumed by the calling thread only, a few items ahead of the results.
        size : int
            Size of a result, bytes: the results computed ahead take at most `WAITING`. Small results are computed by
            the calling thread.
        """
        if not self.is_parallel(size):
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
            for future in waiting:  # no work may continue after the caller has stopped iterating
                if not future.cancelled():
                    future.exception()

    def submit(self, work: Callable[..., Result], *arguments: Any) -> Future[Result]:
        """Return a future of `work(*arguments)`, evaluated by one of the threads."""
        return self._threads().submit(work, *arguments)

    def close(self) -> None:
        """Wait for the threads and end them; threads of the parent process of a fork are not touched."""
        if self._pool is not None and self._pool[0] == os.getpid():
            self._pool[1].shutdown(wait=True, cancel_futures=True)
        self._pool = None

    def is_parallel(self, size: int) -> bool:
        """Return whether results of `size` bytes are computed by several threads."""
        return self.threads > 1 and size >= MIN_PARALLEL_BYTES

    def _threads(self) -> ThreadPoolExecutor:
        """Return the executor of this process: a fork does not inherit the threads of its parent."""
        if self._pool is None or self._pool[0] != os.getpid():
            self._pool = (os.getpid(), ThreadPoolExecutor(self.threads))
        return self._pool[1]


SERIAL = ThreadPool()
