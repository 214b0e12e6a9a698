"""The targets of the benchmark on two cores: limits that must hold, and goals."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from benchmarks.bench.measure import Figures

# {(corpus, competitor): figures}
Table = Mapping[tuple[str, str], Figures]


@dataclass(frozen=True, slots=True)
class Measured:
    """All figures of a benchmark.

    Attributes
    ----------
    table : mapping
        Figures by corpus and competitor.
    sizes : mapping
        Bytes of each corpus.
    single : mapping
        Seconds that are not of a whole run: `no-op`, `one new`, `two cores`, `one core`.
    """

    table: Table
    sizes: Mapping[str, int]
    single: Mapping[str, float]

    def wall(self, corpus: str, name: str) -> float:
        """Return the median of the wall seconds."""
        return self.table[corpus, name].median("wall")


@dataclass(frozen=True, slots=True)
class Target:
    """A ratio (or seconds, or MiB): its value, the limit `must` and the `goal`."""

    name: str
    value: Callable[[Measured], float]
    must: float
    goal: float


def _wall(corpus: str, ours: str, theirs: str) -> Callable[[Measured], float]:
    return lambda measured: measured.wall(corpus, ours) / measured.wall(corpus, theirs)


def _per_gigabyte(measured: Measured, name: str) -> float:
    return (
        (measured.wall("ct", name) - measured.wall("half", name))
        / (measured.sizes["ct"] - measured.sizes["half"])
        * 1e9
    )


def _exponent(measured: Measured) -> float:
    fixed = measured.wall("one", "balanced")
    parts = [measured.wall(corpus, "balanced") - fixed for corpus in ("quarter", "ct")]
    return math.log(parts[1] / parts[0]) / math.log(measured.sizes["ct"] / measured.sizes["quarter"])


def _peak(measured: Measured) -> float:
    return max(
        max(figures.peak) for (_, name), figures in measured.table.items() if name.startswith(("balanced", "fast"))
    )


TARGETS = (
    Target("wall, balanced ÷ naive script, CT", _wall("ct", "balanced", "naive script"), 0.9, 0.6),
    Target("wall, balanced ÷ dcm2niix -z n, CT", _wall("ct", "balanced", "dcm2niix -z n"), 1.5, 1.0),
    Target("wall, fast ÷ dcm2niix -z n, CT", _wall("ct", "fast", "dcm2niix -z n"), 1.1, 0.8),
    Target("wall, balanced ÷ dcm2niix -z y, CT", _wall("ct", "balanced", "dcm2niix -z y"), 0.3, 0.2),
    Target(
        "seconds per further GB, balanced ÷ dcm2niix -z n",
        lambda measured: _per_gigabyte(measured, "balanced") / _per_gigabyte(measured, "dcm2niix -z n"),
        1.0,
        0.7,
    ),
    Target("a whole run on one series of 10 slices, s", lambda measured: measured.wall("one", "balanced"), 8, 4),
    Target(
        "CPU, fast ÷ cat of all files, CT",
        lambda measured: measured.table["ct", "fast"].median("cpu") / measured.table["ct", "cat"].median("cpu"),
        12,
        6,
    ),
    Target(
        "wall, 2 cores ÷ 1 core, extraction and checks",
        lambda measured: measured.single["two cores"] / measured.single["one core"],
        0.62,
        0.55,
    ),
    Target("wall, balanced ÷ naive script, small MR", _wall("mr", "balanced", "naive script"), 0.15, 0.08),
    Target("wall, balanced ÷ dcm2niix -z n, small MR", _wall("mr", "balanced", "dcm2niix -z n"), 1.2, 0.8),
    Target(
        "bytes, balanced ÷ dcm2niix -z y, CT",
        lambda measured: measured.table["ct", "balanced"].bytes / measured.table["ct", "dcm2niix -z y"].bytes,
        1.0,
        0.8,
    ),
    Target("a run with nothing to do, s", lambda measured: measured.single["no-op"], 15, 8),
    Target("one new series beside all old ones, s", lambda measured: measured.single["one new"], 40, 20),
    Target("exponent of time over size, CT, 1/4 to 1", _exponent, 1.05, 1.0),
    Target("peak memory of a process, any corpus, MiB", _peak, 512, 300),
)


def verdicts(measured: Measured) -> list[dict[str, str | float | None]]:
    """Return each target with its value and verdict; the value is None if a competitor or corpus is missing."""
    rows: list[dict[str, str | float | None]] = []
    for target in TARGETS:
        try:
            value: float | None = round(target.value(measured), 3)
        except (KeyError, ValueError, ZeroDivisionError):
            value = None
        verdict = "not measured" if value is None else "goal" if value <= target.goal else "must"
        if value is not None and value > target.must:
            verdict = "missed"
        rows.append({"name": target.name, "found": value, "must": target.must, "goal": target.goal, "verdict": verdict})
    return rows
