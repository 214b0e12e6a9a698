"""Coarser levels of an array for viewers: every second voxel of the level before, from the first; no value is computed.

A level is named by the axes along which it is halved: `yx`, or `zyx`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dicomzarr.arrays import shard_writer
from dicomzarr.arrays.zarr_reader import StoredArray, open_array
from dicomzarr.system.thread_pool import SERIAL, ThreadPool

SMALLEST = 64  # rows and columns that a level has at least
BLOCK = 16 << 20  # bytes of frames that are read at once
_ROUNDED = 1 + 1e-6  # spacings that differ less are equal


def coarser_levels(
    axes: Sequence[str], shape: Sequence[int], spacing_mm: Mapping[str, float], levels: int, smallest: int = SMALLEST
) -> tuple[str, ...]:
    """Return the levels that an array gets beside the array itself.

    Parameters
    ----------
    axes : sequence of str
        Those that the array has of t, c, z, y, x.
    shape : sequence of int
        Along the axes.
    spacing_mm : mapping of str to float
        Of the axes z, y and x where it is known.
    levels : int
        At most so many, the array itself included.
    smallest : int
        No level has fewer rows or columns.

    Returns
    -------
    tuple of str
        The axes that each level halves: y and x, and z while its spacing is known and at most twice the finer one of y
        and x, so that voxels do not get flatter than they are.
    """
    size, spacing = dict(zip(axes, shape, strict=True)), dict(spacing_mm)
    found: list[str] = []
    for _ in range(1, levels):
        if min(_half(size["y"]), _half(size["x"])) < smallest:
            break
        is_known = "z" in size and {"z", "y", "x"} <= spacing.keys()
        halved = "zyx" if is_known and spacing["z"] <= 2 * min(spacing["y"], spacing["x"]) * _ROUNDED else "yx"
        for axis in halved:
            size[axis] = _half(size[axis])
            spacing[axis] = 2 * spacing.get(axis, math.nan)
        found.append(halved)
    return tuple(found)


def _half(size: int) -> int:
    return -(-size // 2)


def every_second(values: NDArray[Any], axes: Sequence[str], halved: str) -> NDArray[Any]:
    """Return every second voxel along some axes, from the first.

    Parameters
    ----------
    values : ndarray
    axes : sequence of str
        Of `values`.
    halved : str
        Those of them to halve; others are ignored.

    Returns
    -------
    ndarray
        A view.
    """
    return values[tuple(slice(None, None, 2 if axis in halved else 1) for axis in axes)]


def datasets(axes: Sequence[str], scale: Sequence[float], levels: Sequence[str]) -> list[dict[str, Any]]:
    """Return the OME-Zarr `datasets` of an array and its coarser levels.

    Parameters
    ----------
    axes : sequence of str
    scale : sequence of float
        Of the array, along the axes.
    levels : sequence of str
        As from `coarser_levels`.

    Returns
    -------
    list of dict
        Each with a `scale` and no `translation`: the first voxel of each level is that of the array.
    """
    described = []
    factors = list(scale)
    for number in range(len(levels) + 1):
        if number:
            halved = levels[number - 1]
            factors = [2 * factor if axis in halved else factor for axis, factor in zip(axes, factors, strict=True)]
        transformation = {"type": "scale", "scale": list(factors)}
        described.append({"path": str(number), "coordinateTransformations": [transformation]})
    return described


def method(levels: Sequence[str]) -> dict[str, Any]:
    """Return what OME-Zarr's `multiscales` states of how levels were made.

    Parameters
    ----------
    levels : sequence of str
        As from `coarser_levels`.

    Returns
    -------
    dict
        `type` and `metadata`; empty if there are no levels.
    """
    if not levels:
        return {}
    text = "every second voxel of the level before, from the first, along these axes; no value is computed"
    return {"type": "subsampling", "metadata": {"description": text, "axes": list(levels)}}


def levels_of(multiscale: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the coarser levels of an image from its metadata.

    Parameters
    ----------
    multiscale : mapping
        The entry of `multiscales`.

    Returns
    -------
    tuple of str
        As from `coarser_levels`.
    """
    return tuple(multiscale.get("metadata", {}).get("axes", ()))


def write_levels(
    folder: Path,
    axes: Sequence[str],
    dtype: str,
    levels: Sequence[str],
    *,
    compression: str,
    layout: str,
    pool: ThreadPool = SERIAL,
) -> shard_writer.Digests:
    """Write the coarser levels of an array that has been written, one from the other.

    Parameters
    ----------
    folder : Path
        Holds the array as ``0``; the levels become ``1``, ``2`` and so on.
    axes : sequence of str
    dtype : str
        Of the array.
    levels : sequence of str
        As from `coarser_levels`.
    compression, layout : str
        As of the array.
    pool : ThreadPool
        Compresses.

    Returns
    -------
    dict
        Size in bytes and SHA-256 of each file, by its path below `folder`.
    """
    digests: shard_writer.Digests = {}
    for number, halved in enumerate(levels, 1):
        finer = open_array(folder / str(number - 1)).through_zarrs()
        shape = [_half(size) if axis in halved else size for axis, size in zip(axes, finer.shape, strict=True)]
        grid = shard_writer.chunk_grid(axes, shape, dtype, layout)
        frames = _coarser_frames(finer, axes, halved)
        written = shard_writer.write_array(folder / str(number), grid, dtype, compression, frames, pool)
        digests |= {f"{number}/{name}": digest for name, digest in written.items()}
    return digests


def _coarser_frames(finer: StoredArray, axes: Sequence[str], halved: str) -> Iterator[NDArray[Any]]:
    """Yield the frames of the next level in array order."""
    size = dict(zip(axes, finer.shape, strict=True))
    fastest = next((axis for axis in "zt" if axis in size), "")
    remaining = [axis for axis in axes if axis != "t" or fastest == "t"]
    frame = math.prod(size[axis] for axis in axes if axis in "cyx") * finer.dtype.itemsize
    chunk = dict(zip(axes, finer.chunk, strict=True)).get("z", 1)
    whole = 2 * math.ceil(chunk / 2)  # even: the first frame of each block is kept. Chunks have an even depth, or all z
    block = max(1, BLOCK // max(frame, 1) // whole) * whole
    for t in range(size["t"]) if fastest == "z" and "t" in size else (0,):
        for start in range(0, size.get(fastest, 1), block):
            index: dict[str, int | slice] = {"t": t, fastest: slice(start, start + block)}
            values = finer[tuple(index.get(axis, slice(None)) for axis in axes)]
            coarser = every_second(values, remaining, halved)
            for plane in np.moveaxis(coarser, remaining.index(fastest), 0) if fastest else coarser[np.newaxis]:
                yield np.ascontiguousarray(np.moveaxis(plane, 0, -1) if plane.ndim == 3 else plane)
