"""The reader: regions, samples, filters, patches and tables, on made-up volumes with known voxels."""

from __future__ import annotations

import csv
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import zarr
from made_up_dataset import OUTCOMES, Made, ramp, write_dataset
from made_up_volumes import LABEL, MadeUp, write
from read_datasets import AFFINE, RANDOM, dataset_of, ints

from dicomzarr import dataset as reading
from dicomzarr.arrays import shard_writer
from dicomzarr.dataset import DicomZarrDataset, Volume, channel_xyz, load_images

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


def test_filters_select_volumes_by_their_cells(tmp_path: Path) -> None:
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


def test_channels_first_and_ras(tmp_path: Path) -> None:
    voxels = ints(3, 4, 5)
    image, affine = channel_xyz(dataset_of(tmp_path, MadeUp("zyx", voxels, {"affine_lps": AFFINE}))[0])
    assert image.shape == (1, 5, 4, 3) and image[0, 4, 1, 2] == voxels[2, 1, 4]
    left, posterior, superior, _ = np.array(AFFINE) @ [4, 1, 2, 1]
    assert np.allclose(affine @ [4, 1, 2, 1], [-left, -posterior, superior, 1])


# ---- Folders and tables


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
