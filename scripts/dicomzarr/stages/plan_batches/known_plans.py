"""Which plans are written already: a plan is known by the digests of its lines, without reading the lines again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from dicomzarr.records.record_file import FileClaim
from dicomzarr.system import digested_json, files

_NAME = "plans.json"  # in the folder of caches

Entry = dict[str, str | int]


class KnownPlan(NamedTuple):
    """A plan that was written: the key of what it was made from, its entry in the table of contents, its claim."""

    key: str
    entry: Entry
    claim: FileClaim


def load(caches: Path) -> dict[str, KnownPlan]:
    """Return the plans of the last run by batch; none if the file is missing or damaged."""
    try:
        plans = digested_json.read_record(caches / _NAME)["plans"]
        return {name: KnownPlan(key, entry, FileClaim(*claim)) for name, (key, entry, claim) in plans.items()}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def save(caches: Path, plans: Mapping[str, KnownPlan]) -> None:
    """Record the plans of this run."""
    files.write_private_if_changed(caches / _NAME, digested_json.record_json({"plans": plans}))


def is_written(plan: Path, claim: FileClaim) -> bool:
    """Return whether a plan file holds what is claimed."""
    try:
        return plan.stat().st_size == claim.size and files.sha256_of(plan) == claim.digest
    except OSError:
        return False
