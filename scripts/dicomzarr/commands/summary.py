"""The table at the end of the demo: counts of files, arrays, masks and bytes."""

from __future__ import annotations

import csv
import os
from pathlib import Path


def lines(dataset: Path) -> list[str]:
    """Return the lines of the table, from `outcomes.csv`, `volumes.csv` and `masks.csv`."""
    with open(dataset / "reports" / "outcomes.csv", newline="", encoding="utf-8") as file:
        outcomes = [(row["outcome"], int(row["files"])) for row in csv.DictReader(file)]
    with open(dataset / "volumes.csv", newline="", encoding="utf-8") as file:
        volumes = [(int(row["source_bytes"] or 0), int(row["stored_bytes"] or 0)) for row in csv.DictReader(file)]
    with open(dataset / "masks.csv", newline="", encoding="utf-8") as file:
        masks = sum(1 for _ in csv.DictReader(file))
    rows = [("files found", sum(files for _, files in outcomes))]
    for name in ("extracted", "skipped", "quarantined", "ignored"):
        rows.append((f"  {name}", sum(files for outcome, files in outcomes if outcome == name)))
    rows += [("arrays", len(volumes)), ("masks", masks)]
    rows += [("bytes in", sum(size for size, _ in volumes)), ("bytes out", sum(size for _, size in volumes))]
    table = [f"{name:<14}{number:>12,}" for name, number in rows]
    return ["", *table, f"report        {os.path.relpath(dataset / 'reports' / 'report.html')}", ""]
