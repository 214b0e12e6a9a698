"""Detectors of text in pixels that fail or change: in a copy of the project, whose detector looks for a value."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from blake3 import blake3
from burned_in_text import DIES, FOUND, RAISES, body, value_detector, with_value
from conftest import Run, Workflow, in_ci
from dicoms import ct_slice, save
from folders import state_of_array_files
from project_copy import copy_of_the_project

from dicomzarr.records import decisions
from dicomzarr.records.batch_record import batch_record_path, load_extracted
from dicomzarr.records.series_record import SeriesRecord
from dicomzarr.system.results_folder import Results

SCAN = {"burned_in": "scan", "burned_in_reason": ""}
SECRET = "MADEUP"


@pytest.fixture
def scanning(tmp_path: Path) -> Iterator[Workflow]:
    project = copy_of_the_project(tmp_path / "project")
    workflow = Workflow(tmp_path / "run", dict(SCAN), {"DICOMZARR_KEY": "k" * 32}, project)
    for index, value in enumerate((0, FOUND, 0)):
        save(ct_slice("chest", index, pixels=with_value(body(index), value)), workflow.source / f"chest/{index}.dcm")
    for index in range(2):
        save(ct_slice("other", index, pixels=body(index, 1)), workflow.source / f"other/{index}.dcm")
    return workflow


def use(workflow: Workflow, detector: str) -> None:
    (workflow.project / "scripts/dicomzarr/burned_in/scan.py").write_text(detector)


def reasons(run: Run) -> dict[str, str]:
    return {path: reason for path, (_, reason) in run.outcome().items() if reason}


def records(results: Path) -> dict[str, SeriesRecord]:
    return {path.stem: SeriesRecord.load(path) for path in results.glob("private/records/extract_batch/*/*.json")}


def test_a_detector_that_fails_at_a_file_costs_this_file_alone(scanning: Workflow) -> None:
    use(scanning, value_detector())
    for index, value in ((3, RAISES), (4, DIES)):
        path = scanning.source / f"chest/{index}.dcm"
        save(ct_slice("chest", index, pixels=with_value(body(index), value)), path)
    run = scanning.run()
    failed = {"chest/3.dcm": "text_search_failed", "chest/4.dcm": "text_search_failed"}
    assert reasons(run) == {"chest/1.dcm": "text_in_pixels", **failed}
    assert SECRET not in run.output and not list((run.results / "private/attempts").iterdir())
    assert len(list(run.results.glob("private/text/*/*.jpg"))) == 3
    assert scanning.run().nothing_to_do
    content = blake3((scanning.source / "chest/3.dcm").read_bytes()).hexdigest()
    decisions.change(run.results / "private/decisions.csv", {content: "keep"})
    assert reasons(scanning.run()) == {"chest/1.dcm": "text_in_pixels", "chest/4.dcm": "text_search_failed"}


@pytest.mark.parametrize("control", in_ci(1, ["os.kill(os.getpid(), signal.SIGKILL)", "False", "1 / 0"]))
def test_without_a_detector_that_works_nothing_is_extracted(scanning: Workflow, control: str) -> None:
    use(scanning, value_detector(control=control))
    run = scanning.run(ok=False)
    assert run.process.returncode == 1 and "the search for text in pixels does not work here" in run.output
    assert "Traceback" not in run.output
    assert not list(run.results.glob("dataset/images.zarr/*/*")) and not (run.results / "dataset/dataset.json").exists()
    assert not list(run.results.glob("private/records/extract_batch/**/*.json"))
    if control == "False":
        use(scanning, value_detector())
        assert reasons(scanning.run()) == {"chest/1.dcm": "text_in_pixels"}


def test_a_new_detector_looks_again_and_extracts_only_where_a_verdict_changed(scanning: Workflow) -> None:
    use(scanning, value_detector("1"))
    first = scanning.run()
    arrays, seal, before = state_of_array_files(first.results), first.sealed, records(first.results)
    pictures = {path.name: path.read_bytes() for path in first.results.glob("private/text/*/*.jpg")}

    use(scanning, value_detector("2", top=18))  # the same verdicts; another place
    second = scanning.run()
    assert second.jobs("extract_batch") >= 1 and second.extracted_series() == 0
    assert state_of_array_files(second.results) == arrays and reasons(second) == {"chest/1.dcm": "text_in_pixels"}
    assert second.sealed["digest"] == seal["digest"] and second.sealed["seal"] != seal["seal"]
    after = records(second.results)
    for series_id, record in after.items():
        assert record.looked["detector"] == "2" and record.looked["code"] != before[series_id].looked["code"]
        assert record.volumes == before[series_id].volumes
    assert {row[1] for record in after.values() for rows in record.text.values() for row in rows} == {18}
    moved = {path.name: path.read_bytes() for path in second.results.glob("private/text/*/*.jpg")}
    assert moved.keys() == pictures.keys() and moved != pictures
    provenance = (second.results / "dataset/provenance/extract_batch").glob("*.jsonl")
    assert {*re.findall('"detector":"([^"]*)"', "".join(path.read_text() for path in provenance))} == {"2"}
    assert scanning.run().nothing_to_do

    use(scanning, value_detector("3", finds=-9999))
    third = scanning.run()
    assert reasons(third) == {} and third.extracted_series() == 1
    assert not list(third.results.glob("private/text/*/*"))
    assert len(arrays.items() & state_of_array_files(third.results).items()) >= 2  # the other series


@pytest.mark.parametrize("other", in_ci(1, ["0" * 16, ""]))
def test_a_batch_that_another_detector_looked_at_is_not_sealed(scanning: Workflow, other: str) -> None:
    use(scanning, value_detector())
    run = scanning.run()
    results = Results(run.results)
    digest = run.sealed["digest"]
    (batch,) = [path.stem for path in results.plans.glob("*-*.json")]
    record = load_extracted(results, batch)
    assert re.fullmatch("[0-9a-f]{16}", record.detector)
    changed = dataclasses.replace(record, detector=other)
    batch_record_path(results, "extract_batch", batch).write_bytes(changed.to_bytes().data)
    results.sealed.unlink()
    refused = scanning.run(ok=False)
    assert refused.process.returncode == 1 and "the dataset is not sealed" in refused.output, refused.output
    assert not results.sealed.exists()
    assert scanning.run("--forcerun", "extract_batch").sealed["digest"] == digest
