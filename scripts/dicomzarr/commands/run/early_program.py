"""A program that is started before it is needed."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from dicomzarr.commands.launcher.processes import Interrupt, delayed_signals, start, wait


class EarlyProgram:
    """A program that is started while others run, and begins its work when it is told on its standard input.

    Its start and its imports then take no time of a run on two cores and more: Snakemake starts on one.

    Parameters
    ----------
    command : sequence of str
        A program that reads its standard input to the end before it works, and ends at once if that is empty.
    folder : Path
        Working directory.
    output : binary file, optional
        Receives its standard output and standard error; by default, those of this process are used.
    **changes : str
        Environment variables in addition to those of this process, except PYTHONPATH.
    """

    def __init__(
        self, command: Sequence[str], folder: Path, *, output: IO[bytes] | None = None, **changes: str
    ) -> None:
        self._command, self._folder, self._output, self._changes = command, folder, output, changes
        self._child: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> EarlyProgram:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the program if it was not told to begin."""
        self._end()

    def start(self) -> None:
        """Start the program."""
        with delayed_signals() as restore_mask:
            self._child = self._started(restore_mask)

    def finish(self, text: bytes, meanwhile: Callable[[], None]) -> int:
        """Tell the program to begin, wait until it has ended, and return its exit status as `call` does.

        It is started now if it was not, or was ended by a signal that all processes of the run received.

        Parameters
        ----------
        text : bytes
            For its standard input.
        meanwhile : callable
            Called while the program runs: work for another core. It must not raise, and signals wait for its end.

        Raises
        ------
        Stopped
            If a signal was received, after the program has ended.
        """
        with delayed_signals(signal.SIGCHLD) as restore_mask:
            if self._child is None or self._child.poll() is not None:
                self._end()
                self._child = self._started(restore_mask)
            self._tell(self._child, text)
            meanwhile()
            return wait(self._child, Interrupt.ENDS)

    def _started(self, restore_mask: Callable[[], None]) -> subprocess.Popen[bytes]:
        return start(
            self._command,
            self._folder,
            restore_mask,
            self._changes,
            output=self._output,
            interrupt=Interrupt.ENDS,
            stdin=subprocess.PIPE,
        )

    def _end(self) -> None:
        if self._child:
            self._child.kill()
            self._tell(self._child, b"")
            self._child.wait()

    @staticmethod
    def _tell(child: subprocess.Popen[bytes], text: bytes) -> None:
        """Write to the standard input of a program, and close it."""
        if child.stdin and not child.stdin.closed:
            with suppress(BrokenPipeError), child.stdin as stdin:
                stdin.write(text)
