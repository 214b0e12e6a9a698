"""Masks of 0 and 1 in bricks have a codec of their own, which zarr-python reads too; others have that of images."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from written_arrays import blosc_of_first_chunk, blosc_of_metadata

from dicomzarr.arrays import shard_writer, write_masks
from dicomzarr.dataset import Volume
from dicomzarr.masks.model import Description, PlacedMask
from dicomzarr.system import thread_pool
from dicomzarr.system.thread_pool import ThreadPool

LZ4HC, LZ4, ZSTD = ("lz4hc", 9, "noshuffle"), ("lz4", 9, "bitshuffle"), ("zstd", 1, "bitshuffle")


@pytest.mark.parametrize(
    ("compression", "layout", "largest", "codec"),
    [
        ("balanced", "brick", 1, LZ4HC),
        ("balanced", "brick", 200, LZ4),
        ("balanced", "slice", 1, ZSTD),
        ("small", "brick", 1, ("zstd", 9, "bitshuffle")),
        ("fast", "brick", 1, ("lz4", 5, "bitshuffle")),
        ("none", "brick", 1, None),
    ],
)
def test_the_codec_of_a_mask(tmp_path: Path, compression: str, layout: str, largest: int, codec: Any) -> None:
    z, y, x = np.ogrid[-1:1:40j, -1:1:70j, -1:1:50j]
    values = ((z**2 + y**2 + x**2 < 0.6) * np.uint8(largest)).astype(np.uint8)
    placed = PlacedMask(
        Description("SEG", 1), values, "zyx", "BINARY", maximum_fraction=largest if largest > 1 else None
    )
    write_masks.write_mask(tmp_path / "a", placed, compression=compression, layout=layout, coarser=["zyx"])
    for level in ("0", "1"):
        metadata = json.loads((tmp_path / "a" / level / "zarr.json").read_bytes())
        inner = metadata["codecs"][0]["configuration"]["codecs"]
        blosc = [each["configuration"] for each in inner if each["name"] == "blosc"]
        assert [(each["cname"], each["clevel"], each["shuffle"]) for each in blosc] == ([codec] if codec else [])
        assert not codec or blosc_of_first_chunk(tmp_path / "a" / level) == blosc_of_metadata(tmp_path / "a" / level)
        array: Any = zarr.open_array(str(tmp_path / "a" / level), mode="r")
        expected = values if level == "0" else values[::2, ::2, ::2]
        assert np.array_equal(array[...], expected)
    assert np.array_equal(_volume(tmp_path / "a").read(), values)


def test_bytes_of_a_mask_do_not_depend_on_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thread_pool, "MIN_PARALLEL_BYTES", 0)
    values = (np.random.default_rng(0).random((40, 70, 90)) > 0.9).astype(np.uint8)
    placed = PlacedMask(Description("SEG", 1), values, "zyx", "BINARY")
    written = [
        write_masks.write_mask(tmp_path / str(n), placed, compression="balanced", layout="brick", pool=ThreadPool(n))
        for n in (1, 5)
    ]
    assert written[0].files == written[1].files


def _volume(folder: Path) -> Volume:
    group = {"zarr_format": 3, "node_type": "group", "attributes": {"dicomzarr": {}}}
    (folder / "zarr.json").write_text(json.dumps(group))
    return Volume(folder)


def test_bricks_of_0_and_1_are_no_larger_than_with_the_codec_of_images() -> None:
    z, y, x = np.ogrid[-1:1:64j, -1:1:128j, -1:1:128j]
    values = ((z**2 + y**2 + x**2 < 0.6) * np.uint8(1)).astype(np.uint8)
    sizes = []
    for is_binary in (True, False):
        grid = shard_writer.chunk_grid("zyx", values.shape, "|u1", "brick", is_binary=is_binary)
        pack = shard_writer._packer(grid, "balanced")
        bricks = (
            values.reshape(4, 16, 4, 32, 4, 32).swapaxes(1, 2).swapaxes(2, 4).swapaxes(3, 4).reshape(-1, 16, 32, 32)
        )
        sizes.append(sum(len(pack(np.ascontiguousarray(brick))[0]) for brick in bricks))
    assert sizes[0] <= sizes[1]
