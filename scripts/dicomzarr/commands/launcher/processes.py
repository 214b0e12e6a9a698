"""Child processes of the launcher, and the signals that stop it.

Signals that stop a run raise `Stopped` in the launcher's own code. While a child runs, they are blocked and awaited
together with SIGCHLD, so that none is lost. One that this process ignores stays ignored, as SIGHUP after nohup. The
launcher has no threads, so that `preexec_fn` is safe.
"""

from __future__ import annotations

import codecs
import enum
import io
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import IO, TextIO

from dicomzarr.system.project import ROOT
from dicomzarr.system.stop_signals import STOPPING, not_ignored

_SI_KERNEL = 0x80  # origin of a signal: the terminal, not a process (sigaction(2))


class Interrupt(enum.Enum):
    """The effect of SIGINT from the terminal on a child."""

    REACHES = enum.auto()
    REACHES_ONCE_READY = enum.auto()  # the child starts with SIGINT blocked, and unblocks it
    ENDS = enum.auto()  # SIGTERM instead: for a Python program that would print a traceback


class Stopped(BaseException):
    """A signal that stops a run was received.

    Attributes
    ----------
    status : int
        The exit status for the launcher.
    """

    def __init__(self, number: int, status: int | None = None) -> None:
        super().__init__(number)
        self.status = 128 + number if status is None else status


messages: list[str] = []  # what `say` printed for this command, of which `--json` shows the last if it fails


def say(text: str) -> None:
    """Print a message to standard error; standard output belongs to the child."""
    messages.append(text)
    print(text, file=sys.stderr, flush=True)


def accept_any_text(out: TextIO) -> None:
    """Let a stream take every path: one may have bytes that are no UTF-8, or letters that the encoding lacks."""
    if isinstance(out, io.TextIOWrapper) and out.errors == "strict":
        is_utf8 = codecs.lookup(out.encoding).name == "utf-8"
        out.reconfigure(errors="surrogateescape" if is_utf8 else "backslashreplace")


def is_unread(out: TextIO) -> bool:
    """Return whether nobody reads a stream any more, as in `./run status | head -1`; what is left for it is dropped."""
    asked = select.poll()
    asked.register(out.fileno(), select.POLLOUT)
    is_closed = any(event & select.POLLERR for _, event in asked.poll(0))
    if is_closed:
        os.dup2(os.open(os.devnull, os.O_WRONLY), out.fileno())
    return is_closed


def is_lost(out: TextIO) -> bool:
    """Return whether a stream takes no more, not even a line break, as `> list.txt` on a full disk."""
    try:
        print(file=out, flush=True)  # what it did not take before is gone: a flush alone would succeed
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), out.fileno())
        return True
    return False


@contextmanager
def stopped_by_signals() -> Iterator[None]:
    """Raise `Stopped` on the signals that stop a run within the block, unless they are ignored (as with nohup)."""

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
    """Block the signals that stop a run, and `more`, until the end of the block.

    Yields
    ------
    callable
        Restores the signal mask; called in a child after the fork.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {*STOPPING, *more})

    def restore_mask() -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)

    try:
        yield restore_mask
    finally:
        restore_mask()


def call(
    command: Sequence[str],
    folder: Path = ROOT,
    *,
    output: IO[bytes] | None = None,
    interrupt: Interrupt = Interrupt.REACHES,
    **changes: str,
) -> int:
    """Run a program of the environment and return its exit status.

    Signals that stop a run are passed on to the child as SIGTERM. SIGINT is not if it came from the terminal, which
    sends it to the child as well: a second signal could interrupt the child's cleanup.

    Parameters
    ----------
    command : sequence of str
        Program and arguments.
    folder : Path
        Working directory.
    output : binary file, optional
        Receives its standard output and standard error; by default, those of this process are used.
    interrupt : Interrupt
        The effect of SIGINT from the terminal.
    **changes : str
        Environment variables in addition to those of this process, except PYTHONPATH.

    Returns
    -------
    int
        The exit status; 128 + n if signal n ended the child.

    Raises
    ------
    Stopped
        If a signal was received, after the child has ended.
    """
    with delayed_signals(signal.SIGCHLD) as restore_mask:
        child = start(command, folder, restore_mask, changes, output=output, interrupt=interrupt)
        return wait(child, interrupt)


def start(
    command: Sequence[str],
    folder: Path,
    restore_mask: Callable[[], None],
    changes: Mapping[str, str],
    *,
    output: IO[bytes] | None,
    interrupt: Interrupt,
    stdin: int | None = None,
) -> subprocess.Popen[bytes]:
    """Start a program while signals are blocked.

    Parameters
    ----------
    command : sequence of str
        Program and arguments.
    folder : Path
        Working directory.
    restore_mask : callable
        What `delayed_signals` yields; called in the child.
    changes : mapping of str to str
        Environment variables in addition to those of this process, except PYTHONPATH.
    output, interrupt
        As for `call`.
    stdin : int, optional
        As for `subprocess.Popen`; by default that of this process.

    Raises
    ------
    Stopped
        If a signal that stops a run waits already.
    """
    awaited = not_ignored()  # an ignored signal would be delivered all the same to who waits for it
    if awaited & signal.sigpending():
        raise Stopped(signal.sigwait(awaited))

    def prepare() -> None:
        restore_mask()
        if interrupt is not Interrupt.REACHES:
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})

    return subprocess.Popen(
        command,
        cwd=folder,
        env={**{name: value for name, value in os.environ.items() if name != "PYTHONPATH"}, **changes},
        close_fds=False,
        stdin=stdin,
        stdout=output,
        stderr=output,
        preexec_fn=prepare,  # noqa: PLW1509
    )


def wait(child: subprocess.Popen[bytes], interrupt: Interrupt) -> int:
    """Return the exit status of a child that was started while signals were blocked, as they are still."""
    stopped, awaited = None, not_ignored()
    # Sent just before or after the fork.
    child_may_have_missed_it = signal.SIGINT in signal.sigpending() & awaited
    while child.poll() is None:
        received = signal.sigwaitinfo({*awaited, signal.SIGCHLD})
        if received.si_signo == signal.SIGCHLD:
            continue
        stopped = received.si_signo
        reached_child = stopped == signal.SIGINT and received.si_code == _SI_KERNEL
        if not reached_child or interrupt is Interrupt.ENDS or child_may_have_missed_it:
            with suppress(ProcessLookupError):
                child.terminate()
    status = child.returncode if child.returncode >= 0 else 128 - child.returncode
    if stopped == signal.SIGTERM:  # which is what the child got
        raise Stopped(stopped, status or 128 + stopped)
    if stopped:
        raise Stopped(stopped)
    return status
