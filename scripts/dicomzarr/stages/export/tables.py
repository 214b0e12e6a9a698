"""The tables of an export: a row for each file, a row for each array."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from dicomzarr.records.export_record import ArrayRow, FileRow
from dicomzarr.stages.export.refusals import Refused
from dicomzarr.stages.export.verified_arrays import Array
from dicomzarr.system import files as storage


@dataclass(slots=True)
class Exported:
    """What a series became: rows of `report.csv`, and rows of `files.csv` sorted by file."""

    arrays: list[ArrayRow] = field(default_factory=list)
    files: list[FileRow] = field(default_factory=list)


# Writes a series below a folder: its arrays, the folder, the effort of compression from 0 to 9.
Work = Callable[[list[Array], Path, int], Exported]
Written = tuple[ArrayRow, list[FileRow]]  # of an array: its row of `report.csv`, those of `files.csv`


def each_array(arrays: list[Array], write: Callable[[Array], Written]) -> Exported:
    """Export arrays one by one; what the format cannot hold is listed with its reason."""
    exported = Exported()
    for array in arrays:
        try:
            row, files = write(array)
        except Refused as refused:
            row, files = array_row(array, reason=refused.code), []
        exported.arrays.append(row)
        exported.files += files
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
    """Return the row of `files.csv` of a file that was written below `store`."""
    return FileRow(
        file=path.relative_to(store).as_posix(),
        array=array,
        t=t,
        z=z,
        bit_depth=bit_depth,
        offset=offset,
        pixel_digest=pixel_digest,
        bytes=path.stat().st_size,
        sha256=storage.sha256_of(path),
    )


def array_row(
    array: Array,
    *,
    reason: str = "",
    files: int = 0,
    exported_bytes: int = 0,
    bit_depth: int | None = None,
    offset: int | None = None,
) -> ArrayRow:
    """Return the row of `report.csv` of an array: what became of it, beside its size as DICOM and as Zarr."""
    record = array.record
    return ArrayRow(
        array=array.name,
        modality=record.modality,
        axes=array.axes,
        shape="x".join(map(str, array.shape)),
        dtype=array.dtype.name,
        bits_stored=record.bits_stored,
        photometric=record.photometric,
        outcome="refused" if reason else "exported",
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
    """Return the name of a frame's file without its ending: its place in the array, such as ``t0002_z0031``."""
    parts = [f"{axis}{index:04d}" for axis, index in (("t", t), ("z", z)) if index is not None]
    return "_".join(parts) or "image"
