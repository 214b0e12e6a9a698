"""Patches at foreground: their share, their place, and that seed and epoch alone decide. Voxels are planted."""

from __future__ import annotations

import math
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from epochs import digest, epoch
from images_with_masks import (
    PATCH,
    SHAPE,
    boxed,
    dataset_with_masks,
    image,
    numbers,
)
from made_up_masks import MadeUpMask, add_masks
from made_up_volumes import write

from dicomzarr.dataset import DicomZarrDataset, Sample, Select, Volume


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return dataset_with_masks(tmp_path)


def patches(folder: Path, **options: Any) -> DicomZarrDataset:
    return DicomZarrDataset(
        folder, **{"sample": "patch", "patch": PATCH, "patches_per_volume": 100, "masks": ["liver"]} | options
    )


@pytest.mark.parametrize("share", [0.01, 0.33, 0.5, 0.67, 1.0])
def test_patches_at_foreground_are_spread_evenly(folder: Path, share: float) -> None:
    dataset = patches(folder, foreground=share)
    for number in range(2):
        dataset.set_epoch(number)
        around = [sample["around"] for sample in dataset]
        for first in range(201):
            assert abs(around[first : first + 100].count("liver") - 100 * share) < (2 if share < 1 else 1)
    positions = set()
    for number in range(5):
        dataset.set_epoch(number)
        positions.add(tuple(bool(dataset[i]["around"]) for i in range(100)))
    assert (len(positions) > 1) == (share < 1)  # other patches in each epoch


@pytest.mark.parametrize("share", [0.125, 0.25, 0.5, 0.75])
@pytest.mark.parametrize("processes", [2, 4, 8])
def test_every_nth_patch_has_the_share_too(folder: Path, share: float, processes: int) -> None:
    """A sampler that does not shuffle gives each of n processes that train every n-th patch."""
    dataset = patches(folder, foreground=share, patches_per_volume=1000)
    at_foreground = [dataset._is_at_foreground(index, 0) for index in range(1000 * len(dataset.rows))]
    spread = math.sqrt(share * (1 - share) * processes / len(at_foreground))  # of independent draws
    for first in range(processes):
        assert abs(np.mean(at_foreground[first::processes]) - share) < 4 * spread


@pytest.mark.parametrize(("share", "each"), [(0.5, 2), (0.25, 4), (0.75, 4)])
def test_each_volume_has_its_share_where_that_is_whole(folder: Path, share: float, each: int) -> None:
    dataset = patches(folder, foreground=share, patches_per_volume=each)
    for number in range(8):
        dataset.set_epoch(number)
        for first in range(0, len(dataset), each):
            found = sum(bool(dataset[index]["around"]) for index in range(first, first + each))
            assert found == share * each


def test_every_volume_is_as_likely_at_foreground_as_the_others(folder: Path) -> None:
    dataset = patches(folder, foreground=0.4, patches_per_volume=1)
    found = np.zeros(len(dataset))
    for number in range(2000):
        found += [dataset._is_at_foreground(index, number) for index in range(len(dataset))]
    assert (abs(found / 2000 - 0.4) < 0.05).all()


@pytest.mark.parametrize("layout", ["slice", "brick"])
def test_such_a_patch_is_centred_on_a_voxel_of_the_mask(tmp_path: Path, layout: str) -> None:
    """Voxels in corners, at borders and within: the patch is clamped into the image."""
    voxels = [(0, 0, 0), (17, 39, 29), (9, 20, 15), (9, 0, 29), (3, 4, 4), (15, 35, 26)]
    mask = np.zeros(SHAPE, np.uint8)
    mask[tuple(np.transpose(voxels))] = 1
    made = image(layout=layout)
    folder = add_masks(write(tmp_path, [made]), [MadeUpMask(0, "liver", mask, layout=layout)])
    expected = {(0, 0, 0), (12, 31, 22), (6, 16, 11), (6, 0, 22)}  # voxel - (3, 4, 4), from 0 to (12, 31, 22)
    starts = Counter()
    for sample in patches(folder, foreground=1.0, patches_per_volume=600):
        z, y, x = map(int, sample["start"])
        assert np.array_equal(sample["image"], made.voxels[z : z + 6, y : y + 9, x : x + 8])
        assert np.array_equal(sample["mask"][0], mask[z : z + 6, y : y + 9, x : x + 8]) and sample["mask"].any()
        starts[z, y, x] += 1
    assert set(starts) == expected
    # (3, 4, 4) gives the same start as the first corner, (15, 35, 26) as the last: two voxels of six each.
    assert abs(starts[0, 0, 0] - 200) < 60 and abs(starts[12, 31, 22] - 200) < 60 and abs(starts[6, 16, 11] - 100) < 45


def test_only_every_kth_voxel_needs_to_be_in_the_index(tmp_path: Path) -> None:
    mask = boxed(((0, 18), (10, 20), (0, 30)))
    folder = add_masks(write(tmp_path, [image()]), [MadeUpMask(0, "liver", mask, every=7)])
    indexed = {np.unravel_index(flat, SHAPE) for flat in np.flatnonzero(mask)[::7]}
    drawn = set()
    for sample in patches(folder, foreground=1.0, patch={"z": 1, "y": 1, "x": 1}, patches_per_volume=3000):
        assert sample["mask"].tolist() == [[[[1]]]]
        drawn.add(tuple(map(int, sample["start"])))
    assert drawn <= indexed and len(drawn) > 0.9 * len(indexed)


def test_every_wanted_mask_is_equally_likely_and_every_voxel_of_a_name(folder: Path) -> None:
    """The liver has 300 voxels; the tumours 12 and 144, one name: half the patches are at a tumour, 12/13 at OTHER."""
    chosen = patches(folder, masks=["liver", "tumour", "spleen"], foreground=1.0, patches_per_volume=1300)
    samples = [chosen[i] for i in range(1300)]
    around = Counter(sample["around"] for sample in samples)
    assert set(around) == {"liver", "tumour"} and abs(around["tumour"] - 650) < 100
    starts = [tuple(map(int, sample["start"])) for sample in samples if sample["around"] == "tumour"]
    at_other = sum(z >= 10 for z, _, _ in starts)
    assert 0.87 < at_other / len(starts) < 0.97


def test_an_image_without_a_voxel_of_the_masks_gets_random_patches(folder: Path) -> None:
    dataset = patches(folder, masks=["tumour"], foreground=1.0)
    random = patches(folder, masks=["tumour"])
    assert numbers(dataset) == [0, 1]
    assert all(dataset[i]["around"] == "tumour" for i in range(100))
    for i in range(100, 200):
        assert dataset[i]["around"] == "" and digest(dataset[i]) == digest(random[i])


def test_patches_at_foreground_depend_on_seed_and_epoch_alone(folder: Path) -> None:
    def starts(dataset: DicomZarrDataset) -> list[tuple[int, ...]]:
        return [tuple(sample["start"]) for sample in dataset]

    dataset, random = patches(folder, foreground=0.4), patches(folder)
    first = starts(dataset)
    assert starts(patches(folder, foreground=0.4)) == first
    assert starts(patches(folder, foreground=0.4, seed=1)) != first
    dataset.set_epoch(1)
    assert starts(dataset) != first
    dataset.set_epoch(0)
    assert starts(dataset) == first
    # The other patches are those that are drawn without foreground.
    around = [sample["around"] for sample in dataset]
    assert all(a == b for a, b, name in zip(first, starts(random), around, strict=True) if not name)
    backwards = [tuple(dataset[i]["start"]) for i in reversed(range(len(dataset)))]
    assert backwards[::-1] == first


@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_any_number_of_workers_gives_the_same_masks(folder: Path, method: str) -> None:
    dataset = patches(folder, masks=["liver", "tumour"], foreground=0.5, patches_per_volume=10)
    alone = epoch(dataset, 0, method)
    assert len(set(alone)) == len(alone) == 20
    assert epoch(dataset, 2, method) == alone


def test_a_voxel_of_a_moving_mask_has_its_time(tmp_path: Path) -> None:
    moving = np.zeros((5, 18, 40, 30), np.uint8)
    moving[3, 9, 20, 15] = moving[4, 10, 20, 15] = 1
    made = image("tzyx", (5, *SHAPE))
    folder = add_masks(write(tmp_path, [made]), [MadeUpMask(0, "heart", moving, "tzyx")])
    drawn = {tuple(map(int, s["start"])) for s in patches(folder, masks=["heart"], foreground=1.0)}
    assert drawn == {(3, 6, 16, 11), (4, 7, 16, 11)}
    flat = patches(folder, masks=["heart"], foreground=1.0, patch={"y": 9, "x": 8})
    assert {tuple(map(int, s["start"])) for s in flat} == {(3, 9, 16, 11), (4, 10, 16, 11)}
    assert all(sample["mask"][0, 4, 4] == 1 and sample["mask_axes"] == "cyx" for sample in flat)


def test_a_lost_index_is_an_error(folder: Path) -> None:
    shutil.rmtree(next(folder.glob("images.zarr/*0/*/labels/liver/foreground")))
    with pytest.raises(ValueError, match=r"no index of its foreground: \./run verify"):
        patches(folder, foreground=1.0)[0]
    assert patches(folder)[0]["mask"].shape == (1, 6, 9, 8)
    empty = MadeUpMask(0, "nothing", np.zeros(SHAPE, np.uint8))
    add_masks(write(folder / "empty", [image()]), [empty])
    assert len(DicomZarrDataset(folder / "empty").volume(0).mask("nothing").foreground) == 0
    assert patches(folder / "empty", masks=["nothing"], foreground=1.0)[0]["around"] == ""


def test_foreground_needs_masks_and_patches() -> None:
    for options in ({"masks": ["liver"]}, {"kind": "patch", "patch": PATCH}):
        with pytest.raises(ValueError, match=r"foreground needs patches .* and the masks"):
            Sample(foreground=0.5, **options)  # type: ignore[arg-type]
    for share in (-0.1, 1.5, math.nan):
        with pytest.raises(ValueError, match="share of the patches, a number from 0 to 1"):
            Sample(foreground=share, kind="patch", patch=PATCH, masks=["liver"])


def test_objects_and_keywords_give_the_same(folder: Path) -> None:
    made = Sample(kind="patch", patch=PATCH, masks=["liver"], foreground=0.5, patches_per_volume=5)
    by_objects = DicomZarrDataset(folder, Select(with_masks=["liver"], require_affine=True), made)
    by_keywords = patches(folder, foreground=0.5, patches_per_volume=5, with_masks=["liver"], require_affine=True)
    assert numbers(by_objects) == [0, 2]
    assert [digest(sample) for sample in by_objects] == [digest(sample) for sample in by_keywords]
    assert isinstance(by_objects.volume(0), Volume) and by_objects.sample.masks == ("liver",)
