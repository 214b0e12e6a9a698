"""The shard writer against zarr-python, an independent implementation: every layout, preset and shape is exact."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from written_arrays import blosc_of_first_chunk, blosc_of_metadata, noise, write

from dicomzarr.arrays import shard_writer
from dicomzarr.system import flush, thread_pool

SHAPES = [
    ("yx", (30, 41), "|u1"),
    ("cyx", (3, 31, 30), "|u1"),
    ("zyx", (40, 70, 80), "<i2"),
    ("tzyx", (3, 33, 65, 7), "<f4"),
    ("tcyx", (2, 3, 20, 30), "<u2"),
    ("tczyx", (2, 3, 34, 67, 44), "<u2"),
    ("tyx", (5, 8, 8), "<u8"),
]


@pytest.mark.parametrize("layout", ["slice", "brick"])
@pytest.mark.parametrize("compression", list(shard_writer.PRESETS))
@pytest.mark.parametrize(("axes", "shape", "dtype"), SHAPES)
def test_zarr_reads_back_the_values_written(
    tmp_path: Path, axes: str, shape: tuple[int, ...], dtype: str, compression: str, layout: str
) -> None:
    values = noise(shape, dtype)
    digests = write(tmp_path / "0", axes, values, compression, layout)
    array: Any = zarr.open_array(str(tmp_path / "0"), mode="r")
    assert array.dtype == np.dtype(dtype) and array.metadata.dimension_names == tuple(axes)
    np.testing.assert_array_equal(array[...], values)
    for name, (size, digest) in digests.items():
        data = (tmp_path / "0" / name).read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (size, digest)


@pytest.mark.parametrize("layout", ["slice", "brick"])
@pytest.mark.parametrize("compression", ["balanced", "fast", "small"])
@pytest.mark.parametrize("dtype", ["|u1", "<i2", "<f4"])
def test_chunks_are_compressed_as_the_metadata_says(tmp_path: Path, dtype: str, compression: str, layout: str) -> None:
    """zarr-python reads the header of the chunk alone; other readers may go by the metadata."""
    write(tmp_path / "0", "zyx", np.arange(20 * 64 * 64).reshape(20, 64, 64).astype(dtype), compression, layout)
    assert blosc_of_first_chunk(tmp_path / "0") == blosc_of_metadata(tmp_path / "0")


def test_large_frames_are_cut_into_tiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shard_writer, "LARGE_FRAME", 1 << 20)
    values = noise((2, 1100, 1500), "<u2")
    grid = shard_writer.chunk_grid("tyx", values.shape, "<u2", "slice")
    assert grid.chunk == (1, 1024, 1024) and grid.shard == (2, 2048, 2048)
    write(tmp_path / "0", "tyx", values, "balanced", "slice")
    array: Any = zarr.open_array(str(tmp_path / "0"), mode="r")
    np.testing.assert_array_equal(array[...], values)


def test_a_large_shard_goes_to_the_disk_while_it_is_compressed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[int] = []
    monkeypatch.setattr(shard_writer, "BEGIN_EVERY", 1 << 16)
    monkeypatch.setattr(flush, "begin_to_write_out", lambda handle: begun.append(os.fstat(handle).st_size))
    written = write(tmp_path / "0", "zyx", noise((20, 256, 256), "<u2"), "none", "slice")
    (size,) = (size for name, (size, _) in written.items() if name.startswith("c/"))
    assert begun == [*(((1 << 17) + 4) * number for number in range(1, 21)), size]  # each chunk with its checksum


def test_equal_frames_give_equal_bytes(tmp_path: Path) -> None:
    values = noise((9, 64, 64), "<i2")
    first = write(tmp_path / "a", "zyx", values, "balanced", "slice")
    assert first == write(tmp_path / "b", "zyx", values, "balanced", "slice")


@pytest.mark.parametrize("layout", ["slice", "brick"])
@pytest.mark.parametrize(("axes", "shape", "dtype"), SHAPES)
def test_bytes_do_not_depend_on_threads(
    tmp_path: Path, axes: str, shape: tuple[int, ...], dtype: str, layout: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(thread_pool, "MIN_PARALLEL_BYTES", 0)
    values = noise(shape, dtype)
    serial = write(tmp_path / "a", axes, values, "balanced", layout)
    assert write(tmp_path / "b", axes, values, "balanced", layout, threads=5) == serial


def test_chunks_of_zeros_are_written(tmp_path: Path) -> None:
    write(tmp_path / "0", "zyx", np.zeros((4, 8, 8), "<i2"), "balanced", "slice")
    shard = (tmp_path / "0/c/0/0/0").read_bytes()
    index = np.frombuffer(shard[-(4 * 16 + 4) : -4], "<u8")
    assert index.size == 8 and not (index == 2**64 - 1).any()


@pytest.mark.parametrize("position", [0, 100, -30])
def test_a_flipped_bit_is_an_error(tmp_path: Path, position: int) -> None:
    write(tmp_path / "0", "zyx", noise((4, 32, 32), "<i2"), "balanced", "slice")
    path = tmp_path / "0/c/0/0/0"
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.write_bytes(data)
    array: Any = zarr.open_array(str(tmp_path / "0"), mode="r")
    with pytest.raises(Exception, match=r"(?i)checksum|crc"):
        array[...]


def test_a_frame_of_another_shape_or_number_is_refused(tmp_path: Path) -> None:
    grid = shard_writer.chunk_grid("zyx", (2, 4, 4), "<i2", "slice")
    with pytest.raises(ValueError, match="another shape"):
        shard_writer.write_array(tmp_path / "a", grid, "<i2", "balanced", [np.zeros((4, 5), "<i2")])
    with pytest.raises(ValueError, match="fewer frames"):
        shard_writer.write_array(tmp_path / "b", grid, "<i2", "balanced", [np.zeros((4, 4), "<i2")])


def test_a_small_array_is_read_back_by_zarr(tmp_path: Path) -> None:
    values = np.arange(600, dtype=np.float64).reshape(300, 2)
    shard_writer.write_small_array(tmp_path / "positions", values, ("index", "component"))
    np.testing.assert_array_equal(zarr.open_array(str(tmp_path / "positions"), mode="r")[...], values)


def test_other_readers_agree(tmp_path: Path) -> None:
    tensorstore = pytest.importorskip("tensorstore")
    values = noise((5, 33, 44), "<i2")
    write(tmp_path / "0", "zyx", values, "balanced", "brick")
    store = tensorstore.open({"driver": "zarr3", "kvstore": {"driver": "file", "path": str(tmp_path / "0")}}).result()
    np.testing.assert_array_equal(store.read().result(), values)
