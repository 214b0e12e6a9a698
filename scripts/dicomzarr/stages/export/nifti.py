"""NIfTI-1: a volume a `.nii.gz`, stored values with slope and intercept in the header, attributes as JSON beside it.

Voxels keep the order of the array, x fastest: nothing is flipped, and the affine says where they lie. NIfTI counts
millimetres to the right, anterior and superior, DICOM to the left, posterior and superior.
"""

from __future__ import annotations

import gzip
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

from dicomzarr.stages.export.npz import attributes_of
from dicomzarr.stages.export.refusals import Refused
from dicomzarr.stages.export.tables import Exported, Written, array_row, each_array, file_row
from dicomzarr.stages.export.verified_arrays import Array, Damaged
from dicomzarr.system import json_files

LONGEST = 32767  # indices of an axis: dim is a signed number of 16 bits
START = 352  # bytes of the header with its extension flag
SCANNER = 1  # code of a transform to the coordinates of the scanner
SQUARE = 1e-6  # how far the axes of a qform may be from right angles, as a cosine
RGB = np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])
_BLOCK = 1 << 22


def affine_ras(affine_lps: Any) -> NDArray[np.float64]:
    """Return the affine from index (x, y, z, 1) to RAS millimetres, from one to LPS millimetres, both 4 x 4."""
    turned: NDArray[np.float64] = np.diag([-1.0, -1.0, 1.0, 1.0]) @ np.asarray(affine_lps, np.float64)
    return turned


def scaling_of(facts: Mapping[str, Any]) -> tuple[float, float]:
    """Return slope and intercept from stored values to physical ones.

    Raises
    ------
    Refused
        If frames have several pairs, or a table instead.
    """
    if "rescale" in facts:
        pairs = np.asarray(facts["rescale"], np.float64).reshape(-1, 2)
        if len(np.unique(pairs, axis=0)) > 1:
            raise Refused("rescale_per_frame")
        return float(pairs[0, 0]), float(pairs[0, 1])
    if "modality_lut" in facts:
        raise Refused("modality_lut")
    return float(facts.get("dose_grid_scaling", 1.0)), 0.0


def _time_step(ome: Mapping[str, Any], axes: str) -> float | None:
    """Return the seconds from one index of `t` to the next, where that is an even time."""
    multiscale = ome["multiscales"][0]
    if "t" not in axes or multiscale["axes"][axes.index("t")].get("unit") != "second":
        return None
    return float(multiscale["datasets"][0]["coordinateTransformations"][0]["scale"][axes.index("t")])


def header_of(array: Array) -> Any:
    """Return the nibabel header of an array.

    Raises
    ------
    Refused
        If NIfTI-1 cannot say what the array is.
    """
    import nibabel

    facts, size = array.facts, dict(zip(array.axes, array.shape, strict=True))
    if "affine_lps" not in facts:
        raise Refused("no_regular_geometry")
    if "c" in size and array.dtype.itemsize > 1:
        raise Refused("colour_over_8_bits")
    shape = [size[axis] for axis in "xyzt" if axis in size]
    if max(shape) > LONGEST:
        raise Refused("axis_too_long")
    slope, intercept = scaling_of(facts)
    affine = affine_ras(facts["affine_lps"])
    header: Any = nibabel.Nifti1Header(endianness="<")
    header.set_data_dtype(RGB if "c" in size else array.dtype)
    header.set_data_shape(shape)
    step = _time_step(array.ome, array.axes)
    zooms = [float(each) for each in np.linalg.norm(affine[:3, :3], axis=0)]
    header.set_zooms((zooms + [1.0 if step is None else step])[: len(shape)])
    header.set_xyzt_units("mm", "sec" if step is not None else None)
    header.set_sform(affine, SCANNER)
    directions = affine[:3, :3] / zooms
    if np.allclose(directions.T @ directions, np.eye(3), rtol=0, atol=SQUARE):
        header.set_qform(affine, SCANNER)
    if not (math.isfinite(slope) and slope):
        slope, intercept = 1.0, 0.0
    header.set_slope_inter(slope, intercept)
    header["vox_offset"] = START
    return header


def _voxels(array: Array) -> Iterator[bytes]:
    """Yield the voxels, x fastest, colours of a voxel side by side."""
    for block, _ in array.blocks():
        yield (np.moveaxis(block, array.axes.index("c"), -1) if "c" in array.axes else block).tobytes()


def _write_array(array: Array, store: Path, level: int) -> Written:
    header = header_of(array)
    folder = store / array.name.split("/")[0]
    folder.mkdir(parents=True, exist_ok=True)
    path, beside = folder / f"{array.volume_id}.nii.gz", folder / f"{array.volume_id}.json"
    digest = blake3()
    with (
        open(path, "wb") as raw,
        gzip.GzipFile("", "wb", level, raw, mtime=0) as stream,
    ):
        header.write_to(stream)
        for piece in _voxels(array):
            digest.update(piece)
            stream.write(piece)
    again = blake3()
    with gzip.open(path, "rb") as stream:
        said = type(header).from_fileobj(stream, check=True)
        stream.seek(START)
        while block := stream.read(_BLOCK):
            again.update(block)
    if said != header or again.digest() != digest.digest():
        raise Damaged(array.name)
    beside.write_bytes(json_files.canonical_json(attributes_of(array)))
    bits = int(header["bitpix"])
    rows = [
        file_row(path, store, array.name, bit_depth=bits, pixel_digest=array.record.pixel_digest),
        file_row(beside, store, array.name),
    ]
    return array_row(array, files=2, exported_bytes=sum(row.bytes for row in rows), bit_depth=bits), rows


def export_series(arrays: list[Array], store: Path, level: int) -> Exported:
    """Write the regular volumes of a series below `store`; see `tables.Work`."""
    return each_array(arrays, lambda array: _write_array(array, store, level))
