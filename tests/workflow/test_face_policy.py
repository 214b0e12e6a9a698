"""`faces: skip` leaves out series that may show a face; no exact size of a source file is shared."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import REASON, Run, Workflow
from dicoms import ct_slice, save
from folders import state_of_arrays
from forks import Forks
from from_scratch import digest_from_scratch

SLICES = 12
PADDING = {"head": 91_117, "unstated": 83_431, "chest": 97_553}  # bytes of a private element, so that sizes are rare


def build(source: Path) -> None:
    """Write three CTs of 120 x 120 x 60 mm: by its header a head, without a part of the body, and a chest."""
    for number, (name, part) in enumerate((("head", "HEAD"), ("unstated", ""), ("chest", "CHEST"))):
        for index in range(SLICES):
            pixels = np.full((24, 24), index + 20 * number, np.int16)
            place = {"ImagePositionPatient": [0, 0, 5.0 * index], "PixelSpacing": [5.0, 5.0]}
            image = ct_slice(name, index, pixels=pixels, BodyPartExamined=part, **place)
            block = image.private_block(0x0009, "NIEMAND PADDING", create=True)
            block.add_new(1, "OB", bytes(PADDING[name] + 1_302 * index & ~1))
            save(image, source / name / f"{index}.dcm")


def scratch(workflow: Workflow, **config: Any) -> str:
    complete = {"burned_in": "keep", "burned_in_reason": REASON, "source": str(workflow.source)} | config
    return digest_from_scratch(complete, workflow.folder / f"scratch-{config['faces']}")


@pytest.fixture(scope="module")
def workflow(tmp_path_factory: pytest.TempPathFactory, warm: Forks | None) -> Workflow:
    workflow = Workflow(tmp_path_factory.mktemp("faces"), environment={"DICOMZARR_KEY": "k" * 32}, forks=warm)
    build(workflow.source)
    return workflow


@pytest.fixture(scope="module")
def kept(workflow: Workflow) -> Run:
    """A run with the default policy, and an export."""
    run = workflow.run()
    workflow.run("export_npz")
    return run


def flags(run: Run) -> list[set[str]]:
    found = [set(row["flags"].split()) for row in run.table("dataset/volumes.csv")]
    return sorted((each & {"face_risk", "face_by_geometry"} for each in found), key=sorted)


def test_no_file_outside_private_has_an_exact_size_of_the_source(workflow: Workflow, kept: Run) -> None:
    files = [path.stat().st_size for path in workflow.source.rglob("*.dcm")]
    series = [sum(path.stat().st_size for path in folder.iterdir()) for folder in workflow.source.iterdir()]
    exact = {*files, *series, sum(series)}
    assert not any(size % 1_000 == 0 for size in exact) and min(exact) > 80_000
    forms = {form for size in exact for form in (f"{size}", f"{size:,}", f"{size:,}".replace(",", " "))}
    pattern = re.compile("(?<![0-9A-Za-z])(" + "|".join(sorted(forms)) + ")(?![0-9A-Za-z])")
    searched = 0
    for root in (kept.results, workflow.folder / ".snakemake"):
        for path in root.rglob("*"):
            if path.is_file() and "private" not in path.relative_to(root).parts:
                assert not pattern.search(path.read_bytes().decode("latin-1")), path.relative_to(root)
                searched += 1
    assert searched > 30
    expected = sorted(str(-(-size // 1_000) * 1_000) for size in series)
    for table in ("dataset/volumes.csv", "dataset/reports/size.csv", "exports/npz/report.csv"):
        assert sorted(row["source_bytes"] for row in kept.table(table)) == expected, table
    private = "".join(path.read_text() for path in (kept.results / "private/records").rglob("*.json"))
    assert all(str(size) not in private for size in series)


def test_skip_leaves_out_their_series_alone_and_keep_brings_them_back(workflow: Workflow, kept: Run) -> None:
    digest, before = kept.sealed["digest"], state_of_arrays(kept.results)
    assert flags(kept) == [set(), {"face_risk", "face_by_geometry"}, {"face_risk"}] and len(before) == 3
    assert (kept.sealed["config"]["faces"], kept.sealed["config"]["faces_reason"]) == ("keep", "not_assessed")
    card = (kept.results / "dataset/DATASET_CARD.md").read_text()
    assert "1 by what the headers state, 1 by modality" in card and "`not_assessed`" in card
    assert scratch(workflow, faces="keep") == digest

    skipped = workflow.run(faces="skip")
    outcomes = skipped.outcome()
    assert {outcomes[f"chest/{index}.dcm"] for index in range(SLICES)} == {("extracted", "")}
    others = {outcomes[f"{name}/{index}.dcm"] for name in ("head", "unstated") for index in range(SLICES)}
    assert others == {("skipped", "face_risk")} and skipped.extracted_series() == 2
    assert len(state_of_arrays(skipped.results)) == 1 and state_of_arrays(skipped.results).items() <= before.items()
    policy = [(row["policy"], row["kind"], row["files"]) for row in skipped.table("dataset/reports/policy.csv")]
    assert policy == [("faces", "geometry", "12"), ("faces", "header", "12")]
    reasons = {(row["reason"], row["files"]) for row in skipped.table("dataset/reports/outcomes.csv")}
    assert ("face_risk", "24") in reasons and skipped.sealed["config"]["faces"] == "skip"
    assert "faces_reason" not in skipped.sealed["config"]
    page = (skipped.results / "dataset/reports/report.html").read_text()
    assert "24 files not extracted because a face may be seen" in page
    assert "were left out" in (skipped.results / "dataset/DATASET_CARD.md").read_text()
    assert skipped.sealed["digest"] == scratch(workflow, faces="skip")
    assert workflow.run(faces="skip").nothing_to_do

    again = workflow.run()
    assert again.sealed["digest"] == digest and again.extracted_series() == 2
    assert state_of_arrays(again.results).items() >= state_of_arrays(skipped.results).items()
    assert {outcome for outcome, _ in again.outcome().values()} == {"extracted"}
    assert again.table("dataset/reports/policy.csv") == []


def test_the_reason_to_keep_faces_changes_no_array(workflow: Workflow, kept: Run) -> None:
    before = state_of_arrays(workflow.run().results)
    run = workflow.run(faces_reason="consent")
    assert state_of_arrays(run.results) == before and run.jobs("extract_batch") == 0
    assert "agreed to it (`consent`)" in (run.results / "dataset/DATASET_CARD.md").read_text()
    assert json.loads((run.results / "dataset/dataset.json").read_text())["config"]["faces_reason"] == "consent"
