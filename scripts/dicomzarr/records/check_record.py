"""Record of reading back a series: verdicts on the depth and the size of each array, and on each mask."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple, Self

from dicomzarr.records import record_file
from dicomzarr.records.record_file import FileClaim, Record, file_claims


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


@dataclasses.dataclass(frozen=True, slots=True)
class PictureRow:
    """A row of `pictures.csv`; see docs/outputs.md."""

    array: str
    planes: str = ""
    boxes: str = ""
    shown: str = ""
    histogram: str = ""
    outlines: str = ""
    trouble: str = ""  # one of `vocabulary.pictures.TROUBLES` if there is no picture


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
    pictures : tuple of PictureRow
        One per array, in the order of the series' volumes.
    picture_files : mapping of str to FileClaim
        The pictures, by name in the folder of the series.
    pictures_on_disk : mapping of str to FileState
        Their state when they were drawn, by name.
    draws : bool
        Whether the configuration asked for pictures.
    """

    SCHEMA: ClassVar[int] = 4

    code: str
    fingerprint: str
    disk: Mapping[str, Mapping[str, FileState]]
    depth: tuple[DepthRow, ...]
    size: tuple[SizeRow, ...]
    masks: tuple[MaskVerdict, ...] = ()
    pictures: tuple[PictureRow, ...] = ()
    picture_files: Mapping[str, FileClaim] = dataclasses.field(default_factory=dict)
    pictures_on_disk: Mapping[str, FileState] = dataclasses.field(default_factory=dict)
    draws: bool = True

    def to_json(self) -> dict[str, object]:
        """Return the fields as JSON values."""
        pictures = list(map(record_file.fields_of, self.pictures))
        return record_file.fields_of(self) | rows_to_json(self.depth, self.size) | {"pictures": pictures}

    @classmethod
    def from_json(cls, raw: Any) -> Self:
        """Return a record from the JSON values of its fields; errors as in `Record`."""
        raw["disk"] = {
            array: {name: FileState(*state) for name, state in files.items()} for array, files in raw["disk"].items()
        }
        raw["depth"], raw["size"] = rows_of_json(raw)
        raw["masks"] = tuple(MaskVerdict(*row) for row in raw["masks"])
        raw["pictures"] = tuple(PictureRow(**row) for row in raw["pictures"])
        raw["picture_files"] = file_claims(raw["picture_files"])
        raw["pictures_on_disk"] = {name: FileState(*state) for name, state in raw["pictures_on_disk"].items()}
        return cls(**raw)


def rows_to_json(depth: tuple[DepthRow, ...], size: tuple[SizeRow, ...]) -> dict[str, object]:
    """Return the rows of both reports as JSON values, by the name of the report."""
    return {"depth": list(map(record_file.fields_of, depth)), "size": list(map(record_file.fields_of, size))}


def rows_of_json(raw: Any) -> tuple[tuple[DepthRow, ...], tuple[SizeRow, ...]]:
    """Return the rows of both reports from what `rows_to_json` returned."""
    return tuple(DepthRow(**row) for row in raw["depth"]), tuple(SizeRow(**row) for row in raw["size"])
