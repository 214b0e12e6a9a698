"""Write Zarr v3 arrays of one shard, frame by frame.

Zarr v3 `sharding_indexed` (ZEP 2): the compressed inner chunks one after the other, then an index of (offset, length)
pairs in C order of the chunk grid, then its crc32c. Every inner chunk ends with a crc32c of its own. Every chunk is
written, also one of zeros, so that a missing chunk is detected. A few rows of chunks are in memory at a time.
"""

from __future__ import annotations

import hashlib
import itertools
import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dicomzarr.system import files, flush, json_files
from dicomzarr.system.thread_pool import SERIAL, ThreadPool

LARGE_FRAME = 64 << 20  # bytes; larger frames are cut into tiles
TILE = 1024  # rows and columns of such a tile
BRICK = {"z": 16, "y": 32, "x": 32}  # voxels: docs/decisions/0115
# Blosc: compressor, level, bytes compressed at once (0: Blosc's choice). Bit shuffle, but for OF_BINARY_BRICKS. zstd
# gains from blocks larger than Blosc would take, in ratio and in speed both ways: docs/decisions/0030.
BLOCK = 512 << 10
_BUFFER = 64 << 10  # bytes of chunks that are written at once; larger chunks are written without a copy
WORTH_BEGINNING = 1 << 20  # bytes; of larger shards, write-out to the disk begins before the final flush
BEGIN_EVERY = 8 << 20  # bytes of a shard that go to the disk while the next ones are compressed
PRESETS: Mapping[str, tuple[str, int, int] | None] = {
    "balanced": ("zstd", 1, BLOCK),
    "fast": ("lz4", 5, 0),
    "small": ("zstd", 9, BLOCK),
    "none": None,
}
# Of bricks, where they differ. Random patches decode two to three times the voxels they ask for, again in each epoch.
OF_BRICKS: Mapping[str, tuple[str, int, int]] = {"balanced": ("lz4", 9, BLOCK)}
# Of bricks of 0 and 1, where they differ from these. Without bit shuffle, which takes most of their decoding, and which
# LZ4HC needs no more than zstd does: docs/decisions/0120.
OF_BINARY_BRICKS: Mapping[str, tuple[str, int, int]] = {"balanced": ("lz4hc", 9, BLOCK)}
Digests = dict[str, tuple[int, str]]  # path below the volume -> (size in bytes, SHA-256)


@dataclass(frozen=True, slots=True)
class ChunkGrid:
    """Grid of inner chunks of an array; every tuple runs along the axes of the array.

    Attributes
    ----------
    axes : tuple of str
        Names of the axes.
    shape : tuple of int
        Shape of the array.
    chunk : tuple of int
        Shape of an inner chunk, the unit of reading.
    is_binary : bool
        Whether all values are 0 or 1, as those of most masks. Decides about the codec alone.
    """

    axes: tuple[str, ...]
    shape: tuple[int, ...]
    chunk: tuple[int, ...]
    is_binary: bool = False

    @property
    def counts(self) -> tuple[int, ...]:
        """Number of inner chunks along each axis."""
        return tuple(math.ceil(n / c) for n, c in zip(self.shape, self.chunk, strict=True))

    @property
    def shard(self) -> tuple[int, ...]:
        """Shape of the one shard: the array's, rounded up to whole inner chunks."""
        return tuple(n * c for n, c in zip(self.counts, self.chunk, strict=True))


def chunk_grid(
    axes: Sequence[str], shape: Sequence[int], dtype: str, layout: str, *, is_binary: bool = False
) -> ChunkGrid:
    """Return the chunk grid of an array.

    Parameters
    ----------
    axes : sequence of str
        Those that the array has of t, c, z, y, x, in this order.
    shape : sequence of int
        Along the axes.
    dtype : str
        NumPy dtype, such as ``<i2``.
    layout : str
        ``slice`` (one frame per chunk; larger frames are cut into tiles) or ``brick`` (16 x 32 x 32 voxels).
    is_binary : bool
        Whether all values are 0 or 1.

    Returns
    -------
    ChunkGrid
    """
    size = dict(zip(axes, shape, strict=True))
    chunk = dict.fromkeys(axes, 1) | {"c": size.get("c", 1), "y": size["y"], "x": size["x"]}
    if layout == "brick" and "z" in size:
        chunk |= {axis: min(edge, size[axis]) for axis, edge in BRICK.items()}
    elif size["y"] * size["x"] * size.get("c", 1) * np.dtype(dtype).itemsize > LARGE_FRAME:
        chunk |= {"y": min(TILE, size["y"]), "x": min(TILE, size["x"])}
    return ChunkGrid(tuple(axes), tuple(shape), tuple(chunk[axis] for axis in axes), is_binary)


def array_metadata(grid: ChunkGrid, dtype: str, compression: str) -> dict[str, Any]:
    """Return the `zarr.json` of a sharded array.

    Parameters
    ----------
    grid : ChunkGrid
    dtype : str
        NumPy dtype, such as ``<i2``.
    compression : str
        A key of `PRESETS`.

    Returns
    -------
    dict
        JSON values.

    References
    ----------
    Zarr v3 core specification; ZEP 2 (`sharding_indexed`).
    """
    kind = np.dtype(dtype)
    endian = {"configuration": {"endian": "little"}} if kind.itemsize > 1 else {}
    inner: list[dict[str, Any]] = [{"name": "bytes", **endian}]
    preset = _blosc_of(grid, compression)
    if preset:
        blosc = {
            "typesize": kind.itemsize,
            "cname": preset.compressor,
            "clevel": preset.level,
            "shuffle": "bitshuffle" if preset.shuffles_bits else "noshuffle",
            "blocksize": preset.block,
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


def _crc32c(data: bytes) -> bytes:
    import google_crc32c

    return int(google_crc32c.value(data)).to_bytes(4, "little")


class _Codec(NamedTuple):
    """How Blosc compresses the chunks of an array."""

    compressor: str
    level: int
    block: int
    shuffles_bits: bool


def _blosc_of(grid: ChunkGrid, compression: str) -> _Codec | None:
    """Return how the chunks of a grid are compressed; None for raw bytes."""
    preset, shuffles_bits = PRESETS[compression], True
    if any(axis == "z" and edge > 1 for axis, edge in zip(grid.axes, grid.chunk, strict=True)):
        preset = OF_BRICKS.get(compression, preset)
        if grid.is_binary and compression in OF_BINARY_BRICKS:
            preset, shuffles_bits = OF_BINARY_BRICKS[compression], False
    return _Codec(*preset, shuffles_bits) if preset else None


def _packer(grid: ChunkGrid, compression: str) -> Callable[[NDArray[Any]], tuple[bytes, bytes]]:
    """Return the function that turns a contiguous chunk into its stored bytes and their crc32c; it is thread-safe."""
    preset = _blosc_of(grid, compression)
    if preset is None:
        return lambda chunk: ((raw := chunk.tobytes()), _crc32c(raw))
    from numcodecs import blosc

    blosc.use_threads = False
    shuffle = blosc.BITSHUFFLE if preset.shuffles_bits else blosc.NOSHUFFLE
    codec = blosc.Blosc(cname=preset.compressor, clevel=preset.level, shuffle=shuffle, blocksize=preset.block)

    def pack(chunk: NDArray[Any]) -> tuple[bytes, bytes]:
        packed: bytes = codec.encode(chunk)
        return packed, _crc32c(packed)

    return pack


def write_array(
    folder: Path,
    grid: ChunkGrid,
    dtype: str,
    compression: str,
    frames: Iterable[NDArray[Any]],
    pool: ThreadPool = SERIAL,
) -> Digests:
    """Write an array as one shard.

    Parameters
    ----------
    folder : Path
        The array's folder, made here. If this raises, the caller removes it.
    grid : ChunkGrid
        Chunk grid of the array.
    dtype : str
        Little-endian, such as ``<i2``.
    compression : str
        A key of `PRESETS`.
    frames : iterable of ndarray, shape (rows, columns) or (rows, columns, 3)
        Of the array's dtype, in array order: `t` slowest, then `z`. A frame is taken once it is needed.
    pool : ThreadPool
        Compresses; the bytes do not depend on the number of threads.

    Returns
    -------
    dict
        Size in bytes and SHA-256 of each file, by its path below `folder`.

    Raises
    ------
    ValueError
        If a frame has another shape or dtype than the array, or there are fewer frames than the array needs.

    References
    ----------
    ZEP 2 (`sharding_indexed`).
    """
    path = folder / "/".join(["c"] + ["0"] * len(grid.axes))
    path.parent.mkdir(parents=True)
    metadata = json_files.canonical_json(array_metadata(grid, dtype, compression))
    (folder / "zarr.json").write_bytes(metadata)
    digest = hashlib.sha256()
    index = np.full((math.prod(grid.counts), 2), 2**64 - 1, dtype="<u8")
    offset = begun = 0
    pack = _packer(grid, compression)

    def packed(chunk: tuple[int, NDArray[Any]]) -> tuple[int, tuple[bytes, bytes]]:
        return chunk[0], pack(chunk[1])

    with open(path, "xb", buffering=_BUFFER) as stream:

        def append(data: bytes) -> None:
            stream.write(data)
            digest.update(data)

        def begin_to_write_out() -> int:
            stream.flush()
            flush.begin_to_write_out(stream.fileno())
            return offset

        size = math.prod(grid.chunk) * np.dtype(dtype).itemsize
        for linear, (data, checksum) in pool.map(packed, _chunks(grid, np.dtype(dtype), frames), size):
            append(data)
            append(checksum)
            stored = len(data) + len(checksum)
            index[linear] = (offset, stored)
            offset += stored
            if offset - begun >= BEGIN_EVERY:
                begun = begin_to_write_out()
        table = index.tobytes()
        table += _crc32c(table)
        append(table)
        if offset >= WORTH_BEGINNING:
            begin_to_write_out()
    return {
        "zarr.json": (len(metadata), files.sha256_of_bytes(metadata)),
        os.fspath(path.relative_to(folder)): (offset + len(table), digest.hexdigest()),
    }


def _chunks(
    grid: ChunkGrid, dtype: np.dtype[Any], frames: Iterable[NDArray[Any]]
) -> Iterator[tuple[int, NDArray[Any]]]:
    """Yield each inner chunk, contiguous and in the order of the axes, with its linear index in the grid."""
    at = {axis: i for i, axis in enumerate(grid.axes)}
    counts = grid.counts
    shape, padded = (
        tuple(n for axis, n in zip(grid.axes, sizes, strict=True) if axis in "cyx")
        for sizes in (grid.shape, grid.shard)
    )
    deep, slices = (sizes[at["z"]] if "z" in at else 1 for sizes in (grid.chunk, grid.shape))
    whole = deep == 1 and shape == padded  # a frame is a row of chunks as it is
    single = whole and not {"c"} & set(grid.axes) and math.prod(counts[-2:]) == 1
    slab = np.zeros(0, dtype)
    count = 0
    for count, frame in enumerate(frames, 1):
        planes = np.moveaxis(frame, -1, 0) if frame.ndim == 3 else frame
        if planes.shape != shape or planes.dtype != dtype:
            raise ValueError("frame of another shape or dtype than its array")
        t, z = divmod(count - 1, slices)
        within = z % deep
        if whole:
            slab = np.ascontiguousarray(planes)[np.newaxis]
        else:
            # A new array each time: chunks of the previous slab may still wait to be compressed.
            slab = np.zeros((deep, *padded), dtype) if within == 0 else slab
            slab[within][tuple(slice(0, n) for n in shape)] = planes
        if single:
            yield count - 1, slab  # one chunk, and `t` and `z` are its only other axes
        elif within == deep - 1 or z == slices - 1:
            yield from _tiles(grid, counts, slab, t, z // deep)
    if count * math.prod(shape) != math.prod(grid.shape):
        raise ValueError("fewer frames than the array has room for")


def _tiles(
    grid: ChunkGrid, counts: Sequence[int], slab: NDArray[Any], t: int, z: int
) -> Iterator[tuple[int, NDArray[Any]]]:
    """Yield the chunks of a slab of shape (depth, [c,] y, x), at chunk index `t`, `z` of the grid."""
    rows, columns = grid.chunk[-2:]
    for y, x in itertools.product(range(counts[-2]), range(counts[-1])):
        tile = slab[..., y * rows : (y + 1) * rows, x * columns : (x + 1) * columns]
        if "c" in grid.axes:
            tile = np.moveaxis(tile, 0, 1)  # (depth, c, y, x) to the order of the axes
        place = {"t": t, "c": 0, "z": z, "y": y, "x": x}
        linear = 0
        for axis, count in zip(grid.axes, counts, strict=True):
            linear = linear * count + place[axis]
        yield linear, np.ascontiguousarray(tile)


def write_small_array(folder: Path, values: NDArray[Any], names: Sequence[str]) -> Digests:
    """Write a small array as one chunk without compression, with a crc32c.

    Parameters
    ----------
    folder : Path
        The array's folder, made here.
    values : ndarray
        Of any shape, not empty; stored little-endian.
    names : sequence of str
        Dimension names.

    Returns
    -------
    dict
        Size in bytes and SHA-256 of each file, by its path below `folder`.
    """
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
    contents = {
        "zarr.json": json_files.canonical_json(metadata),
        "/".join(["c"] + ["0"] * values.ndim): raw + _crc32c(raw),
    }
    return {name: write_file(folder / name, data) for name, data in contents.items()}


def write_file(path: Path, data: bytes) -> tuple[int, str]:
    """Write a new file of a temporary store; it becomes durable when the store is committed.

    Parameters
    ----------
    path : Path
        Missing folders above it are made.
    data : bytes

    Returns
    -------
    tuple of int and str
        Size in bytes and SHA-256, hex.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return len(data), files.sha256_of_bytes(data)
