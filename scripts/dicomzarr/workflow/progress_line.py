"""Show the progress of a run: on a terminal, a line that is updated; in a file, a line every ten seconds.

Jobs write their counts to files (`heartbeat`); the main process adds them up. No job imports this module.
"""

from __future__ import annotations

import atexit
import json
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import IO, Any

from dicomzarr.system.heartbeat import FOLDER
from dicomzarr.system.results_folder import Results

ON_TERMINAL, IN_FILE = 0.5, 10.0  # seconds between two lines
_RATE_WINDOW = 30.0  # seconds over which the rate is averaged
_WORK = ("extract_batch", "check_batch")


@dataclass(frozen=True, slots=True)
class State:
    """Progress of a run: items and bytes done, and their totals; a total is 0 if it is not known yet."""

    stage: str
    items: int
    of_items: int
    bytes: int
    of_bytes: int

    @property
    def done(self) -> int:
        """The amount done, for the rate: bytes if their total is known, else items."""
        return self.bytes if self.of_bytes else self.items

    @property
    def of_all(self) -> int:
        """The value of `done` at the end."""
        return self.of_bytes or self.of_items


def _counts_of_jobs(results: Results) -> dict[str, tuple[int, int]]:
    """Return items and bytes done by job; unreadable files are left out."""
    counts = {}
    for path in (results.private / FOLDER).glob("*"):
        try:
            items, size = path.read_text().split()
            counts[path.name] = (int(items), int(size))
        except (OSError, ValueError):
            continue
    return counts


def _batches(results: Results) -> Mapping[str, Mapping[str, Any]]:
    try:
        batches: Mapping[str, Mapping[str, Any]] = json.loads((results.plans / "contents.json").read_bytes())["batches"]
        return batches
    except (OSError, ValueError, KeyError):
        return {}


def state(results: Results, files: int) -> State | None:
    """Return the progress of the run, or None if no job has written counts yet.

    A batch is part of the total if a job of this run has written counts for it, or if it has no record yet.

    Parameters
    ----------
    results : Results
    files : int
        Number of files in the source.
    """
    counts = _counts_of_jobs(results)
    for name, (items, size) in counts.items():
        if name.startswith("export_"):  # exports run last
            of_items = sum(batch["series"] for batch in _batches(results).values())
            if items < of_items:
                return State(f"{name}: series", items, of_items, size, 0)
    work = [name for name in counts if name.startswith(_WORK)]
    if not work:
        read = counts.get("index_headers")
        return State("reading headers: files", read[0], files, read[1], 0) if read else None
    items = of_items = size = of_size = 0
    for name, batch in _batches(results).items():
        for rule in _WORK:
            count = counts.get(f"{rule}.{name}")
            if count is None and (results.records / rule / f"{name}.json").exists():
                continue
            items, size = items + (count or (0, 0))[0], size + (count or (0, 0))[1]
            of_items, of_size = of_items + batch["series"], of_size + batch["bytes"]
    return State("extracting and checking: series", items // 2, of_items // 2, size // 2, of_size // 2)


def _amount(size: float) -> str:
    for limit, unit in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB")):
        if size >= limit:
            return f"{size / limit:.1f} {unit}"
    return f"{size / 1e3:.0f} kB"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def line(now: State, per_second: float) -> str:
    """Return a state as text; `per_second` is the rate of `done`, 0 if it is not known."""
    text = f"{now.stage} {now.items:,}"
    text += f" of {now.of_items:,}" if now.of_items else ""
    if now.of_bytes:
        text += f", {_amount(now.bytes)} of {_amount(now.of_bytes)}"
    if per_second > 0:
        rate = _amount(per_second) if now.of_bytes else f"{per_second:,.0f}"
        text += f", {rate} a second, about {_duration(max(now.of_all - now.done, 0) / per_second)} left"
    return text


def lines(results: Results, files: int, clock: Iterator[float]) -> Iterator[str]:
    """Yield a line at each time of `clock`, in seconds; an empty one if no job has written counts yet.

    Parameters
    ----------
    results : Results
    files : int
        Number of files in the source.
    clock : iterator of float
        Times in seconds.
    """
    past: deque[tuple[float, str, int]] = deque()
    for moment in clock:
        now = state(results, files)
        if now is None:
            yield ""
            continue
        past.append((moment, now.stage, now.done))
        while past[0][1] != now.stage or moment - past[0][0] > _RATE_WINDOW:
            past.popleft()
        elapsed = moment - past[0][0]
        yield line(now, (now.done - past[0][2]) / elapsed if elapsed > 0 else 0.0)


def _clock(stop: threading.Event, pause: float) -> Iterator[float]:
    while not stop.wait(pause):
        yield time.monotonic()


def _show(results: Results, files: int, stop: threading.Event, out: IO[str]) -> None:
    terminal = out.isatty()
    last = ""
    for text in lines(results, files, _clock(stop, ON_TERMINAL if terminal else IN_FILE)):
        if text and (terminal or text != last):
            # Erase to the end of the line, then return the cursor: output of others overwrites the line.
            out.write(f"\r\x1b[K{text}\r" if terminal else f"{text}\n")
            out.flush()
        last = text
    if terminal and last:
        out.write("\r\x1b[K")
        out.flush()


def start(results: Results, files: int) -> None:
    """Show the progress until this process ends; `files` is the number of files in the source."""
    for path in (results.private / FOLDER).glob("*"):
        path.unlink(missing_ok=True)
    stop = threading.Event()
    thread = threading.Thread(target=_show, args=(results, files, stop, sys.stderr), daemon=True)
    thread.start()

    def end() -> None:
        stop.set()
        thread.join(2)

    atexit.register(end)
