"""A writer of Zarr v3 arrays that makes one shard of a volume, frame by frame.

Zarr v3 `sharding_indexed` (ZEP 2): the compressed inner chunks one after the other, then an index of (offset, length)
pairs in C order of the chunk grid, then its crc32c. Every inner chunk ends with a crc32c of its own, and every chunk is
written, zeros too, so that what is missing can be seen. One chunk row is in memory at a time.
"""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dicomzarr import storage

LARGE_FRAME = 64 << 20  # bytes; frames above are cut into tiles
TILE = 1024  # rows and columns of such a tile
BRICK = {"z": 16, "y": 128, "x": 128}  # voxels
# Blosc: compressor, level, bytes compressed at once (0: Blosc's choice). Bit shuffle throughout. zstd gains from blocks
# larger than Blosc would take, in ratio and in speed both ways: docs/decisions/0030.
BLOCK = 512 << 10
PRESETS: Mapping[str, tuple[str, int, int] | None] = {
    "balanced": ("zstd", 1, BLOCK),
    "fast": ("lz4", 5, 0),
    "small": ("zstd", 9, BLOCK),
    "none": None,
}
Digests = dict[str, tuple[int, str]]  # path below the volume -> (size in bytes, SHA-256)


@dataclass(frozen=True, slots=True)
class ChunkGrid:
    """How an array is cut: every tuple runs along the axes of the array.

    Attributes
    ----------
    shape : tuple of int
        Of the array.
    chunk : tuple of int
        Of an inner chunk, the unit of reading.
    """

    axes: tuple[str, ...]
    shape: tuple[int, ...]
    chunk: tuple[int, ...]

    @property
    def counts(self) -> tuple[int, ...]:
        """Number of inner chunks along each axis."""
        return tuple(math.ceil(n / c) for n, c in zip(self.shape, self.chunk, strict=True))

    @property
    def shard(self) -> tuple[int, ...]:
        """Shape of the one shard: the array's, rounded up to whole inner chunks."""
        return tuple(n * c for n, c in zip(self.counts, self.chunk, strict=True))


def chunk_grid(axes: Sequence[str], shape: Sequence[int], dtype: str, layout: str) -> ChunkGrid:
    """Return how an array is cut by `layout`: `slice` (one frame a chunk) or `brick` (16 x 128 x 128 voxels)."""
    size = dict(zip(axes, shape, strict=True))
    chunk = dict.fromkeys(axes, 1) | {"c": size.get("c", 1), "y": size["y"], "x": size["x"]}
    if layout == "brick" and "z" in size:
        chunk |= {axis: min(edge, size[axis]) for axis, edge in BRICK.items()}
    elif size["y"] * size["x"] * size.get("c", 1) * np.dtype(dtype).itemsize > LARGE_FRAME:
        chunk |= {"y": min(TILE, size["y"]), "x": min(TILE, size["x"])}
    return ChunkGrid(tuple(axes), tuple(shape), tuple(chunk[axis] for axis in axes))


def array_metadata(grid: ChunkGrid, dtype: str, compression: str) -> dict[str, Any]:
    """Return the `zarr.json` of a sharded array (Zarr v3 core specification, ZEP 2)."""
    kind = np.dtype(dtype)
    endian = {"configuration": {"endian": "little"}} if kind.itemsize > 1 else {}
    inner: list[dict[str, Any]] = [{"name": "bytes", **endian}]
    preset = PRESETS[compression]
    if preset:
        blosc = {
            "typesize": kind.itemsize,
            "cname": preset[0],
            "clevel": preset[1],
            "shuffle": "bitshuffle",
            "blocksize": preset[2],
        }
        inner.append({"name": "blosc", "configuration": blosc})
    inner.append({"name": "crc32c"})
    sharding = {
        "chunk_shape": list(grid.chunk),
        "codecs": inner,
        "index_codecs": [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}],
        "index_location": "end",
    }
    return {
        "zarr_format": 3,
        "node_type": "array",
        "shape": list(grid.shape),
        "data_type": kind.name,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(grid.shard)}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": 0.0 if kind.kind == "f" else 0,
        "codecs": [{"name": "sharding_indexed", "configuration": sharding}],
        "attributes": {},
        "dimension_names": list(grid.axes),
        "storage_transformers": [],
    }


def _compressor(dtype: str, compression: str) -> Callable[[NDArray[Any]], bytes]:
    preset = PRESETS[compression]
    if preset is None:
        return lambda chunk: chunk.tobytes()
    from numcodecs import blosc

    blosc.use_threads = False
    codec = blosc.Blosc(cname=preset[0], clevel=preset[1], shuffle=blosc.BITSHUFFLE, blocksize=preset[2])

    def compress(chunk: NDArray[Any]) -> bytes:
        return bytes(codec.encode(chunk))

    return compress


class ShardWriter:
    """Writes the one shard of an array from frames given in array order (`t` slowest, then `z`).

    Parameters
    ----------
    folder : Path
        The array's folder, made here.
    grid : ChunkGrid
    dtype : str
        Little-endian, such as ``<i2``.
    compression : str
        A key of `PRESETS`.
    """

    def __init__(self, folder: Path, grid: ChunkGrid, dtype: str, compression: str) -> None:
        import google_crc32c

        self._crc: Callable[[bytes], int] = google_crc32c.value
        self._grid = grid
        self._dtype = np.dtype(dtype)
        self._compress = _compressor(dtype, compression)
        self._folder = folder
        self._name = "/".join(["c"] + ["0"] * len(grid.axes))
        path = folder / self._name
        path.parent.mkdir(parents=True)
        self._metadata = storage.canonical_json(array_metadata(grid, dtype, compression))
        (folder / "zarr.json").write_bytes(self._metadata)
        self._stream = open(path, "xb", buffering=0)  # noqa: SIM115 (it lives as long as the writer)
        self._digest = hashlib.sha256()
        self._index = np.full((math.prod(grid.counts), 2), 2**64 - 1, dtype="<u8")
        self._offset = 0
        self._at = {axis: i for i, axis in enumerate(grid.axes)}
        depth = grid.chunk[self._at["z"]] if "z" in self._at else 1
        frame = tuple(n for axis, n in zip(grid.axes, grid.shard, strict=True) if axis in "cyx")
        self._depth = depth
        self._slab = np.zeros((depth, *frame), self._dtype) if depth > 1 or frame != self._frame_shape() else None
        self._count = 0

    def _frame_shape(self) -> tuple[int, ...]:
        return tuple(n for axis, n in zip(self._grid.axes, self._grid.shape, strict=True) if axis in "cyx")

    def put(self, frame: NDArray[Any]) -> None:
        """Add the next frame.

        Parameters
        ----------
        frame : ndarray, shape (rows, columns) or (rows, columns, 3)
            Of the array's dtype.
        """
        planes = np.moveaxis(frame, -1, 0) if frame.ndim == 3 else frame
        if planes.shape != self._frame_shape() or planes.dtype != self._dtype:
            raise ValueError("frame of another shape or dtype than its array")
        z_size = self._grid.shape[self._at["z"]] if "z" in self._at else 1
        t, z = divmod(self._count, z_size)
        self._count += 1
        if self._slab is None:
            self._emit(np.ascontiguousarray(planes)[np.newaxis], t, z)
            return
        within = z % self._depth
        if within == 0:
            self._slab[...] = 0
        within_slab: tuple[int | slice, ...] = (within, *(slice(0, n) for n in planes.shape))
        self._slab[within_slab] = planes
        if within == self._depth - 1 or z == z_size - 1:
            self._emit(self._slab, t, z // self._depth)

    def _emit(self, slab: NDArray[Any], t: int, z: int) -> None:
        """Write the chunks of a slab, shape (depth, [c,] y, x), which lies at chunk `t`, `z` of the grid."""
        counts, chunk = self._grid.counts, self._grid.chunk
        ranges = [range(counts[self._at[axis]]) for axis in "yx"]
        edges = [chunk[self._at[axis]] for axis in "yx"]
        for y, x in itertools.product(*ranges):
            tile = slab[..., y * edges[0] : (y + 1) * edges[0], x * edges[1] : (x + 1) * edges[1]]
            if "c" in self._at:
                tile = np.moveaxis(tile, 0, 1)  # (depth, c, y, x) to the order of the axes
            place = {"t": t, "c": 0, "z": z, "y": y, "x": x}
            linear = int(np.ravel_multi_index([place[axis] for axis in self._grid.axes], counts))
            self._write_chunk(np.ascontiguousarray(tile), linear)

    def _write_chunk(self, chunk: NDArray[Any], linear: int) -> None:
        packed = self._compress(chunk)
        packed += self._crc(packed).to_bytes(4, "little")
        self._write(packed)
        self._index[linear] = (self._offset - len(packed), len(packed))

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[self._stream.write(view) :]
        self._digest.update(data)
        self._offset += len(data)

    def close(self) -> Digests:
        """Write the index and return the digests of the array's files."""
        if self._count * math.prod(self._frame_shape()) != math.prod(self._grid.shape):
            raise ValueError("an array was closed before all its frames were put")
        index = self._index.tobytes()
        self._write(index + self._crc(index).to_bytes(4, "little"))
        self._stream.close()
        return {
            "zarr.json": (len(self._metadata), storage.sha256_of_bytes(self._metadata)),
            self._name: (self._offset, self._digest.hexdigest()),
        }

    def abandon(self) -> None:
        """Close without finishing; what was written is for the caller to remove."""
        self._stream.close()


def write_small_array(folder: Path, values: NDArray[Any], names: Sequence[str]) -> Digests:
    """Write a small array as one chunk without compression, with a crc32c, and return the digests of its files.

    Parameters
    ----------
    folder : Path
        The array's folder, made here.
    values : ndarray
        Any shape but empty; stored little-endian.
    names : sequence of str
        Dimension names.
    """
    import google_crc32c

    values = np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("<"))
    metadata = {
        "zarr_format": 3,
        "node_type": "array",
        "shape": list(values.shape),
        "data_type": values.dtype.name,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(values.shape)}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": 0.0 if values.dtype.kind == "f" else 0,
        "codecs": [
            {"name": "bytes", **({"configuration": {"endian": "little"}} if values.dtype.itemsize > 1 else {})},
            {"name": "crc32c"},
        ],
        "attributes": {},
        "dimension_names": list(names),
        "storage_transformers": [],
    }
    raw = values.tobytes()
    files = {
        "zarr.json": storage.canonical_json(metadata),
        "/".join(["c"] + ["0"] * values.ndim): raw + google_crc32c.value(raw).to_bytes(4, "little"),
    }
    return {name: write_file(folder / name, data) for name, data in files.items()}


def write_file(path: Path, data: bytes) -> tuple[int, str]:
    """Write a new file below a temporary store and return its size and SHA-256; publication makes it durable."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return len(data), storage.sha256_of_bytes(data)
