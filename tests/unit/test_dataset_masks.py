"""Masks in samples: the region of the image, unions, missing ones, and their files. Voxels are planted."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
import zarr
from images_with_masks import (
    AFFINE,
    LIVER,
    OTHER,
    PATCH,
    RANDOM,
    SHAPE,
    TUMOUR,
    boxed,
    dataset_with_masks,
    image,
    numbers,
    speckled,
)
from made_up_masks import MadeUpMask, add_masks
from made_up_volumes import MadeUp, write

from dicomzarr import dataset as reading
from dicomzarr.dataset import DicomZarrDataset, channel_xyz


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return dataset_with_masks(tmp_path)


# ---- The region of the image


@pytest.mark.parametrize("layout", ["slice", "brick"])
@pytest.mark.parametrize(
    ("axes", "shape", "mask_axes"),
    [
        ("zyx", (40, 70, 75), "zyx"),
        ("tzyx", (3, 18, 20, 25), "zyx"),
        ("tzyx", (3, 18, 20, 25), "tzyx"),
        ("yx", (40, 30), "yx"),
        ("tcyx", (4, 3, 40, 30), "yx"),
    ],
)
def test_a_mask_is_the_region_of_its_image(
    tmp_path: Path, axes: str, shape: tuple[int, ...], mask_axes: str, layout: str
) -> None:
    size = dict(zip(axes, shape, strict=True))
    whole = speckled(tuple(size[axis] for axis in mask_axes))
    whole[..., : size["y"] // 2, :] = 0  # so that its bounding box is a part
    colour = {"photometric": "RGB"} if "c" in axes else {}
    made = MadeUp(axes, RANDOM.integers(0, 200, shape).astype("u1"), colour, layout=layout)
    add_masks(write(tmp_path, [made]), [MadeUpMask(0, "liver", whole, mask_axes, layout=layout)])
    by_zarr = zarr.open_array(str(next(tmp_path.glob("images.zarr/*/*/labels/liver/0"))), mode="r")
    assert np.array_equal(by_zarr[...], whole)

    volume = DicomZarrDataset(tmp_path, masks="liver")[0]
    assert volume["mask"].dtype == np.uint8 and volume["mask_axes"] == "c" + mask_axes
    assert np.array_equal(volume["mask"][0], whole) and volume["mask_maximum"].tolist() == [1]

    spatial = mask_axes.replace("t", "")
    patch = {axis: min(n, size[axis]) for axis, n in {"z": 5, "y": 13, "x": 11}.items() if axis in size}
    with_t = patch | {"t": 2} if "t" in size else patch
    for options, expected_axes in (
        ({"sample": "slice"}, "cyx"),
        ({"sample": "patch", "patch": patch, "patches_per_volume": 30}, "c" + spatial),
        ({"sample": "patch", "patch": {"y": 13, "x": 11}, "patches_per_volume": 30}, "cyx"),
        ({"sample": "patch", "patch": with_t, "patches_per_volume": 30}, "c" + mask_axes),
    ):
        plain = DicomZarrDataset(tmp_path, **options)  # type: ignore[arg-type]
        for sample, alone in zip(DicomZarrDataset(tmp_path, masks=["liver"], **options), plain, strict=True):  # type: ignore[arg-type]
            assert np.array_equal(sample["image"], alone["image"])
            start = dict(zip(axes, map(int, sample["start"]), strict=True))
            length = dict(zip(sample["axes"], sample["image"].shape, strict=True))
            at = tuple(slice(start[axis], start[axis] + length.get(axis, 1)) for axis in mask_axes)
            expected = whole[at].reshape([length[axis] for axis in expected_axes[1:]])
            assert sample["mask_axes"] == expected_axes
            assert np.array_equal(sample["mask"][0], expected) and sample["mask"].flags.c_contiguous


def test_a_mask_differs_along_t_beside_one_that_does_not(tmp_path: Path) -> None:
    moving, still = speckled((3, 6, 20, 25)), speckled((6, 20, 25))
    masks = [MadeUpMask(0, "heart", moving, "tzyx"), MadeUpMask(0, "spine", still)]
    folder = add_masks(write(tmp_path, [image("tzyx", (3, 6, 20, 25))]), masks)
    sample = DicomZarrDataset(folder, masks=["spine", "heart"])[0]
    assert sample["mask_axes"] == "ctzyx" and sample["mask"].shape == (2, 3, 6, 20, 25)
    assert np.array_equal(sample["mask"][1], moving) and all(np.array_equal(each, still) for each in sample["mask"][0])
    slices = DicomZarrDataset(folder, masks=["spine", "heart"], sample="slice")
    assert np.array_equal(slices[2 * 6 + 4]["mask"], [still[4], moving[2, 4]])


def test_channels_are_in_the_order_of_the_names_and_a_name_is_all_masks_of_it(folder: Path) -> None:
    both = TUMOUR | OTHER
    for names, expected in (
        (["liver", "tumour"], [LIVER, both]),
        (["tumour", "liver"], [both, LIVER]),
        (["tumour_2", "liver"], [OTHER, LIVER]),
    ):
        sample = DicomZarrDataset(folder, masks=names)[0]
        assert np.array_equal(sample["mask"], expected) and sample["mask_axes"] == "czyx"


def test_masks_of_one_name_that_overlap_are_united(tmp_path: Path) -> None:
    first, second = speckled(SHAPE, 0.3), speckled(SHAPE, 0.3)
    masks = [MadeUpMask(0, "lesion", first), MadeUpMask(0, "lesion_2", second, name="lesion")]
    sample = DicomZarrDataset(add_masks(write(tmp_path, [image()]), masks), masks=["lesion"])[0]
    assert np.array_equal(sample["mask"][0], first | second)


def test_what_the_bounding_box_excludes_is_not_read(folder: Path) -> None:
    shutil.rmtree(next(folder.glob("images.zarr/*0/*/labels/tumour_2")))
    slices = DicomZarrDataset(folder, sample="slice", masks=["tumour"])
    assert np.array_equal(slices[4]["mask"], TUMOUR[4:5])
    with pytest.raises(FileNotFoundError):
        slices[16]


def test_a_table_without_boxes_costs_time_alone(tmp_path: Path) -> None:
    whole = speckled((6, 20, 25))
    folder = add_masks(write(tmp_path, [image("zyx", (6, 20, 25))]), [MadeUpMask(0, "liver", whole, box="")])
    assert np.array_equal(DicomZarrDataset(folder, masks=["liver"])[0]["mask"][0], whole)


def test_fractions_are_kept_with_their_maximum(tmp_path: Path) -> None:
    fraction, binary = boxed(((0, 3), (0, 9), (0, 9)), value=100), boxed(((2, 5), (5, 12), (5, 12)))
    fraction[0, 0, 0] = 3
    other = boxed(((9, 10), (0, 9), (0, 9)), value=40)
    masks = [
        MadeUpMask(0, "fat", fraction, maximum_fraction=200),
        MadeUpMask(0, "fat_2", binary, name="fat"),
        MadeUpMask(1, "fat", binary),
        MadeUpMask(2, "fat", fraction, maximum_fraction=200),
        MadeUpMask(2, "fat_2", other, name="fat", maximum_fraction=100),
    ]
    dataset = DicomZarrDataset(add_masks(write(tmp_path, [image(), image(), image()]), masks), masks=["fat"])
    first = dataset[0]
    assert first["mask_maximum"].tolist() == [200] and first["mask_maximum"].dtype == np.uint8
    assert np.array_equal(first["mask"][0], np.maximum(fraction, binary * 200))
    assert dataset[1]["mask_maximum"].tolist() == [1] and np.array_equal(dataset[1]["mask"][0], binary)
    with pytest.raises(ValueError, match=r"'fat' of 0{15}2/0{7}2 have different maximum fractions.*by its folder"):
        dataset[2]
    alone = DicomZarrDataset(tmp_path, masks=["fat_2"], where=lambda row: row["array"][15] == "2")[0]
    assert np.array_equal(alone["mask"][0], other) and alone["mask_maximum"].tolist() == [100]


def test_channels_first_and_ras_of_a_mask(folder: Path) -> None:
    sample = DicomZarrDataset(folder, masks=["liver", "tumour"], sample="patch", patch=PATCH, seed=4)[0]
    values, affine = channel_xyz(sample, "mask")
    assert values.shape == (2, 8, 9, 6) and np.array_equal(values, sample["mask"].transpose(0, 3, 2, 1))
    assert np.array_equal(affine, channel_xyz(sample)[1])
    z, y, x = map(int, sample["start"])
    assert np.allclose(affine[:3, 3], np.diag([-1, -1, 1]) @ (np.array(AFFINE) @ [x, y, z, 1])[:3])


# ---- Which images


def test_an_image_that_lacks_a_mask_is_not_selected_unless_it_is_known_to_be_absent(folder: Path) -> None:
    dataset = DicomZarrDataset(folder, masks=["liver", "tumour"])
    assert numbers(dataset) == [0, 1]
    assert [row["array"] for row in dataset.left_out] == [f"{n:016x}/{n:08x}" for n in (2, 3)]
    assert np.array_equal(dataset[1]["mask"], [OTHER, np.zeros(SHAPE)])
    assert numbers(DicomZarrDataset(folder, masks=["liver"])) == [0, 1, 2]
    assert numbers(DicomZarrDataset(folder, masks=["tumour_2"])) == [0]
    assert numbers(DicomZarrDataset(folder, masks=["spleen"])) == [0, 1]  # looked for, and absent from all

    zeros = DicomZarrDataset(folder, masks=["liver", "tumour"], missing_masks="zeros")
    assert numbers(zeros) == [0, 1, 2, 3] and not zeros.left_out
    assert np.array_equal(zeros[2]["mask"], [LIVER, np.zeros(SHAPE)]) and not zeros[3]["mask"].any()

    with pytest.raises(ValueError, match=r"2 images lack a wanted mask \(liver, tumour\).*such as 0{15}2/0{7}2"):
        DicomZarrDataset(folder, masks=["liver", "tumour"], missing_masks="error")
    few = DicomZarrDataset(folder, masks=["liver"], missing_masks="error", where=lambda row: row["array"][15] != "3")
    assert numbers(few) == [0, 1, 2]
    with pytest.raises(ValueError, match="skip, zeros or error"):
        DicomZarrDataset(folder, masks=["liver"], missing_masks="none")


def test_a_mask_of_which_nothing_is_left_is_a_missing_one(tmp_path: Path) -> None:
    dataset = write(tmp_path, [image(), image(), image()])
    masks = [
        MadeUpMask(0, "tumour", np.zeros(SHAPE, np.uint8), flags="empty_mask nothing_left"),
        MadeUpMask(1, "tumour", np.zeros(SHAPE, np.uint8), flags="empty_mask"),
        MadeUpMask(2, "tumour", np.zeros(SHAPE, np.uint8), flags="empty_mask point_contours"),
        MadeUpMask(2, "tumour_2", TUMOUR, name="tumour"),
    ]
    folder = add_masks(dataset, masks, {})
    assert numbers(DicomZarrDataset(folder, masks=["tumour"])) == [1, 2]
    with pytest.raises(ValueError, match="1 image lacks a wanted mask"):
        DicomZarrDataset(folder, masks=["tumour"], missing_masks="error")


def test_images_are_selected_by_masks_and_their_flags(folder: Path) -> None:
    assert numbers(DicomZarrDataset(folder, with_masks="liver")) == [0, 1, 2]
    assert numbers(DicomZarrDataset(folder, masks=["liver", "tumour"], with_masks=["tumour"])) == [0]
    assert numbers(DicomZarrDataset(folder, without_mask_flags=["outside_image"])) == [0, 1, 3]
    assert numbers(DicomZarrDataset(folder, masks=["liver"], without_mask_flags="outside_image")) == [0, 1]
    assert "mask" not in DicomZarrDataset(folder, with_masks="liver")[0]
    empty = [MadeUpMask(0, "liver", np.zeros(SHAPE, np.uint8)), MadeUpMask(1, "liver", LIVER)]
    other = add_masks(write(folder / "other", [image(), image()]), empty)
    assert numbers(DicomZarrDataset(other, masks=["liver"])) == [0, 1]
    assert numbers(DicomZarrDataset(other, masks=["liver"], with_masks=["liver"])) == [1]


def test_a_mask_on_a_grid_of_its_own_is_refused(tmp_path: Path) -> None:
    own = MadeUpMask(1, "tumour", boxed(((0, 1), (0, 2), (0, 3)), (4, 5, 6)), flags="own_grid")
    masks = [MadeUpMask(0, "liver", LIVER), MadeUpMask(0, "tumour", TUMOUR), MadeUpMask(1, "liver", LIVER), own]
    folder = add_masks(write(tmp_path, [image(), image()]), masks)
    message = (
        r"1 image has a wanted mask on a grid of its own \(flag own_grid\), such as tumour of 0{15}1/0{7}1; .* needs "
        r"masks on the grid of their image, .*without_mask_flags=\['own_grid'\]"
    )
    with pytest.raises(ValueError, match=message):
        DicomZarrDataset(folder, masks=["tumour"])
    assert numbers(DicomZarrDataset(folder, masks=["tumour"], without_mask_flags=["own_grid"])) == [0]
    livers = DicomZarrDataset(folder, masks=["liver"], without_mask_flags=["own_grid"])
    assert numbers(livers) == [0, 1]
    assert livers.volume(0).masks == ["liver", "tumour"] and livers.volume(1).masks == ["liver"]
    assert livers.volume(1).mask("tumour").read()[0, :2, :3].all()


def test_a_name_that_no_mask_has_is_refused(folder: Path) -> None:
    message = r"no image has mask 'livr': did you mean 'liver'\? there are 'liver', 'spleen', 'tumour', 'tumour_2'"
    for options in ({"masks": ["livr"]}, {"with_masks": "livr"}):
        with pytest.raises(ValueError, match=message):
            DicomZarrDataset(folder, **options)
    with pytest.raises(ValueError, match="names a mask twice"):
        DicomZarrDataset(folder, masks=["liver", "liver"])
    with pytest.raises(TypeError, match="not a set: its order is that of the channels"):
        DicomZarrDataset(folder, masks={"liver", "tumour"})


def test_a_dataset_of_before_masks_still_opens(tmp_path: Path) -> None:
    folder = write(tmp_path, [image()])
    assert DicomZarrDataset(folder)[0]["image"].shape == SHAPE and DicomZarrDataset(folder).volume(0).masks == []
    for options in ({"masks": ["liver"]}, {"with_masks": "liver"}, {"without_mask_flags": ["own_grid"]}):
        with pytest.raises(ValueError, match=r"no masks\.csv, .* \(run \./run on its source again"):
            DicomZarrDataset(folder, **options)  # type: ignore[arg-type]


# ---- Files


def test_masks_are_kept_open_beside_their_images(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "OPEN_VOLUMES", 1)
    before = len(os.listdir("/proc/self/fd"))
    dataset = DicomZarrDataset(folder, masks=["liver"])
    assert len(list(dataset)) == 3
    assert len(os.listdir("/proc/self/fd")) == before + 2  # an image and its mask
    del dataset
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_damaged_mask_is_noticed(folder: Path) -> None:
    (shard,) = folder.glob("images.zarr/*0/*/labels/liver/0/c/0/0/0")
    data = bytearray(shard.read_bytes())
    data[-40] ^= 1
    shard.write_bytes(data)
    with pytest.raises(ValueError, match="damaged"):
        DicomZarrDataset(folder, masks=["liver"])[0]


@pytest.mark.parametrize("sealed", [True, False])
def test_masks_that_were_replaced_after_the_tables_were_read_are_an_error(
    folder: Path, tmp_path: Path, sealed: bool
) -> None:
    """Their boxes are those of other masks: outside of these all would be background."""
    results = tmp_path / "results"
    copied = Path(shutil.copytree(folder / "images.zarr", results / "dataset/images.zarr")).parent
    for name in ("volumes.csv", "masks.csv"):
        shutil.copy2(folder / name, copied)
    (results / "private").mkdir()
    if sealed:
        (copied / "dataset.json").write_text("{}")
    plain, dataset, reader = DicomZarrDataset(copied), *(DicomZarrDataset(copied, masks=["liver"]) for _ in range(2))
    assert np.array_equal(dataset[0]["mask"][0], LIVER)
    zarr_json = copied / "images.zarr" / dataset.rows[0]["array"] / "labels/liver/zarr.json"
    os.utime(zarr_json, ns=(time.time_ns() + 1,) * 2)
    if not sealed:  # a run is at it, and its tables come last
        reader = DicomZarrDataset(copied, masks=["liver"])
    for read in (reader, pickle.loads(pickle.dumps(dataset))):  # as in a new worker
        with pytest.raises(ValueError, match="written after the table of masks .* open the dataset again"):
            read[0]
        assert np.array_equal(read[1]["mask"][0], OTHER)
    assert plain[0]["image"].shape == SHAPE
    (results / "private").rmdir()  # a copy, of which each file has the time of copying
    assert np.array_equal(DicomZarrDataset(copied, masks=["liver"])[0]["mask"][0], LIVER)


def test_a_mask_with_another_number_of_voxels_than_in_the_table_is_an_error(folder: Path) -> None:
    """As of a copy that keeps times, or of a folder below a URL."""
    dataset = DicomZarrDataset(folder, masks=["liver"])
    zarr_json = folder / "images.zarr" / dataset.rows[0]["array"] / "labels/liver/zarr.json"
    times = zarr_json.stat().st_atime_ns, zarr_json.stat().st_mtime_ns
    metadata = json.loads(zarr_json.read_text())
    metadata["attributes"]["dicomzarr"]["voxels"] += 1
    zarr_json.write_text(json.dumps(metadata))
    os.utime(zarr_json, ns=times)
    patches = DicomZarrDataset(folder, masks=["liver"], sample="patch", patch=PATCH, foreground=1.0)
    for read in (dataset, patches):
        with pytest.raises(ValueError, match="written after the table of masks"):
            read[0]


def test_the_table_of_masks(folder: Path) -> None:
    for path in (folder, folder / "results"):
        if path != folder:
            shutil.copytree(folder, path / "dataset", ignore=lambda *_: {"results"})
        table = reading.masks(path)
        assert table.index.names == ["array", "mask"] and len(table) == 5
        assert table.groupby("name")["voxels"].sum().to_dict() == {"liver": 300 + 144 + 300, "tumour": 12 + 144}
        first = table.loc[(f"{0:016x}/{0:08x}", "liver")]
        assert first["bounding_box"] == ((3, 9), (10, 20), (0, 5)) and first["shape"] == SHAPE
        assert table["flag_outside_image"].sum() == 1 and table["outside"].dtype == "Float64"
