"""nnU-Net and MONAI read the exports: only in the training environment (envs/training.txt; see CONTRIBUTING.md).

nnU-Net checks the dataset, plans, preprocesses and trains one epoch, once with NIfTI and once with the Zarr reader.
"""

from __future__ import annotations

import importlib.util
import json
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ROOT
from made_up_results import OBLIQUE, MadeUpCase, MadeUpMask, array_of, export, write_results

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not importlib.util.find_spec("nnunetv2"), reason="nnU-Net and MONAI are optional: see envs/training.txt"
    ),
]
READER = ROOT / "examples" / "nnunet_dicomzarr.py"
CASES = 6
UPRIGHT = np.diag([0.7, 0.9, 2.5, 1.0])
# Rescales that 32-bit floats hold, and one that they round; types of each size.
SCALED = [(1.0, -24.0), (0.5, -3.25), None, (0.1, -3.3), (1.0, 0.0), (2.0, 7.0)]
DTYPES = ["<i2", "<i2", "<u2", "<i4", "<f4", "|u1"]


def structures(number: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a liver and a tumour that is partly outside of it."""
    z, y, x = np.indices((5 + number % 2, 36, 40))
    liver = (((y - 18) / 12) ** 2 + ((x - 20) / 13) ** 2 < 1) & (z > 0)
    tumour = (((y - 9 - number) / 4) ** 2 + ((x - 18) / 4) ** 2 < 1) & (z > 1) & (z < 4)
    return liver, tumour


def cases() -> dict[int, MadeUpCase]:
    made = {}
    for number in range(CASES):
        liver, tumour = structures(number)
        voxels = np.random.default_rng(number).normal(40, 8, liver.shape) + 80.0 * liver + 60.0 * tumour
        made[number] = MadeUpCase(
            np.clip(voxels, 0, 255).astype(DTYPES[number]),
            {"liver": MadeUpMask(liver.astype("u1")), "tumour": MadeUpMask(tumour.astype("u1"))},
            affine=OBLIQUE if number % 2 else UPRIGHT,
            rescale=SCALED[number],
            subject=f"{number // 2:016x}",
            split={5: "test", 1: "val", 2: "val"}.get(number, "train"),
        )
    return made


@pytest.fixture(scope="module")
def reader_in_nnunet() -> Iterator[None]:
    """Copy the reader to where nnU-Net looks for it, as docs/exports.md says."""
    spec = importlib.util.find_spec("nnunetv2.imageio")
    assert spec and spec.submodule_search_locations
    copy = Path(spec.submodule_search_locations[0]) / READER.name
    shutil.copy(READER, copy)
    yield
    copy.unlink()


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory, reader_in_nnunet: None) -> dict[str, Path]:
    """The same dataset, exported in both formats and preprocessed by nnU-Net; results folders by format."""
    roots = {}
    for form in ("nifti", "zarr"):
        roots[form] = tmp_path_factory.mktemp(form)
        results = write_results(roots[form], cases())
        counts = export(results, format=form, overlaps="nested").counts
        assert (counts["refused"], counts["files"]) == (0, 2 * CASES)
        run(roots[form], "nnUNetv2_plan_and_preprocess", "-d", "1", "--verify_dataset_integrity", "-c", "2d",
            "-np", "1", "-npfp", "1")  # fmt: skip
    return roots


def run(root: Path, program: str, *arguments: str, **environment: str) -> str:
    """Run a program of nnU-Net on the export below a results folder; return what it printed."""
    variables = {
        "nnUNet_raw": str(root / "exports/nnunet"),
        "nnUNet_preprocessed": str(root / "preprocessed"),
        "nnUNet_results": str(root / "models"),
        "nnUNet_compile": "f",
        **environment,
    }
    command = [str(Path(sys.executable).parent / program), *arguments]
    done = subprocess.run(command, env=os.environ | variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    return done.stdout + done.stderr


def test_nnunet_reads_the_same_arrays_spacings_and_properties_from_both_formats(exported: dict[str, Path]) -> None:
    from nnunetv2.imageio.nnunet_dicomzarr import DicomZarrIO
    from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIO

    folders = {form: root / "exports/nnunet/Dataset001_Liver" for form, root in exported.items()}
    readers = {"nifti": (SimpleITKIO(), ".nii.gz"), "zarr": (DicomZarrIO(), ".dicomzarr")}
    for number in range(CASES):
        part, name = "Ts" if number == 5 else "Tr", array_of(number).replace("/", "_")
        (image, properties), (other, others) = (
            reader.read_images([str(folders[form] / f"images{part}/{name}_0000{ending}")])
            for form, (reader, ending) in readers.items()
        )
        assert image.dtype == other.dtype == np.float32 and np.array_equal(image, other), number
        slope, intercept = SCALED[number] or (1.0, 0.0)
        assert np.allclose(image[0], cases()[number].voxels * slope + intercept, rtol=1e-6, atol=1e-5)
        assert properties["spacing"] == others["spacing"] and np.allclose(others["spacing"], [2.5, 0.9, 0.7])
        for key, value in properties["sitk_stuff"].items():
            assert np.allclose(value, others["sitk_stuff"][key], rtol=0, atol=1e-6), key
        affine = OBLIQUE if number % 2 else UPRIGHT
        assert np.allclose(others["sitk_stuff"]["origin"], affine[:3, 3])
        first, second = (
            reader.read_seg(str(folders[form] / f"labels{part}/{name}{ending}"))[0]
            for form, (reader, ending) in readers.items()
        )
        liver, tumour = structures(number)
        assert np.array_equal(first, second) and np.array_equal(second[0], liver + 2 * tumour)


def test_preprocessed_arrays_plans_and_splits_are_the_same(exported: dict[str, Path]) -> None:
    import blosc2

    folders = {form: root / "preprocessed/Dataset001_Liver" for form, root in exported.items()}
    compared = 0
    for path in sorted((folders["nifti"] / "nnUNetPlans_2d").iterdir()):
        other = folders["zarr"] / "nnUNetPlans_2d" / path.name
        if path.suffix == ".b2nd":
            assert np.array_equal(blosc2.open(str(path))[:], blosc2.open(str(other))[:]), path.name
            compared += 1
        elif path.suffix == ".pkl":
            first, second = pickle.loads(path.read_bytes()), pickle.loads(other.read_bytes())
            assert first["spacing"] == second["spacing"]
            assert str(first["class_locations"]) == str(second["class_locations"])
    assert compared == 2 * (CASES - 1)
    for name in ("dataset_fingerprint.json", "splits_final.json"):
        assert (folders["nifti"] / name).read_bytes() == (folders["zarr"] / name).read_bytes()
    names = [array_of(number).replace("/", "_") for number in range(CASES)]
    splits = json.loads((folders["zarr"] / "splits_final.json").read_text())
    assert splits == [{"train": [names[0], names[3], names[4]], "val": [names[1], names[2]]}]


@pytest.mark.parametrize("form", ["nifti", "zarr"])
def test_one_epoch_of_a_2d_configuration_runs(exported: dict[str, Path], form: str) -> None:
    root = exported[form]
    path = root / "preprocessed/Dataset001_Liver/nnUNetPlans.json"
    plans = json.loads(path.read_text())
    network = plans["configurations"]["2d"]["architecture"]["arch_kwargs"]
    network["features_per_stage"] = [4 << stage for stage in range(network["n_stages"])]  # small, for one core
    path.write_text(json.dumps(plans))
    printed = run(
        root, "nnUNetv2_train", "1", "2d", "0", "-tr", "nnUNetTrainer_1epoch", "-device", "cpu", nnUNet_n_proc_DA="0"
    )
    assert "Mean Validation Dice" in printed
    (summary,) = (root / "models").glob("*/*/fold_0/validation/summary.json")
    measured: Any = json.loads(summary.read_text())
    assert len(measured["metric_per_case"]) == 2 and set(measured["mean"]) == {"(1, 3)", "(2, 3)"}
    assert measured["mean"]["(1, 3)"]["Dice"] > 0.5  # the liver: it learned from these label maps
    (validation,) = {path.parent for path in (root / "models").glob("*/*/fold_0/validation/*.nii.gz")}
    assert len(list(validation.glob("*.nii.gz"))) == 2  # predictions are NIfTI either way


def test_the_reader_refuses_what_changed_after_the_export(exported: dict[str, Path], tmp_path: Path) -> None:
    from nnunetv2.imageio.nnunet_dicomzarr import DicomZarrIO

    shutil.copytree(exported["zarr"], tmp_path / "moved", ignore=shutil.ignore_patterns("preprocessed", "models"))
    array = array_of(0)
    pointer = tmp_path / "moved/exports/nnunet/Dataset001_Liver/labelsTr" / f"{array.replace('/', '_')}.dicomzarr"
    assert DicomZarrIO().read_seg(str(pointer))[0].any()
    image = tmp_path / "moved/dataset/images.zarr" / array
    metadata = image / "labels/tumour/zarr.json"
    metadata.write_text(metadata.read_text().replace("tumour", "tumor"))
    with pytest.raises(RuntimeError, match="changed since the export; run export_nnunet again"):
        DicomZarrIO().read_seg(str(pointer))
    shutil.rmtree(image)
    with pytest.raises(FileNotFoundError, match="its image is missing"):
        DicomZarrIO().read_seg(str(pointer))


def test_monai_loads_the_datalist(exported: dict[str, Path]) -> None:
    from monai.data import load_decathlon_datalist
    from monai.transforms import LoadImaged

    from export_monai import export_monai

    config = {"dataset": "Dataset001_Liver", "modality": "CT", "labels": ["liver", "tumour"], "overlaps": "nested"}
    export_monai(exported["nifti"], "code", config)
    path = exported["nifti"] / "exports/monai/datalist.json"
    counts = {}
    for key in ("training", "validation", "test"):
        items = load_decathlon_datalist(str(path), True, key)
        counts[key] = len(items)
        for item in map(LoadImaged(keys=["image", "label"]), items):
            assert item["image"].shape == item["label"].shape and set(np.unique(item["label"])) <= {0, 1, 2, 3}
            assert np.allclose(item["image"].affine, item["label"].affine)
    assert counts == {"training": 3, "validation": 2, "test": 1}
