"""The manifest: the paths of all regular files of the source."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from dicomzarr.source.inventory import NOT_FILES, rows_of
from dicomzarr.system import csv_tables


def write_manifest(inventory: Path, manifest: Path) -> dict[str, int]:
    """Write `manifest.csv`, the paths of all regular files; return the number of entries of each kind."""
    kinds: Counter[str] = Counter()

    def lines() -> Iterator[str]:
        for row in rows_of(inventory):
            kinds[row[1]] += 1
            if row[1] == "file":
                yield csv_tables.line(row[:1])

    csv_tables.write(manifest, csv_tables.MANIFEST, lines(), private=True)
    return {"files": kinds["file"], **{f"{kind}s": kinds[kind] for kind in NOT_FILES}}
