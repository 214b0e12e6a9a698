"""Images that may have text burned into their pixels: skipped by default, kept with a reason."""

from __future__ import annotations

import html

import pytest
from conftest import Run, Workflow
from dicoms import ct_slice, save, save_series
from folders import state_of_arrays
from forks import Forks

SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
CASES: dict[str, tuple[dict[str, object], str]] = {
    "declared yes": ({"BurnedInAnnotation": "YES"}, "declared"),
    "declared no": ({"BurnedInAnnotation": "NO", "Modality": "US"}, ""),
    "ultrasound": ({"Modality": "US"}, "ultrasound"),
    "photograph": ({"Modality": "XC"}, "photograph"),
    "secondary capture": ({"SOPClassUID": SECONDARY_CAPTURE, "Modality": "OT"}, "secondary_capture"),
    "capture declared no": ({"SOPClassUID": SECONDARY_CAPTURE, "BurnedInAnnotation": "NO"}, ""),
    "screen save": ({"ImageType": ["DERIVED", "SECONDARY", "SCREEN SAVE"]}, "screen_save"),
    "plain": ({}, ""),
}


def build(workflow: Workflow) -> None:
    for name, (attributes, _) in CASES.items():
        save(ct_slice(name, 0, **attributes), workflow.source / f"{name}.dcm")
    save_series(workflow.source / "head", "head", 3, BodyPartExamined="HEAD")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, warm: Forks | None) -> tuple[Run, Run]:
    """Two runs on one source: images at risk are skipped by default, and kept."""
    workflow = Workflow(tmp_path_factory.mktemp("policy"), environment={"DICOMZARR_KEY": "k" * 32}, forks=warm)
    build(workflow)
    kept = Workflow(workflow.folder, {"results": "kept"}, workflow.environment, forks=warm).run()
    return workflow.run(burned_in="skip", burned_in_reason=""), kept


@pytest.mark.parametrize("name", list(CASES))
def test_risky_kinds_are_skipped_unless_the_header_denies_burned_in_text(runs: tuple[Run, Run], name: str) -> None:
    expected = ("skipped", "burned_in_risk") if CASES[name][1] else ("extracted", "")
    assert runs[0].outcome()[f"{name}.dcm"] == expected


def test_keep_extracts_all_and_records_the_reason(runs: tuple[Run, Run]) -> None:
    assert {outcome for outcome, _ in runs[1].outcome().values()} == {"extracted"}
    assert runs[1].sealed["config"]["burned_in"] == "keep" and runs[1].sealed["config"]["burned_in_reason"]
    assert "burned_in_reason" not in runs[0].sealed["config"]
    assert runs[1].table("dataset/reports/policy.csv") == []


def test_the_report_counts_skipped_files_by_kind_and_names_the_option(runs: tuple[Run, Run]) -> None:
    files_by_kind = {row["kind"]: row["files"] for row in runs[0].table("dataset/reports/policy.csv")}
    assert files_by_kind == {kind: "1" for _, kind in CASES.values() if kind}
    page = html.unescape((runs[0].results / "dataset/reports/report.html").read_text())
    assert "5 files not extracted because text may be burned into the pixels" in page
    assert "burned_in: keep" in page and "1: ultrasound" in page


def test_a_head_scan_is_flagged_for_its_face(runs: tuple[Run, Run]) -> None:
    flagged = [row for row in runs[0].table("dataset/volumes.csv") if "face_risk" in row["flags"].split()]
    assert [row["frames"] for row in flagged] == ["3"]


def test_between_skip_and_keep_only_series_with_images_at_risk_are_extracted(
    runs: tuple[Run, Run], workflow: Workflow
) -> None:
    build(workflow)
    first, arrays = workflow.run(), state_of_arrays(workflow.results)
    risks = sum(bool(risk) for _, risk in CASES.values())
    skipped = workflow.run(burned_in="skip", burned_in_reason="")
    assert skipped.extracted_series() == risks and skipped.sealed["seal"] == runs[0].sealed["seal"]
    left = state_of_arrays(workflow.results)
    assert left == {name: arrays[name] for name in left} and len(left) == len(arrays) - risks
    kept = workflow.run()
    assert kept.extracted_series() == risks and kept.sealed["seal"] == first.sealed["seal"] == runs[1].sealed["seal"]
    assert workflow.run().nothing_to_do
