"""The reader of examples/ for nnU-Net, without nnU-Net: it returns what was exported and refuses what changed since."""

from __future__ import annotations

import importlib.util
import json
import sys
import types
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ROOT
from made_up_results import MadeUpCase, MadeUpMask, array_of, export, write_results

from dicomzarr.system import files

SHAPE = (4, 6, 8)
CHANGED = "changed since the export; run export_nnunet again"


def box(z: int, y: int, x: int, size: int = 2) -> np.ndarray:
    voxels = np.zeros(SHAPE, np.uint8)
    voxels[z : z + size, y : y + size, x : x + size] = 1
    return voxels


LIVER, TUMOUR = box(0, 0, 0), box(2, 4, 5)
IMAGE = np.random.default_rng(1).integers(0, 2000, SHAPE).astype("<i2")


def case(liver: np.ndarray = LIVER, tumour: np.ndarray = TUMOUR, image: np.ndarray = IMAGE) -> MadeUpCase:
    return MadeUpCase(image, {"liver": MadeUpMask(liver), "tumour": MadeUpMask(tumour)})


@pytest.fixture
def reader(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The reader, on a module that stands for nnU-Net's."""
    base = types.ModuleType("nnunetv2.imageio.base_reader_writer")
    base.BaseReaderWriter = object  # type: ignore[attr-defined]
    for name in ("nnunetv2", "nnunetv2.imageio"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    monkeypatch.setitem(sys.modules, base.__name__, base)
    monkeypatch.delenv("nnUNet_raw", raising=False)
    spec = importlib.util.spec_from_file_location("nnunet_dicomzarr", ROOT / "examples" / "nnunet_dicomzarr.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.DicomZarrIO()


def pointers(root: Path) -> tuple[str, str]:
    """Return the files of image and label map of the case."""
    folder, name = root / "exports/nnunet/Dataset001_Liver", array_of(0).replace("/", "_")
    return str(folder / f"imagesTr/{name}_0000.dicomzarr"), str(folder / f"labelsTr/{name}.dicomzarr")


def test_image_and_labels_are_those_of_the_dataset(tmp_path: Path, reader: Any) -> None:
    export(write_results(tmp_path, {0: case()}), format="zarr")
    image, label = pointers(tmp_path)
    assert np.array_equal(reader.read_images([image])[0][0], IMAGE)
    assert np.array_equal(reader.read_seg(label)[0][0], LIVER + 2 * TUMOUR)


@pytest.mark.parametrize(
    "changed",
    [case(tumour=TUMOUR[:, ::-1].copy()), case(tumour=LIVER.copy())],  # as many voxels, so that metadata are the same
)
def test_labels_of_masks_whose_voxels_changed_are_refused(tmp_path: Path, reader: Any, changed: MadeUpCase) -> None:
    export(write_results(tmp_path, {0: case()}), format="zarr")
    label = pointers(tmp_path)[1]
    metadata = (tmp_path / "dataset/images.zarr" / array_of(0) / "labels/tumour/zarr.json").read_bytes()
    results = write_results(tmp_path, {0: changed})
    assert (results.images / array_of(0) / "labels/tumour/zarr.json").read_bytes() == metadata
    with pytest.raises(RuntimeError, match=CHANGED):
        reader.read_seg(label)
    export(results, format="zarr", overlaps="regions")
    assert np.array_equal(reader.read_seg(label)[0][0], LIVER + 2 * changed.masks["tumour"].values)


def test_an_image_whose_voxels_changed_is_refused(tmp_path: Path, reader: Any) -> None:
    export(write_results(tmp_path, {0: case()}), format="zarr")
    write_results(tmp_path, {0: case(image=IMAGE[:, ::-1].copy())})
    with pytest.raises(RuntimeError, match=CHANGED):
        reader.read_images([pointers(tmp_path)[0]])


def test_a_mask_that_was_added_is_noticed_also_on_a_grid_of_its_own(tmp_path: Path, reader: Any) -> None:
    export(write_results(tmp_path, {0: case()}), format="zarr")
    more = replace(case(), masks=case().masks | {"tumour_2": MadeUpMask(LIVER, "tumour", own_affine=np.eye(4))})
    write_results(tmp_path, {0: more})
    for read in (reader.read_seg, lambda name: reader.read_images([name])):
        with pytest.raises(RuntimeError, match=CHANGED):
            read(pointers(tmp_path)[1])


def test_masks_that_overlap_never_become_another_label(tmp_path: Path, reader: Any) -> None:
    """Also where the digests are those of the new files: of three labels, 1 and 2 would be the third."""
    export(write_results(tmp_path, {0: case()}), format="zarr")
    label = Path(pointers(tmp_path)[1])
    content = json.loads(label.read_text())
    folder = write_results(tmp_path, {0: case(tumour=LIVER.copy())}).images / array_of(0)
    content["sha256"] = {name: files.sha256_of(folder / name) for name in content["sha256"]}
    label.write_text(json.dumps(content))
    with pytest.raises(RuntimeError, match=CHANGED):
        reader.read_seg(str(label))


def test_a_file_of_another_version_is_refused(tmp_path: Path, reader: Any) -> None:
    export(write_results(tmp_path, {0: case()}), format="zarr")
    label = Path(pointers(tmp_path)[1])
    label.write_text(json.dumps(json.loads(label.read_text()) | {"dicomzarr_case": 1}))
    with pytest.raises(RuntimeError, match="another version"):
        reader.read_seg(str(label))
