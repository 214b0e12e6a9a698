"""Exports: their folders, the record of each exported series, whether its files exist, and removal.

`results/exports/<folder>/` holds the output of one export rule, by series. The record of a series lists its files with
sizes and digests. `export.json` is written last: if it exists, the export is complete.
"""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

from dicomzarr.records import record_file
from dicomzarr.records.record_file import Record
from dicomzarr.records.revoke import Revocation, revoke
from dicomzarr.records.rule_record import RuleRecord
from dicomzarr.system import files, json_files
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
    by_case : bool
        The files of a series lie among those of others, in ``<dataset>/<part>/``; each name begins with the series id.
    index : tuple of str
        The files that list all series, below the folder, or below that of the dataset if the export is by case: they
        are absent while the export is incomplete.
    source : str
        Rule of the export to whose files it refers; empty if there is none.
    """

    rule: str
    folder: str
    suffix: str = ""
    lossy: bool = False
    by_case: bool = False
    index: tuple[str, ...] = ()
    source: str = ""


PNG = Kind("export_png", "png")
PREVIEW = Kind("export_preview", "preview_lossy", lossy=True)
NPZ = Kind("export_npz", "npz", ".npz")
NIFTI = Kind("export_nifti", "nifti")
NNUNET = Kind("export_nnunet", "nnunet", by_case=True, index=("dataset.json", "splits_final.json"))
MONAI = Kind("export_monai", "monai", index=("datalist.json",), source="export_nnunet")
KINDS = (PNG, PREVIEW, NPZ, NIFTI, NNUNET, MONAI)

TABLES = ("report.csv", "files.csv")

_CASE = re.compile(r"([0-9a-f]{16})_[0-9a-f]{8}[_.]")


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
    outcome: str  # exported, refused or left_out
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
    """Return the folder or file of a series in an export that is not by case.

    Parameters
    ----------
    results : Results
    kind : Kind
    series_id : str
    """
    return folder_of(results, kind) / f"{series_id}{kind.suffix}"


def exported(folder: Path, kind: Kind, series_id: str = "") -> Iterator[tuple[Path, str]]:
    """Yield the files and folders of series below the folder of an export, each with its series id.

    Parameters
    ----------
    folder : Path
    kind : Kind
    series_id : str
        Only those of this series; empty for all.
    """
    ours = _CASE if kind.by_case else re.compile(r"([0-9a-f]{16})" + re.escape(kind.suffix) + "$")
    for path in sorted(folder.glob(f"*/*/{series_id}*" if kind.by_case else f"{series_id}*")):
        if match := ours.match(path.name):
            yield path, match[1]


def committed_names(kind: Kind, record: ExportRecord) -> list[str]:
    """Return what is renamed to commit a series: its files, or its one folder or file; below the folder.

    Parameters
    ----------
    kind : Kind
    record : ExportRecord
    """
    if kind.by_case:
        return [file.file for file in record.files]
    return [f"{record.series_id}{kind.suffix}"] if record.files else []


def remove_empty_folders(folder: Path) -> None:
    """Remove the empty folders below the folder of an export.

    Parameters
    ----------
    folder : Path
    """
    for parent, _, _ in os.walk(folder, topdown=False):
        if Path(parent) != folder and not os.listdir(parent):
            os.rmdir(parent)


def series_of(kind: Kind, file: str) -> str:
    """Return the id of the series of an exported file.

    Parameters
    ----------
    kind : Kind
    file : str
        Its path below the folder of the export.
    """
    match = _CASE.match(file.rsplit("/", maxsplit=1)[-1]) if kind.by_case else None
    return match[1] if match else file.split("/", maxsplit=1)[0].removesuffix(kind.suffix)


def record_of(results: Results, kind: Kind) -> Path:
    """Return the path of the record of the rule of an export."""
    return results.records / f"{kind.rule}.json"


def series_records(results: Results, kind: Kind) -> Iterator[Path]:
    """Yield the paths of the records of the series of an export."""
    yield from sorted((results.records / kind.rule).glob("*/*.json"))


def requested_kinds(arguments: Sequence[str]) -> list[Kind]:
    """Return the kinds of export that a command line names, with those to whose files they refer."""
    rules = {kind.rule for kind in KINDS if any(kind.rule in argument for argument in arguments)}
    needed = rules | {kind.source for kind in KINDS if kind.rule in rules}
    return [kind for kind in KINDS if kind.rule in needed]


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


def mark_incomplete(
    results: Results, kind: Kind, why: Revocation = Revocation.FILE_MISSING, datasets: Iterable[str] = ()
) -> None:
    """Mark an export, and those that refer to it, as incomplete: remove summary, tables and lists, revoke its record.

    The tables have a row for each array, so that a series which is removed would stay in them until the next export.
    Folders beside those of its own datasets are left alone: `nnUNet_raw` may hold datasets of others.

    Parameters
    ----------
    results : Results
    kind : Kind
    why : Revocation
    datasets : iterable of str
        Folders of an export by case that are its own, beside the one that its summary names.
    """
    for other in KINDS:
        if other.source == kind.rule:
            mark_incomplete(results, other, why)
    folder = folder_of(results, kind)
    own = {*datasets, _dataset_of(folder / SUMMARY)} - {""} if kind.by_case else {""}
    for name in (SUMMARY, *TABLES):
        (folder / name).unlink(missing_ok=True)
    for name in kind.index:
        for dataset in own:
            (folder / dataset / name).unlink(missing_ok=True)
    revoke(results, record_of(results, kind), why)


def is_of_others(results: Results, kind: Kind, dataset: str) -> bool:
    """Return whether the folder of a dataset of an export by case has files that this export did not write.

    Files beside those of an own export are no matter: each has the name of a series, or is in `Kind.index`.

    Parameters
    ----------
    results : Results
    kind : Kind
    dataset : str
        Name of the folder.
    """
    folder = folder_of(results, kind) / dataset
    if _dataset_of(folder.parent / SUMMARY) == dataset or not files.exists(folder):
        return False
    # As an interrupted export leaves it.
    if all(files.is_dir(path) or _CASE.match(path.name) for path in folder.rglob("*")):
        return False
    try:
        claimed: Iterable[str] = RuleRecord.load(record_of(results, kind)).claims
    except (OSError, Damaged):
        claimed = ()
    if any(name.startswith(f"exports/{kind.folder}/{dataset}/") for name in claimed):
        return False
    return not any(name.startswith(f"{dataset}/") for path in series_records(results, kind) for name in _recorded(path))


def _dataset_of(summary: Path) -> str:
    """Return the dataset, a folder, that the summary of an export by case names; empty if there is none."""
    try:
        dataset = str(json_files.read_json(summary)["params"]["dataset"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""
    return dataset if dataset == Path(dataset).name else ""


def remove_files(results: Results, kind: Kind, series_id: str) -> None:
    """Remove the files of a series from an export.

    Parameters
    ----------
    results : Results
    kind : Kind
    series_id : str
    """
    if not kind.by_case:
        files.remove_tree(series_path(results, kind, series_id))
        return
    folder = folder_of(results, kind)
    try:
        record = ExportRecord.load(results.series_record(kind.rule, series_id))
        paths = [folder / file.file for file in record.files]
    except (OSError, Damaged):
        paths = [path for path, _ in exported(folder, kind, series_id)]
    for path in paths:
        files.remove_tree(path)


def _recorded(path: Path) -> list[str]:
    """Return the files of a series, as its record names them; none if that is damaged."""
    try:
        return [file.file for file in ExportRecord.load(path).files]
    except (OSError, Damaged):
        return []


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
    record = results.series_record(kind.rule, series_id)
    if not (files.exists(record) or (not kind.by_case and files.exists(series_path(results, kind, series_id)))):
        return False
    datasets = {file.split("/", maxsplit=1)[0] for file in _recorded(record)} if kind.by_case else set()
    mark_incomplete(results, kind, why, datasets)
    remove_files(results, kind, series_id)
    revoke(results, record, why)
    return True


def remove_deleted(results: Results) -> int:
    """Remove from every export the series that the dataset no longer has; return their number.

    A patient who is withdrawn must not remain in an export until somebody makes that export again.
    """
    removed = 0
    for kind in KINDS:
        for path in series_records(results, kind):
            if not files.is_dir(results.images / path.stem):
                removed += remove(results, kind, path.stem, Revocation.REMOVED)
    return removed
