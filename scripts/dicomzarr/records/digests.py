"""Digests of a dataset and of its seal, and the list of its files, from the digests in records."""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from dicomzarr.records import rule_record
from dicomzarr.records.record_file import FileClaim
from dicomzarr.system.results_folder import Results
from dicomzarr.system.shared_work import sharing

DATASET = "dataset/"
CRATE = "ro-crate-metadata.json"  # describes the run too, as the provenance does
SIGNATURE = "dataset.json.sig"  # not recorded: `./run sign` writes it
SEALED, CHECKSUMS = "dataset.json", "checksums"  # written by `seal_dataset`, from what is recorded of all other files
_NO_DATA = ("reports/report.html", CHECKSUMS, CRATE, SIGNATURE)
_PROVENANCE = "provenance/"
_STARTS_OF_NO_DATA = (*(f"{path}\0".encode() for path in _NO_DATA), _PROVENANCE.encode())
_LINES = 4096  # that are hashed at once
_BYTES_PER_PROCESS = 1 << 20  # of records that one more process is worth
_SIZE = re.compile(rb"\0\d+\0")


def counts_as_data(path: str) -> bool:
    """Return whether a file below `dataset/` is part of `digest`: data are, reports and provenance are not."""
    return not (path in _NO_DATA or path.startswith(_PROVENANCE))


def digest_of(files: Iterable[tuple[str, str]]) -> str:
    """Return SHA-256 over the sorted lines ``path NUL sha256 newline``."""
    total = hashlib.sha256()
    ordered = sorted(files)
    for start in range(0, len(ordered), _LINES):
        total.update("".join([f"{path}\0{digest}\n" for path, digest in ordered[start : start + _LINES]]).encode())
    return total.hexdigest()


def line_of(path: str, claim: FileClaim) -> bytes:
    """Return the line of a file in `checksums`: ``path NUL size NUL sha256 newline``."""
    return f"{path}\0{claim.size}\0{claim.digest}\n".encode()


def digest_of_lines(lines: Sequence[bytes]) -> str:
    """Return `digest_of` the files in sorted lines of `checksums`."""
    total = hashlib.sha256()
    for start in range(0, len(lines), _LINES):
        total.update(_SIZE.sub(b"\0", b"".join(lines[start : start + _LINES])))
    return total.hexdigest()


def lines_of_data(lines: Iterable[bytes]) -> list[bytes]:
    """Return the lines of `checksums` of files that count as data."""
    return [line for line in lines if not line.startswith(_STARTS_OF_NO_DATA)]


def recorded_files(results: Results) -> dict[str, FileClaim]:
    """Return size and digest of every file below `dataset/` that a record claims, but `SEALED` and `CHECKSUMS`."""
    claims: dict[str, FileClaim] = {}
    for path in rule_record.paths(results):
        claims |= _claimed(path)
    return claims


def recorded_lines(results: Results, processes: int = 1) -> list[bytes]:
    """Return the same as sorted lines of `checksums`, which take half of the memory.

    Parameters
    ----------
    results : Results
    processes : int
        Most processes to use; small records are read by one.
    """
    records = list(rule_record.paths(results))
    others = min(processes - 1, sum(path.stat().st_size for path in records) // _BYTES_PER_PROCESS)
    with sharing(_lines_of, records, others) as shared:
        listed = b"".join(shared.finish()).splitlines(keepends=True)
    lines = sorted(listed)
    # Equal paths follow each other: all that begin with a path and NUL.
    if any(following.startswith(line[: line.index(b"\0") + 1]) for line, following in itertools.pairwise(lines)):
        lines = sorted({_path_of(line): line for line in listed}.values())  # of two records the later one holds
    return lines


def _lines_of(record: Path) -> bytes:
    return b"".join([line_of(path, claim) for path, claim in _claimed(record).items()])


def _path_of(line: bytes) -> bytes:
    return line[: line.index(b"\0")]


def _claimed(record: Path) -> dict[str, FileClaim]:
    """Return the claims of a record on files below `dataset/`, but `SEALED` and `CHECKSUMS`."""
    claims = {
        path.removeprefix(DATASET): claim
        for path, claim in rule_record.load_common(record).claims.items()
        if path.startswith(DATASET)
    }
    for path in (SEALED, CHECKSUMS):
        claims.pop(path, None)
    return claims
