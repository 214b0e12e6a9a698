"""The file format of records: JSON with the version of the schema and a digest of itself."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Self

from dicomzarr.system import digested_json, shared_files
from dicomzarr.vocabulary.errors import Damaged


class FileClaim(NamedTuple):
    """Size and digest of a file as a record claims them.

    A named tuple, like all rows of which a series may have thousands: it is created five times faster than a dataclass.
    """

    size: int  # in bytes
    digest: str  # SHA-256 of its bytes, in hex; empty for records of series, which carry their own


# Three times faster than the constructor. Claims need no check: the record's digest and schema have been checked.
_file_claim: Callable[[Sequence[object]], FileClaim] = partial(tuple.__new__, FileClaim)


def file_claims(raw: Mapping[str, Sequence[object]]) -> dict[str, FileClaim]:
    """Return claims by path from their JSON values."""
    return dict(zip(raw, map(_file_claim, raw.values()), strict=True))


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


def read(path: Path, schema: int, *, must_exist: bool = False) -> Raw:
    """Return the content of a record file; `must_exist`: another job has written it, perhaps on another node.

    Raises
    ------
    OSError
        If it cannot be read.
    Damaged
        If its digest does not match; `OtherSchema` if it does, but the schema is another one.
    """
    data = shared_files.read_bytes(path, must_exist=must_exist)
    fields, digest = digested_json.parse_record(path, data)
    if fields.pop("schema_version", None) != schema:
        raise OtherSchema(path)
    return Raw(fields, len(data), digest)


class Record:
    """Base of the records: frozen dataclasses, each in one file.

    A subclass whose fields are not all JSON values overrides `to_json` and `from_json`.
    """

    __slots__ = ()
    SCHEMA: ClassVar[int]  # raised when fields change, so that records of older versions are written again

    def to_json(self) -> dict[str, object]:
        """Return the fields as JSON values."""
        return fields_of(self)

    @classmethod
    def from_json(cls, raw: Any) -> Self:
        """Return a record from the JSON values of its fields.

        Raises
        ------
        KeyError, TypeError, ValueError, AttributeError
            If a field is missing or malformed.
        """
        return cls(**raw)

    def to_bytes(self) -> Bytes:
        """Return the bytes of the record file, and their digest."""
        return to_bytes(self.SCHEMA, self.to_json())

    @classmethod
    def read(cls, path: Path, *, must_exist: bool = False) -> tuple[Self, int, str]:
        """Return a record, its size in bytes and its digest; errors as `load`."""
        fields, size, digest = read(path, cls.SCHEMA, must_exist=must_exist)
        try:
            return cls.from_json(fields), size, digest
        except (KeyError, TypeError, ValueError, AttributeError):
            raise Damaged(path) from None

    @classmethod
    def load(cls, path: Path, *, must_exist: bool = False) -> Self:
        """Return the record in a file.

        Parameters
        ----------
        path : Path
        must_exist : bool
            Another job has written it, perhaps on another node: it is waited for.

        Raises
        ------
        OSError
            If it cannot be read.
        Damaged
            If its digest does not match, or it has another schema.
        """
        return cls.read(path, must_exist=must_exist)[0]
