"""The plan of a batch as a file: reading it, naming batches, and which series ids each of them owns."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

from dicomzarr.system import json_files
from dicomzarr.vocabulary import errors

PREFIX_BITS = 12  # three hex digits of a series id: a batch owns whole prefixes


_NAME = re.compile(r"(\d{4})-(\d{4})")


def batch_name(number: int, batches: int) -> str:
    """Return the name of the batch with this number among so many."""
    return f"{batches:04d}-{number:04d}"


def batch_of(series_id: str, batches: int) -> str:
    """Return the name of the batch that owns a series."""
    return batch_name(int(series_id[:3], 16) * batches >> PREFIX_BITS, batches)


def owned_prefixes(batch: str) -> list[str]:
    """Return the three-digit prefixes of the series ids that a batch owns."""
    match = _NAME.fullmatch(batch)
    if match is None:
        raise ValueError(f"no batch name: {batch!r}")
    batches, number = map(int, match.groups())
    width = (1 << PREFIX_BITS) // batches
    return [f"{prefix:03x}" for prefix in range(number * width, (number + 1) * width)]


@dataclasses.dataclass(frozen=True, slots=True)
class PlannedSeries:
    """A series as its plan has it; most that did not change need not be taken apart.

    Attributes
    ----------
    series_id : str
    raw : bytes
        The JSON of its entry.
    """

    series_id: str
    raw: bytes

    @property
    def entry(self) -> dict[str, Any]:
        """Ids, files and rivals."""
        found: dict[str, Any] = json_files.loads(self.raw)
        return found

    @property
    def size(self) -> int:
        """Bytes of its files."""
        # Neither mark can stand in a text, where a quotation mark has a backslash before it.
        return sum(map(int, _STAT.findall(self.raw, 0, self.raw.rindex(b',"rivals":['))))


_STAT = re.compile(rb'"stat":\[(\d+),')


_SERIES = re.compile(rb'"series_id":"([0-9a-f]{16})"')


def read_plan(plan: Path) -> tuple[str, list[PlannedSeries]]:
    """Return the name of a batch and its series, by id.

    Raises
    ------
    Damaged
        If the file is not as `plan_batches` wrote it.
    """
    head, *lines = plan.read_bytes().split(b"\n")
    name = re.fullmatch(rb'\{"batch":"(\d{4}-\d{4})","series":\[', head)
    if name is None or lines[-2:] != [b"]}", b""]:
        raise errors.Damaged(plan)
    found = []
    for line in lines[:-2]:
        if line:  # a batch without series has an empty one
            raw = line.removesuffix(b",")
            series = _SERIES.search(raw, raw.rindex(b',"series_id":'))
            if series is None:
                raise errors.Damaged(plan)
            found.append(PlannedSeries(series[1].decode(), raw))
    return name[1].decode(), found
