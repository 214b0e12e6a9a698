"""Measure a command: wall and CPU seconds of its process tree, its largest process, and the size of its output."""

from __future__ import annotations

import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

# Runs in a new process, since ru_maxrss is the maximum over all children that a process ever had. Processes for which
# their parent did not wait, such as decoders, become children of this one (PR_SET_CHILD_SUBREAPER, 36), so that their
# time counts too; those that still run `patience` seconds after the end do not belong to the run.
WRAPPER = """
import ctypes, json, os, resource, subprocess, sys, time
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)
start = time.perf_counter()
code = subprocess.run(sys.argv[3:]).returncode
wall = time.perf_counter() - start
while time.perf_counter() < start + wall + float(sys.argv[2]):
    try:
        if os.waitpid(-1, os.WNOHANG) == (0, 0):
            time.sleep(0.02)
    except ChildProcessError:
        break
used = resource.getrusage(resource.RUSAGE_CHILDREN)
with open(sys.argv[1], "w") as stream:
    json.dump({"code": code, "wall": wall, "cpu": used.ru_utime + used.ru_stime, "peak": used.ru_maxrss / 1024}, stream)
"""


class Failed(Exception):
    """A command failed; the message is its exit code and the last line that it printed."""


@dataclass
class Figures:
    """Figures of a competitor on a corpus: seconds and MiB of each round; bytes, files and frames of the last one.

    `serial` and `on_8_cores` are seconds of the workflow only; see `benchmarks.bench.trace`.
    """

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    peak: list[float] = field(default_factory=list)
    serial: list[float] = field(default_factory=list)
    on_8_cores: list[float] = field(default_factory=list)
    bytes: int = 0
    files: int = 0
    frames: int | None = None

    def median(self, kind: str) -> float:
        """Return the median of the rounds: of `wall`, `cpu`, `peak`, `serial` or `on_8_cores`."""
        values: list[float] = getattr(self, kind)
        return statistics.median(values)


def timed(
    command: Sequence[str], folder: Path, environment: Mapping[str, str], patience: float = 5
) -> tuple[dict[str, float], str]:
    """Run a command in a folder; return `wall` and `cpu` seconds and `peak` MiB, and its output.

    Parameters
    ----------
    command : sequence of str
        Program and arguments.
    folder : Path
        Working directory.
    environment : mapping of str to str
        Additional environment variables.
    patience : float, optional
        Seconds to wait for processes that outlive the command.

    Raises
    ------
    Failed
        If its exit code is not 0.
    """
    answer = folder / ".measured.json"
    done = subprocess.run(
        [sys.executable, "-I", "-c", WRAPPER, str(answer), str(patience), *command],
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
        raise Failed(f"exit code {measured['code']}: {(lines or ['no output'])[-1][:120]}")
    return measured, done.stdout


def add_round(figures: Figures, measured: Mapping[str, float]) -> None:
    """Add the figures of one round."""
    figures.wall.append(measured["wall"])
    figures.cpu.append(measured["cpu"])
    figures.peak.append(measured["peak"])


def size_of(folder: Path) -> tuple[int, int]:
    """Return bytes and files below a folder."""
    sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
    return sum(sizes), len(sizes)


def new_folder(folder: Path) -> Path:
    """Return a new folder below `folder`; outputs of earlier runs stay there up to `LARGEST` bytes.

    For a minute after a deletion, ext4 creates files several times slower, which would slow down the competitors with
    the most files. `sync` writes all earlier outputs to the disk before the next run starts.
    """
    folder.mkdir(parents=True, exist_ok=True)
    before = sorted(folder.iterdir())
    if sum(size_of(path)[0] for path in before) > LARGEST:
        for path in before:
            shutil.rmtree(path)
    new = folder / f"{1 + max((int(path.name) for path in before), default=0):04d}"
    new.mkdir()
    os.sync()
    return new


LARGEST = 8 << 30  # bytes of earlier outputs


def machine() -> dict[str, Any]:
    """Return the facts of this machine that are shown with the figures."""
    with open("/proc/cpuinfo") as stream:
        facts = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in stream)}
    with open("/proc/meminfo") as stream:
        memory = next(int(line.split()[1]) for line in stream if line.startswith("MemTotal"))
    return {
        "processor": processor(facts),
        "extensions": extensions(facts),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(memory / 2**20),
        "kernel": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "load_at_start": f"{os.getloadavg()[0]:.1f}",
    }


def processor(facts: Mapping[str, str]) -> str:
    """Return the name of a processor, with the numbers of its model: virtual machines often have a name of many models.

    Parameters
    ----------
    facts : mapping of str to str
        Values of /proc/cpuinfo.
    """
    name = facts.get("model name", "unknown processor")
    numbers = [f"{word} {facts[key]}" for word, key in (("family", "cpu family"), ("model", "model")) if key in facts]
    return f"{name} ({', '.join(numbers)})" if numbers else name


# The vector extensions that codecs, checksums and networks use, and how /proc/cpuinfo has them.
_EXTENSIONS = {
    "AVX2": "avx2", "AVX-512": "avx512f", "VNNI": "avx512_vnni", "AMX": "amx_tile", "SHA": "sha_ni",
    "NEON": "asimd", "SVE": "sve",
}  # fmt: skip


def extensions(facts: Mapping[str, str]) -> list[str]:
    """Return the names of vector extensions of a processor, from values of /proc/cpuinfo."""
    flags = set(facts.get("flags", facts.get("Features", "")).split())
    return [name for name, flag in _EXTENSIONS.items() if flag in flags]
