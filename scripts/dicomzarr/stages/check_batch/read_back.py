"""Read every voxel back through zarr-python and zarrs; shares no code with the writer."""

from __future__ import annotations

import itertools
import logging
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

from dicomzarr.arrays.zarr_reader import StoredArray, open_array
from dicomzarr.records.series_record import FrameRow, VolumeRecord
from dicomzarr.system import files
from dicomzarr.system.thread_pool import SERIAL, ThreadPool

log = logging.getLogger("dicomzarr")


@dataclass(slots=True)
class ReadBack:
    """What reading an array back found.

    Attributes
    ----------
    exact : bool
        Every frame has the digest it had when it was decoded.
    low, high : float
        Smallest and largest stored value, NaN left out; NaN where there is no other.
    unpadded_low, unpadded_high : float
        The same without pixel padding (PS3.3 C.7.5.1.1.2).
    """

    exact: bool
    low: float
    high: float
    unpadded_low: float
    unpadded_high: float


BLOCK = 4 << 20  # bytes read at once
OPENING = 2  # frames that zarr-python reads by itself, at half a millisecond each


def _blocks(volume: VolumeRecord) -> Iterator[list[FrameRow]]:
    """Yield the frames of a volume in runs that lie behind each other on its fastest frame axis, a short one first.

    Each read of a shard begins with its index, which has an entry a frame: to read frame by frame would cost the
    square of their number.
    """
    shape = dict(zip(volume.axes, volume.shape, strict=True))
    size = math.prod(size for axis, size in shape.items() if axis in "cyx") * np.dtype(volume.dtype).itemsize
    full = max(1, BLOCK // max(size, 1))
    most = min(OPENING, full)
    run: list[FrameRow] = []
    for frame in volume.frames:
        follows = bool(run) and _follows(run[-1], frame)
        if run and (not follows or len(run) == most):
            yield run
            run, most = [], full
        run.append(frame)
    if run:
        yield run


def _follows(before: FrameRow, frame: FrameRow) -> bool:
    if frame.z is not None:
        return (frame.t, frame.z) == (before.t, (before.z or 0) + 1)
    return frame.t is not None and before.t is not None and frame.t == before.t + 1


def _read(array: StoredArray, axes: str, run: list[FrameRow]) -> NDArray[Any]:
    """Return the frames of a run as they were decoded, each (rows, columns) or (rows, columns, samples)."""
    t, z = run[0].t, run[0].z
    place: dict[str, int | slice] = {axis: index for axis, index in (("t", t), ("z", z)) if index is not None}
    fastest, first = ("z", z) if z is not None else ("t", t)
    if first is not None:
        place[fastest] = slice(first, first + len(run))
    block = array[tuple(place[axis] if axis in place else slice(None) for axis in axes)]
    left = [axis for axis in axes if axis in "cyx" or axis == fastest]
    planes = np.moveaxis(block, left.index(fastest), 0) if fastest in left else block[np.newaxis]
    return np.moveaxis(planes, 1, -1) if "c" in axes else planes


def _range(pixels: NDArray[Any]) -> tuple[float, float]:
    if pixels.dtype.kind == "f":
        finite = pixels[~np.isnan(pixels)]
        return (float(finite.min()), float(finite.max())) if finite.size else (math.nan, math.nan)
    return (int(pixels.min()), int(pixels.max())) if pixels.size else (math.nan, math.nan)


def _without_padding(pixels: NDArray[Any], value: int, limit: int | None) -> NDArray[Any]:
    """Return the pixels that are no padding; the padding is one value, or the range up to its limit."""
    low, high = sorted((value, value if limit is None else limit))
    return np.asarray(pixels[(pixels < low) | (pixels > high)])


def _extremes(ranges: list[tuple[float, float]]) -> tuple[float, float]:
    seen = [found for found in ranges if not math.isnan(found[0])]
    return min((low for low, _ in seen), default=math.nan), max((high for _, high in seen), default=math.nan)


@dataclass(slots=True)
class _Seen:
    """What a run of frames holds: whether each has its digest, and the range with and without padding."""

    exact: bool
    range: tuple[float, float]
    unpadded: tuple[float, float] = (math.nan, math.nan)


def _compare(array: StoredArray, volume: VolumeRecord, run: list[FrameRow]) -> _Seen:
    frames = _read(array, volume.axes, run)
    digests = [blake3(np.ascontiguousarray(frame).data.cast("B")).hexdigest() for frame in frames]
    seen = _Seen(digests == [frame.digest for frame in run], _range(frames))
    if volume.padding_value is not None:
        seen.unpadded = _range(_without_padding(frames, volume.padding_value, volume.padding_range_limit))
    return seen


def read_back(images: Path, volume: VolumeRecord, pool: ThreadPool = SERIAL) -> ReadBack:
    """Open an array with zarr-python and compare every frame with the digest taken at decoding.

    The first frames are read by zarr-python alone, as most users will. The rest of a larger array goes through zarrs,
    a second implementation that shares neither code nor codec library with the writer.

    Parameters
    ----------
    images : Path
        The Zarr group of all images.
    volume : VolumeRecord
    pool : ThreadPool
        Reads and compares.

    Raises
    ------
    OSError
        If the disk does not give a file that is there: that says nothing of the array, and the next run reads it.
    """
    kind = ""
    for _ in range(2):  # zarrs does not tell an error of the disk from a damaged chunk; zarr-python, asked first, does
        try:
            return _read_back(images / volume.array / "0", volume, pool)
        except Exception as error:  # its text may quote a path
            if isinstance(error, OSError) and files.is_disk_error(error):
                log.error("array %s: the disk does not give it; if it stays so, ./run verify --repair", volume.array)
                raise
            kind = type(error).__name__
    log.error("array %s cannot be read back: %s", volume.array, kind)
    return ReadBack(False, math.nan, math.nan, math.nan, math.nan)


def _read_back(path: Path, volume: VolumeRecord, pool: ThreadPool) -> ReadBack:
    """Read an array and compare; raises whatever zarr does where it cannot read it."""
    runs, array = _blocks(volume), open_array(path)
    exact = tuple(array.shape) == volume.shape and array.dtype == np.dtype(volume.dtype)
    seen = [_compare(array, volume, run) for run in itertools.islice(runs, 1)]
    second = next(runs, None)
    if second:
        faster = array.through_zarrs()
        rest = itertools.chain([second], runs)
        seen += pool.map(lambda run: _compare(faster, volume, run), rest, BLOCK)
    exact &= all(one.exact for one in seen)
    whole = _extremes([one.range for one in seen])
    unpadded = _extremes([one.unpadded for one in seen]) if volume.padding_value is not None else whole
    return ReadBack(exact, *whole, *unpadded)
