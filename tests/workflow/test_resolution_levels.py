"""Coarser levels through the whole workflow: counted, verified, kept when only masks change, gone with the option."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from conftest import Run, Workflow
from forks import Forks
from from_scratch import digest_of_workflow
from made_up_scans import scan
from made_up_structure_sets import MadeUpContour, MadeUpRoi, file_of, square, structure_set
from pydicom import dcmwrite

from dicomzarr.stages.verify_dataset import verify
from dicomzarr.system.results_folder import Results

CONFIG = {"levels": 3, "burned_in": "keep", "burned_in_reason": "Made-up images hold no text.", "masks": {}}
SLICES = scan("levels", (0.0, 2.5, 5.0), rows=140, columns=136)


@pytest.fixture
def flow(tmp_path: Path, warm: Forks | None) -> Workflow:
    flow = Workflow(tmp_path, {**CONFIG}, {"DICOMZARR_KEY": "k" * 32}, forks=warm)
    flow.source.mkdir(parents=True, exist_ok=True)
    for number, dataset in enumerate(SLICES):
        dcmwrite(flow.source / f"{number}.dcm", dataset, enforce_file_format=True)
    return flow


def add_mask(flow: Workflow, right: float) -> None:
    """Write a structure set whose square reaches from the left to `right`, mm, on the slice in the middle."""
    contour = MadeUpContour(square(-5, -15, right, 20, 32.5), images=[str(SLICES[1].SOPInstanceUID)])
    structures = structure_set(
        [MadeUpRoi("organ", [contour])],
        frame_of_reference=str(SLICES[0].FrameOfReferenceUID),
        series=str(SLICES[0].SeriesInstanceUID),
        study=str(SLICES[0].StudyInstanceUID),
        name="levels",
        PatientID=str(SLICES[0].PatientID),
    )
    (flow.source / "rt.dcm").write_bytes(file_of(structures))


def levels_of(folder: Path) -> list[np.ndarray[Any, Any]]:
    datasets = json.loads((folder / "zarr.json").read_text())["attributes"]["ome"]["multiscales"][0]["datasets"]
    assert {path.name for path in folder.iterdir() if path.name.isdecimal()} == {level["path"] for level in datasets}
    return [np.asarray(zarr.open_array(str(folder / level["path"]), mode="r")[...]) for level in datasets]


def folder_of(run: Run) -> Path:
    (row,) = run.table("dataset/volumes.csv")
    return run.results / "dataset/images.zarr" / row["array"]


def test_levels_are_part_of_the_dataset(flow: Workflow) -> None:
    add_mask(flow, 20)
    run = flow.run()
    image = folder_of(run)
    mask = image / "labels/unnamed_1"
    for folder in (image, mask):
        first, second = levels_of(folder)  # the third would have 35 rows
        assert first.shape == (3, 140, 136) and np.array_equal(second, first[:, ::2, ::2]) and second.any()
    (size,) = run.table("dataset/reports/size.csv")
    files = [path for path in image.rglob("*") if path.is_file() and "labels" not in path.relative_to(image).parts]
    assert (int(size["files"]), int(size["stored_bytes"])) == (5, sum(path.stat().st_size for path in files))
    assert (size["verdict"], run.table("dataset/reports/depth.csv")[0]["read_back"]) == ("pass", "exact")
    assert run.sealed["config"]["levels"] == 3 and run.sealed["digest"] == digest_of_workflow(flow)

    before = {path: path.stat().st_ino for path in files}
    add_mask(flow, 30)  # another mask: the image is not decoded, its levels are the same files
    run = flow.run()
    assert run.extracted_series() == 1 and {path: path.stat().st_ino for path in files} == before
    first, second = levels_of(mask)
    assert np.array_equal(second, first[:, ::2, ::2]) and run.sealed["digest"] == digest_of_workflow(flow)

    shard = image / "1/c/0/0/0"
    data = bytearray(shard.read_bytes())
    data[100] ^= 1
    shard.write_bytes(data)
    damaged = shard.relative_to(flow.results / "dataset")
    assert verify(Results(flow.results)).findings == [("damaged", str(damaged))]

    flow.config["levels"] = 1
    run = flow.run()
    assert run.extracted_series() == 1 and len(levels_of(image)) == len(levels_of(mask)) == 1
    assert run.sealed["digest"] == digest_of_workflow(flow) and verify(Results(flow.results)).good
