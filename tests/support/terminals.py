"""Run `./run` on a terminal of a given width, and show what a person would see there."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import select
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from conftest import ROOT, Workflow
from waiting import HANG

_ON_TERMINAL = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"
)
_ESCAPES = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


@dataclass(frozen=True, slots=True)
class Shown:
    """What a terminal received, and how the command ended."""

    status: int
    raw: str

    @property
    def text(self) -> str:
        """What stays on the terminal: no colours, and of each line what was written over it last."""
        lines = []
        for line in _ESCAPES.sub("", self.raw).replace("\r\n", "\n").split("\n"):
            shown = ""
            for part in line.split("\r"):
                shown = part + shown[len(part) :]
            lines.append(shown.rstrip())
        return "\n".join(lines)

    @property
    def widest(self) -> int:
        """The longest line that was written, also one that was overwritten, but for the command with its paths."""
        plain = _ESCAPES.sub("", self.raw).replace("\r\n", "\n")
        return max(len(part.rstrip()) for part in re.split("[\r\n]", plain) if not part.startswith("+ snakemake "))


def run_on_terminal(
    workflow: Workflow,
    environment: Path,
    *arguments: str,
    columns: int = 80,
    until: Callable[[str], bool] | None = None,
    keys: bytes = b"\x03",
    **variables: str,
) -> Shown:
    """Run `./run` on a terminal of its own.

    Parameters
    ----------
    workflow : Workflow
    environment : Path
        Of the launcher.
    *arguments : str
    columns : int
        Width of the terminal.
    until : callable, optional
        Press the keys once it is true of what was shown so far.
    keys : bytes
        By default Ctrl-C.
    **variables : str
        Environment variables.
    """
    keyboard, terminal = os.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    inherited = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "COLUMNS")}
    running = subprocess.Popen(
        [sys.executable, "-c", _ON_TERMINAL, sys.executable, str(ROOT / "run"), *arguments],
        cwd=workflow.folder,
        env={**inherited, **workflow.environment, "DICOMZARR_VENV": str(environment), "TERM": "xterm", **variables},
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        start_new_session=True,
    )
    os.close(terminal)
    received = b""
    try:
        while select.select([keyboard], [], [], HANG)[0]:
            try:
                data = os.read(keyboard, 65536)
            except OSError:  # all who had the terminal open have ended
                break
            received += data
            if until and until(received.decode(errors="replace")):
                os.write(keyboard, keys)
                until = None
        status = running.wait(timeout=HANG)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(running.pid, signal.SIGKILL)
        running.wait()
        os.close(keyboard)
    return Shown(status, received.decode(errors="replace"))
