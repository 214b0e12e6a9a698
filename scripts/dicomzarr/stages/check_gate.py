"""The gate: findings that a project does not accept end the run with a failure, after the dataset is whole."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from dicomzarr.system.results_folder import Results
from dicomzarr.vocabulary.errors import UserError
from dicomzarr.vocabulary.findings import FIXED_FINDING, LABEL_FINDINGS


class GateClosed(UserError):
    """More findings than the configuration allows."""


def _rows(path: Path) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def findings(results: Results) -> Counter[str]:
    """Return how often each finding occurs: outcomes, reason codes, verdicts such as `depth_fail`, labels."""
    found: Counter[str] = Counter()
    reports = results.dataset / "reports"
    for row in _rows(reports / "outcomes.csv"):
        found[row["outcome"]] += int(row["files"])
        if row["reason"]:
            found[row["reason"]] += int(row["files"])
    for kind in ("depth", "size"):
        found.update(f"{kind}_{row['verdict']}" for row in _rows(reports / f"{kind}.csv"))
    if (reports / "labels.csv").exists():
        for row in _rows(reports / "labels.csv"):
            found[row["finding"]] += int(row["series"]) if row["finding"] in (*LABEL_FINDINGS, FIXED_FINDING) else 0
    return found


def check_gate(results: Results, allowed: Mapping[str, int]) -> dict[str, int]:
    """Return the counts of the findings that the gate watches.

    Parameters
    ----------
    results : Results
        With a sealed dataset.
    allowed : mapping of str to int
        Largest count of each finding.

    Raises
    ------
    GateClosed
        If one occurs more often than that.
    """
    found = findings(results)
    over = [
        f"gate.{finding}: found {found[finding]}, allowed {most}"
        for finding, most in sorted(allowed.items())
        if found[finding] > most
    ]
    if over:
        raise GateClosed(
            "the dataset is complete, but its findings are more than the configuration allows: "
            + "; ".join(over)
            + "; see reports/report.html in the dataset"
        )
    return {finding: found[finding] for finding in allowed}
