"""Reading in the calling thread gives the same values and errors as zarr-python's synchronous API."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import zarr
from numpy.typing import NDArray
from waiting import HANG

from dicomzarr.arrays import shard_writer
from dicomzarr.arrays.zarr_reader import StoredArray, open_array

SHAPE = (12, 40, 50)
PARTS = [(slice(n, n + 3), slice(None), slice(5, 45)) for n in range(10)] + [(4, slice(None), slice(None))]


@pytest.fixture
def values() -> NDArray[np.int16]:
    return np.random.default_rng(0).integers(-999, 999, SHAPE, "<i2")


@pytest.fixture
def folder(tmp_path: Path, values: NDArray[np.int16]) -> Path:
    grid = shard_writer.chunk_grid(("z", "y", "x"), SHAPE, "<i2", "slice")
    shard_writer.write_array(tmp_path / "0", grid, "<i2", "balanced", iter(values))
    return tmp_path / "0"


@pytest.mark.parametrize("through_zarrs", [False, True])
def test_parts_are_those_of_zarr_itself_for_any_number_of_threads(
    folder: Path, values: NDArray[np.int16], through_zarrs: bool
) -> None:
    array = open_array(folder)
    assert array.shape == SHAPE and array.dtype == values.dtype
    array = array.through_zarrs() if through_zarrs else array
    whole = zarr.open_array(str(folder), mode="r")
    with ThreadPoolExecutor(4) as threads:
        for part, cells in zip(PARTS * 4, threads.map(array.__getitem__, PARTS * 4), strict=True):
            assert np.array_equal(cells, values[part]) and np.array_equal(cells, whole[part])


@pytest.mark.parametrize("through_zarrs", [False, True])
def test_a_damaged_chunk_is_refused_and_the_next_call_works(
    folder: Path, values: NDArray[np.int16], through_zarrs: bool
) -> None:
    shard = folder / "c/0/0/0"
    data = bytearray(shard.read_bytes())
    data[20] ^= 1  # in the first chunk
    shard.write_bytes(data)
    array = open_array(folder)
    array = array.through_zarrs() if through_zarrs else array
    with pytest.raises(Exception, match=r"(?i)checksum|blosc"):
        array[0, slice(None), slice(None)]
    assert np.array_equal(array[slice(1, 12), slice(None), slice(None)], values[1:])


def test_a_missing_array_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        open_array(tmp_path / "nothing")


def test_arrays_with_one_metadata_are_each_read_from_their_own_files(
    tmp_path: Path, folder: Path, values: NDArray[np.int16]
) -> None:
    grid = shard_writer.chunk_grid(("z", "y", "x"), SHAPE, "<i2", "slice")
    shard_writer.write_array(tmp_path / "other", grid, "<i2", "balanced", iter(-values))
    assert (tmp_path / "other" / "zarr.json").read_bytes() == (folder / "zarr.json").read_bytes()
    first, second = open_array(folder), open_array(tmp_path / "other")
    assert np.array_equal(first[PARTS[0]], values[PARTS[0]]) and np.array_equal(second[PARTS[0]], -values[PARTS[0]])


def test_metadata_that_changes_is_read_again(folder: Path) -> None:
    metadata = (folder / "zarr.json").read_bytes()
    assert open_array(folder).dtype == np.dtype("int16")
    (folder / "zarr.json").write_bytes(metadata.replace(b'"int16"', b'"uint16"'))
    assert open_array(folder).dtype == np.dtype("uint16")
    for damaged in (b"", metadata[:-9], metadata.replace(b'"array"', b'"group"'), metadata.replace(b"blosc", b"blosq")):
        (folder / "zarr.json").write_bytes(damaged)
        with pytest.raises((ValueError, KeyError, TypeError)):
            open_array(folder)


def test_threads_may_begin_to_read_an_array_at_once(folder: Path, values: NDArray[np.int16]) -> None:
    with ThreadPoolExecutor(8) as threads:
        for _ in range(60):
            array, begin = open_array(folder), threading.Barrier(8)

            def first(number: int, array: StoredArray = array, begin: threading.Barrier = begin) -> NDArray[np.int16]:
                begin.wait(HANG)
                return array[number, slice(None), slice(None)]

            assert all(np.array_equal(cells, values[z]) for z, cells in enumerate(threads.map(first, range(8))))
