"""The gate: end the run with a failure if the sealed dataset has more findings than the configuration allows."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from dicomzarr.system import files
from dicomzarr.system.results_folder import Results
from dicomzarr.vocabulary.errors import UserError
from dicomzarr.vocabulary.findings import FIXED_FINDING, LABEL_FINDINGS, STUDY_FINDING, TIE_FINDING


class GateClosed(UserError):
    """More findings than the configuration allows."""


def _rows(path: Path) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def _rows_if_any(path: Path) -> list[dict[str, str]]:
    """Return the rows of a table that not every dataset has."""
    return _rows(path) if files.exists(path) else []


def findings(results: Results) -> Counter[str]:
    """Return how often each finding occurs: outcomes, reason codes, verdicts such as `depth_fail`, labels, ties."""
    counts: Counter[str] = Counter()
    reports = results.dataset / "reports"
    for row in _rows(reports / "outcomes.csv"):
        counts[row["outcome"]] += int(row["files"])
        if row["reason"]:
            counts[row["reason"]] += int(row["files"])
    for kind in ("depth", "size"):
        counts.update(f"{kind}_{row['verdict']}" for row in _rows(reports / f"{kind}.csv"))
    for row in _rows_if_any(reports / "labels.csv"):
        counts[row["finding"]] += int(row["series"]) if row["finding"] in (*LABEL_FINDINGS, FIXED_FINDING) else 0
    for row in _rows_if_any(results.dataset / "masks.csv"):
        counts[f"mask_{row['verdict']}"] += 1
        counts["masks_unnamed"] += not row["name"]
    for row in _rows_if_any(reports / "mask_files.csv"):
        is_counted = row["outcome"] == "not_placed" and row["reason"] != "duplicate"
        counts["masks_not_placed"] += int(row["files"]) * is_counted
    volumes = results.dataset / "volumes.csv"
    counts[TIE_FINDING] = across_splits(volumes, "same_pixels_elsewhere", "pixel_digest")
    counts[STUDY_FINDING] = across_splits(volumes, "shared_study_uid", "study_id")
    return counts


def across_splits(volumes: Path, flag: str, column: str) -> int:
    """Return how many values of a column, of volumes with a flag, stand in more than one split.

    Parameters
    ----------
    volumes : Path
        `volumes.csv`; an empty cell is no split.
    flag, column : str
    """
    splits: dict[str, set[str]] = {}
    with open(volumes, newline="", encoding="utf-8") as stream:
        for row in csv.DictReader(stream):
            if row["split"] and row[column] and flag in row["flags"].split():
                splits.setdefault(row[column], set()).add(row["split"])
    return sum(len(names) > 1 for names in splits.values())


def check_gate(results: Results, allowed: Mapping[str, int]) -> dict[str, int]:
    """Check the findings of a dataset against the configuration and return the counts of those that the gate watches.

    Parameters
    ----------
    results : Results
        With a sealed dataset.
    allowed : mapping of str to int
        Largest count of each finding that the gate watches.

    Returns
    -------
    dict of str to int

    Raises
    ------
    GateClosed
        If a finding occurs more often than allowed.
    """
    counts = findings(results)
    exceeded = [
        f"gate.{finding}: found {counts[finding]}, allowed {most}"
        for finding, most in sorted(allowed.items())
        if counts[finding] > most
    ]
    if exceeded:
        raise GateClosed(
            "the dataset is complete, but it has more findings than the configuration allows: "
            + "; ".join(exceeded)
            + "; see reports/report.html in the dataset"
        )
    return {finding: counts[finding] for finding in allowed}
