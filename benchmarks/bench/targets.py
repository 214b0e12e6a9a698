"""The targets of the benchmark on two cores: limits that must hold, and goals."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

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
    headers : mapping
        Files per CPU second by corpus and way: `index`, `pydicom`.
    """

    table: Table
    sizes: Mapping[str, int]
    single: Mapping[str, float]
    headers: Mapping[str, Mapping[str, float]]

    def wall(self, corpus: str, name: str) -> float:
        """Return the median of the wall seconds."""
        return self.table[corpus, name].median("wall")

    def cpu(self, corpus: str, name: str) -> float:
        """Return the median of the CPU seconds."""
        return self.table[corpus, name].median("cpu")


@dataclass(frozen=True, slots=True)
class Target:
    """A ratio (or seconds, or MiB): its value, the limit `must` and the `goal`; `at_least` where more is better."""

    name: str
    value: Callable[[Measured], float]
    must: float
    goal: float
    at_least: bool = False

    def verdict(self, value: float | None) -> str:
        """Return what a value reaches: `goal`, `must`, or nothing of these."""
        if value is None:
            return "not measured"
        sign = -1 if self.at_least else 1
        reached = [name for name, limit in (("goal", self.goal), ("must", self.must)) if sign * value <= sign * limit]
        return (reached or ["missed"])[0]


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
    Target("wall, balanced ÷ dcm2niix -z y, CT", _wall("ct", "balanced", "dcm2niix -z y"), 0.2, 0.12),
    Target("wall, fast ÷ dcm2niix -z n, CT", _wall("ct", "fast", "dcm2niix -z n"), 1.1, 0.8),
    Target("wall, balanced ÷ dcm2niix -z n, CT", _wall("ct", "balanced", "dcm2niix -z n"), 1.4, 1.0),
    Target("wall, balanced ÷ naive script, CT", _wall("ct", "balanced", "naive script"), 0.9, 0.6),
    Target("wall, balanced ÷ naive script, small MR", _wall("mr", "balanced", "naive script"), 0.25, 0.1),
    Target("wall, balanced ÷ dcm2niix -z n, small MR", _wall("mr", "balanced", "dcm2niix -z n"), 1.3, 0.8),
    Target(
        "headers of 17 kB ÷ pydicom, files a CPU second",
        lambda measured: measured.headers["mr"]["index"] / measured.headers["mr"]["pydicom"],
        15,
        25,
        at_least=True,
    ),
    Target("a run with nothing to do, s", lambda measured: measured.single["no-op"], 8, 5),
    Target("one new series beside all old ones, s", lambda measured: measured.single["one new"], 20, 10),
    Target("a whole run on one series of 10 slices, s", lambda measured: measured.wall("one", "balanced"), 4, 2.5),
    Target(
        "CPU, balanced ÷ medh5 from-dicom, CT",
        lambda measured: measured.cpu("ct", "balanced") / measured.cpu("ct", "medh5 from-dicom"),
        0.5,
        0.3,
    ),
    Target(
        "seconds with work for one core only, balanced, CT",
        lambda measured: measured.table["ct", "balanced"].median("serial"),
        4,
        2.5,
    ),
    Target("peak memory of a process, any corpus, MiB", _peak, 300, 200),
    Target(
        "seconds per further GB, balanced ÷ dcm2niix -z n",
        lambda measured: _per_gigabyte(measured, "balanced") / _per_gigabyte(measured, "dcm2niix -z n"),
        1.0,
        0.7,
    ),
    Target(
        "CPU, fast ÷ cat of all files, CT",
        lambda measured: measured.cpu("ct", "fast") / measured.cpu("ct", "cat"),
        12,
        6,
    ),
    Target(
        "wall, 2 cores ÷ 1 core, extraction and checks",
        lambda measured: measured.single["two cores"] / measured.single["one core"],
        0.62,
        0.55,
    ),
    Target(
        "bytes, balanced ÷ dcm2niix -z y, CT",
        lambda measured: measured.table["ct", "balanced"].bytes / measured.table["ct", "dcm2niix -z y"].bytes,
        1.0,
        0.8,
    ),
    Target("exponent of time over size, CT, 1/4 to 1", _exponent, 1.05, 1.0),
)


def verdicts(measured: Measured) -> list[dict[str, Any]]:
    """Return each target with its value and verdict; the value is None if a competitor or corpus is missing."""
    rows: list[dict[str, Any]] = []
    for target in TARGETS:
        try:
            value: float | None = round(target.value(measured), 3)
        except (KeyError, ValueError, ZeroDivisionError, statistics.StatisticsError):
            value = None
        limits = {"must": target.must, "goal": target.goal, "at_least": target.at_least}
        rows.append({"name": target.name, "found": value, **limits, "verdict": target.verdict(value)})
    return rows
