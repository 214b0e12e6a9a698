"""Spread many small pieces of work, most of it reading, over forked processes, while this process does something else.

It needs no numpy, and sends answers by pickle: the main process compares records with the disk while it lists the
source. `sandbox.each` is for what reads bytes of the source.
"""

from __future__ import annotations

import contextlib
import gc
import os
import pickle
import select
import signal
import warnings
from collections.abc import Callable, Generator, Sequence
from typing import Any, Generic, NoReturn, TypeVar

from dicomzarr.system.parent_process import end_with_parent

Piece = TypeVar("Piece")
Answer = TypeVar("Answer")

# Seconds without an answer after which this process works on the rest. A child could wait for a lock that another
# thread held during the fork; what it calls takes none.
_SILENT = 60.0
_INDEX = 4  # bytes of the number of a piece in the queue
_IN_QUEUE = 1 << 14  # numbers that a pipe of 64 kB holds: it is filled before anybody reads


def cores() -> int:
    """Return how many cores this process may use; 1 where the system does not tell.

    Returns
    -------
    int
    """
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1


class SharedWork(Generic[Piece, Answer]):
    """Pieces of work, some of them done by forked processes.

    Parameters
    ----------
    work : callable
        Returns the answer for a piece. It only reads, or replaces whole files: a piece whose answer does not arrive,
        also because of an error, is worked on again in this process.
    pieces : sequence
    """

    def __init__(self, work: Callable[[Piece], Answer], pieces: Sequence[Piece]) -> None:
        self._work, self._pieces = work, pieces
        self._children: list[tuple[int, int]] = []  # process id, and the pipe of its answers
        self._queue = -1
        self._size = max(len(pieces), 1)  # of a portion

    def start(self, count: int) -> None:
        """Fork processes that take one portion after the other."""
        parent = os.getpid()
        if count < 1 or len(self._pieces) < 2:
            return
        self._size = -(-len(self._pieces) // _IN_QUEUE)
        self._queue, end = os.pipe()
        numbers = range(0, len(self._pieces), self._size)
        os.write(end, b"".join(number.to_bytes(_INDEX, "little") for number in numbers))
        os.close(end)
        with contextlib.suppress(OSError):  # no more processes: those that there are do it, with this one
            for _ in range(min(count, len(numbers))):
                answers, theirs = os.pipe()
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", DeprecationWarning)  # about forks with threads: see `_SILENT`
                    pid = os.fork()
                if pid == 0:
                    self._serve(theirs, parent)
                os.close(theirs)
                self._children.append((pid, answers))

    def _portions(self) -> Generator[tuple[int, list[Answer]]]:
        """Yield the answers to portions of the queue until it is empty."""
        while number := os.read(self._queue, _INDEX):
            first = int.from_bytes(number, "little")
            yield first, [self._work(piece) for piece in self._pieces[first : first + self._size]]

    def _serve(self, answers: int, parent: int) -> NoReturn:
        """Work in a child until the queue is empty, then write all answers."""
        status = 1
        try:
            end_with_parent()
            if os.getppid() != parent:  # killed before: nobody waits, and this process would keep its lock
                os._exit(status)
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent has it too, and decides
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            gc.disable()
            with open(answers, "wb") as stream:
                pickle.dump([*self._portions()], stream)
            status = 0
        finally:
            os._exit(status)

    def finish(self) -> list[Answer]:
        """Help with what is left, and return the answers in the order of the pieces."""
        found: dict[int, list[Answer]] = {}
        if self._children:
            found.update(self._portions())
            for _, pipe in self._children:
                found.update(_received(pipe))
        answers: list[Answer] = []
        for first in range(0, len(self._pieces), self._size):
            portion = self._pieces[first : first + self._size]
            answers += found[first] if first in found else [self._work(piece) for piece in portion]
        return answers

    def end(self) -> None:
        """End the processes."""
        if self._queue >= 0:
            os.close(self._queue)
            self._queue = -1
        for pid, answers in self._children:
            os.close(answers)
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)
        self._children = []


def _received(answers: int) -> list[Any]:
    """Return what a child writes until it ends; nothing if it was killed or is silent."""
    data = bytearray()
    while select.select([answers], [], [], _SILENT)[0]:
        if not (block := os.read(answers, 1 << 16)):
            break
        data += block
    try:
        received: list[Any] = pickle.loads(data)
        return received
    except (EOFError, pickle.UnpicklingError):
        return []


@contextlib.contextmanager
def sharing(
    work: Callable[[Piece], Answer], pieces: Sequence[Piece], count: int
) -> Generator[SharedWork[Piece, Answer]]:
    """Begin work on many pieces in up to `count` forked processes; they end with the block.

    Yields
    ------
    SharedWork
        Its `finish` returns the answers.
    """
    begun = SharedWork(work, pieces)
    try:
        begun.start(count)
        yield begun
    finally:
        begun.end()
