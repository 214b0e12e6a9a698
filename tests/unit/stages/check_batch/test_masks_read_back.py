"""Masks are read back plane by plane: every change of a voxel, of the index or of a file is a failure."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dicomzarr.arrays.write_masks import write_labels_group, write_mask
from dicomzarr.masks.model import Description, PlacedMask
from dicomzarr.records.mask_record import MaskRecord, SeriesMasks
from dicomzarr.records.record_file import FileClaim
from dicomzarr.stages.check_batch.masks import check_masks

ARRAY = "0123456789abcdef/01234567"
SHAPES = {"yx": (5, 7), "zyx": (9, 5, 7), "tyx": (3, 5, 7), "tzyx": (4, 3, 5, 7)}


def written(images: Path, values: np.ndarray, axes: str, flags: tuple[str, ...] = ()) -> SeriesMasks:
    placed = PlacedMask(Description("SEG", 1), values, axes, "BINARY", flags=flags)
    labels = images / ARRAY / "labels"
    mask = write_mask(labels / "liver", placed, compression="balanced", layout="slice")
    record = MaskRecord(
        array=ARRAY, mask="liver", name="liver", kind="SEG", form="BINARY", algorithm="", axes=axes,
        shape=values.shape, maximum_fraction=None, voxels=mask.voxels, largest=mask.largest, volume_ml=None,
        bounding_box=mask.box, slices=mask.slices, outside=0.0, flags=flags, counts={}, pixel_digest=mask.pixel_digest,
        files={f"labels/liver/{path}": FileClaim(*claim) for path, claim in mask.files.items()},
    )  # fmt: skip
    groups = {
        f"{ARRAY}/labels/{path}": FileClaim(*claim) for path, claim in write_labels_group(labels, ["liver"]).items()
    }
    return SeriesMasks(masks=(record,), groups=groups)


def verdict(images: Path, masks: SeriesMasks) -> tuple[str, str]:
    folder = images / ARRAY
    sizes = {str(path.relative_to(folder)): path.stat().st_size for path in folder.rglob("*") if path.is_file()}
    (found,) = check_masks(images, ARRAY, masks, sizes)
    return found.read_back, found.verdict


@pytest.mark.parametrize("axes", SHAPES)
@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_a_mask_of_any_shape_is_exact(tmp_path: Path, axes: str, share: float) -> None:
    values = (np.random.default_rng(3).random(SHAPES[axes]) < share).astype(np.uint8)
    assert verdict(tmp_path, written(tmp_path, values, axes)) == ("exact", "pass")


def test_an_index_of_many_voxels_is_every_kth(tmp_path: Path) -> None:
    values = np.ones((40, 16, 16), np.uint8)  # 10,240 voxels
    masks = written(tmp_path, values, "zyx")
    index = np.fromfile(tmp_path / ARRAY / "labels/liver/foreground/c/0", "<i8", count=3414)
    assert np.array_equal(index, np.arange(0, 10_240, 3))
    assert verdict(tmp_path, masks) == ("exact", "pass")


def change_voxel(folder: Path, values: np.ndarray) -> None:
    other = values.copy()
    other[-1, -1, -1] ^= 1
    shutil.rmtree(folder / "0")
    placed = PlacedMask(Description("SEG", 1), other, "zyx", "BINARY")
    write_mask(folder.parent / "other", placed, compression="balanced", layout="slice")
    (folder.parent / "other" / "0").rename(folder / "0")
    shutil.rmtree(folder.parent / "other")


def change_index(folder: Path, values: np.ndarray) -> None:
    path = folder / "foreground" / "c" / "0"
    data = bytearray(path.read_bytes())
    data[0] ^= 1
    path.write_bytes(data)


def add_file(folder: Path, values: np.ndarray) -> None:
    (folder / "note.txt").write_text("x")


def lose_group(folder: Path, values: np.ndarray) -> None:
    (folder.parent / "zarr.json").unlink()


@pytest.mark.parametrize(
    ("damage", "read_back"),
    [(change_voxel, "mismatch"), (change_index, "mismatch"), (add_file, "exact"), (lose_group, "exact")],
)
def test_damage_fails(tmp_path: Path, damage: Any, read_back: str) -> None:
    values = (np.random.default_rng(4).random((9, 5, 7)) < 0.4).astype(np.uint8)
    masks = written(tmp_path, values, "zyx")
    damage(tmp_path / ARRAY / "labels/liver", values)
    assert verdict(tmp_path, masks) == (read_back, "fail")


def test_a_flag_that_a_person_should_see_warns(tmp_path: Path) -> None:
    values = np.ones((9, 5, 7), np.uint8)
    assert verdict(tmp_path, written(tmp_path, values, "zyx", ("outside_image",))) == ("exact", "warn")
