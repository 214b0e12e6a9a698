"""Findings of the report: what a user should know of, each with advice."""

from __future__ import annotations

import html
from dataclasses import replace
from pathlib import Path

import pytest
from made_up_dataset import some_arrays, write_dataset
from parsed_page import Page, plain

from dicomzarr.stages.render_report.findings import findings
from dicomzarr.stages.render_report.page import render
from dicomzarr.stages.render_report.tables import read_tables, worst

FLAGS_WITH_ADVICE = [
    "incomplete",
    "series_incomplete",
    "contested_place",
    "incomplete_grid",
    "surplus_frames",
    "trailing_bytes",
    "rescale_incomplete",
    "unreadable_number",
    "implausible_number",
    "rounded_positions",
]


@pytest.mark.parametrize("flag", FLAGS_WITH_ADVICE)
def test_a_flag_that_a_user_should_know_of_is_a_finding(tmp_path: Path, flag: str) -> None:
    arrays = [replace(array, flags=f"face_risk {flag}") for array in some_arrays()[:2]] + some_arrays()[2:3]
    folder = write_dataset(tmp_path / "d", arrays, [("extracted", "", 5)])
    (found,) = findings(read_tables(folder))
    assert found.select == ("flag", flag)
    assert found.level == "warn" and found.title.startswith("2 arrays ") and found.advice.endswith(".")
    assert found.arrays == tuple(sorted(array.array for array in arrays[:2])) and found.flags == ()
    assert found.title in html.unescape(plain(render(folder)))
    one = write_dataset(tmp_path / "one", arrays[1:], [("extracted", "", 5)])
    (found,) = findings(read_tables(one))
    assert found.title.startswith("1 array ") and " have " not in found.title


def test_series_left_out_for_their_faces_are_a_finding(tmp_path: Path) -> None:
    folder = write_dataset(tmp_path / "d", some_arrays()[:1], [("extracted", "", 5), ("skipped", "face_risk", 7)])
    table = "policy,kind,files\nburned_in,ultrasound,2\nfaces,geometry,4\nfaces,header,3\n"
    (folder / "reports" / "policy.csv").write_text(table)
    text = plain(render(folder))
    assert "7 files not extracted because a face may be seen" in text and "set faces: keep" in text
    assert "2 files not extracted because text may be burned into the pixels" in text


def test_equal_pixels_of_several_subjects_are_a_finding_that_counts_splits(tmp_path: Path) -> None:
    def found(*splits: str) -> tuple[str, str]:
        arrays = [
            replace(array, flags="same_pixels_elsewhere", split=split)
            for array, split in zip(some_arrays(), splits, strict=False)
        ]
        folder = write_dataset(tmp_path / "-".join(splits), arrays, [("extracted", "", 5)])
        (finding,) = findings(read_tables(folder))
        assert not {array.subject for array in arrays} & set(f"{finding.title} {finding.advice}".split())
        return finding.title, finding.advice

    title, advice = found("train", "test", "train")
    assert title == "3 arrays have the pixels of another subject's array"
    assert "1 image of them stands in more than one split" in advice
    assert "more than one split" not in found("train", "train")[1]
    assert "more than one split" not in found("", "train")[1]  # no split is none of the splits


def test_an_array_without_a_check_fails(tmp_path: Path) -> None:
    folder = write_dataset(tmp_path / "d", some_arrays()[:1], [("extracted", "", 1)])
    report = folder / "reports" / "size.csv"
    report.write_text(report.read_text().splitlines()[0] + "\n")
    tables = read_tables(folder)
    assert tables.arrays[0].verdict == "fail"
    assert [item.title for item in findings(tables)] == ["1 array has not been checked"]


def test_a_dataset_without_findings_needs_no_attention(tmp_path: Path) -> None:
    folder = write_dataset(tmp_path / "d", some_arrays()[:1], [("extracted", "", 5)])
    text = plain(Page(render(folder)).text)
    assert "pass Nothing needs your attention." in text and "set aside" not in text
    assert "Nothing. The array passes both checks, and no file was quarantined." in text
    assert "5 became 1 image array, and every voxel of them was read back" in text


def test_a_verdict_outside_the_vocabulary_is_a_failure() -> None:
    assert [worst(v) for v in (["pass", "warn"], ["pass"], ["warn", "splendid"], [""])] == [
        "warn",
        "pass",
        "fail",
        "fail",
    ]
