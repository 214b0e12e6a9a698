"""Exports: their folders, the record of each exported series, whether its files exist, and removal.

`results/exports/<folder>/` holds the output of one export rule, by series. The record of a series lists its files with
sizes and digests. `export.json` is written last: if it exists, the export is complete.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

from dicomzarr.records import record_file
from dicomzarr.records.record_file import Record
from dicomzarr.records.revoke import Revocation, revoke
from dicomzarr.system import files
from dicomzarr.system.results_folder import Results
from dicomzarr.vocabulary.errors import Damaged

SUMMARY = "export.json"


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of export.

    Attributes
    ----------
    rule : str
        Rule that makes it.
    folder : str
        Folder below `exports/`.
    suffix : str
        File name suffix, if a series becomes one file; empty if it becomes a folder.
    lossy : bool
        Values differ from those of the array.
    """

    rule: str
    folder: str
    suffix: str = ""
    lossy: bool = False


PNG = Kind("export_png", "png")
PREVIEW = Kind("export_preview", "preview_lossy", lossy=True)
NPZ = Kind("export_npz", "npz", ".npz")
NIFTI = Kind("export_nifti", "nifti")
KINDS = (PNG, PREVIEW, NPZ, NIFTI)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRow:
    """A row of `files.csv` of an export; see docs/exports.md. None is an empty cell."""

    file: str  # path below the folder of the export
    array: str
    t: int | None = None
    z: int | None = None
    bit_depth: int | None = None
    offset: int | None = None
    pixel_digest: str = ""
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrayRow:
    """A row of `report.csv` of an export; see docs/exports.md. None is an empty cell."""

    array: str
    modality: str
    axes: str
    shape: str  # sizes joined by x
    dtype: str
    bits_stored: int
    photometric: str
    outcome: str  # exported or refused
    reason: str
    files: int
    bit_depth: int | None
    offset: int | None
    exported_bytes: int
    source_bytes: int
    stored_bytes: int
    pixel_bytes: int


FILES = tuple(field.name for field in dataclasses.fields(FileRow))
REPORT = tuple(field.name for field in dataclasses.fields(ArrayRow))


@dataclass(frozen=True, slots=True)
class ExportRecord(Record):
    """Record of a series in an export.

    Attributes
    ----------
    series_id : str
    fingerprint : str
        Digest of everything that the export of the series depends on.
    arrays : tuple of ArrayRow
    files : tuple of FileRow
        Sorted by file.
    """

    SCHEMA: ClassVar[int] = 2

    series_id: str
    fingerprint: str
    arrays: tuple[ArrayRow, ...]
    files: tuple[FileRow, ...]

    def to_json(self) -> dict[str, object]:
        """Return the fields as JSON values."""
        rows = {name: list(map(record_file.fields_of, getattr(self, name))) for name in ("arrays", "files")}
        return {**record_file.fields_of(self), **rows}

    @classmethod
    def from_json(cls, raw: Any) -> Self:
        """Return a record from the JSON values of its fields; errors as in `Record`."""
        raw["arrays"] = tuple(ArrayRow(**row) for row in raw["arrays"])
        raw["files"] = tuple(FileRow(**row) for row in raw["files"])
        return cls(**raw)

    def files_exist(self, results: Results, kind: Kind) -> bool:
        """Return whether every file of the series exists with its size."""
        folder = os.fspath(folder_of(results, kind))
        try:
            return all(os.lstat(f"{folder}/{file.file}").st_size == file.bytes for file in self.files)
        except OSError:
            return False


def folder_of(results: Results, kind: Kind) -> Path:
    """Return the folder of a kind of export."""
    return results.exports / kind.folder


def series_path(results: Results, kind: Kind, series_id: str) -> Path:
    """Return the folder or file of a series in an export.

    Parameters
    ----------
    results : Results
    kind : Kind
    series_id : str
    """
    return folder_of(results, kind) / f"{series_id}{kind.suffix}"


def record_of(results: Results, kind: Kind) -> Path:
    """Return the path of the record of the rule of an export."""
    return results.records / f"{kind.rule}.json"


def series_records(results: Results, kind: Kind) -> Iterator[Path]:
    """Yield the paths of the records of the series of an export."""
    yield from sorted((results.records / kind.rule).glob("*/*.json"))


def requested_kinds(arguments: Sequence[str]) -> list[Kind]:
    """Return the kinds of export that a command line names."""
    return [kind for kind in KINDS if any(kind.rule in argument for argument in arguments)]


def incomplete_records(results: Results, kind: Kind) -> list[Path]:
    """Return the records of series that are damaged, or of which a file is missing or has another size."""
    incomplete = []
    for path in series_records(results, kind):
        try:
            is_complete = ExportRecord.load(path).files_exist(results, kind)
        except (OSError, Damaged):
            is_complete = False
        if not is_complete:
            incomplete.append(path)
    return incomplete


def mark_incomplete(results: Results, kind: Kind, why: Revocation = Revocation.FILE_MISSING) -> None:
    """Mark an export as incomplete: remove its summary and revoke the record of its rule.

    Parameters
    ----------
    results : Results
    kind : Kind
    why : Revocation
    """
    (folder_of(results, kind) / SUMMARY).unlink(missing_ok=True)
    revoke(results, record_of(results, kind), why)


def remove(results: Results, kind: Kind, series_id: str, why: Revocation) -> bool:
    """Remove a series from an export. Its record is revoked last, so that an interrupted removal is repeated.

    Parameters
    ----------
    results : Results
    kind : Kind
    series_id : str
    why : Revocation

    Returns
    -------
    bool
        Whether the export had the series.
    """
    record, exported = results.series_record(kind.rule, series_id), series_path(results, kind, series_id)
    if not (record.exists() or exported.exists()):
        return False
    mark_incomplete(results, kind, why)
    files.remove_tree(exported)
    revoke(results, record, why)
    return True


def remove_deleted(results: Results) -> int:
    """Remove from every export the series that the dataset no longer has; return their number.

    A patient who is withdrawn must not remain in an export until somebody makes that export again.
    """
    removed = 0
    for kind in KINDS:
        for path in series_records(results, kind):
            if not (results.images / path.stem).is_dir():
                removed += remove(results, kind, path.stem, Revocation.REMOVED)
    return removed
