"""Digests of a dataset and of its seal, and the list of its files, from the digests in records."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import re
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

from dicomzarr.records import rule_record
from dicomzarr.records.record_file import FileClaim
from dicomzarr.system import digested_json, files
from dicomzarr.system.forked_work import sharing
from dicomzarr.system.results_folder import Results
from dicomzarr.vocabulary.rules import BATCH_RULES

DATASET = "dataset/"
CRATE = "ro-crate-metadata.json"  # describes the run too, as the provenance does
SIGNATURE = "dataset.json.sig"  # not recorded: `./run sign` writes it
SEALED, CHECKSUMS = "dataset.json", "checksums"  # written by `seal_dataset`, from what is recorded of all other files
_NO_DATA = ("reports/report.html", CHECKSUMS, CRATE, SIGNATURE)
_PROVENANCE = "provenance/"
_STARTS_OF_NO_DATA = (*(f"{path}\0".encode() for path in _NO_DATA), _PROVENANCE.encode())
_LINES = 4096  # that are hashed at once
_PORTION = 1 << 18  # bytes of lines that are hashed at once
_LARGE = 1 << 16  # bytes of a record whose lines are kept
_KEPT = "checksum_lines"  # in the folder of caches: a file for each large record
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


def digests_of_lines(pieces: Iterable[bytes]) -> tuple[str, str]:
    """Return `digest_of` the files that count as data, and that of all files.

    Parameters
    ----------
    pieces : iterable of bytes
        Lines of `checksums` in order, one or many in each.
    """
    data, total = hashlib.sha256(), hashlib.sha256()
    for piece in _portions(pieces):
        without_sizes = _SIZE.sub(b"\0", piece)
        total.update(without_sizes)
        begun = b"\n" + piece
        if any(b"\n" + start in begun for start in _STARTS_OF_NO_DATA):
            lines = without_sizes.splitlines(keepends=True)
            without_sizes = b"".join(line for line in lines if not line.startswith(_STARTS_OF_NO_DATA))
        data.update(without_sizes)
    return data.hexdigest(), total.hexdigest()


def _portions(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the same lines in pieces that are not tiny."""
    waiting: list[bytes] = []
    size = 0
    for piece in pieces:
        waiting.append(piece)
        size += len(piece)
        if size >= _PORTION:
            yield b"".join(waiting)
            waiting, size = [], 0
    yield b"".join(waiting)


def in_order(pieces: Iterable[bytes]) -> list[bytes]:
    """Return lines of `checksums` sorted by path; of two lines of one path the later one holds.

    Parameters
    ----------
    pieces : iterable of bytes
        One line, or many that are sorted, such as those of one record. They stay together where no line of another
        piece belongs between them.
    """
    given = [piece for piece in pieces if piece]
    ordered = sorted(given)
    if all(_key_of_last(piece) < _key_of(following) for piece, following in itertools.pairwise(ordered)):
        return ordered
    lines = [line for piece in given for line in piece.splitlines(keepends=True)]
    return sorted({_key_of(line): line for line in lines}.values())


def _key_of(piece: bytes) -> bytes:
    """Return the path of the first line, with the NUL behind it."""
    return piece[: piece.index(b"\0") + 1]


def _key_of_last(piece: bytes) -> bytes:
    return _key_of(piece[piece.rfind(b"\n", 0, -1) + 1 :])


def recorded_files(results: Results) -> dict[str, FileClaim]:
    """Return size and digest of every file below `dataset/` that a record claims, but `SEALED` and `CHECKSUMS`."""
    claims: dict[str, FileClaim] = {}
    for path in rule_record.paths(results):
        claims |= _claimed(path)
    return claims


def recorded_lines(results: Results, processes: int = 1) -> list[bytes]:
    """Return the same as lines of `checksums`, in the pieces that `in_order` returns.

    Parameters
    ----------
    results : Results
    processes : int
        Most processes to use; small records are read by one.
    """
    records = list(rule_record.paths(results))
    others = min(processes - 1, sum(path.stat().st_size for path in records) // _BYTES_PER_PROCESS)
    kept = files.make_private(results.private / "cache" / _KEPT)
    with sharing(partial(_lines_of, kept), records, others) as shared:
        of_records = shared.finish()
    _remove_others(kept, records)
    pieces: list[bytes] = []
    for path, lines in zip(records, of_records, strict=True):
        pieces += [lines] if path.parent.name in BATCH_RULES else lines.splitlines(keepends=True)
    return in_order(pieces)


def _lines_of(kept: Path, record: Path) -> bytes:
    """Return the sorted lines of the files that a record claims; those of a large record are kept for the next run."""
    if record.stat().st_size < _LARGE:
        return _lines_in(record)
    digest, path = digested_json.digest_of_record(record), kept / _name_of(record)
    with contextlib.suppress(OSError, ValueError):
        of_record, of_lines, lines = path.read_bytes().split(b"\n", 2)
        if of_record == digest.encode() and of_lines == files.sha256_of_bytes(lines).encode():
            return lines
    lines = _lines_in(record)
    with contextlib.suppress(OSError):  # a full disk is no error here
        files.write_unflushed(path, f"{digest}\n{files.sha256_of_bytes(lines)}\n".encode() + lines)
    return lines


def _remove_others(kept: Path, records: Iterable[Path]) -> None:
    """Remove what was kept of records that there are no more."""
    names = {_name_of(record) for record in records}
    for path in list(kept.iterdir()):
        if path.name not in names:
            files.remove_tree(path)


def _name_of(record: Path) -> str:
    return f"{record.parent.name}.{record.stem}"


def _lines_in(record: Path) -> bytes:
    return b"".join(sorted(line_of(path, claim) for path, claim in _claimed(record).items()))


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
