"""Digest of a dataset and of its seal, from the digests in records."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from dicomzarr.records import rule_record
from dicomzarr.system.results_folder import Results

DATASET = "dataset/"


def counts_as_data(path: str) -> bool:
    """Return whether a file below `dataset/` is part of `digest`: data are, reports and provenance are not."""
    return not (path == "reports/report.html" or path.startswith("provenance/"))


def digest_of(files: Iterable[tuple[str, str]]) -> str:
    """Return SHA-256 over the sorted lines ``path NUL sha256 newline``."""
    total = hashlib.sha256()
    for path, digest in sorted(files):
        total.update(f"{path}\0{digest}\n".encode())
    return total.hexdigest()


def recorded_files(results: Results) -> dict[str, str]:
    """Return ``{path below dataset: sha256}`` of every file that a record claims."""
    digests: dict[str, str] = {}
    for path in rule_record.paths(results):
        for name, claim in rule_record.load_common(path).claims.items():
            if name.startswith(DATASET) and name != DATASET + "dataset.json":
                digests[name.removeprefix(DATASET)] = claim.digest
    return digests
