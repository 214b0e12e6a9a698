"""Masks beside images in NIfTI and NPZ: every voxel, at the place of the image's voxel by independent readers."""

from __future__ import annotations

import csv
import json
import re
import shutil
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import SimpleITK
from made_up_results import BATCH, OBLIQUE, MadeUpCase, MadeUpMask, array_of, export, write_results

from dicomzarr.stages.export import engine, verified_arrays

SHAPE = (5, 7, 9)


def blob(start: int, shape: tuple[int, ...] = SHAPE, value: int = 1) -> np.ndarray:
    voxels = np.zeros(shape, np.uint8)
    voxels[..., start : start + 3, 2 : 2 + start, 1:4] = value
    return voxels


def image(shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    return np.random.default_rng(3).integers(-900, 900, shape).astype("<i2")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A dataset of one image with masks of each kind, and one image in time, exported as NIfTI and NPZ."""
    from export_nifti import export_nifti
    from export_npz import export_npz

    own = OBLIQUE.copy()
    own[:3, 0] *= 0.5
    over_time = np.stack([blob(1), blob(2)])
    fraction = np.random.default_rng(4).integers(0, 201, SHAPE).astype("u1")
    cases = {
        0: MadeUpCase(
            image(),
            {
                "liver": MadeUpMask(blob(1)),
                "tumour_2": MadeUpMask(blob(2), "tumour"),
                "lung": MadeUpMask(fraction, maximum_fraction=200),
                "unnamed_1": MadeUpMask(blob(2, (5, 7, 18)), own_affine=own),
            },
        ),
        1: MadeUpCase(
            image((2, *SHAPE)), {"liver": MadeUpMask(over_time, axes="tzyx"), "lung": MadeUpMask(blob(1))}, axes="tzyx"
        ),
        2: MadeUpCase(image(), {"liver": MadeUpMask(blob(1))}, affine=None),
    }
    results = write_results(tmp_path / "results", cases)
    export_nifti(results.root, [BATCH], 1, 1, "code")
    export_npz(results.root, [BATCH], 1, 1, "code")
    return results.root


def world(affine: np.ndarray, mask: np.ndarray) -> list[list[float]]:
    """Return where the voxels of a mask lie: rounded coordinates, sorted. `mask` is indexed by x, y, z."""
    index = np.argwhere(mask)
    places = index @ affine[:3, :3].T + affine[:3, 3]
    return sorted(np.round(places, 3).tolist())


def test_nifti_masks_lie_where_their_voxels_lie_by_two_readers(root: Path) -> None:
    folder = root / "exports/nifti" / array_of(0)
    truth = {"liver": blob(1), "tumour_2": blob(2)}
    ras = np.diag([-1.0, -1, 1, 1]) @ OBLIQUE
    picture = nibabel.load(f"{folder}.nii.gz")
    for name, values in truth.items():
        mask: Any = nibabel.load(f"{folder}__{name}.nii.gz")
        voxels = np.asanyarray(mask.dataobj)
        assert voxels.dtype == np.uint8 and np.array_equal(voxels.T, values)
        assert np.array_equal(mask.affine, picture.affine) and mask.shape == picture.shape
        assert world(mask.affine, voxels) == world(ras, values.T)
        itk = SimpleITK.ReadImage(f"{folder}__{name}.nii.gz")
        itk_image = SimpleITK.ReadImage(f"{folder}.nii.gz")
        assert np.array_equal(SimpleITK.GetArrayFromImage(itk), values)
        for x, y, z in [(0, 0, 0), (8, 6, 4), (3, 1, 2)]:  # in LPS
            place = itk.TransformIndexToPhysicalPoint((x, y, z))
            assert place == itk_image.TransformIndexToPhysicalPoint((x, y, z))
            assert np.allclose(place, (OBLIQUE @ [x, y, z, 1])[:3], atol=1e-4)


def test_a_mask_of_another_grid_keeps_it_and_its_name_says_so(root: Path) -> None:
    folder = root / "exports/nifti" / array_of(0)
    mask: Any = nibabel.load(f"{folder}__unnamed_1_own_grid.nii.gz")
    own = OBLIQUE.copy()
    own[:3, 0] *= 0.5
    assert np.array_equal(np.asanyarray(mask.dataobj).T, blob(2, (5, 7, 18)))
    assert np.allclose(mask.affine, np.diag([-1.0, -1, 1, 1]) @ own, atol=1e-5)
    assert not Path(f"{folder}__unnamed_1.nii.gz").exists()


def test_files_of_masks_are_in_the_table_with_their_digests(root: Path) -> None:
    from blake3 import blake3

    with open(root / "exports/nifti/files.csv", newline="") as stream:
        rows = {row["file"]: row for row in csv.DictReader(stream)}
    row = rows[f"{array_of(0)}__liver.nii.gz"]
    planes = b"".join(blake3(plane.tobytes()).digest() for plane in blob(1))
    assert (row["array"], row["bit_depth"]) == (array_of(0), "8")
    assert row["pixel_digest"] == blake3(planes).hexdigest()


def test_a_fractional_mask_is_read_as_shares_and_keeps_its_values(root: Path) -> None:
    mask: Any = nibabel.load(f"{root / 'exports/nifti' / array_of(0)}__lung.nii.gz")
    fraction = np.random.default_rng(4).integers(0, 201, SHAPE).astype("u1")
    assert np.array_equal(np.asanyarray(mask.dataobj.get_unscaled()).T, fraction)
    assert np.allclose(mask.get_fdata().T, fraction / 200, atol=1e-6)


def test_a_mask_has_an_axis_of_time_only_if_it_differs_along_it(root: Path) -> None:
    folder = root / "exports/nifti" / array_of(1)
    voxels = np.asanyarray(nibabel.load(f"{folder}__liver.nii.gz").dataobj)
    assert np.array_equal(voxels.T, np.stack([blob(1), blob(2)]))
    assert nibabel.load(f"{folder}__lung.nii.gz").shape == (9, 7, 5)


def test_masks_of_an_image_without_affine_are_in_npz_alone(root: Path) -> None:
    assert not list((root / "exports/nifti").glob(f"{array_of(2).split('/')[0]}*"))
    series, volume = array_of(2).split("/")
    with np.load(root / f"exports/npz/{series}.npz") as archive:
        assert np.array_equal(archive[f"{volume}__liver"], blob(1))


def test_npz_holds_masks_and_their_attributes(root: Path) -> None:
    series, volume = array_of(0).split("/")
    with np.load(root / f"exports/npz/{series}.npz", allow_pickle=False) as archive:
        names = {f"{volume}{suffix}" for suffix in ("", "_attributes", "__liver", "__tumour_2", "__lung")}
        assert set(archive.files) == names | {f"{volume}__unnamed_1_own_grid"}
        assert np.array_equal(archive[f"{volume}__tumour_2"], blob(2))
        assert np.array_equal(archive[f"{volume}__unnamed_1_own_grid"], blob(2, (5, 7, 18)))
        masks = json.loads(str(archive[f"{volume}_attributes"]))["masks"]
    assert {folder: facts["name"] for folder, facts in masks.items()} == {
        "liver": "liver", "lung": "lung", "tumour_2": "tumour", "unnamed_1": "unnamed_1",
    }  # fmt: skip
    assert masks["lung"]["maximum_fraction"] == 200 and masks["liver"]["axes"] == "zyx"
    sidecar = json.loads((root / f"exports/nifti/{array_of(0)}.json").read_text())
    assert sidecar["masks"] == masks


def test_names_of_files_are_ids_and_words_of_the_vocabulary(root: Path) -> None:
    names = {path.name for path in (root / "exports").rglob("*") if path.is_file()}
    names -= {"report.csv", "files.csv", "export.json"}
    form = r"[0-9a-f]{16}\.npz|[0-9a-f]{8}(\.json|(__[a-z][a-z0-9_]*)?\.nii\.gz)"
    assert [name for name in names if not re.fullmatch(form, name)] == [] and len(names) == 13


@pytest.mark.parametrize("where", [40, -40])
def test_a_damaged_mask_is_not_exported(tmp_path: Path, where: int) -> None:
    """A flipped bit in a chunk, and in the index of chunks."""
    from export_npz import export_npz

    results = write_results(tmp_path, {0: MadeUpCase(image(), {"liver": MadeUpMask(blob(1))})})
    shard = tmp_path / "dataset/images.zarr" / array_of(0) / "labels/liver/0/c/0/0/0"
    data = bytearray(shard.read_bytes())
    data[where] ^= 1
    shard.write_bytes(data)
    for run in (lambda: export_npz(results.root, [BATCH], 1, 1, "code"), lambda: export(results, labels=["liver"])):
        with pytest.raises(engine.Failed, match=f"damaged, {array_of(0)}"):
            run()
    assert not [path for path in (tmp_path / "exports").rglob("*") if path.is_file()]


def test_a_mask_with_other_voxels_than_its_record_is_not_exported(tmp_path: Path) -> None:
    """Bytes that are whole in themselves, such as those of another mask."""
    masks = {"liver": MadeUpMask(blob(1)), "tumour": MadeUpMask(blob(2))}
    results = write_results(tmp_path, {0: MadeUpCase(image(), masks)})
    labels = tmp_path / "dataset/images.zarr" / array_of(0) / "labels"
    shutil.rmtree(labels / "liver/0")
    shutil.copytree(labels / "tumour/0", labels / "liver/0")
    with pytest.raises(engine.Failed, match=f"damaged, {array_of(0)}"):
        export(results, overlaps="regions")


@pytest.mark.parametrize("block", [1, 200, 1 << 20])
def test_masks_are_written_block_by_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    from dicomzarr.stages.export import masks

    monkeypatch.setattr(masks, "BLOCK", block)
    values = np.random.default_rng(5).integers(0, 2, (2, 6, 5, 4)).astype("u1")
    results = write_results(
        tmp_path, {0: MadeUpCase(image((2, 6, 5, 4)), {"liver": MadeUpMask(values, axes="tzyx")}, axes="tzyx")}
    )
    (array,) = verified_arrays.of_series(results, array_of(0).split("/")[0])
    (mask,) = masks.of_array(array)
    assert b"".join(piece.tobytes() for piece in mask.blocks()) == values.tobytes()
