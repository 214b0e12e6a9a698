"""Digest and seal of a dataset, from recorded digests."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from dicomzarr.records import rule_record
from dicomzarr.system.results_folder import Results

DATASET = "dataset/"


def counts_as_data(path: str) -> bool:
    """Return whether a file below `dataset/` counts for `digest`: the data, whatever made it."""
    return not (path == "reports/report.html" or path.startswith("provenance/"))


def digest_of(files: Iterable[tuple[str, str]]) -> str:
    """Return SHA-256 over the sorted lines ``path NUL sha256 newline``."""
    whole = hashlib.sha256()
    for path, digest in sorted(files):
        whole.update(f"{path}\0{digest}\n".encode())
    return whole.hexdigest()


def recorded_files(results: Results) -> dict[str, str]:
    """Return ``{path below dataset: sha256}`` of every file that a record claims."""
    found: dict[str, str] = {}
    for path in rule_record.paths(results):
        for name, claim in rule_record.load_common(path).claims.items():
            if name.startswith(DATASET) and name != DATASET + "dataset.json":
                found[name.removeprefix(DATASET)] = claim.digest
    return found
