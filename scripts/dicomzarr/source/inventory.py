"""What the scan found: read by rules, one row an entry of the source, sorted by path."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from dicomzarr.system import csv_tables

# Kinds of entry in the inventory that are not regular files, and what becomes of them.
NOT_FILES = {
    "link": "symbolic_link",
    "linked": "linked",
    "special": "special_file",
    "unreadable_file": "unreadable_file",
    "unreadable_folder": "unreadable_folder",
}


def rows_of(inventory: Path) -> Iterator[list[Any]]:
    """Yield the entries of the inventory, sorted by path."""
    with open(inventory, "rb") as stream:
        next(stream)
        yield from map(orjson.loads, stream)


def write_manifest(inventory: Path, manifest: Path) -> dict[str, int]:
    """Write `manifest.csv`, the paths of all regular files, and return how many of each kind were found."""
    kinds: Counter[str] = Counter()

    def lines() -> Iterator[str]:
        for row in rows_of(inventory):
            kinds[row[1]] += 1
            if row[1] == "file":
                yield csv_tables.line(row[:1])

    csv_tables.write(manifest, csv_tables.MANIFEST, lines(), private=True)
    return {"files": kinds["file"], **{f"{kind}s": kinds[kind] for kind in NOT_FILES}}
