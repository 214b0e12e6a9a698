"""The section of labels and splits: numbers of subjects, suppression of small numbers, and when it is shown."""

from __future__ import annotations

import csv
import dataclasses
from pathlib import Path

import pytest
from made_up_dataset import OUTCOMES, Made, ramp, write_dataset
from parsed_page import Page, data_of, plain

from dicomzarr.stages.render_report.balance import UNDER, WITHHELD, PatientBar, balance, patients_by_series
from dicomzarr.stages.render_report.findings import findings
from dicomzarr.stages.render_report.page import render
from dicomzarr.stages.render_report.tables import read_tables

PIXELS = ramp(4, 4)


def array(number: int, subject: int, modality: str = "CT", split: str = "train", **labels: str) -> Made:
    name = f"aaaa{number:012x}/00000001"
    return Made(name, "yx", PIXELS, modality, subject=f"feed{subject:012d}", split=split, labels=labels)


def table(folder: Path, arrays: list[Made], small_cells: int = 1) -> dict[tuple[str, str], tuple[int, ...]]:
    tables = read_tables(write_dataset(folder, arrays, OUTCOMES), small_cells)
    return {(line.kind, line.group): line.subjects for line in balance(tables.arrays, small_cells)}


def test_subjects_are_counted_once_in_each_group(tmp_path: Path) -> None:
    arrays = [
        array(1, 1, kind="benign"),
        array(2, 1, "MR", kind="benign"),  # the same subject again
        array(3, 2, kind="malignant"),
        array(4, 3, split="test", kind=""),
        array(5, 3, split="test", kind="benign"),
    ]
    assert table(tmp_path / "dataset", arrays) == {
        ("", "all"): (1, 2, 3),  # test, train, in all
        ("modality", "CT"): (1, 2, 3),
        ("modality", "MR"): (0, 1, 1),
        ("kind", "benign"): (1, 1, 2),
        ("kind", "malignant"): (0, 1, 1),
        ("kind", "without a label"): (1, 0, 1),
    }


def test_without_splits_there_is_one_column(tmp_path: Path) -> None:
    arrays = [array(1, 1, split="", kind="a"), array(2, 2, split="", kind="b")]
    assert table(tmp_path / "dataset", arrays)["", "all"] == (2,)


def many(sizes: dict[tuple[str, str], int]) -> list[Made]:
    """Return one array for each of the given numbers of subjects, by split and label."""
    keys = [key for key, number in sizes.items() for _ in range(number)]
    return [array(n, n, split=split, kind=kind) for n, (split, kind) in enumerate(keys)]


def test_small_numbers_and_those_they_follow_from_are_suppressed(tmp_path: Path) -> None:
    arrays = many({("train", "a"): 9, ("train", "b"): 12, ("test", "a"): 2, ("test", "b"): 6})
    rows = table(tmp_path / "dataset", arrays, 5)
    # 2 is small. It follows from 11 - 9 and 8 - 6, and these from 21 - 12 and 18 - 12.
    assert rows["kind", "a"] == (UNDER, WITHHELD, 11)
    assert rows["kind", "b"] == (WITHHELD, WITHHELD, 18)
    assert rows["", "all"] == (8, 21, 29)


@pytest.mark.parametrize("seed", range(20))
def test_no_small_number_follows_from_a_sum(tmp_path: Path, seed: int) -> None:
    import random

    chance = random.Random(seed)
    sizes = {(split, kind): chance.choice([0, 1, 2, 6, 9]) for split in ("test", "train", "val") for kind in "abc"}
    if not any(sizes.values()):
        return
    rows = table(tmp_path / "dataset", many(sizes), 5)
    kinds = [line for (kind, _), line in rows.items() if kind == "kind"]
    sums = [*rows.values(), *([rows["", "all"][j], *(line[j] for line in kinds)] for j in range(len(kinds[0])))]
    for cells in sums:
        assert not any(0 < cell < 5 for cell in cells)
        if len(cells) > 1:
            assert sum(cell < 0 for cell in cells) != 1 or not any(cell > 0 for cell in cells)


def with_report(folder: Path, rows: list[tuple[str, str, str, int]]) -> Path:
    with open(folder / "reports" / "labels.csv", "w", newline="") as stream:
        csv.writer(stream, lineterminator="\n").writerows([("label", "finding", "value", "series"), *rows])
    return folder


def test_the_page_shows_matched_and_unmatched_labels(tmp_path: Path) -> None:
    folder = write_dataset(tmp_path / "dataset", [array(1, 1, kind="a"), array(2, 2, split="test", kind="")], OUTCOMES)
    rows = [
        ("kind", "images_unlabelled", "", 1),
        ("kind", "label_conflicts", "", 0),
        ("kind", "labels_unmatched", "", 7),
        ("kind", "matched", "a", 1),
        ("splits.fixed", "fixed_unmatched", "", 1),
        ("splits.fixed", "matched", "test", 3),
    ]
    page = Page(render(with_report(folder, rows)))
    assert page.open == [] and "groups" in page.ids and "#groups" in page.values("href")
    cells = [[plain(cell) for cell in row] for row in page.cells]
    assert ["kind", "1", "1", "0", "7"] in cells and ["lists of splits", "3", "–", "–", "1"] in cells
    assert ["all images", "1 50 %", "1 50 %", "2"] in cells
    titles = [finding.title for finding in findings(read_tables(folder))]
    assert "7 lines of the label files match no image" in titles and "1 series has no label kind" in titles
    assert "1 line of the lists of splits names no patient with an image" in titles
    assert not any("conflict" in title or "without a patient" in title for title in titles)
    used = {array.split for array in read_tables(folder).arrays}
    titles = [finding.title for finding in findings(read_tables(folder), splits=[*used, "val", "extra"])]
    assert "Splits extra and val without a patient" in titles
    assert "Splits extra and val without a patient" in render(folder, splits=[*used, "val", "extra"])


def test_a_line_of_several_labels_is_not_counted_as_several_lines(tmp_path: Path) -> None:
    folder = write_dataset(tmp_path / "dataset", [array(1, 1, kind="a")], OUTCOMES)
    rows = [
        (label, "labels_unmatched", "", number) for label, number in (("kind", 2), ("grade", 2), ("side", 1), ("x", 0))
    ]
    titles = [finding.title for finding in findings(read_tables(with_report(folder, rows)))]
    assert "5 cells for 3 labels of the label files match no image" in titles
    titles = [finding.title for finding in findings(read_tables(with_report(folder, [rows[0], rows[3]])))]
    assert "2 lines of the label files match no image" in titles


def test_labels_and_splits_are_named_before_other_warnings(tmp_path: Path) -> None:
    flags = {"incomplete": 1, "contested_place": 2, "rounded_positions": 3}
    arrays = [dataclasses.replace(array(number, number, kind=""), flags=flag) for flag, number in flags.items()]
    rows = [("kind", "labels_unmatched", "", 7), ("kind", "images_unlabelled", "", 3)]
    folder = with_report(write_dataset(tmp_path / "dataset", arrays, OUTCOMES), rows)
    titles = [finding.title for finding in findings(read_tables(folder), splits=["train", "val"])]
    assert titles[:3] == [
        "7 lines of the label files match no image",
        "All 3 series have no label kind",
        "Split val without a patient",
    ]
    assert len(titles) > 5
    failed = [dataclasses.replace(arrays[0], read_back="mismatch"), *arrays[1:]]
    folder = with_report(write_dataset(tmp_path / "failed", failed, OUTCOMES), rows)
    assert [finding.level for finding in findings(read_tables(folder))][:2] == ["fail", "warn"]


def test_small_numbers_are_not_on_the_page(tmp_path: Path) -> None:
    arrays = many({("train", "a"): 9, ("train", "b"): 12, ("test", "a"): 2, ("test", "b"): 6})
    page = Page(render(write_dataset(tmp_path / "dataset", arrays, OUTCOMES), small_cells=5))
    cells = [[plain(cell) for cell in row] for row in page.cells]
    assert ["kind", "a", "under 5", "withheld", "11"] in cells and ["b", "withheld", "withheld", "18"] in cells
    assert "Numbers under 5 are not shown" in plain(page.text)


def test_without_labels_and_splits_there_is_no_such_section(tmp_path: Path) -> None:
    page = Page(render(write_dataset(tmp_path / "dataset", [array(1, 1, split="")], OUTCOMES)))
    assert "groups" not in page.ids and "#groups" not in page.values("href")


# ---- Each array: labels in the table of volumes, and series of a patient


def labels_of(folder: Path, arrays: list[Made], small_cells: int) -> tuple[list[str], set[tuple[str, ...]], str]:
    """Return the labels that each volume has in the page, their values, and the page."""
    page = render(write_dataset(folder, arrays, OUTCOMES), small_cells=small_cells)
    data = data_of(page)
    return data["labels"], {tuple(array["labels"]) for array in data["arrays"]}, page


def test_a_label_is_listed_for_each_array_only_if_none_of_its_numbers_is_suppressed(tmp_path: Path) -> None:
    enough = many({("train", "a"): 9, ("train", "b"): 12, ("test", "a"): 3, ("test", ""): 6})
    assert labels_of(tmp_path / "enough", enough, 3)[:2] == (["kind"], {("a",), ("b",), ("",)})
    few = many({("train", "a"): 9, ("train", "b"): 12, ("test", "a"): 2, ("test", "b"): 6})
    names, values, page = labels_of(tmp_path / "few", few, 3)
    assert (names, values) == ([], {()})
    assert "Labels that distinguish fewer than 3 subjects are not listed" in plain(Page(page).text)
    names, _, page = labels_of(tmp_path / "all", few, 1)
    assert names == ["kind"] and "Labels that distinguish" not in plain(Page(page).text)


def test_patients_are_counted_by_their_series_in_bars_of_enough_patients(tmp_path: Path) -> None:
    series_of = {1: 1, 2: 1, 3: 1, 4: 2, 5: 4, 6: 4, 7: 9}  # patient -> series
    numbers = iter(range(100))
    arrays = [array(next(numbers), patient) for patient, count in series_of.items() for _ in range(count)]
    arrays.append(Made(arrays[0].array.replace("/00000001", "/00000002"), "yx", PIXELS, subject=arrays[0].subject))
    rows = read_tables(write_dataset(tmp_path / "d", arrays, OUTCOMES)).arrays
    assert patients_by_series(rows) == [
        PatientBar(1, 1, 3),
        PatientBar(2, 2, 1),
        PatientBar(4, 4, 2),
        PatientBar(9, 9, 1),
    ]
    assert patients_by_series(rows, 3) == [PatientBar(1, 1, 3), PatientBar(2, 9, 4)]
    assert patients_by_series(rows, 4) == [PatientBar(1, 9, 7)] and patients_by_series(rows, 8) == []
