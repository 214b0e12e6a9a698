"""Work shared by forked processes, each with its part: what they find comes back as JSON."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

from dicomzarr.system import files, json_files

WORTH_IT = 200.0  # milliseconds of work for one more process


class Costly(Protocol):
    """A piece of work that knows what it costs, in milliseconds."""

    @property
    def cost(self) -> float:  # noqa: D102
        ...


One = TypeVar("One", bound=Costly)


def spread(
    work: Callable[[Sequence[One], bool], Any], pieces: Sequence[One], processes: int, temporary: Path
) -> Iterator[Any]:
    """Yield what `work` makes of its pieces, which up to so many processes share: this one, and children.

    Parameters
    ----------
    work : callable
        Of some of the pieces, and whether it is a child that works: then it returns a JSON value.
    pieces : sequence
    processes : int
    temporary : Path
        A private folder for what children return.

    Notes
    -----
    What a child was to do that died, or failed, is done here, so that nothing is left out and errors are told as ever.
    """
    count = max(1, min(processes, int(sum(piece.cost for piece in pieces) / WORTH_IT)))
    shares: list[list[One]] = [[] for _ in range(count)]
    costs = [0.0] * count
    for piece in sorted(pieces, key=lambda piece: -piece.cost):
        least = costs.index(min(costs))
        shares[least].append(piece)
        costs[least] += piece.cost
    files.make_private(temporary)
    answers = [temporary / f"share.{os.getpid()}.{number}" for number in range(1, count)]
    children = [_child(work, share, answer) for share, answer in zip(shares[1:], answers, strict=True)]
    try:
        yield work(shares[0], False)
        for share, answer in zip(shares[1:], answers, strict=True):
            _, status = os.waitpid(children[0], 0)
            del children[0]
            yield work(share, False) if (said := _read(answer, status)) is None else said
    finally:
        for child in children:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        for answer in answers:
            answer.unlink(missing_ok=True)


def _read(answer: Path, status: int) -> Any:
    """Return what a child returned, or None where it did not come to that."""
    try:
        return json_files.read_json(answer) if status == 0 else None
    except (OSError, ValueError):
        return None


def _child(work: Callable[[Sequence[One], bool], Any], share: Sequence[One], answer: Path) -> int:
    parent = os.getpid()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            files.write_atomically(answer, json_files.canonical_json(work(_while(share, parent), True)), private=True)
            status = 0
        finally:
            os._exit(status)
    return child


def _while(share: Sequence[One], parent: int) -> Any:
    """Yield the pieces of a share as long as its parent lives."""
    for piece in share:
        if os.getppid() != parent:
            os._exit(1)
        yield piece
