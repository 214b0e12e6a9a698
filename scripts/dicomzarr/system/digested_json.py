"""JSON files whose last key is the digest of the bytes before it, so that damage is detected."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from dicomzarr.system import shared_files
from dicomzarr.system.files import sha256_of_bytes
from dicomzarr.system.json_files import canonical_json, loads
from dicomzarr.vocabulary.errors import Damaged

_MARK = b',"~sha256":"'  # sorts behind every other key


def record_json(value: Mapping[str, Any]) -> bytes:
    """Return a record as canonical JSON whose last key is the SHA-256 of the bytes before it."""
    body = canonical_json(value)[: -len(b"}\n")]
    return body + _MARK + sha256_of_bytes(body).encode() + b'"}\n'


def _digest_of(path: Path, data: bytes) -> str:
    body, mark, end = data.rpartition(_MARK)
    digest = sha256_of_bytes(body)
    if not mark or end != digest.encode() + b'"}\n':
        raise Damaged(path)
    return digest


def read_record(path: Path) -> dict[str, Any]:
    """Return the record in a file.

    Raises
    ------
    OSError
        If it cannot be read.
    Damaged
        If its digest does not match.
    """
    return parse_record(path, shared_files.read_bytes(path))[0]


def parse_record(path: Path, data: bytes) -> tuple[dict[str, Any], str]:
    """Return a record and its digest from the bytes of a file.

    Raises
    ------
    Damaged
        If the digest does not match; the error names `path`.
    """
    digest = _digest_of(path, data)
    value: dict[str, Any] = loads(data)
    del value["~sha256"]
    return value, digest


def digest_in(data: bytes) -> str:
    """Return the digest in the bytes of a record that `record_json` has just made; it is not checked."""
    return data[-len(b'"}\n') - 64 : -len(b'"}\n')].decode("ascii")


def digest_of_record(path: Path) -> str:
    """Return the digest of a record without parsing it; errors as `read_record`."""
    return _digest_of(path, shared_files.read_bytes(path))


def digest_of_digests(digests: Iterable[str]) -> str:
    """Return one digest of many, which depends on their order."""
    return sha256_of_bytes("\n".join(digests).encode())
