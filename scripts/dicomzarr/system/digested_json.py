"""JSON files whose last key is the digest of the bytes before it, so that damage is noticed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from dicomzarr.system.files import sha256_of_bytes
from dicomzarr.system.json_files import canonical_json, loads
from dicomzarr.vocabulary.errors import Damaged

_MARK = b',"~sha256":"'  # sorts behind every other key


def record_json(value: Mapping[str, Any]) -> bytes:
    """Return a record as canonical JSON whose last key is the SHA-256 of the bytes before it, so that damage shows."""
    body = canonical_json(value)[: -len(b"}\n")]
    return body + _MARK + sha256_of_bytes(body).encode() + b'"}\n'


def _digest_of(path: Path, data: bytes) -> str:
    body, mark, end = data.rpartition(_MARK)
    digest = sha256_of_bytes(body)
    if not mark or end != digest.encode() + b'"}\n':
        raise Damaged(path)
    return digest


def read_record(path: Path) -> dict[str, Any]:
    """Return what `record_json` made a file of.

    Raises
    ------
    OSError
        If it cannot be read.
    Damaged
        If it is not whole, or of another version of this program.
    """
    return read_record_and_digest(path)[0]


def read_record_and_digest(path: Path) -> tuple[dict[str, Any], str]:
    """Return a record and its digest, that is its last key; errors as `read_record`."""
    data = path.read_bytes()
    digest = _digest_of(path, data)
    value: dict[str, Any] = loads(data)
    del value["~sha256"]
    return value, digest


def digest_said_by(data: bytes) -> str:
    """Return the last key of what `record_json` made, which is taken for whole."""
    return data[-len(b'"}\n') - 64 : -len(b'"}\n')].decode("ascii")


def digest_of_record(path: Path) -> str:
    """Return the digest of a record without reading what it says; errors as `read_record`."""
    return _digest_of(path, path.read_bytes())


def digest_of_digests(digests: Iterable[str]) -> str:
    """Return one digest of many, which depends on their order."""
    return sha256_of_bytes("\n".join(digests).encode())
