"""The reader: regions, values, filters, patches and processes, on made-up volumes with known voxels."""

from __future__ import annotations

import copy
import csv
import errno
import functools
import json
import multiprocessing
import os
import pickle
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
import pytest
import zarr
from epochs import Workers, digest, epoch
from made_up_dataset import OUTCOMES, Made, ramp, write_dataset
from made_up_volumes import LABEL, MadeUp, write

from dicomzarr import dataset as reading
from dicomzarr.arrays import shard_writer
from dicomzarr.dataset import DicomZarrDataset, Volume, channel_xyz, load_images
from dicomzarr.pixels import display

RANDOM = np.random.default_rng(7)
AFFINE = [[0.0, 0.5, 0.0, -10.0], [2.0, 0.0, 0.0, 20.0], [0.0, 0.0, 3.0, 30.0], [0.0, 0.0, 0.0, 1.0]]  # x and y swapped


def ints(*shape: int, dtype: str = "<i2") -> np.ndarray:
    return RANDOM.integers(0 if dtype[1] == "u" else -1000, 200 if dtype == "|u1" else 3000, shape).astype(dtype)


def dataset_of(folder: Path, volume: MadeUp, **options: object) -> DicomZarrDataset:
    return DicomZarrDataset(write(folder, [volume]), **options)  # type: ignore[arg-type]


# ---- Regions


@pytest.mark.parametrize("compression", ["balanced", "fast", "small", "none"])
@pytest.mark.parametrize(
    ("axes", "shape", "layout"),
    [
        ("yx", (7, 5), "slice"),
        ("zyx", (20, 9, 8), "slice"),
        ("zyx", (40, 70, 75), "brick"),
        ("tcyx", (3, 3, 6, 5), "slice"),
        ("tzyx", (2, 37, 65, 20), "brick"),
    ],
)
def test_every_region_equals_that_of_zarr(
    tmp_path: Path, axes: str, shape: tuple[int, ...], layout: str, compression: str
) -> None:
    voxels = ints(*shape)
    write(tmp_path, [MadeUp(axes, voxels, layout=layout, compression=compression)])
    folder = tmp_path / "images.zarr" / f"{0:016x}/{0:08x}"
    volume, expected = Volume(folder), zarr.open_array(str(folder / "0"), mode="r")
    assert np.array_equal(volume.read(), voxels)
    for _ in range(20):
        ends = [sorted(RANDOM.integers(0, n + 1, 2)) for n in shape]
        region = tuple(slice(int(lo), int(hi)) for lo, hi in ends)
        assert np.array_equal(volume.read(region), voxels[region])
        assert np.array_equal(volume.read(region), expected[region])


def test_a_frame_of_several_chunks_is_read_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dicomzarr.arrays.shard_writer.LARGE_FRAME", 100)
    monkeypatch.setattr("dicomzarr.arrays.shard_writer.TILE", 8)
    voxels = ints(3, 20, 13, dtype="|u1")
    sample = dataset_of(tmp_path, MadeUp("cyx", voxels, {"photometric": "RGB"}))[0]
    assert np.array_equal(sample["image"], voxels)


@pytest.mark.parametrize("place", [5, -10])  # in the first chunk, in the index
def test_a_flipped_bit_is_noticed(tmp_path: Path, place: int) -> None:
    dataset = dataset_of(tmp_path, MadeUp("yx", ints(30, 30)))
    (shard,) = tmp_path.glob("images.zarr/*/*/0/c/0/0")
    data = bytearray(shard.read_bytes())
    data[place] ^= 1
    shard.write_bytes(data)
    with pytest.raises(ValueError, match="damaged"):
        dataset[0]


def test_a_missing_chunk_is_an_error(tmp_path: Path) -> None:
    dataset = dataset_of(tmp_path, MadeUp("zyx", ints(3, 30, 30)))
    (shard,) = tmp_path.glob("images.zarr/*/*/0/c/0/0/0")
    data = bytearray(shard.read_bytes())
    index = len(data) - (3 * 16 + 4)  # offset and length of each chunk, and a crc32c
    data[index + 16 : index + 32] = b"\xff" * 16
    data[-4:] = google_crc32c.value(bytes(data[index:-4])).to_bytes(4, "little")
    shard.write_bytes(data)
    with pytest.raises(ValueError, match="a chunk is missing"):
        dataset[0]
    assert DicomZarrDataset(tmp_path, sample="slice")[0]["image"].shape == (30, 30)


def test_an_array_of_another_writer_is_refused(tmp_path: Path) -> None:
    dataset = dataset_of(tmp_path, MadeUp("yx", ints(30, 30)))
    array = str(tmp_path / "images.zarr" / dataset.rows[0]["array"] / "0")
    zarr.create_array(array, shape=(30, 30), dtype="i2", dimension_names="yx", overwrite=True)
    with pytest.raises(ValueError, match="did not write"):
        dataset[0]


# ---- Metadata and tables that another program has changed


FACTS: dict[str, Any] = {"rescale": [2.0, 1.0], "affine_lps": AFFINE, "window": [[10, 20]], "acquisition": {"b": 1}}


def places_in(value: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the keys and indices that lead to each value of JSON."""
    if above:
        yield above
    for key, each in value.items() if isinstance(value, dict) else enumerate(value if isinstance(value, list) else ()):
        yield from places_in(each, (*above, key))


@pytest.mark.parametrize("path", ["zarr.json", "0/zarr.json"])
def test_metadata_with_a_wrong_value_is_an_error_that_names_it_or_reads_as_before(tmp_path: Path, path: str) -> None:
    """Every value left out, and of every other type: never an error of Python, never other voxels."""
    voxels = ints(4, 8, 9)
    dataset = dataset_of(tmp_path, MadeUp("zyx", voxels))
    array = dataset.rows[0]["array"]
    facts = tmp_path / "images.zarr" / array / "zarr.json"
    content = json.loads(facts.read_bytes())
    content["attributes"]["dicomzarr"] |= FACTS
    facts.write_text(json.dumps(content))
    file = tmp_path / "images.zarr" / array / path
    before = json.loads(file.read_bytes())
    outcomes = set()
    for place in places_in(before):
        for wrong in ("left out", None, "x", [], {}, -1, True, 10**9, ["x"], "object"):
            changed = copy.deepcopy(before)
            holder = functools.reduce(lambda value, key: value[key], place[:-1], changed)
            if wrong == "left out":
                del holder[place[-1]]
            else:
                holder[place[-1]] = wrong
            file.write_text(json.dumps(changed))
            for options in ({}, {"rescale": True, "missing_rescale": "stored"}, {"window": True}):
                try:
                    sample = DicomZarrDataset(tmp_path, **options)[0]  # type: ignore[arg-type]
                    assert options or np.array_equal(sample["image"], voxels), (place, wrong)
                    outcomes.add("read")
                except (ValueError, OSError) as error:
                    assert array in str(error), (place, wrong, error)
                    outcomes.add("refused")
    assert outcomes == {"read", "refused"}


@pytest.mark.parametrize(
    ("path", "change", "words"),
    [
        (
            "zarr.json",
            {"attributes": {"ome": {}}},
            "zarr.json: needed is attributes.dicomzarr, an object; found nothing",
        ),
        (
            "0/zarr.json",
            {"shape": [3, "4"]},
            "0/zarr.json: needed is shape, a list of whole numbers from 1, one for",
        ),
        (
            "0/zarr.json",
            {"shape": [2, 4]},
            "0/zarr.json: needed is the shape 3x4, as volumes.csv states; found 2x4. A run has changed the image since",
        ),
        (
            "0/zarr.json",
            {"data_type": "object"},
            'floating point; found "object". Another program wrote or changed it',
        ),
        ("0/zarr.json", {"dimension_names": ["x"]}, 'dimension_names for an array of 2 axes; found ["x"]'),
        ("0/zarr.json", {"codecs": 3}, "needed is codecs, a list; found 3"),
        ("0/zarr.json", {"codecs": []}, "dicomzarr did not write this array: open it with zarr"),
    ],
)
def test_what_is_needed_of_metadata_is_said(tmp_path: Path, path: str, change: dict[str, Any], words: str) -> None:
    dataset = dataset_of(tmp_path, MadeUp("yx", ints(3, 4)))
    file = tmp_path / "images.zarr" / dataset.rows[0]["array"] / path
    file.write_text(json.dumps(json.loads(file.read_bytes()) | change))
    with pytest.raises(ValueError, match=re.escape(words)):
        dataset[0]


@pytest.mark.parametrize("table", ["volumes.csv", "masks.csv"])
def test_a_table_that_was_cut_off_at_the_end_of_a_row_is_refused(tmp_path: Path, table: str) -> None:
    folder = write_dataset(tmp_path / "d", [Made(array, "zyx", ramp(3, 4, 5)) for array in ("a/b", "c/d")], OUTCOMES)
    (folder / "masks.csv").write_text("array,mask,voxels,flags,bounding_box\na/b,liver,1,,\na/b,lung,1,,\n")
    readers = (reading.read_rows, reading.volumes) if table == "volumes.csv" else (reading.read_masks, reading.masks)
    sealed, path = folder / "dataset.json", folder / table
    sealed.write_text('{"counts": {"arrays": 2, "masks": 2}}')
    assert [len(read(folder)) for read in readers] == [2, 2]
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
    for read in readers:
        with pytest.raises(ValueError, match=f"{table}: found 1 row, needed are 2, as dataset.json counts; the table"):
            read(folder)
    for unknown in ("[]", '{"counts": {}}', "x", ""):  # of another version
        sealed.write_text(unknown)
        assert len(readers[0](folder)) == 1
    sealed.unlink()  # while a run changes the dataset
    assert len(readers[0](folder)) == 1


# ---- Samples


def test_a_small_array_beside_the_image_equals_that_of_zarr(tmp_path: Path) -> None:
    for number, values in enumerate((np.arange(1200.0).reshape(600, 2), np.arange(700), np.arange(9, dtype="u1"))):
        folder = tmp_path / str(number)
        shard_writer.write_small_array(folder, values, ["frame", "value"][: values.ndim])
        expected = np.asarray(zarr.open_array(str(folder), mode="r")[...])
        values = reading._read_small_array(folder)
        assert values.dtype == expected.dtype and np.array_equal(values, expected)
        (chunk,) = (path for path in folder.rglob("0") if path.is_file())
        chunk.write_bytes(b"x" + chunk.read_bytes()[1:])
        with pytest.raises(ValueError, match="damaged"):
            reading._read_small_array(folder)


def test_slices_and_their_start(tmp_path: Path) -> None:
    first, second = ints(2, 3, 4, 5), ints(6, 7)
    dataset = DicomZarrDataset(write(tmp_path, [MadeUp("tzyx", first), MadeUp("yx", second)]), sample="slice")
    assert len(dataset) == 7
    assert all(np.array_equal(dataset[t * 3 + z]["image"], first[t, z]) for t in range(2) for z in range(3))
    assert list(dataset[4]["start"]) == [1, 1, 0, 0] and dataset[4]["axes"] == "yx"
    assert np.array_equal(dataset[-1]["image"], second)
    assert np.isnan(dataset[-1]["affine_lps"]).all()
    with pytest.raises(IndexError):
        dataset[7]


def test_a_patch_is_a_region_of_its_volume_with_a_shifted_affine(tmp_path: Path) -> None:
    voxels = ints(2, 12, 30, 20)
    made_up = MadeUp("tzyx", voxels, {"affine_lps": AFFINE}, layout="brick")
    size = {"z": 4, "y": 10, "x": 8}
    dataset = dataset_of(tmp_path, made_up, sample="patch", patch=size, patches_per_volume=200, seed=3)
    starts = []
    for sample in dataset:
        t, z, y, x = map(int, sample["start"])
        assert np.array_equal(sample["image"], voxels[t, z : z + 4, y : y + 10, x : x + 8])
        assert np.allclose(sample["affine_lps"] @ [1, 2, 3, 1], np.array(AFFINE) @ [x + 1, y + 2, z + 3, 1])
        starts.append((t, z, y, x))
    lowest, highest = np.min(starts, axis=0), np.max(starts, axis=0)
    assert list(lowest) == [0, 0, 0, 0]
    assert list(highest[:2]) == [1, 8] and highest[2] >= 19 and highest[3] >= 11  # of 20 and 12: every start occurs
    again = [tuple(map(int, sample["start"])) for sample in dataset]
    assert again == starts
    dataset.set_epoch(1)
    assert [tuple(map(int, sample["start"])) for sample in dataset] != starts


def test_a_patch_without_z_has_two_dimensions(tmp_path: Path) -> None:
    dataset = dataset_of(tmp_path, MadeUp("zyx", ints(5, 20, 20)), sample="patch", patch={"y": 8, "x": 8}, channel=True)
    assert dataset[0]["image"].shape == (1, 8, 8) and dataset[0]["axes"] == "cyx"


def test_patches_larger_than_a_volume_are_refused_at_the_start(tmp_path: Path) -> None:
    folder = write(tmp_path, [MadeUp("zyx", ints(5, 20, 20)), MadeUp("yx", ints(20, 20))])
    with pytest.raises(ValueError, match="1 volume is smaller than the patch"):
        DicomZarrDataset(folder, sample="patch", patch={"z": 4, "y": 8, "x": 8})
    size = {"z": 4, "y": 8, "x": 8}
    assert len(DicomZarrDataset(folder, sample="patch", patch=size, min_shape=size)) == 1


def test_filters(tmp_path: Path) -> None:
    cells = (
        {"split": "train", "modality": "CT", "flags": "gap incomplete", LABEL: "yes"},
        {"split": "train", "modality": "MR", "flags": "", LABEL: "no"},
        {"split": "test", "modality": "CT", "flags": "incomplete", LABEL: ""},
    )
    sizes = ("zyx", (3, 8, 8)), ("yx", (8, 8)), ("zyx", (2, 8, 9))
    volumes = [MadeUp(axes, ints(*shape), cells=cell) for (axes, shape), cell in zip(sizes, cells, strict=True)]
    folder = write(tmp_path / "dataset", volumes)

    def selected(**filters: object) -> list[int]:
        return [int(row["array"][:16], 16) for row in DicomZarrDataset(folder.parent, **filters).rows]  # type: ignore[arg-type]

    assert selected() == [0, 1, 2]
    assert selected(split="train") == [0, 1]
    assert selected(split=["train", "test"], modality="CT") == [0, 2]
    assert selected(with_flags=["incomplete"]) == [0, 2]
    assert selected(with_flags=["incomplete"], without_flags=["gap"]) == [2]
    assert selected(axes="zyx") == [0, 2]
    assert selected(shape={"x": 8}) == [0, 1] and selected(shape={"z": 1}) == [1]
    assert selected(min_shape={"z": 3}) == [0]
    assert selected(labels={LABEL: "no"}) == [1] and selected(labels={LABEL: ["no", "yes"]}) == [0, 1]
    assert selected(where=lambda row: row[LABEL] == "") == [2]
    assert DicomZarrDataset(folder, split="test")[0][LABEL] == ""
    with pytest.raises(ValueError, match="no column label_other"):
        selected(labels={"label_other": "x"})


# ---- Values


def test_rescale_of_the_volume_and_of_each_frame(tmp_path: Path) -> None:
    voxels = ints(2, 3, 4, 5)
    pairs = [[1.0 + i, -10.0 * i] for i in range(6)]
    shared, each = MadeUp("tzyx", voxels, {"rescale": [2.0, -1024.0]}), MadeUp("tzyx", voxels, {"rescale": pairs})
    many = np.array([[1.0, float(i)] for i in range(600)])
    beside = MadeUp("zyx", np.zeros((600, 2, 2), "<i2"), {"rescale": {"array": "rescale"}}, beside={"rescale": many})
    folder = write(tmp_path, [shared, each, beside])
    whole = DicomZarrDataset(folder, rescale=True)
    assert whole[0]["image"].dtype == np.float32
    assert np.array_equal(whole[0]["image"], voxels * 2.0 - 1024)
    expected = np.stack([f * s + i for f, (s, i) in zip(voxels.reshape(6, 4, 5), pairs, strict=True)])
    assert np.array_equal(whole[1]["image"], expected.reshape(voxels.shape))
    assert np.array_equal(whole[2]["image"][:, 0, 0], np.arange(600))
    slices = DicomZarrDataset(folder, rescale=True, sample="slice")
    assert all(np.array_equal(slices[6 + i]["image"], expected[i]) for i in range(6))
    assert slices[12 + 567]["image"][1, 1] == 567


def test_frames_without_a_rescale_are_refused_unless_told_what_to_do(tmp_path: Path) -> None:
    voxels = ints(2, 2, 4, 5)
    pairs = [[2.0, -1000.0], None, [None, None], [0.5, 7.0]]
    beside = np.array([[np.nan if n % 7 == 0 else 1.0, float(n)] for n in range(600)])
    many = MadeUp("zyx", np.zeros((600, 2, 2), "<i2"), {"rescale": {"array": "rescale"}}, beside={"rescale": beside})
    other = MadeUp("tzyx", voxels, {"rescale": [1.0, 5.0], "window": [40.0, 400.0]})
    folder = write(tmp_path, [MadeUp("tzyx", voxels, {"rescale": pairs, "window": [40.0, 400.0]}), many, other])
    for options in ({"rescale": True}, {"window": True}, {"window": (40, 400)}):
        refusing = DicomZarrDataset(folder, **options)  # type: ignore[arg-type]
        for number in (0, 1) if "rescale" in options else (0,):
            with pytest.raises(ValueError, match=r"some frames have no rescale: exclude .* missing_rescale='nan'"):
                refusing[number]
        assert refusing[2]["image"].dtype == np.float32
    slices = DicomZarrDataset(folder, rescale=True, sample="slice")  # frames that have one are read
    assert np.array_equal(slices[0]["image"], voxels[0, 0] * 2.0 - 1000)
    assert np.array_equal(slices[3]["image"], voxels[1, 1] * 0.5 + 7) and slices[4 + 8]["image"][0, 0] == 8
    for number in (1, 2, 4, 4 + 7):
        with pytest.raises(ValueError, match="some frames have no rescale"):
            slices[number]
    unknown = np.full((4, 5), np.nan)
    for missing, second, third in (("nan", unknown, unknown), ("stored", voxels[0, 1], voxels[1, 0])):
        told = DicomZarrDataset(folder, rescale=True, missing_rescale=missing)
        expected = [voxels[0, 0] * 2.0 - 1000, second, third, voxels[1, 1] * 0.5 + 7]
        image = told[0]["image"]
        assert np.array_equal(image, np.stack(expected).reshape(2, 2, 4, 5), equal_nan=True)
        assert image.dtype == np.float32 and np.array_equal(told[2]["image"], voxels + 5.0)
        assert np.array_equal(np.isnan(told[1]["image"][:, 0, 0]), (np.arange(600) % 7 == 0) & (missing == "nan"))
        assert told[1]["image"][8, 1, 1] == 8 and (missing == "nan" or told[1]["image"][14, 1, 1] == 0)
    assert np.array_equal(DicomZarrDataset(folder)[0]["image"], voxels)  # stored values need no rescale
    with pytest.raises(ValueError, match="error, nan or stored"):
        DicomZarrDataset(folder, rescale=True, missing_rescale="zero")


def test_an_image_whose_header_states_half_of_a_rescale_is_refused(tmp_path: Path) -> None:
    """No frame has a pair, so that there is no attribute `rescale`: the flag tells it from an image without any."""
    stored, flags = ints(2, 4, 5), {"flags": ["rescale_incomplete"]}
    lut = {"modality_lut": {"first": -1000, "bits": 16, "values": [7, 7]}}
    facts: list[dict[str, object]] = [flags, {"flags": []}, flags | lut, flags | {"dose_grid_scaling": 2.0}]
    folder = write(tmp_path, [MadeUp("zyx", stored, each) for each in facts])
    for options in ({"rescale": True}, {"window": (40, 400)}):
        dataset = DicomZarrDataset(folder, **options)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="some frames have no rescale"):
            dataset[0]
        assert all(np.isfinite(dataset[number]["image"]).all() for number in (1, 2, 3))
    values = [DicomZarrDataset(folder, rescale=True, missing_rescale=way)[0]["image"] for way in ("nan", "stored")]
    assert np.isnan(values[0]).all() and np.array_equal(values[1], stored)


def test_a_slope_of_zero_gives_the_intercept(tmp_path: Path) -> None:
    volume = MadeUp("yx", ints(4, 5), {"rescale": [0.0, -1024.0]})
    assert (dataset_of(tmp_path, volume, rescale=True)[0]["image"] == -1024).all()


def test_frames_without_a_window_are_refused(tmp_path: Path) -> None:
    windows = [[40.0, 400.0], None]
    folder = write(tmp_path, [MadeUp("zyx", ints(2, 4, 5), {"window": windows})])
    with pytest.raises(ValueError, match="some frames states no window"):
        DicomZarrDataset(folder, window=True)[0]
    assert DicomZarrDataset(folder, window=True, sample="slice")[0]["image"].max() <= 1
    assert DicomZarrDataset(folder, window=(40, 400))[0]["image"].max() <= 1


def test_acquisition_group_and_residual(tmp_path: Path) -> None:
    facts: list[dict[str, object]] = [
        {"group": "aa", "acquisition": {"b_value": 0.0}, "affine_lps": AFFINE, "affine_residual_mm": 0.04},
        {"group": "bb"},
        {"group": "aa", "acquisition": {"b_value": 1000.0, "b_vector": [0.0, 0.6, 0.8]}},
        {},
    ]
    folder = write(tmp_path, [MadeUp("zyx", ints(2, 4, 5), each) for each in facts])
    dataset = DicomZarrDataset(folder)
    assert dataset.groups() == {"aa": [0, 2], "bb": [1]}
    assert [dataset.volume(number).acquisition for number in dataset.groups()["aa"]] == [
        {"b_value": 0.0}, {"b_value": 1000.0, "b_vector": [0.0, 0.6, 0.8]},
    ]  # fmt: skip
    assert dataset.volume(3).acquisition == {} and dataset.volume(3).group == ""
    assert [dataset.volume(number).affine_residual_mm for number in (0, 1)] == [0.04, 0.0]
    assert [sample["group"] for sample in dataset] == ["aa", "bb", "aa", ""]
    assert DicomZarrDataset(folder, where=lambda row: not row["array"].startswith("0" * 16)).groups() == {
        "bb": [0], "aa": [1],
    }  # fmt: skip
    for row, group in zip(dataset.rows, ("x", "y", "", "x"), strict=True):  # a column of volumes.csv comes first
        row["group"] = group
    assert dataset.groups() == {"x": [0, 3], "y": [1]}


def test_the_position_of_each_slice(tmp_path: Path) -> None:
    """From positions, else from the affine, else from origin, normal and depths; each known from outside."""
    tilted = [[0.0, 0.0, 0.0], [0.0, 1.5, 2.0], [0.0, 3.5, 5.0]]
    sagittal = {"origin_lps": [1.0, 2.0, 3.0], "orientation_lps": [0.0, 1.0, 0.0, 0.0, 0.0, -1.0]}  # normal: -x
    facts: list[dict[str, object]] = [
        {"positions_lps": tilted},
        {"affine_lps": AFFINE},
        {**sagittal, "positions_mm": [-1.0, 1.5, 9.0]},
        sagittal,
        {},
    ]
    expected = [
        tilted,
        [[-10.0, 20.0, 30.0], [-10.0, 20.0, 33.0], [-10.0, 20.0, 36.0]],
        [[1.0, 2.0, 3.0], [-1.5, 2.0, 3.0], [-9.0, 2.0, 3.0]],
        np.full((3, 3), np.nan),
        np.full((3, 3), np.nan),
    ]
    stacks = [MadeUp("zyx", ints(3, 4, 5), each) for each in facts]
    dataset = DicomZarrDataset(write(tmp_path, [*stacks, MadeUp("yx", ints(4, 5), sagittal)]))
    for number, positions in enumerate(expected):
        assert np.array_equal(dataset.volume(number).positions_lps, positions, equal_nan=True)
    assert dataset.volume(5).positions_lps.tolist() == [[1.0, 2.0, 3.0]]


def test_modality_lut_and_dose(tmp_path: Path) -> None:
    lut = {"first": 10, "bits": 16, "values": [5, 7, 9]}
    stored = np.array([[0, 10, 11, 12, 200]], "<u2")
    dose = MadeUp("yx", np.array([[70000, 3]], "<u4"), {"dose_grid_scaling": 0.001})
    dataset = DicomZarrDataset(write(tmp_path, [MadeUp("yx", stored, {"modality_lut": lut}), dose]), rescale=True)
    assert dataset[0]["image"].tolist() == [[5, 5, 7, 9, 9]]
    assert dataset[1]["image"].tolist() == [[70.0, 0.003]]


def test_the_window_is_that_of_the_standard(tmp_path: Path) -> None:
    """PS3.3 C.11.2.1.2.1: c = 2048, w = 4096 gives x <= 0: lowest, x > 4095: highest, else a line in between."""
    stored = np.array([[-5, 0, 1365, 2730, 4095, 5000]], "<i2")
    volume = MadeUp("yx", stored, {"window": [2048.0, 4096.0], "rescale": [1.0, 0.0]})
    folder = write(tmp_path, [volume, MadeUp("yx", stored, {"rescale": [1.0, -100.0]})])
    by_header = DicomZarrDataset(folder, window=True)
    assert np.allclose(by_header[0]["image"], [[0, 0, 1 / 3, 2 / 3, 1, 1]], atol=1e-6)
    with pytest.raises(ValueError, match="states no window"):
        by_header[1]
    step = write(tmp_path / "step", [MadeUp("yx", stored, {"window": [1365.5, 1.0], "rescale": [1.0, 0.0]})])
    assert DicomZarrDataset(step, window=True)[0]["image"].tolist() == [[0, 0, 0, 1, 1, 1]]


FUNCTIONS = {  # as PS3.3 C.11.2.1.2.1, C.11.2.1.3.2 and C.11.2.1.3.1 state them, for y from 0 to 1
    "LINEAR": lambda x, c, w: np.clip((x - (c - 0.5)) / (w - 1) + 0.5, 0, 1),
    "LINEAR_EXACT": lambda x, c, w: np.clip((x - c) / w + 0.5, 0, 1),
    "SIGMOID": lambda x, c, w: 1 / (1 + np.exp(-4 * (x - c) / w)),
}


@pytest.mark.parametrize("dtype", ["<i2", "<u2", "<f4"])
def test_the_window_has_the_function_of_the_header(tmp_path: Path, dtype: str) -> None:
    stored = np.arange(0, 3000, 125).reshape(4, 2, 3).astype(dtype)
    rescale, narrow, wide = [0.0005, 0.0], [0.75, 1.0], [0.75, 5.0]
    exact, sigmoid, linear = ({"window_function": name} for name in ("LINEAR_EXACT", "SIGMOID", "LINEAR"))
    each = {"window": [narrow, wide, wide, [0.5, 0.25]], "window_function": ["LINEAR_EXACT", "SIGMOID", "LINEAR", None]}
    facts = [{"window": narrow, **exact}, {"window": narrow, **sigmoid}, {"window": wide, **linear}, each]
    folder = write(tmp_path, [MadeUp("zyx", stored, {"rescale": rescale, **one}) for one in facts])
    images = [sample["image"] for sample in DicomZarrDataset(folder, window=True)]
    values = stored.astype(float) * 0.0005
    for image, name, window in zip(images, ("LINEAR_EXACT", "SIGMOID", "LINEAR"), (narrow, narrow, wide), strict=False):
        assert np.allclose(image, FUNCTIONS[name](values, *window), atol=1e-5)
        assert np.allclose(display.windowed(values, *window, name), image, atol=1e-5)
    for z, name in enumerate(("LINEAR_EXACT", "SIGMOID", "LINEAR", "LINEAR_EXACT")):  # LINEAR has no width below 1
        assert np.allclose(images[3][z], FUNCTIONS[name](values[z], *each["window"][z]), atol=1e-5)  # type: ignore[misc]
    assert len(np.unique(images[0])) > 4


@pytest.mark.parametrize("dtype", ["<i2", "<f4"])
def test_a_window_of_ones_own_reaches_from_its_lower_to_its_upper_end(tmp_path: Path, dtype: str) -> None:
    """Whatever the unit and the type: values of 0 to 1 have windows of a width below 1, too."""
    stored = np.array([[-160, 0, 40, 140, 240, 300]], dtype)
    folder = write(tmp_path, [MadeUp("yx", stored, {"rescale": [0.0025, 0.0]}), MadeUp("yx", stored)])
    for number, window in ((0, (0.1, 1.0)), (0, (0.1, 0.5)), (1, (40, 400))):
        values = stored * 0.0025 if number == 0 else stored
        expected = np.clip((values - (window[0] - window[1] / 2)) / window[1], 0, 1)
        assert np.allclose(DicomZarrDataset(folder, window=window)[number]["image"], expected, atol=1e-6)
    for wrong in ((40, 0), (40, -1), (40,)):
        with pytest.raises(ValueError, match="a width above 0"):
            DicomZarrDataset(folder, window=wrong)


def test_a_window_of_colour_is_refused(tmp_path: Path) -> None:
    dataset = dataset_of(tmp_path, MadeUp("cyx", ints(3, 4, 5, dtype="|u1"), {"photometric": "RGB"}), window=(40, 400))
    with pytest.raises(ValueError, match="for grey values"):
        dataset[0]
    assert len(DicomZarrDataset(tmp_path, window=(40, 400), where=lambda row: "c" not in row["axes"])) == 0


def test_monochrome1_is_mirrored_in_the_range_of_bits_stored(tmp_path: Path) -> None:
    dark = {"photometric": "MONOCHROME1", "bits_stored": 12}
    unsigned, signed = np.array([[0, 1, 4095]], "<u2"), np.array([[-2048, 0, 2047]], "<i2")
    window = MadeUp("yx", unsigned, dark | {"window": [2048.0, 4096.0]})
    folder = write(tmp_path, [window, MadeUp("yx", signed, dark), MadeUp("yx", unsigned, {"bits_stored": 12})])
    inverted = DicomZarrDataset(folder, invert=True)
    assert inverted[0]["image"].tolist() == [[4095, 4094, 0]] and inverted[0]["image"].dtype == np.uint16
    assert inverted[1]["image"].tolist() == [[2047, -1, -2048]]
    assert inverted[2]["image"].tolist() == [[0, 1, 4095]]
    assert DicomZarrDataset(folder)[0]["image"].tolist() == [[0, 1, 4095]]
    assert np.allclose(DicomZarrDataset(folder, invert=True, window=True)[0]["image"], [[1, 4094 / 4095, 0]])


def test_palette_colours_on_request(tmp_path: Path) -> None:
    table = {"first": 1, "bits": 8, "red": [1, 2, 3], "green": [4, 5, 6], "blue": [7, 8, 9]}
    volume = MadeUp("tyx", np.array([[[0, 1]], [[2, 9]]], "|u1"), {"photometric": "PALETTE COLOR", "palette": table})
    folder = write(tmp_path, [volume])
    assert DicomZarrDataset(folder)[0]["image"].shape == (2, 1, 2)
    sample = DicomZarrDataset(folder, rgb=True)[0]
    assert sample["axes"] == "tcyx" and sample["image"].dtype == np.uint8
    assert sample["image"].tolist() == [[[[1, 1]], [[4, 4]], [[7, 7]]], [[[2, 3]], [[5, 6]], [[8, 9]]]]


def test_a_palette_counts_for_palette_images_alone(tmp_path: Path) -> None:
    values = np.arange(12, dtype="|u1").reshape(3, 4)
    table = {"first": 0, "bits": 8, "red": [0], "green": [0], "blue": [0]}
    grey = MadeUp("yx", values, {"photometric": "MONOCHROME2", "palette": table})
    without = MadeUp("yx", values, {"photometric": "PALETTE COLOR"})
    dataset = DicomZarrDataset(write(tmp_path, [grey, without]), rgb=True)
    assert dataset[0]["axes"] == "yx" and dataset[0]["image"].tolist() == values.tolist()
    with pytest.raises(ValueError, match="states no palette"):
        dataset[1]


def test_channels_first_and_ras(tmp_path: Path) -> None:
    voxels = ints(3, 4, 5)
    image, affine = channel_xyz(dataset_of(tmp_path, MadeUp("zyx", voxels, {"affine_lps": AFFINE}))[0])
    assert image.shape == (1, 5, 4, 3) and image[0, 4, 1, 2] == voxels[2, 1, 4]
    left, posterior, superior, _ = np.array(AFFINE) @ [4, 1, 2, 1]
    assert np.allclose(affine @ [4, 1, 2, 1], [-left, -posterior, superior, 1])


# ---- Processes


@pytest.fixture
def patches(tmp_path: Path) -> DicomZarrDataset:
    rescale = np.array([[1.0, float(i)] for i in range(600)])
    many = MadeUp("zyx", ints(600, 9, 9), {"rescale": {"array": "rescale"}}, beside={"rescale": rescale})
    folder = write(tmp_path, [MadeUp("zyx", ints(20, 30, 30), layout="brick"), many, MadeUp("tzyx", ints(2, 6, 9, 9))])
    size = {"z": 5, "y": 8, "x": 8}
    return DicomZarrDataset(folder, sample="patch", patch=size, patches_per_volume=5, rescale=True)


@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_any_number_of_workers_gives_the_same_samples(patches: DicomZarrDataset, method: str) -> None:
    zarr.open_array(str(patches.folder / "images.zarr" / patches.rows[0]["array"] / "0"), mode="r")[...]
    alone = epoch(patches, 0, method)  # the parent has files open, and zarr's thread runs, before workers start
    assert len(set(alone)) == len(alone) == 15
    for workers in (2, 4):
        assert epoch(patches, workers, method) == alone


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_workers_that_are_running_draw_the_patches_of_the_next_epoch(patches: DicomZarrDataset, method: str) -> None:
    """Else they would draw equal patches in each epoch, and nothing would say so."""
    patches.set_epoch(1)
    with Workers(patches, method) as workers:
        epochs = []
        for number in (1, 2, 0):
            patches.set_epoch(number)
            epochs.append(workers.epoch())
            assert epochs[-1] == epoch(patches, 0, method)
        assert len({tuple(each) for each in epochs}) == 3
        patches.set_epoch(2)
        own = workers.epoch_of_its_own(0)
        assert own == epochs[2] and patches.epoch == 2  # it has gone on alone


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda dataset: pickle.loads(pickle.dumps(dataset))])
def test_a_copy_has_an_epoch_of_its_own(
    patches: DicomZarrDataset, copied: Callable[[DicomZarrDataset], DicomZarrDataset]
) -> None:
    patches.set_epoch(2)
    other = copied(patches)
    patches.set_epoch(1)
    assert other.epoch == 2 and digest(other[0]) != digest(patches[0])
    other.set_epoch(1)
    assert digest(other[0]) == digest(patches[0])
    other.set_epoch(7)
    assert patches.epoch == 1


def test_an_epoch_without_memory_to_share(patches: DicomZarrDataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container in which nothing may be written: one process can read all the same."""

    def refuse(*_: Any) -> None:
        raise OSError(errno.EROFS, "nothing may be written")

    monkeypatch.setattr(multiprocessing, "RawValue", refuse)
    dataset = DicomZarrDataset(patches.folder, patches.select, patches.sample)
    first = digest(dataset[0])
    dataset.set_epoch(1)
    assert dataset.epoch == pickle.loads(pickle.dumps(dataset)).epoch == 1 and digest(dataset[0]) != first


def test_a_url_of_a_file_is_decoded_as_a_path_writes_it(tmp_path: Path) -> None:
    folder = write(tmp_path / "of 100 % ü#", [MadeUp("zyx", ints(3, 40, 50))])
    for place in (folder, str(folder), f"file://{folder}".replace("%", "%25"), folder.as_uri()):
        assert DicomZarrDataset(place).folder == folder


def test_a_relative_folder_is_that_of_the_moment_of_opening(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs that start trials or jobs run each worker in a folder of its own."""
    write(tmp_path / "results" / "dataset", [MadeUp("zyx", ints(3, 40, 50))])
    monkeypatch.chdir(tmp_path)
    dataset, image = DicomZarrDataset("results"), DicomZarrDataset(tmp_path / "results")[0]["image"]
    assert dataset.folder == tmp_path / "results" / "dataset"
    (tmp_path / "trial").mkdir()
    monkeypatch.chdir(tmp_path / "trial")
    for each in (dataset, pickle.loads(pickle.dumps(dataset))):
        assert np.array_equal(each[0]["image"], image)


@pytest.mark.parametrize("lost", ["", "zarr.json", "0/zarr.json", "0/c/0/0/0"])
def test_an_image_that_is_gone_is_an_error_that_says_what_to_do(tmp_path: Path, lost: str) -> None:
    dataset = dataset_of(tmp_path, MadeUp("zyx", ints(3, 40, 50)))
    path = tmp_path / "images.zarr" / dataset.rows[0]["array"] / lost
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    words = r"0{15}0/0{8}: a run has removed the image .* or a file was lost: \./run verify"
    with pytest.raises(FileNotFoundError, match=words) as raised:
        dataset[0]
    assert str(raised.value.filename).startswith(str(path))
    assert str(pickle.loads(pickle.dumps(raised.value))) == str(raised.value)  # as it comes from a worker


def test_equal_cells_are_one_text_in_memory_and_in_pickles(tmp_path: Path) -> None:
    """Of 100,000 rows that is 40 %, which each forked worker copies as it reads them, and each spawned one receives."""
    opened = DicomZarrDataset(write(tmp_path, [MadeUp("zyx", ints(3, 40, 50), {}, {"modality": "CT"})] * 2))
    for dataset in (opened, pickle.loads(pickle.dumps(opened))):
        first, second = dataset.rows
        assert first["array"] != second["array"]
        assert all(first[column] is second[column] for column in ("modality", "shape", "dtype", "flags"))


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_no_file_opened_before_a_fork_is_read_after_it(patches: DicomZarrDataset) -> None:
    expected = [digest(patches[i]) for i in range(len(patches))]
    handles = [patches.volume(number)._file._handle for number in range(3)]
    child = os.fork()
    if child == 0:
        nothing = os.open(os.devnull, os.O_RDONLY)
        for handle in handles:
            os.dup2(nothing, handle)  # reading through it returns nothing
        same = False
        try:
            same = [digest(patches[i]) for i in range(len(patches))] == expected
        finally:
            os._exit(0 if same else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert [digest(patches[i]) for i in range(len(patches))] == expected


def test_the_number_of_open_files_is_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "OPEN_VOLUMES", 2)
    dataset = DicomZarrDataset(write(tmp_path, [MadeUp("yx", ints(4, 4)) for _ in range(9)]))
    before = len(os.listdir("/proc/self/fd"))
    assert len(list(dataset)) == 9
    assert len(os.listdir("/proc/self/fd")) == before + 2
    assert len(pickle.loads(pickle.dumps(dataset))) == 9
    del dataset
    assert len(os.listdir("/proc/self/fd")) == before


def test_the_table_of_volumes_has_numbers_tuples_and_flags(tmp_path: Path) -> None:
    folder = write_dataset(
        tmp_path / "results/dataset",
        [
            Made("a" * 16 + "/00000001", "zyx", ramp(3, 4, 5), "CT", labels={"kind": "NA", "grade": "03"}),
            Made("b" * 16 + "/00000002", "yx", ramp(4, 5), "MR", labels={"kind": "", "grade": "1e5"}),
        ],
        OUTCOMES,
    )
    rows = reading.read_rows(folder)
    head, *lines = [list(row) for row in csv.reader((folder / "volumes.csv").read_text().splitlines())]
    column = {name: number for number, name in enumerate(head)}
    lines[0][column["flags"]], lines[1][column["flags"]] = "gap rounded_positions", ""
    lines[1][column["spacing_mm"]] = lines[1][column["bits_stored"]] = ""
    with open(folder / "volumes.csv", "w", newline="") as stream:
        csv.writer(stream, lineterminator="\n").writerows([head, *lines])
    for path in (folder, folder.parent):
        table = reading.volumes(path)
        first, second = (table.loc[row["array"]] for row in rows)
        assert table.index.name == "array" and len(table) == 2
        assert table["flag_gap"].tolist() == table["flag_rounded_positions"].tolist() == [True, False]
        assert table["flag_gap"].dtype == bool and table["frames"].dtype == "Int64"
        assert first["shape"] == (3, 4, 5) and second["spacing_mm"] == ()
        assert first["spacing_mm"] == tuple(map(float, lines[0][column["spacing_mm"]].split("x")))
        assert table["label_grade"].tolist() == ["03", "1e5"] and first["label_kind"] == "NA"
        assert table["label_kind"].isna().tolist() == table["bits_stored"].isna().tolist() == [False, True]
        assert int(first["stored_bytes"]) == int(rows[0]["stored_bytes"])


def test_a_table_without_volumes_has_its_columns(tmp_path: Path) -> None:
    table = reading.volumes(write_dataset(tmp_path / "dataset", [], OUTCOMES))
    assert not len(table) and table["frames"].dtype == "Int64" and "shape" in table


def test_the_file_works_alone(tmp_path: Path) -> None:
    write(tmp_path / "data", [MadeUp("yx", np.arange(6, dtype="<i2").reshape(2, 3))])
    shutil.copy(reading.__file__, tmp_path / "copied.py")
    code = (
        "import sys, copied; print(copied.DicomZarrDataset('data')[0]['image'].tolist());"
        "print({'dicomzarr', 'pydicom', 'pandas', 'snakemake', 'torch', 'zarr'} & set(sys.modules))"
    )
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert result.stdout == "[[0, 1, 2], [3, 4, 5]]\nset()\n", result.stderr


# ---- The list of images


def test_images_of_a_dataset_folder_are_whole_files_or_frames(tmp_path: Path) -> None:
    stack, colour, shuffled = ints(3, 4, 5), ints(2, 3, 4, 5, dtype="|u1"), ints(2, 2, 4, 5)
    cine = MadeUp("tcyx", colour, {"photometric": "RGB", "one_file": True})
    numbers = MadeUp("tzyx", shuffled, {"one_file": [3, 1, 0, 2]})
    folder = write(tmp_path, [MadeUp("zyx", stack), cine, numbers])
    images = load_images(folder)
    assert [image.shape for image in images] == [(4, 5)] * 3 + [(2, 4, 5, 3), (4, 4, 5)]
    assert np.array_equal(images[2], stack[2]) and np.array_equal(images[3], np.moveaxis(colour, 1, -1))
    assert np.array_equal(images[4], shuffled.reshape(4, 4, 5)[[2, 1, 3, 0]])
    with pytest.raises(ValueError, match=r"needs private/frames\.csv"):
        load_images(folder, source=tmp_path)


def test_images_of_a_results_folder_are_files_in_order(tmp_path: Path) -> None:
    """Two files of one slice, and a file whose three frames are in two volumes."""
    stack, three = ints(2, 4, 5), ints(3, 4, 5)
    write(tmp_path / "dataset", [MadeUp("zyx", stack), MadeUp("tyx", three[[2, 0]]), MadeUp("yx", three[1])])
    arrays = [f"{n:016x}/{n:08x}" for n in range(3)]
    rows = [
        ("%3Db/one", 0, arrays[1], 1, ""),
        ("%3Db/one", 1, arrays[2], "", ""),
        ("%3Db/one", 2, arrays[1], 0, ""),
        ("a/first", 0, arrays[0], "", 1),
        ("a/second", 0, arrays[0], "", 0),
    ]
    (tmp_path / "private").mkdir()
    with open(tmp_path / "private" / "frames.csv", "w", newline="") as stream:
        csv.writer(stream).writerows([("path", "frame", "array", "t", "z"), *rows])
    images = load_images(tmp_path)
    assert all(map(np.array_equal, images, load_images(tmp_path.as_uri())))
    assert [image.shape for image in images] == [(3, 4, 5), (4, 5), (4, 5)]
    assert np.array_equal(images[0], three)
    assert np.array_equal(images[1], stack[1]) and np.array_equal(images[2], stack[0])

    source = tmp_path / "source"
    for name in ("a/second", "a/first", "=b/one", "a/no image"):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).touch()
    images_by_path = {"=b/one": three, "a/first": stack[1], "a/second": stack[0]}
    walk = [os.path.relpath(os.path.join(top, name), source) for top, _, names in os.walk(source) for name in names]
    expected = [images_by_path[name] for name in walk if name in images_by_path]
    assert all(np.array_equal(*pair) for pair in zip(load_images(tmp_path, source), expected, strict=True))
    (source / "a/first").unlink()
    with pytest.raises(ValueError, match="lacks files"):
        load_images(tmp_path, source)
