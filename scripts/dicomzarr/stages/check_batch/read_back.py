"""Read every voxel back with zarr-python and zarrs, independently of the code of the writer."""

from __future__ import annotations

import itertools
import logging
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

from dicomzarr.arrays.zarr_reader import StoredArray, open_array
from dicomzarr.records.series_record import FrameRow, VolumeRecord
from dicomzarr.stages.check_batch.levels import count_levels, levels_are_exact
from dicomzarr.system import files, shortage
from dicomzarr.system.thread_pool import SERIAL, ThreadPool

log = logging.getLogger("dicomzarr")


@dataclass(slots=True)
class ReadBack:
    """Result of reading an array back.

    Attributes
    ----------
    exact : bool
        Every frame has the digest of the decoded frame, and every coarser level is made of them.
    low, high : float
        Smallest and largest stored value, without NaN; NaN if there is no other value.
    unpadded_low, unpadded_high : float
        The same without pixel padding (PS3.3 C.7.5.1.1.2).
    """

    exact: bool
    low: float
    high: float
    unpadded_low: float
    unpadded_high: float


# Called with the number of the first of some frames, in array order, and these frames; from several threads.
Watcher = Callable[[int, NDArray[Any]], None]

BLOCK = 8 << 20  # bytes of frames in one read: each takes zarr-python a millisecond, whatever its size
FIRST_FRAMES = 2  # read by zarr-python alone, at half a millisecond each


def _blocks(volume: VolumeRecord, deep: int) -> Iterator[list[FrameRow]]:
    """Yield the frames of a volume in runs of consecutive frames on its fastest frame axis; the first run is short.

    Each read of a shard starts with its index, which has an entry for each frame: reading frame by frame would take
    time proportional to the square of the number of frames. Chunks of several slices (`deep`) are read whole, so that
    none but the first ones is decoded twice.
    """
    shape = dict(zip(volume.axes, volume.shape, strict=True))
    size = math.prod(size for axis, size in shape.items() if axis in "cyx") * np.dtype(volume.dtype).itemsize
    full = max(1, BLOCK // max(size, 1) // deep) * deep if deep > 1 else max(1, BLOCK // max(size, 1))
    most = min(FIRST_FRAMES, full)
    run: list[FrameRow] = []
    for frame in volume.frames:
        follows = bool(run) and _follows(run[-1], frame)
        if run and (not follows or len(run) == most or (deep > 1 and (frame.z or 0) % full == 0)):
            yield run
            run, most = [], full
        run.append(frame)
    if run:
        yield run


def _follows(before: FrameRow, frame: FrameRow) -> bool:
    """Return whether a frame is the next one on the fastest frame axis."""
    if frame.z is not None:
        return (frame.t, frame.z) == (before.t, (before.z or 0) + 1)
    return frame.t is not None and before.t is not None and frame.t == before.t + 1


def _read(array: StoredArray, axes: str, run: list[FrameRow]) -> NDArray[Any]:
    """Return the frames of a run, shape (frames, rows, columns) or (frames, rows, columns, samples)."""
    t, z = run[0].t, run[0].z
    selection: dict[str, int | slice] = {axis: index for axis, index in (("t", t), ("z", z)) if index is not None}
    fastest, first = ("z", z) if z is not None else ("t", t)
    if first is not None:
        selection[fastest] = slice(first, first + len(run))
    block = array[tuple(selection.get(axis, slice(None)) for axis in axes)]
    remaining = [axis for axis in axes if axis in "cyx" or axis == fastest]
    planes = np.moveaxis(block, remaining.index(fastest), 0) if fastest in remaining else block[np.newaxis]
    return np.moveaxis(planes, 1, -1) if "c" in axes else planes


def _range(pixels: NDArray[Any]) -> tuple[float, float]:
    """Return the smallest and largest value without NaN; NaN if there is no other value."""
    if pixels.dtype.kind == "f":
        finite = pixels[~np.isnan(pixels)]
        return (float(finite.min()), float(finite.max())) if finite.size else (math.nan, math.nan)
    return (int(pixels.min()), int(pixels.max())) if pixels.size else (math.nan, math.nan)


def _unpadded_range(
    pixels: NDArray[Any], found: tuple[float, float], value: int, limit: int | None
) -> tuple[float, float]:
    """Return `_range` of the pixels that are not padding; padding is one value, or a range of values up to `limit`.

    Parameters
    ----------
    pixels : ndarray
    found : tuple of float
        `_range` of all pixels.
    value : int
    limit : int, optional
    """
    low, high = sorted((value, value if limit is None else limit))
    least, largest = found
    if largest < low or least > high:
        return found
    if low <= least <= high < largest:  # as is usual: below all others. Taking values out takes far longer
        return pixels.min(where=pixels > high, initial=largest).item(), largest
    return _range(np.asarray(pixels[(pixels < low) | (pixels > high)]))


def _extremes(ranges: list[tuple[float, float]]) -> tuple[float, float]:
    """Return the smallest and largest value of several ranges; NaN if all are NaN."""
    valid = [values for values in ranges if not math.isnan(values[0])]
    return min((low for low, _ in valid), default=math.nan), max((high for _, high in valid), default=math.nan)


@dataclass(slots=True)
class _RunResult:
    """Result of reading a run of frames: whether each has its digest, and the range with and without padding."""

    exact: bool
    range: tuple[float, float]
    unpadded: tuple[float, float] = (math.nan, math.nan)


def _compare(array: StoredArray, volume: VolumeRecord, run: list[FrameRow], watch: Watcher | None) -> _RunResult:
    """Read a run of frames and compare their digests with the record."""
    frames = _read(array, volume.axes, run)
    if watch:
        slices = volume.shape[volume.axes.index("z")] if "z" in volume.axes else 1
        watch((run[0].t or 0) * slices + (run[0].z or 0), frames)
    digests = [blake3(np.ascontiguousarray(frame).data.cast("B")).hexdigest() for frame in frames]
    result = _RunResult(digests == [frame.digest for frame in run], _range(frames))
    if volume.padding_value is not None:
        padding = volume.padding_value, volume.padding_range_limit
        result.unpadded = _unpadded_range(frames, result.range, *padding)
    return result


def read_back(images: Path, volume: VolumeRecord, pool: ThreadPool = SERIAL, watch: Watcher | None = None) -> ReadBack:
    """Read an array back and compare every frame with its digest in the record, and each level with the one before.

    The first frames are read by zarr-python alone, which most users use. The others are read through zarrs, a second
    implementation that shares neither code nor codec library with the writer.

    Parameters
    ----------
    images : Path
        The Zarr group of all images.
    volume : VolumeRecord
        The record of the volume.
    pool : ThreadPool
        Its threads read and compare.
    watch : callable, optional
        Sees every frame, some of them twice if a read is repeated; not called if shape or type differ from the record.

    Returns
    -------
    ReadBack

    Raises
    ------
    OSError
        If the disk fails to read a file that exists: no verdict on the array is possible, and the next run reads it.
    """
    kind = ""
    for _ in range(
        2
    ):  # zarrs gives the same error for a failing disk and a damaged chunk; zarr-python, first, does not
        try:
            return _read_back(images / volume.array, volume, pool, watch)
        except Exception as error:  # its text may quote a path
            if isinstance(error, OSError) and files.is_disk_error(error):
                log.error(
                    "array %s: the disk cannot read it; if this persists, run ./run verify --repair", volume.array
                )
                raise
            shortage.refuse(error)
            kind = type(error).__name__
    log.error("array %s cannot be read back: %s", volume.array, kind)
    return ReadBack(False, math.nan, math.nan, math.nan, math.nan)


def _read_back(image: Path, volume: VolumeRecord, pool: ThreadPool, watch: Watcher | None) -> ReadBack:
    """Read an array and its coarser levels and compare; raises the error of zarr if one cannot be read."""
    array = open_array(image / "0")
    runs = _blocks(volume, dict(zip(volume.axes, array.chunk, strict=False)).get("z", 1))
    exact = tuple(array.shape) == volume.shape and array.dtype == np.dtype(volume.dtype)
    watch = watch if exact else None
    results = [_compare(array, volume, run, watch) for run in itertools.islice(runs, 1)]
    second = next(runs, None)
    if second:
        through_zarrs = array.through_zarrs()
        rest = itertools.chain([second], runs)
        results += pool.map(lambda run: _compare(through_zarrs, volume, run, watch), rest, BLOCK)
    exact &= all(result.exact for result in results)
    exact = exact and levels_are_exact(image, volume.axes, count_levels(volume.files), pool)
    extremes = _extremes([result.range for result in results])
    has_padding = volume.padding_value is not None
    unpadded = _extremes([result.unpadded for result in results]) if has_padding else extremes
    return ReadBack(exact, *extremes, *unpadded)
