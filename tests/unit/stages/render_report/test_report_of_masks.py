"""Masks on the report: the table by name, outlines over the previews, files without a mask; small groups combined."""

from __future__ import annotations

import csv
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_up_dataset import MILLIMETRE, OUTCOMES, Made, ramp, write_dataset
from numpy.typing import NDArray
from test_page import Page, plain
from written_arrays import write

from dicomzarr.stages.render_report.contact_sheet import preview
from dicomzarr.stages.render_report.findings import findings
from dicomzarr.stages.render_report.masks import mask_flags, name_lines, read_masks
from dicomzarr.stages.render_report.outlines import path_of
from dicomzarr.stages.render_report.page import render
from dicomzarr.stages.render_report.tables import read_tables
from dicomzarr.system.csv_tables import MASKS

ORANGE = (230, 85, 13)


@dataclass
class MadeMask:
    """A mask on an array and its row in masks.csv."""

    array: str
    mask: str
    values: NDArray[Any]
    name: str = ""
    kind: str = "SEG"
    algorithm: str = "manual"
    volume_ml: str = ""
    flags: str = ""
    maximum_fraction: int | None = None
    verdict: str = "pass"
    read_back: str = "exact"
    axes: str = "zyx"


def write_masks(folder: Path, masks: list[MadeMask], files: list[tuple[Any, ...]] = ()) -> Path:  # type: ignore[assignment]
    rows = []
    for mask in masks:
        label = folder / "images.zarr" / mask.array / "labels" / mask.mask
        axes = [{"name": axis, "type": "space"} for axis in mask.axes]
        colours = [{"label-value": 1, "rgba": [*ORANGE, 160]}]
        ome = {"version": "0.5", "multiscales": [{"axes": axes}], "image-label": {"colors": colours}}
        facts = {"maximum_fraction": mask.maximum_fraction} if mask.maximum_fraction else {}
        label.mkdir(parents=True)
        group = {"zarr_format": 3, "node_type": "group", "attributes": {"ome": ome, "dicomzarr": facts}}
        (label / "zarr.json").write_text(json.dumps(group))
        write(label / "0", mask.axes, mask.values.astype("uint8"))
        found = np.nonzero(mask.values)
        rows.append(
            {name: getattr(mask, name) for name in ("array", "mask", "kind", "algorithm", "volume_ml", "flags", "name")}
            | {
                "voxels": len(found[0]),
                "bounding_box": " ".join(f"{a.min()}:{a.max() + 1}" for a in found) if len(found[0]) else "",
                "slices": len(np.unique(found[0])),
                "outside": 0.0,
                "read_back": mask.read_back,
                "verdict": mask.verdict,
            }
        )
    tables = {"masks.csv": (MASKS, rows)}
    columns = ("kind", "outcome", "reason", "files", "masks", "failed")
    tables["reports/mask_files.csv"] = (columns, [dict(zip(columns, row, strict=False)) for row in files])
    for name, (header, lines) in tables.items():
        with open(folder / name, "w", newline="") as stream:
            writer = csv.DictWriter(stream, header, restval="", lineterminator="\n")
            writer.writeheader()
            writer.writerows(lines)
    return folder


def box(shape: tuple[int, ...], *ranges: tuple[int, int]) -> NDArray[np.uint8]:
    values = np.zeros(shape, "uint8")
    if ranges:
        values[tuple(slice(*each) for each in ranges)] = 1
    return values


def array(number: int, subject: int = 1, shape: tuple[int, ...] = (9, 16, 20)) -> Made:
    return Made(f"{number:016x}/00000001", "zyx", ramp(*shape), subject=f"feed{subject:012d}")


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
    found = [item for item in findings(tables, (), read_masks(dataset, tables.arrays)) if "mask" in item.title]
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
    (folder / "images.zarr" / FIRST / "labels" / "a" / "0" / "zarr.json").write_text("{")
    tables = read_tables(folder)
    found = findings(tables, (), read_masks(folder, tables.arrays))
    assert [(item.level, item.title) for item in found] == [
        ("fail", "1 mask has values that differ from those placed"),
        ("fail", "1 mask has files that differ from the record"),
    ]
    page = render(folder)  # of an array with a damaged mask the image is still shown
    assert page.count("<img ") == 1 and '<svg class="outlines"' not in page


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
    absent = [
        type(each)(**{**{f: getattr(each, f) for f in each.__slots__}, "masks_absent": names})
        for each, names in zip(arrays, ((), (), ("liver",)), strict=True)
    ]
    (line,) = name_lines(read_masks(folder, absent, 2), 2)
    assert (line.name, line.images, line.absent) == ("liver", 2, "under 2")
    (line,) = name_lines(read_masks(folder, absent, 1), 1)
    assert line.absent == "1"


def test_without_masks_the_page_has_no_word_of_them(tmp_path: Path) -> None:
    folder = write_dataset(tmp_path / "d", [array(1)], OUTCOMES)
    without = render(folder)
    assert 'id="masks"' not in without and "outlines" not in without.split("</style>")[1]
    assert render(write_masks(folder, [])) == without


# ---- Outlines


def test_the_outline_of_a_square_is_its_four_sides() -> None:
    assert path_of(box((4, 5), (1, 3), (2, 4)).astype(bool)) == "M2 1h2M2 3h2M2 1v2M4 1v2"


def test_the_outline_of_a_ring_is_that_of_both_its_edges() -> None:
    ring = np.ones((3, 3), bool)
    ring[1, 1] = False
    assert sorted(re.findall(r"M\d \d[hv]\d", path_of(ring))) == sorted(
        ["M0 0h3", "M0 3h3", "M0 0v3", "M3 0v3", "M1 1h1", "M1 2h1", "M1 1v1", "M2 1v1"]
    )
    assert path_of(np.zeros((3, 3), bool)) == ""


def test_the_plane_is_the_middle_of_the_mask_that_covers_most_slices(dataset: Path) -> None:
    tables = read_tables(dataset)
    masks = read_masks(dataset, tables.arrays).of_arrays()
    shown = preview(dataset / "images.zarr", tables.arrays[0], masks[FIRST])
    assert shown.place == "z 5 of 9" and (shown.width, shown.height) == (20, 16)  # slices 1 to 7 hold the liver
    assert [(line.name, line.colour, line.path) for line in shown.outlines] == [
        ("liver", "#e6550d", "M3 2h6M3 5h6M3 2v3M9 2v3"),
        ("tumour", "#e6550d", ""),  # only in the first slice
    ]
    second = preview(dataset / "images.zarr", tables.arrays[1], masks[SECOND])
    assert second.place == "z 1 of 9" and second.outlines[0].path == "M0 0h1M0 1h1M0 0v1M1 0v1"
    assert preview(dataset / "images.zarr", tables.arrays[2]).place == "z 5 of 9"  # without masks, the middle


def test_outlines_are_in_the_pixels_of_the_preview(tmp_path: Path) -> None:
    """640 columns of 0.5 mm and 320 rows of 1 mm are shown as 160 x 160: 4 columns or 2 rows a pixel."""
    made = array(1, shape=(1, 320, 640))
    made.spacing = MILLIMETRE | {"y": 1.0}
    inside = box((1, 320, 640), (0, 1), (100, 201), (400, 480))
    folder = write_masks(write_dataset(tmp_path / "d", [made], OUTCOMES), [MadeMask(FIRST, "liver", inside, "liver")])
    (row,) = read_tables(folder).arrays
    shown = preview(folder / "images.zarr", row, read_masks(folder, [row]).rows)
    assert (shown.width, shown.height) == (160, 160)
    assert shown.outlines[0].path == "M100 50h20M100 101h20M100 50v51M120 50v51"  # row 200 fills its pixel


def test_a_fractional_mask_is_drawn_from_half_on_and_a_mask_along_t_at_its_own_t(tmp_path: Path) -> None:
    ramp_of_fractions = np.zeros((9, 16, 20), "uint8")
    ramp_of_fractions[4, 2, :5] = [49, 50, 99, 100, 20]
    over_time = box((3, *SHAPE), (2, 3), (0, 9), (0, 1), (0, 1))
    made = [array(1), Made(SECOND, "tzyx", ramp(3, *SHAPE))]
    masks = [
        MadeMask(FIRST, "liver", ramp_of_fractions, "liver", maximum_fraction=100),
        MadeMask(SECOND, "liver", over_time, "liver", axes="tzyx"),
        MadeMask(SECOND, "spleen", box(SHAPE, (4, 5), (2, 3), (2, 3)), "spleen"),
    ]
    folder = write_masks(write_dataset(tmp_path / "d", made, OUTCOMES), masks)
    arrays = read_tables(folder).arrays
    by_array = read_masks(folder, arrays).of_arrays()
    assert preview(folder / "images.zarr", arrays[0], by_array[FIRST]).outlines[0].path == "M1 2h3M1 3h3M1 2v1M4 2v1"
    shown = preview(folder / "images.zarr", arrays[1], by_array[SECOND])
    assert shown.place == "t 3 of 3, z 5 of 9"
    assert [line.path for line in shown.outlines] == ["M0 0h1M0 1h1M0 0v1M1 0v1", "M2 2h1M2 3h1M2 2v1M3 2v1"]


def test_the_outline_of_noise_is_not_drawn(tmp_path: Path) -> None:
    """It would make the page larger than the image."""
    made = array(1, shape=(1, 160, 160))
    noise = (np.random.default_rng(1).random((1, 160, 160)) < 0.5).astype("uint8")
    disc = np.hypot(*np.ogrid[-80:80, -80:80])[None] < 60
    masks = [MadeMask(FIRST, "liver", noise, "liver"), MadeMask(FIRST, "spleen", disc.astype("uint8"), "spleen")]
    folder = write_masks(write_dataset(tmp_path / "d", [made], OUTCOMES), masks)
    page = render(folder)
    assert "liver (too fine to draw) spleen" in plain(Page(page).text) and "spleen (" not in page
    assert page.count("<path stroke=") == 1 and len(page) < 200_000


def test_the_page_shows_outlines_with_a_legend(dataset: Path) -> None:
    page = render(dataset)
    parsed = Page(page)
    assert parsed.open == []
    assert '<svg class="outlines" viewBox="0 0 20 16" aria-hidden="true"><path stroke="#e6550d" d="M3 2h6' in page
    text = plain(parsed.text)
    assert "lines show the outlines of its masks" in text and "liver tumour (not here)" in text
    alts = [value for tag, name, value in parsed.attributes if (tag, name) == ("img", "alt")]
    assert sum("with the outline of liver" in alt for alt in alts) == 2
    assert parsed.values("style") == [] and "masks" in parsed.ids


def test_at_most_eight_masks_are_drawn(tmp_path: Path) -> None:
    masks = [MadeMask(FIRST, f"m{n:02}", box(SHAPE, (0, 1), (n, n + 1)), f"m{n:02}") for n in range(11)]
    folder = write_masks(write_dataset(tmp_path / "d", [array(1)], OUTCOMES), masks)
    page = render(folder)
    assert page.count('<path stroke="#e6550d"') == 8 and "and 3 more" in plain(Page(page).text)
