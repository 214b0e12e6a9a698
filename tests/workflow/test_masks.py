"""Masks through the whole workflow: exact, on the right image, incremental, private."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from canaries import leaks
from conftest import CHECKER, ROOT, Run, Workflow, in_ci
from forks import Forks
from from_scratch import dataset_digest, digest_of_workflow
from made_up_structure_sets import MadeUpRoi, file_of, square, structure_set
from scans_with_masks import ScanWithMasks, read_mask

NAMES = {"kidney_left": ["(?i)^kidney l"], "tumour": ["(?i)gtv"]}
CONFIG = {
    "masks": {"names": NAMES, "expected": ["liver", "tumour", "spleen"]},
    "batch": {"series": 2, "megabytes": 512},
}
KEY = {"DICOMZARR_KEY": "k" * 32}


@pytest.fixture
def flow(tmp_path: Path, warm: Forks | None) -> Workflow:
    return Workflow(tmp_path, dict(CONFIG), dict(KEY), forks=warm)


def masks_of(run: Run) -> dict[str, dict[str, str]]:
    return {row["mask"]: row for row in run.table("dataset/masks.csv")}


def image_row(run: Run) -> dict[str, str]:
    (row,) = [row for row in run.table("dataset/volumes.csv") if row["modality"] == "CT"]
    return row


def image_files(results: Path, array: str) -> dict[str, int]:
    """Return the inodes of the files of an image, without its masks."""
    folder = results / "dataset/images.zarr" / array
    files = [path for path in folder.rglob("*") if path.is_file() and "labels" not in path.relative_to(folder).parts]
    return {str(path.relative_to(folder)): path.stat().st_ino for path in files}


def test_segmentation_and_structure_set_become_masks_of_their_image(flow: Workflow) -> None:
    made = ScanWithMasks("one")
    made.save(flow.source)
    run = flow.run()
    masks, image = masks_of(run), image_row(run)
    assert image["masks"] == "kidney_left liver tumour"
    assert image["masks_absent"] == "spleen"
    assert {row["array"] for row in masks.values()} == {image["array"]}
    for name, truth in (("liver", made.liver), ("tumour", made.tumour), ("kidney_left", made.kidney)):
        assert np.array_equal(read_mask(run.results, masks[name]), truth.astype(np.uint8)), name
        z, y, x = (np.flatnonzero(truth.any(axis=axes)) for axes in ((1, 2), (0, 2), (0, 1)))
        expected = {
            "voxels": str(truth.sum()),
            "volume_ml": repr(round(float(truth.sum()) * 2.5 * 0.5 * 0.75 / 1000, 6)),
            "bounding_box": " ".join(f"{axis[0]}:{axis[-1] + 1}" for axis in (z, y, x)),
            "slices": str(len(z)),
            "outside": "0.0",
            "flags": "",
            "shape": "5x16x12",
            "read_back": "exact",
            "verdict": "pass",
        }
        assert {key: masks[name][key] for key in expected} == expected
    assert [masks[name]["kind"] for name in ("liver", "tumour", "kidney_left")] == ["SEG", "SEG", "RTSTRUCT"]
    assert {row["algorithm"] for row in masks.values()} == {"manual"}
    assert run.outcome()["rt.dcm"] == ("skipped", "structure_set")
    assert run.outcome()["seg.dcm"] == ("extracted", "")
    assert [tuple(row.values())[:4] for row in run.table("dataset/reports/mask_files.csv")] == [
        ("RTSTRUCT", "placed", "", "1"),
        ("SEG", "placed", "", "1"),
    ]
    assert run.sealed["counts"]["masks"] == 3
    assert run.sealed["digest"] == dataset_digest(run.results / "dataset") == digest_of_workflow(flow)


def test_labels_names_and_descriptions_stay_private(flow: Workflow) -> None:
    ScanWithMasks("one").save(flow.source)
    run = flow.run()
    assert not leaks([flow.results, flow.folder / ".snakemake"], flow.results / "private")
    texts = {row["mask"]: (row["label"], row["description"]) for row in run.table("private/mask_names.csv")}
    assert texts["tumour"][0] == "GTV Qzxwvkcanary^Jane"
    assert texts["kidney_left"] == ("Kidney L 18370203", "Qzxwvkcanary 2")
    assert "Qzxwvkcanary" not in run.output


def test_a_pattern_that_repeats_a_label_stays_private(flow: Workflow) -> None:
    """As `./run status` proposes it. Snakemake notes params, and logs them when they change; a job has the config."""
    ScanWithMasks("scan").save(flow.source / "scan")
    flow.config["masks"] = {"names": {"tumour": ["(?i)^GTV Qzxwvkcanary\\^Jane$"], "liver": ["Liver of Qzxwvkcanary"]}}
    first = flow.run()
    assert {"tumour", "liver"} <= masks_of(first).keys() and first.jobs("extract_batch") > 0
    assert flow.run().nothing_to_do
    flow.config["masks"]["names"]["lesion"] = flow.config["masks"]["names"].pop("tumour")
    assert "extract_batch" in flow.run("-n").output
    again = flow.run()
    assert {"lesion", "liver"} <= masks_of(again).keys() and again.jobs("extract_batch") > 0
    assert not leaks([flow.results, flow.folder / ".snakemake"], flow.results / "private")
    assert b"Qzxwvkcanary" in (flow.results / "private/mask_vocabulary.json").read_bytes()
    flow.config["masks"] = {}
    assert flow.run().jobs("extract_batch") > 0 and not (flow.results / "private/mask_vocabulary.json").exists()


def test_a_name_outside_of_the_vocabulary_is_unnamed(flow: Workflow) -> None:
    ScanWithMasks("one", roi="drawn by Qzxwvkcanary").save(flow.source)
    run = flow.run()
    assert masks_of(run)["unnamed_1"]["name"] == ""
    assert run.table("private/mask_names.csv")[-1]["label"] == "drawn by Qzxwvkcanary"
    assert not leaks([flow.results, flow.folder / ".snakemake"], flow.results / "private")


def test_a_late_mask_touches_the_series_of_its_image_alone_and_its_voxels_not(flow: Workflow) -> None:
    one, two = ScanWithMasks("one"), ScanWithMasks("two")
    one.save_images(flow.source / "one")
    two.save(flow.source / "two")
    array = {row["subject_id"]: row for row in flow.run().table("dataset/volumes.csv") if row["modality"] == "CT"}
    before = {row["array"]: image_files(flow.results, row["array"]) for row in array.values()}
    group = {name: (flow.results / "dataset/images.zarr" / name).stat().st_ino for name in before}
    (flow.source / "one" / "rt.dcm").write_bytes(one.structures())
    run = flow.run()
    assert run.extracted_series() == 1
    assert {name: image_files(flow.results, name) for name in before} == before  # the same files: nothing was decoded
    changed = [name for name in group if (flow.results / "dataset/images.zarr" / name).stat().st_ino != group[name]]
    assert changed == [row["array"] for row in run.table("dataset/volumes.csv") if row["masks"] == "kidney_left"]
    assert run.sealed["digest"] == digest_of_workflow(flow)
    (flow.source / "one" / "rt.dcm").write_bytes(one.structures(StructureSetLabel="again"))
    flow.run()
    (flow.source / "two" / "seg.dcm").unlink()
    run = flow.run()
    assert sorted(row["mask"] for row in run.table("dataset/masks.csv")) == ["kidney_left", "kidney_left"]
    assert run.sealed["digest"] == digest_of_workflow(flow)
    (flow.source / "one" / "rt.dcm").unlink()
    (flow.source / "two" / "rt.dcm").unlink()
    run = flow.run()
    assert not list((flow.results / "dataset/images.zarr").glob("*/*/labels"))
    assert run.table("dataset/masks.csv") == []
    assert run.sealed["digest"] == digest_of_workflow(flow)
    assert flow.run().nothing_to_do


@pytest.mark.parametrize("layout", in_ci(1, ["brick", "slice"]))  # masks in bricks have a codec of their own
def test_a_late_slice_and_other_bytes_of_a_mask_give_the_bytes_of_a_run_from_scratch(
    flow: Workflow, layout: str
) -> None:
    flow.config["layout"] = layout
    made = ScanWithMasks("one")
    made.save(flow.source)
    late = (flow.source / "4.dcm").read_bytes()
    (flow.source / "4.dcm").unlink()
    run = flow.run()
    assert "outside_image" in masks_of(run)["liver"]["flags"].split()  # its last frame has no slice yet
    assert run.sealed["digest"] == digest_of_workflow(flow)
    (flow.source / "4.dcm").write_bytes(late)
    run = flow.run()
    assert np.array_equal(read_mask(run.results, masks_of(run)["liver"]), made.liver)
    assert run.sealed["digest"] == digest_of_workflow(flow)
    made.liver = ~made.liver
    (flow.source / "seg.dcm").write_bytes(made.segmentation())
    run = flow.run()
    assert np.array_equal(read_mask(run.results, masks_of(run)["liver"]), made.liver)
    assert run.sealed["digest"] == digest_of_workflow(flow)


def test_other_names_rename_masks_without_touching_images(flow: Workflow) -> None:
    ScanWithMasks("one").save(flow.source)
    other = ScanWithMasks("other")
    other.save_images(flow.source / "other")
    run = flow.run()
    images = {row["array"]: image_files(flow.results, row["array"]) for row in run.table("dataset/volumes.csv")}
    names = {"kidney": ["(?i)kidney"], "tumour": ["(?i)gtv"]}
    flow.config["masks"] = {"names": names, "expected": ["liver"]}
    run = flow.run()
    assert sorted(masks_of(run)) == ["kidney", "liver", "tumour"]
    assert run.extracted_series() == 1
    assert {name: image_files(flow.results, name) for name in images} == images
    assert {row["masks_absent"] for row in run.table("dataset/volumes.csv")} == {""}
    assert run.sealed["digest"] == digest_of_workflow(flow)


def test_masks_without_an_image_are_stated(flow: Workflow) -> None:
    made = ScanWithMasks("one")
    made.save(flow.source)
    for path in flow.source.glob("[0-9].dcm"):
        path.unlink()
    run = flow.run()
    assert run.outcome()["rt.dcm"] == ("skipped", "mask_without_image")
    assert run.outcome()["seg.dcm"] == ("extracted", "")
    (segmentation,) = run.table("dataset/volumes.csv")
    assert segmentation["flags"].split()[-1:] == ["mask_without_image"]
    assert [(row["kind"], row["outcome"], row["reason"]) for row in run.table("dataset/reports/mask_files.csv")] == [
        ("RTSTRUCT", "not_placed", "mask_without_image"),
        ("SEG", "not_placed", "mask_without_image"),
    ]
    run = flow.run(ok=False, gate={"masks_not_placed": 1})
    assert run.process.returncode
    assert "gate.masks_not_placed: found 2, allowed 1" in run.output
    made.save_images(flow.source)
    run = flow.run()
    assert sorted(masks_of(run)) == ["kidney_left", "liver", "tumour"]
    assert run.sealed["digest"] == digest_of_workflow(flow)


def test_a_second_copy_of_a_mask_file_is_no_second_mask(flow: Workflow) -> None:
    ScanWithMasks("one").save(flow.source)
    shutil.copy(flow.source / "seg.dcm", flow.source / "copy.dcm")
    shutil.copy(flow.source / "rt.dcm", flow.source / "copy of rt.dcm")
    run = flow.run()
    assert sorted(masks_of(run)) == ["kidney_left", "liver", "tumour"]
    reasons = sorted(run.outcome()[name] for name in ("rt.dcm", "copy of rt.dcm"))
    assert reasons == [("skipped", "duplicate"), ("skipped", "structure_set")]


def test_files_of_one_uid_with_other_masks_are_both_refused(flow: Workflow) -> None:
    made = ScanWithMasks("one")
    made.save(flow.source)
    (flow.source / "only the header differs.dcm").write_bytes(made.structures(StructureSetLabel="again"))
    run = flow.run()
    assert sorted(masks_of(run)) == ["kidney_left", "liver", "tumour"]
    drawn = structure_set(
        [MadeUpRoi("Kidney L", [square(-8, -18, -4, -14, 35.0)])],
        frame_of_reference=str(made.slices[0].FrameOfReferenceUID),
        series=str(made.slices[0].SeriesInstanceUID),
        study=str(made.slices[0].StudyInstanceUID),
        name=made.name,
        PatientID=str(made.slices[0].PatientID),
    )
    (flow.source / "other contours.dcm").write_bytes(file_of(drawn))
    run = flow.run()
    assert sorted(masks_of(run)) == ["liver", "tumour"]
    outcomes = {run.outcome()[name] for name in ("rt.dcm", "only the header differs.dcm", "other contours.dcm")}
    assert outcomes == {("quarantined", "conflicting_instance")}
    assert run.sealed["digest"] == digest_of_workflow(flow)


def test_damage_of_a_mask_is_found_and_repaired(flow: Workflow) -> None:
    ScanWithMasks("one").save(flow.source)
    digest = flow.run().sealed["digest"]
    folder = next((flow.results / "dataset/images.zarr").glob("*/*/labels"))
    shutil.rmtree(folder / "liver")
    assert flow.run().sealed["digest"] == digest
    (folder / "zarr.json").unlink()
    assert flow.run().sealed["digest"] == digest
    shard = next(path for path in (folder / "tumour" / "0" / "c").rglob("*") if path.is_file())
    data = bytearray(shard.read_bytes())
    data[len(data) // 3] ^= 1  # of equal size: `verify` finds it
    shard.write_bytes(data)
    verify = [sys.executable, "-m", "dicomzarr.commands", "verify", "--configfile", "config.yaml"]
    environment = {**os.environ, **KEY, "PYTHONPATH": str(ROOT / "scripts")}
    found = subprocess.run(verify, cwd=flow.folder, env=environment, capture_output=True, text=True, check=False)
    assert found.returncode and "labels/tumour/0" in found.stdout + found.stderr
    subprocess.run([*verify, "--repair"], cwd=flow.folder, env=environment, capture_output=True, check=False)
    assert flow.run().sealed["digest"] == digest


def test_the_contract_holds_with_masks(flow: Workflow) -> None:
    if not CHECKER.exists():
        pytest.skip("the checker of the contract is not here")
    ScanWithMasks("one").save(flow.source)
    flow.run()
    checked = subprocess.run(
        [sys.executable, str(CHECKER), str(flow.results)], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_labels_are_valid_ome_zarr(flow: Workflow, capsys: pytest.CaptureFixture[str]) -> None:
    import zarr
    from ome_zarr.cli import main
    from ome_zarr_models.v05 import Image, ImageLabel

    ScanWithMasks("one").save(flow.source)
    run = flow.run()

    group = zarr.open_group(str(flow.results / "dataset/images.zarr" / image_row(run)["array"]), mode="r")
    labels: Any = Image.from_zarr(group).labels
    assert labels is not None
    attributes = json.loads((Path(str(group.store_path).removeprefix("file://")) / "labels/zarr.json").read_text())
    assert attributes["attributes"]["ome"]["labels"] == ["kidney_left", "liver", "tumour"]
    label = ImageLabel.from_zarr(group["labels/kidney_left"]).attributes.ome
    (properties,) = label.image_label.properties
    assert properties.model_dump(by_alias=True) == {"label-value": 1, "name": "kidney_left"}
    assert label.multiscales[0].name == "kidney_left"
    main(["info", str(flow.results / "dataset/images.zarr")])
    printed = capsys.readouterr().out
    images = [row["array"] for row in run.table("dataset/volumes.csv")]
    assert printed.count("- OMERO") == len(images) == sum(f"images.zarr/{array} [" in printed for array in images)
    assert printed.count("- Label\n") == 3


@pytest.mark.parametrize("after", in_ci(1, [2.5, 3.5, 1.5]))
def test_killed_at_any_time_the_plain_command_gives_the_same_bytes(flow: Workflow, after: float) -> None:
    for name in ("one", "two", "three"):
        ScanWithMasks(name).save(flow.source / name)
    flow.write_config()
    flow.killed(after, "--cores", "2")
    assert flow.run().sealed["digest"] == digest_of_workflow(flow)
