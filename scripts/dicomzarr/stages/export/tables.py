"""Rows of the tables of an export: one per file, one per array."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from dicomzarr.records.export_record import ArrayRow, FileRow
from dicomzarr.stages.export.refusals import Refused
from dicomzarr.stages.export.verified_arrays import Array
from dicomzarr.system import files


@dataclass(slots=True)
class Exported:
    """An exported series: its rows of `report.csv`, and its rows of `files.csv` sorted by file."""

    arrays: list[ArrayRow] = field(default_factory=list)
    files: list[FileRow] = field(default_factory=list)


# Exports the arrays of a series (`arrays`) below a folder (`store`), with a compression level from 0 to 9 (`level`).
ExportSeries = Callable[[list[Array], Path, int], Exported]
# An exported array: its row of `report.csv`, its rows of `files.csv`.
ArrayExport = tuple[ArrayRow, list[FileRow]]


def each_array(arrays: list[Array], write: Callable[[Array], ArrayExport]) -> Exported:
    """Export arrays one after the other; refused ones get a row with the reason."""
    exported = Exported()
    for array in arrays:
        try:
            row, file_rows = write(array)
        except Refused as refused:
            row, file_rows = array_row(array, outcome=refused.outcome, reason=refused.code), []
        exported.arrays.append(row)
        exported.files += file_rows
    exported.files.sort(key=lambda row: row.file)
    return exported


def file_row(
    path: Path,
    store: Path,
    array: str,
    *,
    t: int | None = None,
    z: int | None = None,
    bit_depth: int | None = None,
    offset: int | None = None,
    pixel_digest: str = "",
) -> FileRow:
    """Return the row of `files.csv` of a file written below `store`.

    Parameters
    ----------
    path, store : Path
    array : str
        Name of the array in the file; the series id if it holds all arrays of a series.
    t, z : int, optional
        Indices of the frame in the array.
    bit_depth, offset : int, optional
        Bits of a sample, and what was added to stored values.
    pixel_digest : str
        BLAKE3 of the stored values.
    """
    return FileRow(
        file=path.relative_to(store).as_posix(),
        array=array,
        t=t,
        z=z,
        bit_depth=bit_depth,
        offset=offset,
        pixel_digest=pixel_digest,
        bytes=path.stat().st_size,
        sha256=files.sha256_of(path),
    )


def array_row(
    array: Array,
    *,
    outcome: str = "exported",
    reason: str = "",
    files: int = 0,
    exported_bytes: int = 0,
    bit_depth: int | None = None,
    offset: int | None = None,
) -> ArrayRow:
    """Return the row of `report.csv` of an array: its outcome, and its size as DICOM, as Zarr and as exported.

    Parameters
    ----------
    array : Array
    outcome : str
        ``exported``, ``refused`` or ``left_out``.
    reason : str
        Key of `REFUSALS`; empty if the array was exported.
    files, exported_bytes : int
        Number and size of its files.
    bit_depth, offset : int, optional
        Bits of a sample, and what was added to stored values.
    """
    record = array.record
    return ArrayRow(
        array=array.name,
        modality=record.modality,
        axes=array.axes,
        shape="x".join(map(str, array.shape)),
        dtype=array.dtype.name,
        bits_stored=record.bits_stored,
        photometric=record.photometric,
        outcome=outcome,
        reason=reason,
        files=files,
        bit_depth=bit_depth,
        offset=offset,
        exported_bytes=exported_bytes,
        source_bytes=record.source_bytes,
        stored_bytes=record.stored_bytes,
        pixel_bytes=math.prod(array.shape) * array.dtype.itemsize,
    )


def frame_name(t: int | None, z: int | None) -> str:
    """Return the name of the file of a frame without its suffix: its indices, such as ``t0002_z0031``."""
    parts = [f"{axis}{index:04d}" for axis, index in (("t", t), ("z", z)) if index is not None]
    return "_".join(parts) or "image"
