"""The file format of records: JSON with the version of the schema and a digest of itself."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, NamedTuple

from dicomzarr.system import digested_json
from dicomzarr.vocabulary.errors import Damaged


class FileClaim(NamedTuple):
    """Size and digest of a file as a record claims them.

    A named tuple, like all rows of which a series may have thousands: it is created five times faster than a dataclass.
    """

    size: int  # in bytes
    digest: str  # SHA-256 of its bytes, in hex; empty for records of series, which carry their own


class Bytes(NamedTuple):
    """The bytes of a record file, and the digest that they contain."""

    data: bytes
    digest: str  # value of the last key


class OtherSchema(Damaged):
    """The record is undamaged, but was written by another version of this program."""


class Raw(NamedTuple):
    """The JSON values of a record file, its size, and the digest that it contains."""

    fields: Any  # JSON values by the names of the fields
    size: int  # in bytes
    digest: str  # value of the last key


_names: dict[type, tuple[str, ...]] = {}


def fields_of(value: Any) -> dict[str, object]:
    """Return the fields of a dataclass by name; values are not converted."""
    kind = type(value)
    if kind not in _names:
        _names[kind] = tuple(field.name for field in dataclasses.fields(kind))
    return {name: getattr(value, name) for name in _names[kind]}


def to_bytes(schema: int, fields: dict[str, object]) -> Bytes:
    """Return the bytes of a record file, and their digest."""
    data = digested_json.record_json({**fields, "schema_version": schema})
    return Bytes(data, digested_json.digest_in(data))


def read(path: Path, schema: int) -> Raw:
    """Return the content of a record file.

    Raises
    ------
    OSError
        If it cannot be read.
    Damaged
        If its digest does not match; `OtherSchema` if it does, but the schema is another one.
    """
    data = path.read_bytes()
    fields, digest = digested_json.parse_record(path, data)
    if fields.pop("schema_version", None) != schema:
        raise OtherSchema(path)
    return Raw(fields, len(data), digest)
