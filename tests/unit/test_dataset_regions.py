"""Any region of any array is read as it was written: patches at edges, constant chunks, runs of chunks, masks."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up_masks import MadeUpMask, add_masks
from made_up_volumes import MadeUp, write

from dicomzarr import dataset as reading
from dicomzarr.arrays import shard_writer
from dicomzarr.dataset import DicomZarrDataset, Volume

DTYPES = ("|i1", "|u1", "<i2", "<u2", "<i4", "<u4", "<i8", "<u8", "<f4", "<f8")
AXES = ("yx", "zyx", "tzyx", "tyx", "cyx", "tcyx", "tczyx")
IMAGE = f"{0:016x}/{0:08x}"


def made_up(shape: tuple[int, ...], dtype: str, seed: int) -> np.ndarray[Any, Any]:
    """Return voxels over all values of a type, of which a random box is constant: equal chunks follow each other."""
    random = np.random.default_rng(seed)
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    values = np.frombuffer(random.bytes(size), dtype).reshape(shape).copy()
    box = tuple(slice(*sorted(random.integers(0, n + 1, 2))) for n in shape)
    values[box] = random.choice([0, 1])
    return values


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_every_region_is_what_was_written(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    axes, dtype = data.draw(st.sampled_from(AXES)), data.draw(st.sampled_from(DTYPES))
    sizes = {"t": st.integers(1, 3), "c": st.just(3), "z": st.integers(1, 70)}
    shape = tuple(data.draw(sizes.get(axis, st.integers(1, 75))) for axis in axes)
    voxels = made_up(shape, dtype, data.draw(st.integers(0, 99)))
    layout, compression = (
        data.draw(st.sampled_from(["slice", "brick"])),
        data.draw(st.sampled_from(["balanced", "none", "fast"])),
    )
    folder = tmp_path_factory.mktemp("dataset")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            shard_writer, "BRICK", data.draw(st.sampled_from([shard_writer.BRICK, {"z": 5, "y": 7, "x": 16}]))
        )
        patch.setattr(reading._LocalFile, "longest_run", data.draw(st.sampled_from([0, 3000, 1 << 20])))
        write(folder, [MadeUp(axes, voxels, layout=layout, compression=compression)])
        volume = Volume(folder / "images.zarr" / IMAGE)
        for _ in range(8):
            ends = [sorted((data.draw(st.integers(0, n)), data.draw(st.integers(0, n)))) for n in shape]
            region = tuple(slice(lo, hi) for lo, hi in ends)
            found = volume.read(region)
            assert found.dtype == voxels.dtype and found.tobytes() == voxels[region].tobytes()  # NaN too
        assert volume.read().tobytes() == voxels.tobytes()
    shutil.rmtree(folder)


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_every_patch_has_image_and_mask_of_its_place(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    shape = tuple(data.draw(st.integers(1, 70)) for _ in "zyx")
    layout, seed = data.draw(st.sampled_from(["slice", "brick"])), data.draw(st.integers(0, 99))
    voxels = made_up(shape, "<i2", seed)
    mask = (made_up(shape, "|u1", seed + 1) > data.draw(st.sampled_from([0, 100, 254]))).astype(np.uint8)
    patch = {axis: data.draw(st.integers(1, n)) for axis, n in zip("zyx", shape, strict=True)}
    folder = tmp_path_factory.mktemp("dataset")
    write(folder, [MadeUp("zyx", voxels, layout=layout)])
    add_masks(folder, [MadeUpMask(0, "liver", mask, layout=layout)])
    dataset = DicomZarrDataset(
        folder, sample="patch", patch=patch, patches_per_volume=8, masks=["liver"], foreground=0.5, seed=seed
    )
    for sample in dataset:
        region = tuple(slice(int(at), int(at) + n) for at, n in zip(sample["start"], patch.values(), strict=True))
        assert np.array_equal(sample["image"], voxels[region])
        assert np.array_equal(sample["mask"][0], mask[region])
    shutil.rmtree(folder)


def bricks(folder: Path, compression: str = "balanced") -> tuple[Volume, np.ndarray[Any, Any]]:
    voxels = made_up((70, 70, 70), "<i2", 3)
    write(folder, [MadeUp("zyx", voxels, layout="brick", compression=compression)])
    return Volume(folder / "images.zarr" / IMAGE), voxels


def test_bricks_have_a_shape_and_a_codec_of_their_own(tmp_path: Path) -> None:
    volume, _ = bricks(tmp_path)
    assert volume.chunk == (16, 32, 32)
    levels = {
        layout: shard_writer.array_metadata(shard_writer.chunk_grid("zyx", (9, 9, 9), "<i2", layout), "<i2", "balanced")
        for layout in ("slice", "brick")
    }
    codecs = {name: each["codecs"][0]["configuration"]["codecs"][1] for name, each in levels.items()}
    assert {name: codec["configuration"]["cname"] for name, codec in codecs.items()} == {
        "slice": "zstd",
        "brick": "lz4",
    }


def test_chunks_that_lie_together_are_read_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    volume, voxels = bricks(tmp_path)
    reads, pread = [], os.pread

    def counted(handle: int, length: int, offset: int) -> bytes:
        reads.append(length)
        return pread(handle, length, offset)

    monkeypatch.setattr(os, "pread", counted)
    for region, runs in (
        ((slice(0, 16), slice(0, 32), slice(0, 70)), 1),  # a row of three bricks
        ((slice(5, 6), slice(5, 69), slice(0, 70)), 1),  # a layer of nine
        ((slice(0, 32), slice(0, 64), slice(3, 60)), 4),  # rows of two, of three each
        ((slice(0, 70), slice(0, 70), slice(0, 70)), 1),
    ):
        reads.clear()
        assert np.array_equal(volume.read(region), voxels[region])
        assert len(reads) == runs


@pytest.mark.parametrize("compression", ["balanced", "none"])
def test_damage_in_a_run_is_found(tmp_path: Path, compression: str) -> None:
    volume, voxels = bricks(tmp_path, compression)
    path = tmp_path / "images.zarr" / IMAGE / "0/c/0/0/0"
    data = path.read_bytes()
    offset, length = (int(value) for value in volume._index[13])
    for at in (offset, offset + length // 2, offset + length - 1):
        path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        with pytest.raises(ValueError, match="a chunk is damaged"):
            Volume(tmp_path / "images.zarr" / IMAGE).read()
        away = (slice(0, 16), slice(0, 32), slice(0, 32))
        assert np.array_equal(Volume(tmp_path / "images.zarr" / IMAGE).read(away), voxels[away])
    path.write_bytes(data)
    opened = Volume(tmp_path / "images.zarr" / IMAGE)
    os.truncate(path, offset + length // 2)  # after the index was read
    with pytest.raises(ValueError, match="a chunk is damaged"):
        opened.read()


def test_a_chunk_of_another_size_is_damage(tmp_path: Path) -> None:
    """A valid Blosc frame with a valid checksum, of fewer voxels: what was in memory before must not be returned."""
    from numcodecs import blosc

    voxels = np.full((16, 32, 32), 7, "<i2")
    write(tmp_path, [MadeUp("zyx", voxels, layout="brick")])
    frame = blosc.Blosc("zstd", 1, blosc.BITSHUFFLE).encode(voxels[:8])
    chunk = frame + google_crc32c.value(frame).to_bytes(4, "little")
    index = np.array([0, len(chunk)], "<u8").tobytes()
    index += google_crc32c.value(index).to_bytes(4, "little")
    (tmp_path / "images.zarr" / IMAGE / "0/c/0/0/0").write_bytes(chunk + index)
    with pytest.raises(ValueError, match="another size"):
        Volume(tmp_path / "images.zarr" / IMAGE).read()


def write_shard(folder: Path, chunks: list[bytes], lengths: list[int] | None = None) -> None:
    """Replace the shard of an image by one of these chunks, whose checksums are right."""
    lengths = lengths or [len(chunk) for chunk in chunks]
    starts = np.cumsum([0, *(len(chunk) for chunk in chunks)])[:-1]
    index = np.array([*zip(starts, lengths, strict=True)], "<u8").tobytes()
    whole = b"".join(chunks) + index + google_crc32c.value(index).to_bytes(4, "little")
    (folder / "images.zarr" / IMAGE / "0/c/0/0/0").write_bytes(whole)


def test_a_frame_that_blosc_cannot_decode_is_damage(tmp_path: Path) -> None:
    from numcodecs import blosc

    voxels = np.arange(16 * 32 * 32, dtype="<i2").reshape(16, 32, 32)
    write(tmp_path, [MadeUp("zyx", voxels, layout="brick")])
    frame = bytearray(blosc.Blosc("lz4", 9, blosc.BITSHUFFLE).encode(voxels))
    frame[16:24] = b"\xff" * 8  # where its blocks begin
    write_shard(tmp_path, [bytes(frame) + google_crc32c.value(bytes(frame)).to_bytes(4, "little")])
    for region in (None, (slice(3, 5), slice(0, 9), slice(0, 9))):  # decoded in place, and into bytes
        with pytest.raises(ValueError, match="cannot be decoded"):
            Volume(tmp_path / "images.zarr" / IMAGE).read(region)


@pytest.mark.parametrize("length", range(4))
def test_a_chunk_shorter_than_its_checksum_is_damage(tmp_path: Path, length: int) -> None:
    voxels = np.zeros((16, 32, 32), "<i2")
    write(tmp_path, [MadeUp("zyx", voxels, layout="brick")])
    write_shard(tmp_path, [b"\0" * 8], [length])
    with pytest.raises(ValueError, match="a chunk is damaged"):
        Volume(tmp_path / "images.zarr" / IMAGE).read()


@pytest.mark.parametrize("count", [0, 16 * 32 * 32 - 1, 16 * 32 * 32 + 1])
def test_a_chunk_without_compression_of_another_size_is_damage(tmp_path: Path, count: int) -> None:
    write(tmp_path, [MadeUp("zyx", np.zeros((16, 32, 32), "<i2"), layout="brick", compression="none")])
    values = np.zeros(count, "<i2").tobytes()
    write_shard(tmp_path, [values + google_crc32c.value(values).to_bytes(4, "little")])
    for region in (None, (slice(3, 5), slice(0, 9), slice(0, 9))):
        with pytest.raises(ValueError, match="another size"):
            Volume(tmp_path / "images.zarr" / IMAGE).read(region)


def counted_decoding(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that gets the length of each chunk that Blosc decodes."""
    from numcodecs import blosc

    lengths, decompress = [], blosc.decompress

    def counted(data: bytes, out: Any = None) -> Any:
        lengths.append(len(data))
        return decompress(data, out)

    monkeypatch.setattr(blosc, "decompress", counted)
    return lengths


def test_chunks_of_one_value_are_decoded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    voxels = np.full((32, 128, 128), -1024, "<i2")
    voxels[:, 32:64, 64:96] = 7  # of one value too
    voxels[3, 100, 100] = 1  # in a chunk that is as short, but not of one value
    write(tmp_path, [MadeUp("zyx", voxels, layout="brick")])
    volume, lengths = Volume(tmp_path / "images.zarr" / IMAGE), counted_decoding(monkeypatch)
    for region, decoded in (
        (np.s_[0:32, 0:128, 0:128], 3),
        (np.s_[0:32, 0:128, 0:128], 1),
        (np.s_[5:20, 11:70, 3:90], 0),
        (np.s_[2:4, 90:101, 3:128], 1),
    ):
        lengths.clear()
        assert np.array_equal(volume.read(region), voxels[region])
        assert len(lengths) == decoded


def test_damage_of_a_chunk_of_one_value_is_found_though_the_value_is_known(tmp_path: Path) -> None:
    voxels = np.full((16, 64, 64), 5, "<i2")
    write(tmp_path, [MadeUp("zyx", voxels, layout="brick")])
    volume, path = Volume(tmp_path / "images.zarr" / IMAGE), tmp_path / "images.zarr" / IMAGE / "0/c/0/0/0"
    assert np.array_equal(volume.read(), voxels)
    data = path.read_bytes()
    offset, length = (int(value) for value in volume._index[2])
    for at in range(offset, offset + length, 7):
        path.write_bytes(data[:at] + bytes([data[at] ^ 16]) + data[at + 1 :])
        with pytest.raises(ValueError, match="a chunk is damaged"):
            volume.read()


def test_few_chunks_of_one_value_are_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    voxels = np.repeat(np.arange(10, dtype="<u2"), 16)[:, None, None] + np.zeros((160, 32, 32), "<u2")
    write(tmp_path, [MadeUp("zyx", voxels, layout="brick")])
    monkeypatch.setattr(reading, "CONSTANTS", 4)
    volume = Volume(tmp_path / "images.zarr" / IMAGE)
    for _ in range(2):
        assert np.array_equal(volume.read(), voxels)
        assert len(volume._constants) == 4
    monkeypatch.setattr(reading, "CONSTANT_BYTES", 100)  # shorter than any of these chunks
    volume = Volume(tmp_path / "images.zarr" / IMAGE)
    assert np.array_equal(volume.read(), voxels) and not volume._constants


@pytest.mark.parametrize("layout", ["slice", "brick"])
def test_several_masks_in_one_channel_are_their_union(tmp_path: Path, layout: str) -> None:
    """Only a mask that has its channel for itself is read into it."""
    first, second = ((made_up((40, 70, 70), "|u1", seed) > 250).astype(np.uint8) for seed in (1, 2))
    write(tmp_path, [MadeUp("zyx", made_up((40, 70, 70), "<i2", 3), layout=layout)])
    fraction = second * np.uint8(100)
    made = [
        MadeUpMask(0, "liver_1", first, name="liver", layout=layout),
        MadeUpMask(0, "liver_2", second, name="liver", layout=layout),
        MadeUpMask(0, "spleen", fraction, layout=layout, maximum_fraction=200),
    ]
    add_masks(tmp_path, made)
    patch = {"z": 17, "y": 33, "x": 40}
    dataset = DicomZarrDataset(
        tmp_path, sample="patch", patch=patch, patches_per_volume=6, masks=["liver", "liver_2", "spleen"]
    )
    for sample in dataset:
        region = tuple(slice(int(at), int(at) + n) for at, n in zip(sample["start"], patch.values(), strict=True))
        for channel, values in enumerate((first | second, second, fraction)):
            assert np.array_equal(sample["mask"][channel], values[region])


def test_a_mask_smaller_than_its_table_says_is_refused(tmp_path: Path) -> None:
    """Else the padding of its last chunks would be returned as background."""
    write(tmp_path, [MadeUp("zyx", made_up((40, 40, 40), "<i2", 3), layout="brick")])
    small = np.ones((20, 40, 40), np.uint8)
    add_masks(tmp_path, [MadeUpMask(0, "liver", small, layout="brick", box="0:40 0:40 0:40")])
    with pytest.raises(ValueError, match="reaches beyond"):
        DicomZarrDataset(tmp_path, masks=["liver"])[0]


def test_open_volumes_are_bounded_in_number_and_by_their_indexes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    voxels = np.zeros((3, 40, 40), "<i2")
    write(tmp_path, [MadeUp("zyx", voxels, layout="brick") for _ in range(6)])  # 4 chunks: 64 bytes of index
    folders = [f"{n:016x}/{n:08x}" for n in range(6)]
    for most, limit, held in ((3, 1 << 20, [4, 1, 5]), (9, 130, [1, 5]), (9, 1, [5])):
        monkeypatch.setattr(reading, "OPEN_INDEXES", limit)
        opened = reading._OpenVolumes(tmp_path / "images.zarr", most)
        for number in (0, 1, 2, 3, 4):
            opened(folders[number])
            first = opened(folders[1])
        assert opened(folders[5]).read().shape == voxels.shape
        assert [*opened._volumes] == [folders[n] for n in held]
        assert (opened(folders[1]) is first) == (1 in held)
