"""The live line of a run: updated on a terminal; in a file or a pipe, a line every ten seconds."""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import threading
import time
from typing import TextIO

from dicomzarr.terminal import estimate, progress
from dicomzarr.terminal.screen import Screen, duration

ON_TERMINAL, IN_FILE = 0.5, 10.0  # seconds between two lines
TRACE = "DICOMZARR_TRACE"  # environment variable: file to which moments are written, for tests of the estimate

_shown_length = [0]  # of the line on the terminal of this process; a signal handler reads it without a lock
_ending = [False]


def stop_at_signal() -> str:
    """Stop the live line and return what erases it, for messages of signal handlers, which may not wait for a lock."""
    _ending[0] = True
    length, _shown_length[0] = _shown_length[0], 0
    return f"\r{' ' * length}\r" if length else ""


def is_ending() -> bool:
    """Return whether a signal ends this process."""
    return _ending[0]


class LiveLine:
    """Writes lines to a stream, and the live line below them.

    Parameters
    ----------
    out : text file
    screen : Screen
    """

    def __init__(self, out: TextIO, screen: Screen) -> None:
        self._out, self._screen = out, screen
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, source: progress.Source) -> None:
        """Start to show the progress; it ends with the process at the latest."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._show, args=(source,), daemon=True)
            self._thread.start()
            atexit.register(self.end)

    def write(self, lines: list[str]) -> None:
        """Write lines above the live line."""
        with self._lock, contextlib.suppress(OSError, ValueError):
            self._erase()
            self._out.write("".join(f"{line}\n" for line in lines))
            self._out.flush()

    def end(self) -> None:
        """Stop the live line and erase it."""
        self._stop.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(2)
        with self._lock, contextlib.suppress(OSError, ValueError):
            self._erase()
            self._out.flush()

    def _erase(self) -> None:
        if _shown_length[0]:
            self._out.write(f"\r{' ' * _shown_length[0]}\r")
            _shown_length[0] = 0

    def _draw(self, text: str) -> None:
        with self._lock, contextlib.suppress(OSError, ValueError):
            if _ending[0]:
                return
            if not self._screen.live:
                self._out.write(f"{text}\n")
            else:
                padding = " " * (_shown_length[0] - len(text))
                # The cursor returns to the start: what others write, such as the error of a job, replaces the line.
                self._out.write(f"\r{text}{padding}\r")
                _shown_length[0] = len(text)
            self._out.flush()

    def _columns(self) -> int:
        """Return the longest line now: a terminal may be narrower than our other lines, or have become so."""
        columns = self._screen.columns
        if self._screen.live:
            with contextlib.suppress(OSError, ValueError):
                now = os.get_terminal_size(self._out.fileno()).columns
                columns = min(columns, now - 1) if now > 1 else columns
        return columns

    def _show(self, source: progress.Source) -> None:
        pause = ON_TERMINAL if self._screen.live else IN_FILE
        trace = os.environ.get(TRACE)
        next_line = time.monotonic() + pause
        last = ""

        while not self._stop.wait(ON_TERMINAL):
            if not trace and time.monotonic() < next_line:
                continue
            moment = source.moment()
            left = estimate.left(moment)
            if trace:
                with open(trace, "a", encoding="utf-8") as stream:
                    stream.write(json.dumps(moment.to_json()) + "\n")
            if time.monotonic() >= next_line:
                next_line = time.monotonic() + pause
                text = line(moment, left, self._columns())
                if text != last:
                    progress.note_line(source.results, line(moment, left, progress.LONGEST))
                if text and (self._screen.live or text != last):
                    self._draw(text)
                last = text


def line(moment: progress.Moment, left: float | None, columns: int) -> str:
    """Return a moment as text.

    Parameters
    ----------
    moment : Moment
    left : float or None
        Seconds to the end of the run; None if they are not known well enough.
    columns : int
        Most characters: bytes are left out if they do not fit.
    """
    text, size = moment.text()
    time_left = f"about {duration(estimate.rounded(left))} left" if text and left is not None else ""
    for parts in ((text, size, time_left), (text, time_left)):
        whole = ", ".join(part for part in parts if part)
        if len(whole) <= columns:
            break
    return whole[:columns]
