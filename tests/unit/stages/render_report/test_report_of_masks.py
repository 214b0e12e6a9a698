"""Masks on the report: the table by name, masks of each volume, files without a mask; small groups combined."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_up_dataset import OUTCOMES, ramp, write_dataset
from made_up_pictures import MadePicture, write_pictures
from parsed_page import Page, data_of, plain
from reported_masks import MadeMask, array, box, write_masks

from dicomzarr.stages.render_report import charts
from dicomzarr.stages.render_report.findings import findings
from dicomzarr.stages.render_report.masks import mask_flags, name_lines, read_masks
from dicomzarr.stages.render_report.page import render
from dicomzarr.stages.render_report.tables import read_tables

SHAPE = (9, 16, 20)
FIRST, SECOND, THIRD = (f"{number:016x}/00000001" for number in (1, 2, 3))


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_dataset(tmp_path_factory.mktemp("masks") / "dataset", [array(1), array(2, 2), array(3, 2)], OUTCOMES)
    masks = [
        MadeMask(FIRST, "liver", box(SHAPE, (1, 8), (2, 5), (3, 9)), "liver", volume_ml="0.07875"),
        MadeMask(FIRST, "tumour", box(SHAPE, (0, 1), (0, 4), (0, 4)), "tumour", "RTSTRUCT", "", "1234.5"),
        MadeMask(FIRST, "tumour_2", box(SHAPE), "tumour", "RTSTRUCT", flags="empty_mask", verdict="warn"),
        MadeMask(
            FIRST, "unnamed_1", box(SHAPE, (4, 5), (0, 1), (0, 1)), flags="own_grid outside_image", verdict="warn"
        ),
        MadeMask(SECOND, "liver", box(SHAPE, (0, 2), (0, 1), (0, 1)), "liver", algorithm="semi-automatic"),
    ]
    files = [
        ("RTSTRUCT", "not_placed", "mask_ambiguous", 2),
        ("SEG", "not_placed", "duplicate", 1),
        ("SEG", "placed", "", 3, 4),
    ]
    table = folder / "volumes.csv"
    lines = table.read_text().splitlines()
    absent = {FIRST: "", SECOND: "tumour", THIRD: ""}
    lines = [f"{line},{'masks_absent' if i == 0 else absent[line.split(',')[0]]}" for i, line in enumerate(lines)]
    table.write_text("\n".join(lines) + "\n")
    return write_masks(folder, masks, files)


def cells(page: str, width: int) -> list[list[str]]:
    return [[plain(cell) for cell in row] for row in Page(page).cells if len(row) == width]


def test_masks_by_name(dataset: Path) -> None:
    rows = cells(render(dataset), 10)
    assert rows == [
        ["Name", "Images", "Masks", "Empty", "Images without", "Voxels", "Volume, ml", "From", "Drawn", "Verdict"],
        ["liver", "2", "2", "0", "–", "2 – 126", "0.0788", "SEG", "manual 1, semi-automatic 1", "pass"],
        ["tumour", "1", "2", "1", "1", "16", "1234", "RTSTRUCT", "manual 1, unknown 1", "warning"],
        ["without a name", "1", "1", "0", "–", "1", "–", "SEG", "manual 1", "warning"],
    ]


def test_further_names_have_no_sum_in_the_chart(tmp_path: Path) -> None:
    """An image has masks of many names: together they are not as many images."""
    folder = write_dataset(tmp_path / "d", [array(1)], [("extracted", "", 9)])
    names = [f"mask_{number:02}" for number in range(17)]
    write_masks(folder, [MadeMask(FIRST, name, box(SHAPE, (0, 1)), name) for name in names])
    chart = charts.mask_images(name_lines(read_masks(folder, read_tables(folder).arrays)))
    assert chart is not None
    assert chart.drawing["labels"] == names[:14] and chart.drawing["series"][0]["values"] == [1] * 14
    assert "14 most frequent names. The other 3 names are in the table above." in chart.caption
    assert len(chart.rows) == 14 and "others" not in chart.summary


def test_flags_and_files_of_masks(dataset: Path) -> None:
    tables = read_tables(dataset)
    flags = mask_flags(read_masks(dataset, tables.arrays))
    assert [(flag, times) for flag, times, _ in flags] == [("empty_mask", 1), ("outside_image", 1), ("own_grid", 1)]
    assert all(meaning for _, _, meaning in flags)
    rows = [row for row in cells(render(dataset), 5) if row[0] in ("Kind", "SEG", "RTSTRUCT")]
    assert [row[:4] for row in rows] == [
        ["Kind", "Outcome", "Reason", "Files"],
        ["SEG", "placed", "–", "3"],
        ["RTSTRUCT", "not placed", "mask_ambiguous", "2"],
        ["SEG", "not placed", "duplicate", "1"],
    ]


def test_findings_on_masks(dataset: Path) -> None:
    tables = read_tables(dataset)
    found = [item for item in findings(tables, read_masks(dataset, tables.arrays)) if "mask" in item.title]
    assert [(item.level, item.title) for item in found] == [
        ("warn", "2 masks have a warning"),
        ("warn", "1 mask has no name"),
        ("warn", "2 structure sets without a mask on an image: several images fit, and it names none of them"),
    ]
    assert found[0].arrays == (f"{FIRST}/labels/tumour_2", f"{FIRST}/labels/unnamed_1")
    assert dict(found[0].flags) == {"empty_mask": 1, "outside_image": 1, "own_grid": 1}


def test_damaged_masks_are_failures(tmp_path: Path) -> None:
    masks = [
        MadeMask(FIRST, "a", box(SHAPE, (0, 1)), "a", verdict="fail", read_back="mismatch"),
        MadeMask(FIRST, "b", box(SHAPE, (0, 1)), "b", verdict="fail"),
    ]
    folder = write_masks(write_dataset(tmp_path / "d", [array(1)], [("extracted", "", 9)]), masks)
    tables = read_tables(folder)
    found = findings(tables, read_masks(folder, tables.arrays))
    assert [(item.level, item.title) for item in found] == [
        ("fail", "1 mask has values that differ from those placed"),
        ("fail", "1 mask has files that differ from the record"),
    ]


def test_names_of_few_subjects_are_combined(dataset: Path) -> None:
    """As for modalities: nobody can be recognised as the only one with a tumour."""
    page = render(dataset, small_cells=2)
    names = [(row[0], row[4]) for row in cells(page, 9) + cells(page, 10) if row[0] != "Name"]
    assert [name for name, _ in names] == ["liver", "rare", "without a name"]
    assert "tumour" not in page and "fewer than 2 subjects have are shown as one" in plain(Page(page).text)


def test_absence_in_few_subjects_is_not_counted(tmp_path: Path) -> None:
    folder = write_dataset(tmp_path / "d", [array(1), array(2, 2), array(3, 3)], OUTCOMES)
    masks = [MadeMask(name, "liver", box(SHAPE, (0, 1)), "liver") for name in (FIRST, SECOND)]
    write_masks(folder, masks)
    arrays = read_tables(folder).arrays
    absent = [each._replace(masks_absent=names) for each, names in zip(arrays, ((), (), ("liver",)), strict=True)]
    (line,) = name_lines(read_masks(folder, absent, 2), 2)
    assert (line.name, line.images, line.absent) == ("liver", 2, "under 2")
    (line,) = name_lines(read_masks(folder, absent, 1), 1)
    assert line.absent == "1"


def test_without_masks_the_page_has_no_word_of_them(tmp_path: Path) -> None:
    folder = write_dataset(tmp_path / "d", [array(1)], OUTCOMES)
    without = render(folder)
    assert 'id="masks"' not in without and "mask-names" not in without
    assert render(write_masks(folder, [])) == without


def test_the_view_of_a_volume_has_its_masks_and_outlines(dataset: Path) -> None:
    outlines = "liver=#e6550d tumour=#3182bd"
    write_pictures(dataset, [MadePicture(FIRST, [ramp(16, 20)], outlines=outlines)])
    (first, second, third) = sorted(data_of(render(dataset))["arrays"], key=lambda each: each["array"])
    assert first["masks"] == [
        ["liver", "0.07875 ml", "pass"],
        ["tumour", "1234.5 ml", "pass"],
        ["tumour_2", "empty", "warn"],
        ["unnamed_1", "", "warn"],
    ]
    assert second["masks"] == [["liver", "", "pass"]] and third["masks"] == []
    assert first["outlines"] == [["liver", "#e6550d"], ["tumour", "#3182bd"]]
    page = render(dataset, small_cells=2)  # the tumour of one subject
    first = min(data_of(page)["arrays"], key=lambda each: each["array"])
    assert first["outlines"] == [["liver", "#e6550d"], ["rare", "#3182bd"]]
    assert [mask[0] for mask in first["masks"]] == ["liver", "rare", "rare", "unnamed_1"] and "tumour" not in page
