"""Planes of the arrays that this project writes, read without zarr-python, whose import takes longer than a page does.

For looking alone: whether an array is what its source was is for `check`, which reads as everybody else will.
"""

from __future__ import annotations

import itertools
import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
from numpy.typing import NDArray


class Unreadable(Exception):
    """A file is not as its metadata says, or not of the one form that this project writes."""


def _unpacked(stored: bytes, compressed: bool) -> bytes:
    """Return a chunk's values; its last four bytes are the crc32c of the others (ZEP 2)."""
    body, crc = stored[:-4], stored[-4:]
    if int(google_crc32c.value(body)).to_bytes(4, "little") != crc:
        raise Unreadable
    if not compressed:
        return body
    from numcodecs import blosc

    return bytes(blosc.decompress(body))


def _metadata(folder: Path) -> tuple[dict[str, Any], np.dtype[Any], Path]:
    """Return the `zarr.json` of an array, its little-endian dtype, and its only shard or chunk."""
    metadata: dict[str, Any] = json.loads((folder / "zarr.json").read_bytes())
    dtype = np.dtype(metadata["data_type"]).newbyteorder("<")
    return metadata, dtype, folder / "/".join(["c"] + ["0"] * len(metadata["shape"]))


def read_plane(folder: Path, at: Mapping[str, int]) -> NDArray[Any]:
    """Return one plane of a sharded array.

    Parameters
    ----------
    folder : Path
        Of the array, with its `zarr.json` and its one shard.
    at : mapping of str to int
        Where along `t` and `z`, for those of the two that the array has.

    Returns
    -------
    ndarray, shape (y, x) or (c, y, x)

    Raises
    ------
    Unreadable, OSError
        If the array is damaged.
    """
    metadata, dtype, path = _metadata(folder)
    sharding = metadata["codecs"][0]
    if sharding["name"] != "sharding_indexed":
        raise Unreadable
    inner, shape = sharding["configuration"]["chunk_shape"], metadata["shape"]
    compressed = any(codec["name"] == "blosc" for codec in sharding["configuration"]["codecs"])
    counts = [math.ceil(n / c) for n, c in zip(shape, inner, strict=True)]
    wanted = [at.get(axis) for axis in metadata["dimension_names"]]
    plane = np.zeros([n for n, place in zip(shape, wanted, strict=True) if place is None], dtype)
    with open(path, "rb") as stream:
        stream.seek(-(16 * math.prod(counts) + 4), os.SEEK_END)
        index = np.frombuffer(_unpacked(stream.read(), compressed=False), "<u8").reshape(*counts, 2)
        tiles = [range(n) if w is None else [w // c] for n, c, w in zip(counts, inner, wanted, strict=True)]
        for tile in itertools.product(*tiles):
            offset, length = (int(value) for value in index[tile])
            stream.seek(offset)
            values = np.frombuffer(_unpacked(stream.read(length), compressed), dtype).reshape(inner)
            values = values[tuple(slice(None) if w is None else w % c for c, w in zip(inner, wanted, strict=True))]
            place = [(i * c, n) for i, c, n, w in zip(tile, inner, shape, wanted, strict=True) if w is None]
            part = plane[
                tuple(slice(begin, begin + edge) for (begin, _), edge in zip(place, values.shape, strict=True))
            ]
            part[...] = values[tuple(slice(0, n) for n in part.shape)]  # chunks at the edge are padded
    return plane


def read_small_array(folder: Path) -> NDArray[Any]:
    """Return an array of one chunk without compression; raises as `read_plane`."""
    metadata, dtype, path = _metadata(folder)
    return np.frombuffer(_unpacked(path.read_bytes(), compressed=False), dtype).reshape(metadata["shape"])
