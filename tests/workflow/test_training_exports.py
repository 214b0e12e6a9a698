"""Masks in exports, and the exports for training, through the whole workflow: exact, incremental, private."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import SimpleITK
from canaries import leaks
from conftest import Launch, Run, Workflow
from folders import files_of
from forks import Forks
from revocations import revoked
from scans_with_masks import COLUMN_STEP, DEPTHS, ORIGIN, ROW_STEP, ScanWithMasks

TARGETS = ("export_nifti", "export_npz", "export_monai", "export_png")
NAMES = ("one", "two", "three")
CONFIG: dict[str, Any] = {
    "masks": {"names": {"kidney": ["(?i)^kidney l"], "tumour": ["(?i)gtv"]}, "expected": ["liver", "tumour"]},
    "splits": {"fractions": {"train": 0.5, "val": 0.5}},
    "nnunet": {
        "dataset": "Dataset007_Abdomen",
        "modality": "CT",
        "labels": ["liver", "tumour", "kidney"],
        "overlaps": "regions",
    },
}
RAW = "exports/nnunet/Dataset007_Abdomen"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, warm: Forks | None) -> Workflow:
    """Three scans with their masks and all exports, not to be changed."""
    workflow = Workflow(tmp_path_factory.mktemp("made"), dict(CONFIG), {"DICOMZARR_KEY": "k" * 32}, forks=warm)
    for name in NAMES:
        ScanWithMasks(name).save(workflow.source / name)
    export(workflow, *TARGETS)
    return workflow


@pytest.fixture
def mine(made: Workflow, tmp_path: Path) -> Workflow:
    """A copy of it with its source: the first run reads the files again, since their inodes differ."""
    shutil.copytree(made.folder, tmp_path / "mine", symlinks=True)
    return Workflow(tmp_path / "mine", dict(made.config), made.environment, forks=made.forks)


def export(workflow: Workflow, *targets: str, ok: bool = True, **config: Any) -> Run:
    return workflow.run("--show-failed-logs", *targets, ok=ok, **config)


def rows(workflow: Workflow, table: str) -> list[dict[str, str]]:
    with open(workflow.results / table, newline="") as stream:
        return list(csv.DictReader(stream))


def arrays(workflow: Workflow) -> dict[str, str]:
    """Return the array of each scan by the name of its folder in the source."""
    scans = {row["array"] for row in rows(workflow, "dataset/volumes.csv") if row["modality"] == "CT"}
    frames = rows(workflow, "private/frames.csv")
    return {row["path"].split("/")[0]: row["array"] for row in frames if row["array"] in scans}


def written(workflow: Workflow, rule: str) -> int:
    return int(json.loads((workflow.results / f"private/records/{rule}.json").read_text())["counts"]["written"])


def case(array: str) -> str:
    return array.replace("/", "_")


def test_voxels_of_masks_lie_at_their_place_in_the_patient(made: Workflow) -> None:
    for name, array in arrays(made).items():
        truth = ScanWithMasks(name)
        for mask, values in {"liver": truth.liver, "tumour": truth.tumour, "kidney": truth.kidney}.items():
            path = made.results / f"exports/nifti/{array}__{mask}.nii.gz"
            image: Any = nibabel.load(path)
            voxels = np.asanyarray(image.dataobj)
            assert voxels.dtype == np.uint8 and np.array_equal(voxels.T, values), (name, mask)
            # In RAS: columns run to the left and rows to posterior of the scan's origin, slices to superior.
            z, y, x = np.argwhere(values)[7]
            place = image.affine @ [x, y, z, 1]
            lps = [ORIGIN[0] + x * COLUMN_STEP, ORIGIN[1] + y * ROW_STEP, ORIGIN[2] + DEPTHS[z]]
            assert np.allclose(place[:3], [-lps[0], -lps[1], lps[2]], atol=1e-4)
            itk = SimpleITK.ReadImage(str(path))
            assert np.allclose(itk.TransformIndexToPhysicalPoint((int(x), int(y), int(z))), lps, atol=1e-4)
            assert np.array_equal(SimpleITK.GetArrayFromImage(itk), values)
            assert np.array_equal(image.affine, nibabel.load(str(path).replace(f"__{mask}", "")).affine)
        series, volume = array.split("/")
        with np.load(made.results / f"exports/npz/{series}.npz") as archive:
            assert np.array_equal(archive[f"{volume}__tumour"], truth.tumour)


def test_label_maps_give_every_mask_back_and_splits_are_those_of_the_dataset(made: Workflow) -> None:
    content = json.loads((made.results / RAW / "dataset.json").read_text())
    assert content["numTraining"] == 3 and content["channel_names"] == {"0": "CT"}
    for name, array in arrays(made).items():
        truth = ScanWithMasks(name)
        numbers = np.asanyarray(nibabel.load(made.results / RAW / f"labelsTr/{case(array)}.nii.gz").dataobj).T
        for mask, values in {"liver": truth.liver, "tumour": truth.tumour, "kidney": truth.kidney}.items():
            assert np.array_equal(np.isin(numbers, content["labels"][mask]), values), (name, mask)
    split = {row["array"]: row["split"] for row in rows(made, "dataset/volumes.csv")}
    by_split = {
        key: sorted(case(array) for array in arrays(made).values() if split[array] == key) for key in ("train", "val")
    }
    if all(by_split.values()):
        assert json.loads((made.results / RAW / "splits_final.json").read_text()) == [by_split]
    outcomes = {row["array"]: (row["outcome"], row["reason"]) for row in rows(made, "exports/nnunet/report.csv")}
    others = set(outcomes) - set(arrays(made).values())
    assert {outcomes[array] for array in arrays(made).values()} == {("exported", "")}
    assert {outcomes[array] for array in others} == {("left_out", "other_modality")}  # the frames of segmentations


def test_no_text_of_a_mask_is_in_an_export(made: Workflow) -> None:
    assert not leaks([made.results, made.folder / ".snakemake"], made.results / "private")
    names = {path.name for path in (made.results / "exports").rglob("*")}
    assert not [name for name in names if "canary" in name.lower() or "GTV" in name]


def test_a_mask_that_changes_comes_or_goes_touches_its_case_alone(mine: Workflow, tmp_path: Path) -> None:
    before = files_of(mine.results / "exports")
    array = arrays(mine)["two"]
    made = ScanWithMasks("two")
    made.liver = ~made.liver
    (mine.source / "two" / "seg.dcm").write_bytes(made.segmentation())
    export(mine, *TARGETS)
    assert (written(mine, "export_nifti"), written(mine, "export_nnunet")) == (2, 2)  # the image, and the SEG's frames
    assert written(mine, "export_png") == 1  # the frames of the segmentation alone
    values = np.asanyarray(nibabel.load(mine.results / f"exports/nifti/{array}__liver.nii.gz").dataobj).T
    assert np.array_equal(values, made.liver)
    after = files_of(mine.results / "exports")
    changed = {path for path in before if path.startswith("nnunet/Dataset") and before[path] != after[path]}
    assert changed == {f"nnunet/Dataset007_Abdomen/labelsTr/{case(array)}.nii.gz"}
    (mine.source / "two" / "rt.dcm").unlink()
    export(mine, *TARGETS)
    assert written(mine, "export_png") == 0
    assert not (mine.results / f"exports/nifti/{array}__kidney.nii.gz").exists()
    (row,) = [row for row in rows(mine, "exports/nnunet/report.csv") if row["array"] == array]
    assert (row["outcome"], row["reason"]) == ("refused", "mask_missing")  # nobody says that there is no kidney
    assert not list((mine.results / RAW).glob(f"*/{case(array)}*"))
    listed = json.loads((mine.results / "exports/monai/datalist.json").read_text())
    assert case(array) not in json.dumps(listed)
    assert export(mine, *TARGETS).nothing_to_do
    other = Workflow(
        tmp_path / "other", {**mine.config, "source": str(mine.source)}, mine.environment, forks=mine.forks
    )
    export(other, *TARGETS)
    assert files_of(other.results / "exports") == files_of(mine.results / "exports")


def test_a_withdrawn_patient_leaves_the_training_set_in_a_run_without_exports(mine: Workflow, launch: Launch) -> None:
    split = {row["array"]: row["split"] for row in rows(mine, "dataset/volumes.csv")}
    name, array = next((name, array) for name, array in arrays(mine).items() if split[array] == "val")
    shutil.rmtree(mine.source / name)
    mine.run()
    left = [path.relative_to(mine.results / "exports").as_posix() for path in (mine.results / "exports").rglob("*")]
    assert not [path for path in left if array.split("/")[0] in path]
    lists = ("dataset.json", "splits_final.json", "datalist.json")
    assert not [
        path for path in left if path.startswith(("nnunet", "monai")) and path.endswith((*lists, "export.json"))
    ]
    export(mine, "export_monai")
    assert json.loads((mine.results / RAW / "dataset.json").read_text())["numTraining"] == 2
    assert array.split("/")[0] not in (mine.results / "exports/monai/datalist.json").read_text()


def test_damage_is_found_and_repaired(mine: Workflow, launch: Launch) -> None:
    export(mine, *TARGETS)
    whole = files_of(mine.results / "exports")
    mine.write_config()
    assert launch(mine, "verify").returncode == 0
    label = sorted((mine.results / RAW / "labelsTr").iterdir())[0]
    data = bytearray(label.read_bytes())
    data[len(data) // 2] ^= 1
    label.write_bytes(data)
    (mine.results / "exports/monai/datalist.json").write_text("{}")
    found = launch(mine, "verify")
    assert found.returncode == 1 and f"damaged  {label.relative_to(mine.results)}\n" in found.stdout
    assert "damaged  exports/monai/datalist.json\n" in found.stdout
    repaired = launch(mine, "verify", "--repair", *TARGETS)
    assert repaired.returncode == 0, repaired.stderr
    assert files_of(mine.results / "exports") == whole
    assert ("export_nnunet", "series", "repair") in revoked(mine.results)
    label.unlink()  # the export that lists it is asked for, not the one that has it
    status = launch(mine, "status", "export_monai")
    assert status.returncode == 2 and "export_nnunet" in status.stdout
    export(mine, "export_monai")
    assert files_of(mine.results / "exports") == whole


def test_another_list_of_labels_makes_the_training_set_anew(mine: Workflow, tmp_path: Path) -> None:
    mine.config["nnunet"] = {"dataset": "Dataset008_Kidney", "modality": "CT", "labels": ["kidney"]}
    export(mine, "export_nnunet")
    assert [path.name for path in (mine.results / "exports/nnunet").glob("Dataset*")] == ["Dataset008_Kidney"]
    content = json.loads((mine.results / "exports/nnunet/Dataset008_Kidney/dataset.json").read_text())
    assert content["labels"] == {"background": 0, "kidney": 1}
    for name, array in arrays(mine).items():
        path = mine.results / f"exports/nnunet/Dataset008_Kidney/labelsTr/{case(array)}.nii.gz"
        assert np.array_equal(np.asanyarray(nibabel.load(path).dataobj).T, ScanWithMasks(name).kidney)


def test_mistakes_in_the_configuration_are_told_before_any_work(tmp_path: Path, warm: Forks | None) -> None:
    workflow = Workflow(tmp_path, {"masks": CONFIG["masks"]}, {"DICOMZARR_KEY": "k" * 32}, forks=warm)
    ScanWithMasks("one").save_images(workflow.source)
    nnunet = CONFIG["nnunet"]
    for config, target, words in (
        ({}, "export_monai", "config key 'nnunet' is empty; export_nnunet needs its dataset, modality and labels"),
        ({**nnunet, "format": "zarr"}, "export_monai", "'nnunet.format': found 'zarr', export_monai needs nifti"),
        ({"dataset": "Dataset001_A"}, "", "config key 'nnunet.modality' is missing"),
        ({**nnunet, "dataset": "Liver"}, "", "a name such as Dataset001_Liver"),
        ({**nnunet, "labels": ["a", "b", "c", "d", "e", "f", "g", "h"]}, "", "found 8 names, allowed are up to 7"),
        ({**nnunet, "labels": ["livr"]}, "", "'nnunet.labels.0': found 'livr', which is neither in masks.names nor"),
        ({**nnunet, "labels": ["background"]}, "", "config key 'nnunet.labels.0': found 'background'"),
    ):
        run = export(workflow, *filter(None, [target]), ok=False, nnunet=config)
        assert run.process.returncode == 2 and words in run.output and "Traceback" not in run.output, run.output[-2000:]
        assert not (workflow.results / "dataset").exists()
