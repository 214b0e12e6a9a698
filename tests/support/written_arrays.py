"""Write arrays of chosen values with the project's own writer."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np

from dicomzarr.arrays import shard_writer
from dicomzarr.system.thread_pool import ThreadPool


def write(
    folder: Path,
    axes: str,
    values: np.ndarray[Any, Any],
    compression: str = "balanced",
    layout: str = "slice",
    threads: int = 1,
) -> shard_writer.Digests:
    """Write `values`, whose dimensions are `axes`, as an array.

    Parameters
    ----------
    folder : Path
        The Zarr array to write.
    axes : str
        One letter for each dimension, of `tczyx`.
    values : ndarray
    compression, layout : str
        The configuration keys of these names.
    threads : int
        Number of threads that compress.
    """
    grid = shard_writer.chunk_grid(axes, values.shape, values.dtype.str, layout)
    size = dict(zip(axes, values.shape, strict=True))
    places = itertools.product(range(size.get("t", 1)), range(size.get("z", 1)))
    slices = (values[tuple({"t": t, "z": z}.get(axis, slice(None)) for axis in axes)] for t, z in places)
    frames = (np.moveaxis(frame, 0, -1) if "c" in axes else frame for frame in slices)
    return shard_writer.write_array(folder, grid, values.dtype.str, compression, frames, ThreadPool(threads))


def noise(shape: tuple[int, ...], dtype: str) -> np.ndarray[Any, Any]:
    """Return random values, seeded by the number of dimensions; signed types get negative values too."""
    generator = np.random.default_rng(len(shape))
    return (generator.random(shape) * 200 - (100 if np.dtype(dtype).kind == "i" else 0)).astype(dtype)


# Bits of the third byte of a Blosc chunk: how it is shuffled, and from 0x20 on whose format the compressed bytes have.
_SHUFFLES = {0x0: "noshuffle", 0x1: "shuffle", 0x4: "bitshuffle"}
_FORMATS = {"lz4": 1, "lz4hc": 1, "zstd": 4}


def blosc_of_metadata(folder: Path) -> tuple[int, str, int]:
    """Return format, shuffle and bytes of a value, as the `zarr.json` of an array says."""
    metadata = json.loads((folder / "zarr.json").read_bytes())
    blosc = metadata["codecs"][0]["configuration"]["codecs"][1]["configuration"]
    return _FORMATS[blosc["cname"]], blosc["shuffle"], blosc["typesize"]


def blosc_of_first_chunk(folder: Path) -> tuple[int, str, int]:
    """Return format, shuffle and bytes of a value, as the header of the first chunk of an array says."""
    (shard,) = (path for path in (folder / "c").rglob("*") if path.is_file())
    _, _, flags, typesize = shard.read_bytes()[:4]
    return flags >> 5, _SHUFFLES[flags & 0x5], typesize
