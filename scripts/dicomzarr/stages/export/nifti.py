"""NIfTI-1: each volume is a `.nii.gz` of stored values, with its attributes in a JSON file beside it, and its masks.

A mosaic is cut into its slices.

Slope and intercept are in the header. Voxels keep the order of the array, x fastest; nothing is flipped, and the affine
gives their positions. NIfTI coordinates point right, anterior and superior (RAS), DICOM coordinates left, posterior and
superior (LPS).
"""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

from dicomzarr.stages.export import mosaics
from dicomzarr.stages.export.masks import Mask
from dicomzarr.stages.export.masks import of_array as masks_of
from dicomzarr.stages.export.npz import attributes_of
from dicomzarr.stages.export.refusals import Refused
from dicomzarr.stages.export.tables import ArrayExport, Exported, array_row, each_array, file_row
from dicomzarr.stages.export.verified_arrays import Array, DamagedArray
from dicomzarr.system import json_files

MAX_LENGTH = 32767  # of an axis: `dim` holds signed 16-bit numbers
VOX_OFFSET = 352  # bytes of the header with its extension flag
SCANNER = 1  # NIFTI_XFORM_SCANNER_ANAT: scanner coordinates
# Between axes of a qform, which must be orthogonal: more than rounded cosines and positions explain. ITK reads as much.
MAX_COSINE = 5e-5
RGB = np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])
_BLOCK = 1 << 22


def affine_ras(affine_lps: Any) -> NDArray[np.float64]:
    """Return the affine to RAS coordinates for one to LPS coordinates.

    Parameters
    ----------
    affine_lps : array-like, shape (4, 4)
        From index (x, y, z, 1) to millimetres.

    Returns
    -------
    ndarray, shape (4, 4)
        From the same indices to millimetres.
    """
    affine: NDArray[np.float64] = np.diag([-1.0, -1.0, 1.0, 1.0]) @ np.asarray(affine_lps, np.float64)
    return affine


def is_orthogonal(affine: NDArray[np.float64]) -> bool:
    """Return whether the axes of an affine are orthogonal, which a `qform` and ITK need.

    Parameters
    ----------
    affine : ndarray, shape (4, 4)
    """
    directions = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    return np.allclose(directions.T @ directions, np.eye(3), rtol=0, atol=MAX_COSINE)


def scaling_of(facts: Mapping[str, Any]) -> tuple[float, float]:
    """Return slope and intercept from stored values to physical ones.

    Raises
    ------
    Refused
        If frames have different pairs or lack one that the header states in part, the array has a Modality LUT, or the
        header cannot say the numbers: a slope of 0 means there that values are not scaled (NIfTI-1, `scl_slope`), and
        32 bits do not hold each number.
    """
    slope, intercept = _scaling_as_stated(facts)
    with np.errstate(over="ignore", under="ignore"):
        held = np.float32(slope), np.float32(intercept)
    if not held[0] or not np.isfinite(held).all():
        raise Refused("slope_not_held")
    return slope, intercept


def _scaling_as_stated(facts: Mapping[str, Any]) -> tuple[float, float]:
    if "rescale" in facts:
        rows = [(np.nan, np.nan) if pair is None else pair for pair in facts["rescale"]]
        pairs = np.asarray(rows, np.float64).reshape(-1, 2)  # NaN: the frame has none, others have
        if np.isnan(pairs).any():
            raise Refused("rescale_incomplete")
        if len(np.unique(pairs, axis=0)) > 1:
            raise Refused("rescale_per_frame")
        return float(pairs[0, 0]), float(pairs[0, 1])
    if "modality_lut" in facts:
        raise Refused("modality_lut")
    if "rescale_incomplete" in facts.get("flags", ()) and "dose_grid_scaling" not in facts:
        raise Refused("rescale_incomplete")
    return float(facts.get("dose_grid_scaling", 1.0)), 0.0


def _time_step(ome: Mapping[str, Any], axes: str) -> float | None:
    """Return the seconds from one index of `t` to the next, None if `t` is not a regular time axis."""
    multiscale = ome["multiscales"][0]
    if "t" not in axes or multiscale["axes"][axes.index("t")].get("unit") != "second":
        return None
    return float(multiscale["datasets"][0]["coordinateTransformations"][0]["scale"][axes.index("t")])


def header_of(array: Array) -> Any:
    """Return the nibabel header of an array.

    Raises
    ------
    Refused
        If NIfTI-1 cannot represent the array.
    """
    facts, size = array.facts, dict(zip(array.axes, array.shape, strict=True))
    tiles = mosaics.tiles_of(facts, array.ome)
    if tiles is not None:
        size |= dict(zip("zyx", tiles.shape, strict=True))
    elif "affine_lps" not in facts:
        raise Refused("no_regular_geometry")
    if "c" in size and array.dtype.itemsize > 1:
        raise Refused("colour_over_8_bits")
    shape = [size[axis] for axis in "xyzt" if axis in size]
    if max(shape) > MAX_LENGTH:
        raise Refused("axis_too_long")
    return new_header(
        RGB if "c" in size else array.dtype,
        shape,
        tiles.affine_lps if tiles is not None else facts["affine_lps"],
        scaling_of(facts),
        _time_step(array.ome, array.axes),
    )


def mask_header(mask: Mask) -> Any:
    """Return the nibabel header of a mask: with the affine of its image, or its own, or none if that is unknown.

    The slope of a fractional mask is 1 / Maximum Fractional Value, so that readers see 0 to 1.
    """
    size = dict(zip(mask.axes, mask.shape, strict=True))
    affine = mask.facts.get("affine_lps") if mask.has_own_grid else mask.image.facts["affine_lps"]
    step = _time_step(mask.image.ome, mask.image.axes) if "t" in size else None
    slope = 1.0 / (mask.record.maximum_fraction or 1)
    return new_header(np.dtype("|u1"), [size[axis] for axis in "xyzt" if axis in size], affine, (slope, 0.0), step)


def new_header(
    dtype: np.dtype[Any], shape: list[int], affine_lps: Any, scaling: tuple[float, float], step: float | None = None
) -> Any:
    """Return a nibabel header.

    Parameters
    ----------
    dtype : numpy.dtype
    shape : list of int
        Along x, y, z and t.
    affine_lps : array-like, shape (4, 4), optional
        None where the position of the voxels is unknown, which the header then says.
    scaling : (float, float)
        Slope and intercept.
    step : float, optional
        Seconds from one index of t to the next.
    """
    import nibabel

    slope, intercept = scaling
    affine = np.eye(4) if affine_lps is None else affine_ras(affine_lps)
    header: Any = nibabel.Nifti1Header(endianness="<")
    header.set_data_dtype(dtype)
    header.set_data_shape(shape)
    zooms = [float(length) for length in np.linalg.norm(affine[:3, :3], axis=0)]
    header.set_zooms((zooms + [1.0 if step is None else step])[: len(shape)])
    header.set_xyzt_units(None if affine_lps is None else "mm", "sec" if step is not None else None)
    if affine_lps is not None:
        header.set_sform(affine, SCANNER)
        if is_orthogonal(affine):
            header.set_qform(affine, SCANNER)
    header.set_slope_inter(slope, intercept)
    header["vox_offset"] = VOX_OFFSET
    return header


def _voxels(array: Array) -> Iterator[bytes]:
    """Yield the bytes of the voxels, x fastest, the samples of a colour voxel adjacent."""
    tiles = mosaics.tiles_of(array.facts, array.ome)
    if tiles is not None:
        for volume in tiles.volumes(array):
            yield volume.tobytes()
        return
    for block, _ in array.blocks():
        yield (np.moveaxis(block, array.axes.index("c"), -1) if "c" in array.axes else block).tobytes()


def _write_array(array: Array, store: Path, level: int) -> ArrayExport:
    header, masks = header_of(array), masks_of(array)
    tiles = mosaics.tiles_of(array.facts, array.ome)
    if tiles is not None and not (tiles.is_rest_empty(array) and all(mask.has_own_grid for mask in masks)):
        raise Refused("tiles_uncertain")
    folder = store / array.name.split("/")[0]
    folder.mkdir(parents=True, exist_ok=True)
    path, sidecar = folder / f"{array.volume_id}.nii.gz", folder / f"{array.volume_id}.json"
    write_file(path, header, _voxels(array), level, array.name)
    for mask in masks:
        pieces = (block.tobytes() for block in mask.blocks())
        write_file(folder / f"{mask.stem}.nii.gz", mask_header(mask), pieces, level, array.name)
    attributes = attributes_of(array, masks)
    if tiles is not None:
        attributes |= {"axes": array.axes.replace("yx", "zyx"), "affine_lps": tiles.affine_lps}
    sidecar.write_bytes(json_files.canonical_json(attributes))
    digest = array.record.pixel_digest if tiles is None else ""  # it is of the frames, which are cut
    bits = int(header["bitpix"])
    rows = [
        file_row(path, store, array.name, bit_depth=bits, pixel_digest=digest),
        file_row(sidecar, store, array.name),
        *(
            file_row(
                folder / f"{mask.stem}.nii.gz", store, array.name, bit_depth=8, pixel_digest=mask.record.pixel_digest
            )
            for mask in masks
        ),
    ]
    size = sum(row.bytes for row in rows)
    return array_row(array, files=len(rows), exported_bytes=size, bit_depth=bits), rows


def write_file(path: Path, header: Any, pieces: Iterable[bytes], level: int, array: str) -> None:
    """Write a `.nii.gz` without times and names, read it again and compare.

    Parameters
    ----------
    path : Path
    header : nibabel.Nifti1Header
    pieces : iterable of bytes
        The voxels, x fastest.
    level : int
        Level of compression, 0 to 9.
    array : str
        Name of the array, for the message.

    Raises
    ------
    DamagedArray
        If the file does not hold what was written.
    """
    digest = blake3()
    with (
        open(path, "wb") as raw,
        gzip.GzipFile("", "wb", level, raw, mtime=0) as stream,
    ):
        header.write_to(stream)
        for piece in pieces:
            digest.update(piece)
            stream.write(piece)
    read_digest = blake3()
    with gzip.open(path, "rb") as stream:
        read_header = type(header).from_fileobj(stream, check=True)
        stream.seek(VOX_OFFSET)
        while block := stream.read(_BLOCK):
            read_digest.update(block)
    if read_header != header or read_digest.digest() != digest.digest():
        raise DamagedArray(array)


def export_series(arrays: list[Array], store: Path, level: int) -> Exported:
    """Write the regular volumes of a series below `store`; the parameters are those of `tables.ExportSeries`."""
    return each_array(arrays, lambda array: _write_array(array, store, level))
