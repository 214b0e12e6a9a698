"""Child processes of the launcher, and the signals that stop it.

SIGINT and SIGTERM raise `Stopped` in our own code. While a child runs they are waited for together with its end, so
that no moment is left in which one could be lost. The launcher has no threads: functions may be called after a fork.
"""

from __future__ import annotations

import enum
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import IO

from dicomzarr.system.project import ROOT

STOPPING = {signal.SIGINT, signal.SIGTERM}
_SI_KERNEL = 0x80  # who sent a signal: not a process, but the terminal (sigaction(2))


class Interrupt(enum.Enum):
    """What SIGINT from the terminal does to a child."""

    REACHES = enum.auto()
    REACHES_ONCE_READY = enum.auto()  # the child begins with SIGINT blocked, and unblocks it
    ENDS = enum.auto()  # SIGTERM instead: for a Python that would print a traceback


class Stopped(BaseException):
    """SIGINT or SIGTERM came.

    Attributes
    ----------
    status : int
        The exit status that follows from it.
    """

    def __init__(self, number: int, status: int | None = None) -> None:
        super().__init__(number)
        self.status = 128 + number if status is None else status


def say(text: str) -> None:
    """Tell the user what happens; standard output stays with the command that is run."""
    print(text, file=sys.stderr, flush=True)


@contextmanager
def stopped_by_signals() -> Iterator[None]:
    """Raise `Stopped` at SIGINT and SIGTERM within the block; one that is ignored stays so (as with nohup)."""

    def stop(number: int, _: FrameType | None) -> None:
        raise Stopped(number)

    before = {number: signal.getsignal(number) for number in STOPPING}
    try:
        for number, handler in before.items():
            if handler is not signal.SIG_IGN:
                signal.signal(number, stop)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def delayed_signals(*more: signal.Signals) -> Iterator[Callable[[], None]]:
    """Let SIGINT, SIGTERM and `more` wait until the block is done.

    Yields
    ------
    callable
        What a child calls after the fork, so that they do not wait in it.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING | {*more})

    def no_delay() -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)

    try:
        yield no_delay
    finally:
        no_delay()


def call(
    command: Sequence[str],
    folder: Path = ROOT,
    *,
    output: IO[bytes] | None = None,
    interrupt: Interrupt = Interrupt.REACHES,
    **changes: str,
) -> int:
    """Run a program of the environment and return its exit status.

    SIGTERM is passed on to it. So is SIGINT, as SIGTERM, unless it came from the terminal, which sends it to the child
    as well: what is stopped twice by SIGINT may leave its own cleaning up half done.

    Parameters
    ----------
    command : sequence of str
        Program and arguments.
    folder : Path
        Where it runs.
    output : binary file, optional
        What receives its standard output and errors; by default, they are ours.
    interrupt : Interrupt
        What SIGINT from the terminal does to it.
    **changes : str
        Environment variables beside ours; PYTHONPATH is not ours.

    Raises
    ------
    Stopped
        If a signal came, after the child has ended.
    """
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | changes
    stopped = None
    with delayed_signals(signal.SIGCHLD) as no_delay:
        if STOPPING & signal.sigpending():
            raise Stopped(signal.sigwait(STOPPING))

        def prepare() -> None:
            no_delay()
            if interrupt is not Interrupt.REACHES:
                signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})

        child = subprocess.Popen(
            command,
            cwd=folder,
            env=variables,
            close_fds=False,
            stdout=output,
            stderr=output,
            preexec_fn=prepare,  # noqa: PLW1509
        )
        may_have_missed_it = bool(signal.sigpending() & {signal.SIGINT})  # it came just before the fork, or just after
        while child.poll() is None:
            received = signal.sigwaitinfo({*STOPPING, signal.SIGCHLD})
            if received.si_signo == signal.SIGCHLD:
                continue
            stopped = received.si_signo
            reached = stopped == signal.SIGINT and received.si_code == _SI_KERNEL
            if not reached or interrupt is Interrupt.ENDS or may_have_missed_it:
                with suppress(ProcessLookupError):
                    child.terminate()
    status = child.returncode if child.returncode >= 0 else 128 - child.returncode
    if stopped == signal.SIGINT:
        raise Stopped(stopped)
    if stopped:
        raise Stopped(stopped, status or 128 + stopped)
    return status
