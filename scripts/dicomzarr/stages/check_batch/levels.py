"""Read the coarser levels of an image or a mask back and compare each with the level before."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from dicomzarr.arrays.zarr_reader import StoredArray, open_array
from dicomzarr.system.thread_pool import SERIAL, ThreadPool

BLOCK = 4 << 20  # bytes of the coarser level in one comparison


def count_levels(files: Iterable[str], below: str = "") -> int:
    """Return the number of coarser levels of an image or a mask.

    Parameters
    ----------
    files : iterable of str
        Paths of the files that its record claims.
    below : str
        What these begin with.
    """
    found = {path.removeprefix(below) for path in files if path.startswith(below)}
    return sum(path.removesuffix("/zarr.json").isdecimal() and not path.startswith("0/") for path in found)


def levels_are_exact(folder: Path, axes: str, count: int, pool: ThreadPool = SERIAL) -> bool:
    """Return whether each coarser level is what the metadata says: every second voxel of the level before.

    Parameters
    ----------
    folder : Path
        Of the image or the mask.
    axes : str
        Of its arrays.
    count : int
        Number of coarser levels.
    pool : ThreadPool
        Its threads read and compare.

    Returns
    -------
    bool
        Errors are those of zarr.
    """
    if not count:
        return True
    attributes = json.loads((folder / "zarr.json").read_bytes())["attributes"]
    datasets = attributes["ome"]["multiscales"][0]["datasets"]
    if [dataset["path"] for dataset in datasets] != [str(number) for number in range(count + 1)]:
        return False
    scales = [dataset["coordinateTransformations"][0]["scale"] for dataset in datasets]
    for number in range(1, count + 1):
        finer, coarser = (open_array(folder / str(level)) for level in (number - 1, number))
        steps = [new / old for old, new in zip(*scales[number - 1 : number + 1], strict=True)]
        if not all(step == 1 or (step == 2 and axis in "zyx") for axis, step in zip(axes, steps, strict=True)):
            return False
        if not _is_half(finer, coarser, axes, [int(step) for step in steps], pool):
            return False
    return True


def _is_half(finer: StoredArray, coarser: StoredArray, axes: str, steps: Sequence[int], pool: ThreadPool) -> bool:
    """Return whether an array is each second voxel of another along the axes whose step is 2."""
    shape = tuple(-(-size // step) for size, step in zip(finer.shape, steps, strict=True))
    if coarser.shape != shape or coarser.dtype != finer.dtype:
        return False
    regions = _regions(axes, shape, coarser.dtype.itemsize)
    # The first by zarr-python alone, the others through zarrs, as all arrays.
    if not _is_equal(finer, coarser, axes, steps, next(regions)):
        return False
    fast = finer.through_zarrs(), coarser.through_zarrs()
    return all(pool.map(lambda region: _is_equal(*fast, axes, steps, region), regions, BLOCK))


def _regions(axes: str, shape: Sequence[int], itemsize: int) -> Iterator[Mapping[str, slice]]:
    """Yield the parts of an array that are compared at once: whole frames, as parts of the axes t and z."""
    size = dict(zip(axes, shape, strict=True))
    fastest = next((axis for axis in "zt" if axis in size), "")
    frame = math.prod(size[axis] for axis in axes if axis in "cyx") * itemsize
    block = max(1, BLOCK // max(frame, 1))
    for t in range(size["t"]) if fastest == "z" and "t" in size else (0,):
        for start in range(0, size.get(fastest, 1), block):
            yield {"t": slice(t, t + 1), fastest: slice(start, min(start + block, size.get(fastest, 1)))}


def _is_equal(
    finer: StoredArray, coarser: StoredArray, axes: str, steps: Sequence[int], region: Mapping[str, slice]
) -> bool:
    """Return whether a region of an array has the voxels of another, bit by bit."""
    whole = [slice(0, size) for size in coarser.shape]
    part = [region.get(axis, all_of_it) for axis, all_of_it in zip(axes, whole, strict=True)]
    around = [slice(index.start * step, (index.stop - 1) * step + 1) for index, step in zip(part, steps, strict=True)]
    expected = finer[tuple(around)][tuple(slice(None, None, step) for step in steps)]
    return np.ascontiguousarray(expected).tobytes() == np.ascontiguousarray(coarser[tuple(part)]).tobytes()
