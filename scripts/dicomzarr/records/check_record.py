"""Record of reading back a series: verdicts on the depth and the size of each array, and on each mask."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple, Self

from dicomzarr.records import record_file
from dicomzarr.records.record_file import Record


class FileState(NamedTuple):
    """Size, time and inode of a file of an array when it was read."""

    size: int  # in bytes
    mtime_ns: int
    inode: int


@dataclasses.dataclass(frozen=True, slots=True)
class DepthRow:
    """A row of `depth.csv`; see docs/outputs.md. None is an empty cell."""

    array: str
    dtype: str
    bits_allocated: int
    bits_stored: int
    signed: str  # true or false
    photometric: str
    declared_min: int | None
    declared_max: int | None
    observed_min: float | str | None  # infinity is text
    observed_max: float | str | None
    bits_used: int | None
    padding_value: int | None
    unpadded_min: float | str | None
    unpadded_max: float | str | None
    read_back: str  # exact or mismatch
    verdict: str  # pass, warn or fail
    flags: str


@dataclasses.dataclass(frozen=True, slots=True)
class SizeRow:
    """A row of `size.csv`; see docs/outputs.md. None is an empty cell."""

    array: str
    frames_expected: int
    frames_written: int
    rows: int
    columns: int
    expected_bytes: int
    source_bytes: int
    stored_bytes: int
    ratio: float | None
    files: int
    missing_slices: int
    verdict: str  # pass, warn or fail
    flags: str


class MaskVerdict(NamedTuple):
    """Result of reading a mask back."""

    array: str  # of the image
    mask: str
    read_back: str  # exact or mismatch
    files: int  # on disk, below the folder of the mask
    stored_bytes: int  # of these files
    verdict: str  # pass, warn or fail


@dataclasses.dataclass(frozen=True, slots=True)
class CheckRecord(Record):
    """Result of reading back the arrays of a series, and the state of the files for which it holds.

    Attributes
    ----------
    code : str
        Digest of the code of the check.
    fingerprint : str
        Fingerprint of the series, as in its `SeriesRecord`.
    disk : mapping
        State of each file, by array and by path below the array.
    depth, size : tuple
        One row per array, in the order of the series' volumes.
    masks : tuple
        One per mask, in the order of the series' masks.
    """

    SCHEMA: ClassVar[int] = 3

    code: str
    fingerprint: str
    disk: Mapping[str, Mapping[str, FileState]]
    depth: tuple[DepthRow, ...]
    size: tuple[SizeRow, ...]
    masks: tuple[MaskVerdict, ...] = ()

    def to_json(self) -> dict[str, object]:
        """Return the fields as JSON values."""
        return record_file.fields_of(self) | rows_to_json(self.depth, self.size)

    @classmethod
    def from_json(cls, raw: Any) -> Self:
        """Return a record from the JSON values of its fields; errors as in `Record`."""
        raw["disk"] = {
            array: {name: FileState(*state) for name, state in files.items()} for array, files in raw["disk"].items()
        }
        raw["depth"], raw["size"] = rows_of_json(raw)
        raw["masks"] = tuple(MaskVerdict(*row) for row in raw["masks"])
        return cls(**raw)


def rows_to_json(depth: tuple[DepthRow, ...], size: tuple[SizeRow, ...]) -> dict[str, object]:
    """Return the rows of both reports as JSON values, by the name of the report."""
    return {"depth": list(map(record_file.fields_of, depth)), "size": list(map(record_file.fields_of, size))}


def rows_of_json(raw: Any) -> tuple[tuple[DepthRow, ...], tuple[SizeRow, ...]]:
    """Return the rows of both reports from what `rows_to_json` returned."""
    return tuple(DepthRow(**row) for row in raw["depth"]), tuple(SizeRow(**row) for row in raw["size"])
