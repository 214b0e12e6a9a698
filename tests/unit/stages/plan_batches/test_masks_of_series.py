"""Planning: to which series each segmentation and structure set belongs, and why one belongs to none."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dicomzarr.privacy.pseudonyms import Pseudonyms
from dicomzarr.records.plan import read_plan
from dicomzarr.stages.plan_batches import batches
from dicomzarr.system.results_folder import Results

KEY = Pseudonyms(b"k" * 32)
STORAGE = "1.2.840.10008.5.1.4.1.1."
CT, SEG, RTSTRUCT, DOSE = (f"{STORAGE}{number}" for number in ("2", "66.4", "481.3", "481.2"))
WHERE = {"ImageOrientationPatient": [1, 0, 0, 0, 1, 0], "PixelSpacing": [1.0, 1.0], "Rows": 100, "Columns": 100}


def row(path: str, series: str, instance: str = "", patient: str = "p", kind: str = CT, **facts: Any) -> dict[str, Any]:
    is_structure = kind == RTSTRUCT
    return {
        "path": path,
        "stat": [100, 1, 1, 1],
        "outcome": "skipped" if is_structure else "image",
        "reason": "structure_set" if is_structure else "",
        "flags": [],
        "facts": {
            **{"SeriesInstanceUID": series, "SOPInstanceUID": instance or f"{series}.{path}", "PatientID": patient},
            **{"SOPClassUID": kind, "StudyInstanceUID": "9.9"},
            **facts,
        },
    }


def stack(
    series: str, frame: str = "7.7", depths: tuple[float, ...] = (0, 50, 100), **more: Any
) -> list[dict[str, Any]]:
    return [
        row(f"{series}-{depth}", series, FrameOfReferenceUID=frame, ImagePositionPatient=[0, 0, depth],
            SpacingBetweenSlices=50, **WHERE, **more)
        for depth in depths
    ]  # fmt: skip


def mask(path: str, kind: str = SEG, patient: str = "p", **references: Any) -> dict[str, Any]:
    return row(path, f"8.{path}", patient=patient, kind=kind, mask_references=references)


def planned(folder: Path, rows: list[dict[str, Any]]) -> tuple[dict[str, list[str]], dict[str, str]]:
    """Return the mask files of each Series Instance UID with any, and the reasons of files without a series."""
    results, index = Results(folder), folder / "headers.jsonl"
    lines = [json.dumps(line, sort_keys=True, separators=(",", ":")) for line in sorted(rows, key=lambda r: r["path"])]
    index.write_text("".join(f"{line}\n" for line in lines))
    contents = results.plans / "contents.json"
    batches.plan_batches(results, index, contents, KEY, series_each=64, bytes_each=10**9)
    found = {}
    for name in json.loads(contents.read_text())["batches"]:
        for series in read_plan(results.plan(name))[1]:
            plan = series.parse()
            assert series.has_masks == bool(plan.masks)
            if plan.masks:
                found[plan.files[0]["facts"]["SeriesInstanceUID"]] = [row["path"] for row in plan.masks]
    return found, {line["path"]: line["reason"] for line in json.loads(results.unplaced_masks.read_text())}


def test_a_mask_belongs_to_the_series_that_it_names(tmp_path: Path) -> None:
    rows = [*stack("1.1"), *stack("1.2"), mask("a", series=["1.2"]), mask("b", RTSTRUCT, series=["1.1"])]
    assert planned(tmp_path, rows) == ({"1.1": ["b"], "1.2": ["a"]}, {})


def test_instances_find_the_series_that_a_file_does_not_name(tmp_path: Path) -> None:
    rows = [*stack("1.1"), *stack("1.2"), mask("a", instances=["1.2.1.2-50", "4.4"])]
    assert planned(tmp_path, rows) == ({"1.2": ["a"]}, {})


def test_a_file_that_names_two_series_belongs_to_both(tmp_path: Path) -> None:
    rows = [*stack("1.1"), *stack("1.2"), mask("a", RTSTRUCT, series=["1.1", "1.2"])]
    assert planned(tmp_path, rows) == ({"1.1": ["a"], "1.2": ["a"]}, {})


def test_without_an_image_the_reason_is_stated(tmp_path: Path) -> None:
    rows = [*stack("1.1"), mask("a", series=["5.5"], frames_of_reference=["6.6"]), mask("b", RTSTRUCT)]
    found, reasons = planned(tmp_path, rows)
    assert found == {}
    assert reasons == {"a": "mask_without_image", "b": "mask_unreadable"}


def test_a_broken_mask_file_is_counted(tmp_path: Path) -> None:
    broken = [row("a", "8.1", kind=SEG), row("b", "8.2", kind=RTSTRUCT), row("c", "1.1")]
    for line in broken:
        line |= {"outcome": "quarantined", "reason": "truncated_header"}
    assert planned(tmp_path, [*stack("1.1"), *broken]) == ({}, {"a": "mask_unreadable", "b": "mask_unreadable"})


INSIDE, BEYOND = [10, 10, 0, 90, 90, 100], [10, 10, 0, 90, 90, 200]


@pytest.mark.parametrize(
    ("series", "extent", "found", "reason"),
    [
        ([stack("1.1")], INSIDE, {"1.1": ["m"]}, ""),
        ([stack("1.1")], BEYOND, {}, "mask_without_image"),
        ([stack("1.1"), stack("1.2", depths=(0, 10))], INSIDE, {"1.1": ["m"]}, ""),
        ([stack("1.1"), stack("1.2")], INSIDE, {}, "mask_ambiguous"),
        ([stack("1.1"), stack("1.2", frame="6.6")], INSIDE, {"1.1": ["m"]}, ""),
        ([stack("1.1"), stack("1.2", patient="q")], INSIDE, {"1.1": ["m"]}, ""),
        ([stack("1.1"), stack("1.3", kind=DOSE)], INSIDE, {"1.1": ["m"]}, ""),
        ([[row("e", "1.4", FrameOfReferenceUID="7.7", NumberOfFrames=9)]], INSIDE, {"1.4": ["m"]}, ""),
    ],
)  # fmt: skip
def test_a_frame_of_reference_decides_where_one_image_contains_the_mask(
    tmp_path: Path, series: Any, extent: list[float], found: Any, reason: str
) -> None:
    rows = [line for lines in series for line in lines]
    rows.append(mask("m", series=["5.5"], frames_of_reference=["7.7"], extent=extent))
    assert planned(tmp_path, rows) == (found, {"m": reason} if reason else {})


def test_one_uid_under_two_patients_means_the_patient_of_the_mask(tmp_path: Path) -> None:
    rows = [row("a", "1.1", "2.1", "p"), row("b", "1.1", "2.2", "q")]
    found, reasons = planned(tmp_path, [*rows, mask("m", patient="q", series=["1.1"])])
    assert (found, reasons) == ({"1.1": ["m"]}, {})
    found, reasons = planned(tmp_path, [*rows, mask("m", patient="r", series=["1.1"])])
    assert (found, reasons) == ({}, {"m": "mask_without_image"})
    found, reasons = planned(tmp_path, [*rows, mask("m", patient="r", series=["1.1"], instances=["2.1"])])
    assert (found, reasons) == ({"1.1": ["m"]}, {})
    found, reasons = planned(tmp_path, [*rows, mask("m", patient="r", series=["1.1"], instances=["2.1", "2.2"])])
    assert (found, reasons) == ({}, {"m": "mask_ambiguous"})


def test_masks_do_not_belong_to_masks(tmp_path: Path) -> None:
    rows = [mask("a", series=["8.b"]), mask("b", series=["8.a"])]  # each names the other
    assert planned(tmp_path, rows) == ({}, {"a": "mask_without_image", "b": "mask_without_image"})


@settings(max_examples=25)
@given(st.randoms(use_true_random=False))
def test_the_order_and_the_names_of_files_decide_nothing(tmp_path_factory: Any, shuffled: random.Random) -> None:
    names = [f"{number:02d}" for number in range(20)]
    shuffled.shuffle(names)
    rows = [*stack("1.1"), *stack("1.2", frame="6.6"), *stack("1.3")]
    wanted = {
        "x": mask("x", series=["1.2"]), "y": mask("y", RTSTRUCT, instances=["1.3.1.3-0"]),
        "z": mask("z", frames_of_reference=["6.6"], extent=INSIDE), "w": mask("w", frames_of_reference=["7.7"]),
    }  # fmt: skip
    by_name = {}
    for line in [*rows, *wanted.values()]:
        by_name[names[-1]] = line["path"]
        line["path"] = names.pop()
    found, reasons = planned(tmp_path_factory.mktemp("plan"), rows + list(wanted.values()))
    as_named = {series: sorted(by_name[path] for path in paths) for series, paths in found.items()}
    assert as_named == {"1.2": ["x", "z"], "1.3": ["y"]}
    assert {by_name[path]: reason for path, reason in reasons.items()} == {"w": "mask_ambiguous"}


def test_instances_count_where_they_contradict_the_series(tmp_path: Path) -> None:
    rows = [*stack("1.1"), *stack("1.2"), mask("a", RTSTRUCT, series=["1.1"], instances=["1.2.1.2-50"])]
    assert planned(tmp_path, rows) == ({"1.2": ["a"]}, {})
    rows[-1] = mask("a", RTSTRUCT, series=["1.1", "1.2"], instances=["1.2.1.2-50"])
    assert planned(tmp_path, rows) == ({"1.1": ["a"], "1.2": ["a"]}, {})


def test_a_frame_of_reference_does_not_join_two_patients(tmp_path: Path) -> None:
    rows = [*stack("1.1"), mask("a", patient="other", frames_of_reference=["7.7"], extent=[1, 1, 1, 2, 2, 2])]
    assert planned(tmp_path, rows) == ({}, {"a": "mask_without_image"})


def test_a_mask_without_the_issuer_that_its_image_states_is_of_the_same_patient(tmp_path: Path) -> None:
    rows = [*stack("1.1", IssuerOfPatientID="A"), mask("a", series=["1.1"]), mask("b", frames_of_reference=["7.7"])]
    assert planned(tmp_path, rows) == ({"1.1": ["a", "b"]}, {})
    rows = [
        *stack("1.1", IssuerOfPatientID="A"),
        row("a", "8.a", kind=SEG, mask_references={"series": ["1.1"]}, IssuerOfPatientID="B"),
    ]
    assert planned(tmp_path, rows) == ({}, {"a": "mask_without_image"})
