"""Equal pixels under several patients, in the real workflow: table, report, gate, and patients that come and go."""

from __future__ import annotations

import html
import json
import shutil
from pathlib import Path

import numpy as np
from conftest import Run, Workflow
from dicoms import ct_slice, save, slice_pixels
from forks import Forks

FLAG = "same_pixels_elsewhere"


def add(source: Path, patient: str, pixels_of: str = "", slices: int = 3, value: int | None = None) -> None:
    """Add a patient, with pixels of another one, or all of one value."""
    for index in range(slices):
        pixels = slice_pixels(pixels_of or patient, index) if value is None else np.full((16, 12), value, "<i2")
        save(ct_slice(patient, index, pixels=pixels, InstanceNumber=index), source / patient / f"{index}.dcm")


def flagged(run: Run) -> set[frozenset[str]]:
    """Return the flagged arrays by pixel digest, each as the folder of its files."""
    folders = {row["array"]: row["path"].split("/")[0] for row in run.table("private/frames.csv")}
    by_digest: dict[str, set[str]] = {}
    for row in run.table("dataset/volumes.csv"):
        if FLAG in row["flags"].split():
            by_digest.setdefault(row["pixel_digest"], set()).add(folders[row["array"]])
    return {frozenset(members) for members in by_digest.values()}


def bytes_of(results: Path) -> dict[str, bytes]:
    files = [path for path in (results / "dataset").rglob("*") if path.is_file()]
    return {str(path.relative_to(results)): path.read_bytes() for path in files}


def page_of(run: Run) -> str:
    text = html.unescape((run.results / "dataset" / "reports" / "report.html").read_text())
    return " ".join(text.split())


def test_equal_pixels_of_several_patients(workflow: Workflow, tmp_path: Path, warm: Forks | None) -> None:
    workflow.forks = warm
    workflow.environment["DICOMZARR_KEY"] = "k" * 32
    workflow.config |= {"batch": {"series": 1, "megabytes": 512}}
    workflow.config["splits"] = {"fractions": {"test": 0.5, "train": 0.5}, "seed": 1}
    source = workflow.source
    add(source, "anna")
    add(source, "bert", slices=4)
    add(source, "empty1", value=0)
    add(source, "empty2", value=0)
    run = workflow.run()
    assert flagged(run) == set() and "of another subject's" not in page_of(run)
    before = bytes_of(run.results)

    # Patients whose images are those of others; a third empty image, which says nothing.
    copies = [f"anna again {number}" for number in range(6)]
    for copy in copies:
        add(source, copy, "anna")
    add(source, "bert again", "bert", slices=4)
    add(source, "empty3", value=0)
    run = workflow.run()
    assert flagged(run) == {frozenset({"anna", *copies}), frozenset({"bert", "bert again"})}
    assert "9 arrays have the pixels of another subject's array" in page_of(run)
    # The flag depends on other series, so the arrays of the first run stay as they were.
    after = bytes_of(run.results)
    arrays = [name for name in before if name.startswith("dataset/images.zarr/") and name.count("/") > 3]
    assert arrays and all(after[name] == before[name] for name in arrays)
    groups = [name for name in arrays if name.count("/") == 4 and name.endswith("/zarr.json")]
    assert len(groups) == 4
    assert not any(FLAG in json.loads(after[name])["attributes"]["dicomzarr"]["flags"] for name in groups)

    # The order of arrival does not matter.
    scratch = Workflow(
        tmp_path / "scratch", {**workflow.config, "source": str(source)}, workflow.environment, forks=workflow.forks
    )
    assert bytes_of(scratch.run().results) == after

    # Seven patients are in two splits by chance; in one split by decision, nothing is across splits.
    splits = {row["split"] for row in run.table("dataset/volumes.csv") if FLAG in row["flags"]}
    assert splits == {"test", "train"} and "in more than one split" in page_of(run)
    gated = workflow.run(ok=False, gate={"twins_across_splits": 0})
    assert "gate.twins_across_splits: found" in gated.output and "Traceback" not in gated.output
    names = "".join(f"patient-{name}\n" for name in ["anna", *copies, "bert", "bert again"])
    (workflow.folder / "train.csv").write_text(f"PatientID\n{names}")
    workflow.config["splits"]["fixed"] = {"train": "train.csv"}
    run = workflow.run(gate={"twins_across_splits": 0})
    assert len(flagged(run)) == 2 and "in more than one split" not in page_of(run)

    # What was added is removed again: the rows and arrays of the first state.
    del workflow.config["splits"]["fixed"]
    for name in [*copies, "bert again", "empty3"]:
        shutil.rmtree(source / name)
    run = workflow.run(confirm_drop=True)
    found = bytes_of(run.results)
    assert flagged(run) == set() and found["dataset/volumes.csv"] == before["dataset/volumes.csv"]
    assert {name for name in found if "images.zarr" in name} == {name for name in before if "images.zarr" in name}
