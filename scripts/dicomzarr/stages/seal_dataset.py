"""The seal of a dataset: digests of digests, so that nothing is read twice."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from dicomzarr.privacy.pseudonyms import Pseudonyms
from dicomzarr.system import files as storage
from dicomzarr.system.results_folder import Results
from dicomzarr.workflow import job

SCHEMA_VERSION = 1
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
    """Return ``{path below dataset: sha256}`` of every file that a record vouches for."""
    found: dict[str, str] = {}
    for path in sorted(results.records.glob("*.json")) + sorted(results.records.glob("*/*.json")):
        for name, (_, digest) in storage.read_record(path)["claims"].items():
            if name.startswith(DATASET) and name != DATASET + "dataset.json":
                found[name.removeprefix(DATASET)] = digest
    return found


def seal(results: Results, consolidated: Path, config: Mapping[str, Any], pseudonyms: Pseudonyms) -> dict[str, Any]:
    """Return the content of `dataset.json`.

    Parameters
    ----------
    results : Results
    consolidated : Path
        The record of consolidation, which holds the counts.
    config : mapping
        The keys of the configuration that may be shown.
    pseudonyms : Pseudonyms
        Gives `key_check`.
    """
    files = recorded_files(results)
    return {
        "schema_version": SCHEMA_VERSION,
        "digest": digest_of((path, digest) for path, digest in files.items() if counts_as_data(path)),
        "seal": digest_of(files.items()),
        "key_check": pseudonyms.key_check,
        "counts": storage.read_record(consolidated)["counts"],
        "config": dict(config),
        "software": job.software(),
    }
