"""What is wrong with files that were compared with their digests, and how this is said."""

from __future__ import annotations

from collections.abc import Sequence

DAMAGED, MISSING, SURPLUS = "damaged", "missing", "surplus"
Finding = tuple[str, str]  # one of these, and a path


def lines_of(findings: Sequence[Finding]) -> list[str]:
    """Return a line for each finding."""
    return [f"{kind:<8} {path}" for kind, path in findings]


def totals(files: int, size: int, findings: Sequence[Finding]) -> str:
    """Return how many files, and how many bytes, were read, and how many findings of each kind there are."""
    counts = ", ".join(f"{sum(found == kind for found, _ in findings)} {kind}" for kind in (DAMAGED, MISSING, SURPLUS))
    return f"{files} file{'' if files == 1 else 's'}, {size} bytes read: {counts}"
