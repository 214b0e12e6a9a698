"""Digests of a dataset and of its seal, and the list of its files, from the digests in records."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

from dicomzarr.records import rule_record
from dicomzarr.records.record_file import FileClaim
from dicomzarr.system.results_folder import Results

DATASET = "dataset/"
CRATE = "ro-crate-metadata.json"  # describes the run too, as the provenance does
SIGNATURE = "dataset.json.sig"  # not recorded: `./run sign` writes it
_LINES = 4096  # that are hashed at once
SEALED, CHECKSUMS = "dataset.json", "checksums"  # written by `seal_dataset`, from what is recorded of all other files


def counts_as_data(path: str) -> bool:
    """Return whether a file below `dataset/` is part of `digest`: data are, reports and provenance are not."""
    return not (path in ("reports/report.html", CHECKSUMS, CRATE, SIGNATURE) or path.startswith("provenance/"))


def digest_of(files: Iterable[tuple[str, str]]) -> str:
    """Return SHA-256 over the sorted lines ``path NUL sha256 newline``."""
    total = hashlib.sha256()
    ordered = sorted(files)
    for start in range(0, len(ordered), _LINES):
        total.update("".join([f"{path}\0{digest}\n" for path, digest in ordered[start : start + _LINES]]).encode())
    return total.hexdigest()


def checksums_of(claims: Mapping[str, FileClaim]) -> bytes:
    """Return the content of `checksums`: sorted lines ``path NUL size NUL sha256 newline``.

    Parameters
    ----------
    claims : mapping of str to FileClaim
        By path below the dataset.
    """
    return b"".join(f"{path}\0{claim.size}\0{claim.digest}\n".encode() for path, claim in sorted(claims.items()))


def recorded_files(results: Results) -> dict[str, FileClaim]:
    """Return size and digest of every file below `dataset/` that a record claims, but `SEALED` and `CHECKSUMS`."""
    claims: dict[str, FileClaim] = {}
    for path in rule_record.paths(results):
        for name, claim in rule_record.load_common(path).claims.items():
            below = name.removeprefix(DATASET)
            if name.startswith(DATASET) and below not in (SEALED, CHECKSUMS):
                claims[below] = claim
    return claims
