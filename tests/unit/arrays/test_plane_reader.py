"""Planes read without zarr-python are those that zarr-python reads; a damaged array is not shown."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from written_arrays import noise, write

from dicomzarr.arrays import shard_writer
from dicomzarr.arrays.plane_reader import Unreadable, read_plane, read_small_array


@pytest.mark.parametrize("layout", ["slice", "brick"])
@pytest.mark.parametrize("compression", list(shard_writer.PRESETS))
@pytest.mark.parametrize(
    ("axes", "shape", "dtype"),
    [
        ("yx", (30, 41), "|u1"),
        ("cyx", (3, 31, 30), "|u1"),
        ("zyx", (19, 130, 140), "<i2"),
        ("tzyx", (3, 17, 129, 7), "<f4"),
        ("tczyx", (2, 3, 18, 133, 44), "<u2"),
        ("tyx", (5, 8, 8), "<u8"),
    ],
)
def test_every_plane_is_what_zarr_reads(
    tmp_path: Path, axes: str, shape: tuple[int, ...], dtype: str, compression: str, layout: str
) -> None:
    write(tmp_path / "0", axes, noise(shape, dtype), compression, layout)
    whole: Any = np.asarray(zarr.open_array(str(tmp_path / "0"), mode="r")[...])
    size = dict(zip(axes, shape, strict=True))
    along = [axis for axis in "tz" if axis in size]
    for places in itertools.product(*(range(size[axis]) for axis in along)):
        at = dict(zip(along, places, strict=True))
        plane = read_plane(tmp_path / "0", at)
        assert plane.dtype == whole.dtype
        np.testing.assert_array_equal(plane, whole[tuple(at.get(axis, slice(None)) for axis in axes)])


def test_planes_of_tiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shard_writer, "LARGE_FRAME", 1 << 20)
    values = noise((2, 1100, 1500), "<u2")
    write(tmp_path / "0", "tyx", values)
    np.testing.assert_array_equal(read_plane(tmp_path / "0", {"t": 1}), values[1])


def test_small_arrays(tmp_path: Path) -> None:
    values = np.asarray([[1.5, -2.0], [3.0, 4.0], [5.0, 6.0]])
    shard_writer.write_small_array(tmp_path / "window", values, ["frame", "value"])
    np.testing.assert_array_equal(read_small_array(tmp_path / "window"), values)


@pytest.mark.parametrize("place", [10, -10])  # in the first chunk, in the index
def test_a_flipped_bit_is_seen(tmp_path: Path, place: int) -> None:
    write(tmp_path / "0", "zyx", noise((4, 16, 16), "<i2"))
    path = tmp_path / "0" / "c" / "0" / "0" / "0"
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)
    with pytest.raises(Unreadable):
        read_plane(tmp_path / "0", {"z": 0})
