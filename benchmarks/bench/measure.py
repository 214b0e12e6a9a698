"""One command, measured: wall and CPU seconds of its process tree, its largest process, and what it wrote."""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

# A process of its own, since the peak that the system keeps is that of all children a process ever had.
WRAPPER = """
import json, resource, subprocess, sys, time
start = time.perf_counter()
code = subprocess.run(sys.argv[2:]).returncode
wall = time.perf_counter() - start
used = resource.getrusage(resource.RUSAGE_CHILDREN)
with open(sys.argv[1], "w") as stream:
    json.dump({"code": code, "wall": wall, "cpu": used.ru_utime + used.ru_stime, "peak": used.ru_maxrss / 1024}, stream)
"""


class Failed(Exception):
    """A command ended with another exit code than 0; the text is the last line it said."""


@dataclass
class Figures:
    """What a competitor did on a corpus: seconds and MiB of each round; bytes, files and frames of the last."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    peak: list[float] = field(default_factory=list)
    bytes: int = 0
    files: int = 0
    frames: int | None = None
    said: str = ""

    def median(self, what: str) -> float:
        """Return the median of the rounds."""
        return statistics.median(getattr(self, what))


def timed(command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> tuple[dict[str, float], str]:
    """Run a command in a folder and return its wall and CPU seconds and peak MiB, and what it printed.

    Raises
    ------
    Failed
        If its exit code is not 0.
    """
    answer = folder / ".measured.json"
    done = subprocess.run(
        [sys.executable, "-I", "-c", WRAPPER, str(answer), *command],
        cwd=folder,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    measured = json.loads(answer.read_text()) if answer.exists() else {"code": done.returncode}
    answer.unlink(missing_ok=True)
    if measured["code"]:
        lines = [line.strip() for line in done.stdout.splitlines() if line.strip()]
        raise Failed(f"exit code {measured['code']}: {(lines or ['no word'])[-1][:120]}")
    return measured, done.stdout


def note(figures: Figures, measured: Mapping[str, float]) -> None:
    """Add the figures of one round."""
    figures.wall.append(measured["wall"])
    figures.cpu.append(measured["cpu"])
    figures.peak.append(measured["peak"])


def size_of(folder: Path) -> tuple[int, int]:
    """Return bytes and files below a folder."""
    sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
    return sum(sizes), len(sizes)


def fresh(folder: Path) -> Path:
    """Return a new folder below `folder`; what earlier runs left there stays as long as there is room for it.

    For a minute after files were deleted, ext4 takes several times as long to make new ones. Of those who run in turn
    that would strike whoever writes the most files. All of it is on the disk before the next one starts.
    """
    folder.mkdir(parents=True, exist_ok=True)
    before = sorted(folder.iterdir())
    if sum(size_of(path)[0] for path in before) > ROOM:
        for path in before:
            shutil.rmtree(path)
    here = folder / f"{1 + max((int(path.name) for path in before), default=0):04d}"
    here.mkdir()
    os.sync()
    return here


ROOM = 8 << 30  # bytes of what runs wrote


def machine() -> dict[str, str | int]:
    """Return what the figures were taken on."""
    model = "unknown processor"
    with open("/proc/cpuinfo") as stream:
        model = next((line.split(":")[1].strip() for line in stream if line.startswith("model name")), model)
    with open("/proc/meminfo") as stream:
        memory = next(int(line.split()[1]) for line in stream if line.startswith("MemTotal"))
    return {
        "processor": model,
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(memory / 2**20),
        "python": ".".join(map(str, sys.version_info[:3])),
        "load_at_start": f"{os.getloadavg()[0]:.1f}",
    }
