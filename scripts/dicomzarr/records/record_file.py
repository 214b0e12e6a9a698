"""How a record lies on disk: JSON with the version of its schema and its own digest."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, NamedTuple

from dicomzarr.system import digested_json
from dicomzarr.vocabulary.errors import Damaged


class FileClaim(NamedTuple):
    """What a record claims of a file.

    A named tuple, as are all rows of which a series may have thousands: it is made five times faster than a dataclass.
    """

    size: int  # in bytes
    digest: str  # SHA-256 of its bytes, in hex; empty for records of series, which carry their own


class Bytes(NamedTuple):
    """A record as it is written."""

    data: bytes
    digest: str  # its last key


class OtherSchema(Damaged):
    """A record is whole, and of another version of this program."""


class Raw(NamedTuple):
    """A record as it was read."""

    fields: Any  # JSON values by the names of the fields
    size: int  # in bytes
    digest: str  # its last key


_names: dict[type, tuple[str, ...]] = {}


def fields_of(value: Any) -> dict[str, object]:
    """Return the fields of a dataclass by name; their values as they are."""
    kind = type(value)
    if kind not in _names:
        _names[kind] = tuple(field.name for field in dataclasses.fields(kind))
    return {name: getattr(value, name) for name in _names[kind]}


def to_bytes(schema: int, fields: dict[str, object]) -> Bytes:
    """Return a record as it is written."""
    data = digested_json.record_json({**fields, "schema_version": schema})
    return Bytes(data, digested_json.digest_said_by(data))


def read(path: Path, schema: int) -> Raw:
    """Return a record as it was written.

    Raises
    ------
    OSError
        If it cannot be read.
    Damaged
        If it is not as it was written; `OtherSchema` if it is, and of another schema.
    """
    data = path.read_bytes()
    fields, digest = digested_json.parse_record(path, data)
    if fields.pop("schema_version", None) != schema:
        raise OtherSchema(path)
    return Raw(fields, len(data), digest)
