"""The report: its figures and pictures; one self-contained page, with equal bytes for equal inputs."""

from __future__ import annotations

import base64
import errno
import hashlib
import html
import io
import re
import shutil
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from made_up_dataset import OUTCOMES, Made, ramp, some_arrays, write_dataset
from PIL import Image

from dicomzarr.arrays import shard_writer
from dicomzarr.records.rule_record import RuleRecord
from dicomzarr.stages.render_report import contact_sheet, numbers
from dicomzarr.stages.render_report.contact_sheet import choose, preview
from dicomzarr.stages.render_report.findings import findings
from dicomzarr.stages.render_report.page import render
from dicomzarr.stages.render_report.tables import read_tables, worst

VOID = {"meta", "img", "br"}


class Page(HTMLParser):
    """Parse a page strictly: every element is closed in order; collect what the tests ask for."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: Counter[str] = Counter()
        self.ids: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.cells: list[list[str]] = []
        self.figures: list[tuple[str, str]] = []
        self.text = ""
        self._term = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        self.ids += [value or "" for name, value in attrs if name == "id"]
        if tag not in VOID:
            self.open.append(tag)
        if tag == "tr":
            self.cells.append([])
        elif tag in ("td", "th"):
            self.cells[-1].append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open.pop() == tag, f"</{tag}> closes nothing"

    def handle_data(self, data: str) -> None:
        if "style" in self.open:
            return
        self.text += data
        if "td" in self.open or "th" in self.open:
            self.cells[-1][-1] += data
        if self.open and self.open[-1] == "dt":
            self._term += data
        if self.open and self.open[-1] == "dd":
            self.figures.append((self._term.strip(), data))
            self._term = ""

    def values(self, name: str) -> list[str]:
        return [value for _, attribute, value in self.attributes if attribute == name]


def plain(text: str) -> str:
    return " ".join(text.replace(numbers.THIN, " ").split())


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("made") / "dataset", some_arrays(), OUTCOMES)


@pytest.fixture(scope="module")
def page(dataset: Path) -> str:
    return render(dataset)


def pixels(dataset: Path, name: str) -> tuple[np.ndarray, str]:
    row = next(array for array in read_tables(dataset).arrays if array.array == name)
    result = preview(dataset / "images.zarr", row)
    assert not result.trouble
    picture = Image.open(io.BytesIO(base64.b64decode(result.source.removeprefix("data:image/png;base64,"))))
    assert picture.size == (result.width, result.height)
    return np.asarray(picture), result.place


# ------------------------------------------------------------------------------------------------ one page, whole


def test_every_element_is_closed_and_no_id_occurs_twice(page: str) -> None:
    parsed = Page(page)
    assert parsed.open == []
    assert [name for name, number in Counter(parsed.ids).items() if number > 1] == []


def test_modalities_with_few_subjects_are_shown_as_one(tmp_path: Path) -> None:
    """A reader must not recognise a patient as the only one with a modality."""
    kinds = [("CT", 1), ("CT", 2), ("CT", 3), ("NM", 3), ("PT", 1), ("PT", 2)]
    arrays = [
        Made(f"aaaa00000000000{n}/00000001", "zyx", ramp(2, 6, 6, dtype="int16"), kind, subject=f"feed{subject:012d}")
        for n, (kind, subject) in enumerate(kinds)
    ]
    folder = write_dataset(tmp_path / "dataset", arrays, OUTCOMES)
    page = render(folder, small_cells=3)
    cells = [cell.strip() for row in Page(page).cells for cell in row]
    assert not {"NM", "PT"} & set(cells) and {"CT", "rare"} <= set(cells)
    assert ">NM<" not in page and ">PT<" not in page
    assert "fewer than 3 subjects" in plain(Page(page).text)
    complete = render(folder)
    assert {"NM", "PT"} <= {cell.strip() for row in Page(complete).cells for cell in row}
    assert "fewer than" not in plain(Page(complete).text)


def test_every_reference_within_the_page_has_its_target(page: str) -> None:
    parsed = Page(page)
    asked = {value[1:] for value in parsed.values("href")}
    asked |= set(re.findall(r"url\(#([^)]+)\)", page)) | set(parsed.values("aria-labelledby"))
    assert asked and asked <= set(parsed.ids)


def test_nothing_is_fetched_from_anywhere(page: str) -> None:
    parsed = Page(page)
    assert re.findall(r"https?://", page) == []
    assert parsed.tags["script"] == parsed.tags["link"] == parsed.tags["iframe"] == 0
    assert all(value.startswith("data:image/png;base64,") for value in parsed.values("src"))
    assert all(value.startswith("#") for value in parsed.values("href"))
    assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)\)", page))


def test_the_policy_allows_this_style_sheet_and_no_other_style(page: str) -> None:
    policy = html.unescape(re.search(r'Content-Security-Policy" content="([^"]*)"', page).group(1))
    style = re.search(r"<style>(.*?)</style>", page, re.DOTALL).group(1)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert policy.startswith("default-src 'none'") and f"style-src 'sha256-{digest}'" in policy
    assert "unsafe" not in policy and page.count("<style") == 1
    assert Page(page).values("style") == []
    assert not [name for _, name, _ in Page(page).attributes if name.startswith("on")]


def test_charts_take_their_colours_from_the_page(page: str) -> None:
    drawings = re.findall(r'<svg viewBox="[^"]*" role="img".*?</svg>', page, re.DOTALL)
    assert len([drawing for drawing in drawings if 'class="chart"' in drawing]) == 5
    assert not [drawing for drawing in drawings if re.search(r'(fill|stroke)="#|<style|DejaVu', drawing)]


def test_tables_pictures_and_charts_have_descriptions(page: str) -> None:
    parsed = Page(page)
    assert parsed.tags["h1"] == 1 and parsed.tags["caption"] == parsed.tags["table"] == 4
    assert (
        len([v for tag, name, v in parsed.attributes if (tag, name) == ("img", "alt") and v]) == parsed.tags["img"] == 7
    )
    assert all(parsed.values("aria-label"))
    assert ("html", "lang", "en") in parsed.attributes


def test_equal_datasets_give_equal_bytes_in_any_folder(dataset: Path, page: str, tmp_path: Path) -> None:
    elsewhere = tmp_path / "another name"
    shutil.copytree(dataset, elsewhere)
    assert render(elsewhere) == page
    assert str(dataset) not in page and str(tmp_path) not in page


# ---------------------------------------------------------------------------------------------------- the figures


def test_headline_figures(page: str) -> None:
    figures = {term: plain(value) for term, value in Page(page).figures}
    assert figures == {
        "arrays": "8",
        "frames": "25",
        "series": "7",
        "studies": "7",
        "subjects": "2",
        "source bytes": "16.0 kB",
        "stored bytes": "8.00 kB",
        "stored / source": "50 %",
        "found": "18",
        "extracted": "12",
        "skipped": "1",
        "quarantined": "2",
        "ignored": "3",
    }
    assert "Of 18 files in the source, 12 became 8 image arrays; 7 of them read back exactly" in plain(Page(page).text)


def test_outcomes_have_meaning_and_remedy(page: str) -> None:
    rows = [row for row in Page(page).cells if len(row) == 5]
    assert (
        rows[1] == ["extracted", "", "12", "all its frames are in the dataset", numbers.UNKNOWN]
        or rows[1][1] == numbers.UNKNOWN
    )
    assert ["quarantined", "truncated_header", "2", "the file ends inside its header", "copy the file again"] in rows
    assert [row[0] for row in rows[1:]] == ["extracted", "skipped", "quarantined", "ignored"]


def test_modalities_are_counted_without_subjects(page: str) -> None:
    rows = [[plain(cell) for cell in row] for row in Page(page).cells if len(row) == 8]
    assert rows[0] == ["Modality", "Arrays", "Frames", "Axes", "Types", "Source", "Stored", "Ratio"]
    assert ["CT", "2", "6", "yx zyx", "uint16", "4.00 kB", "2.00 kB", "50 %"] in rows
    assert rows[-1] == ["All", "8", "25", "", "", "16.0 kB", "8.00 kB", "50 %"]
    assert "feed0000" not in page


def test_volumes_list_failures_first(page: str) -> None:
    rows = [[plain(cell) for cell in row] for row in Page(page).cells if len(row) == 12]
    assert [row[1] for row in rows[1:]] == ["failed", "warning"] + ["pass"] * 6
    first = [row for row in rows if row[2:4] == ["CT", "zyx"]]
    assert first == [
        [
            "aaaa0000…/00000001",
            "pass",
            "CT",
            "zyx",
            "5×16×16",
            "uint16",
            "12",
            "2.5×0.5×0.5",
            "5",
            "1.00 kB",
            "train",
            "",
        ]
    ]


def test_findings_have_advice(dataset: Path) -> None:
    found = findings(read_tables(dataset))
    assert [(item.level, item.title) for item in found] == [
        ("fail", "1 array has values that differ from those decoded"),
        ("warn", "1 array has a warning on size"),
        ("warn", "2 files quarantined: the file ends inside its header"),
    ]
    assert found[0].arrays == ("aaaa000000000007/00000001",)
    assert all(item.advice for item in found)


FLAGS_WITH_ADVICE = [
    "incomplete",
    "series_incomplete",
    "contested_place",
    "incomplete_grid",
    "surplus_frames",
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
    assert found.level == "warn" and found.title.startswith("2 arrays ") and found.advice.endswith(".")
    assert found.arrays == tuple(sorted(array.array for array in arrays[:2])) and found.flags == ()
    assert found.title in html.unescape(plain(render(folder)))
    one = write_dataset(tmp_path / "one", arrays[1:], [("extracted", "", 5)])
    (found,) = findings(read_tables(one))
    assert found.title.startswith("1 array ") and " have " not in found.title


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
    assert "Nothing. The array passes both checks, and no file was quarantined." in text
    assert "5 became 1 image array, and every voxel of them was read back" in text


def test_long_tables_and_sheets_are_cut_with_a_note(dataset: Path) -> None:
    parsed = Page(render(dataset, max_rows=3, max_thumbnails=2))
    assert len([row for row in parsed.cells if len(row) == 12]) == 4
    assert parsed.values("class").count("stage") + parsed.values("class").count("stage missing") == 2
    text = plain(parsed.text)
    assert "The first 3 of 8 arrays; volumes.csv has them all." in text
    assert "The middle planes of 2 of 8 arrays" in text


def test_a_verdict_outside_the_vocabulary_is_a_failure() -> None:
    assert [worst(v) for v in (["pass", "warn"], ["pass"], ["warn", "splendid"], [""])] == [
        "warn",
        "pass",
        "fail",
        "fail",
    ]


# --------------------------------------------------------------------------------------------------- the pictures


def test_a_window_applies_after_rescale(dataset: Path) -> None:
    seen, place = pixels(dataset, "aaaa000000000001/00000001")
    stored = ramp(5, 16, 16)[2].astype(float)
    expected = np.clip((stored * 2 - 1000 - 39.5) / 399 + 0.5, 0, 1)
    assert place == "z 3 of 5"
    np.testing.assert_array_equal(seen, np.rint(expected * 255).astype("uint8"))


def test_monochrome1_is_inverted(dataset: Path) -> None:
    seen, place = pixels(dataset, "aaaa000000000002/00000001")
    assert place == "" and seen.shape == (20, 10)
    assert seen[0, 0] == 255 and seen[-1, -1] == 0 and np.all(np.diff(seen.ravel().astype(int)) <= 0)


def test_colour_is_shown_unchanged(dataset: Path) -> None:
    seen, _ = pixels(dataset, "aaaa000000000003/00000001")
    assert seen.shape == (8, 12, 3) and np.all(seen == (255, 0, 0))


def test_the_middle_of_four_axes(dataset: Path) -> None:
    seen, place = pixels(dataset, "aaaa000000000004/00000001")
    assert place == "t 2 of 3, z 3 of 4" and seen.shape == (6, 6)
    assert np.all(np.diff(seen.ravel().astype(int)) >= 0) and (seen.min(), seen.max()) == (0, 255)


def test_palette_indices_become_colours(dataset: Path) -> None:
    seen, _ = pixels(dataset, "aaaa000000000004/00000002")
    assert seen.tolist() == [[[0, 255, 0], [255, 0, 0]]]


def test_a_constant_plane_is_grey(dataset: Path) -> None:
    assert np.all(pixels(dataset, "aaaa000000000006/00000001")[0] == 128)


def test_pixels_are_square_and_large_planes_shrink(tmp_path: Path) -> None:
    wide = Made("aaaa000000000001/00000001", "yx", ramp(10, 20), spacing={"y": 2.0, "x": 0.5})
    large = Made("aaaa000000000002/00000001", "yx", ramp(2000, 1000, dtype="uint32"), spacing={})
    folder = write_dataset(tmp_path / "d", [wide, large], [])
    assert pixels(folder, wide.array)[0].shape == (40, 20)
    assert pixels(folder, large.array)[0].shape == (160, 80)


def test_attributes_per_frame_and_arrays_beside_the_image(tmp_path: Path) -> None:
    flat = np.full((3, 4, 4), 10, "uint16")
    flat[:, 0, 0] = 20
    windows = [[1.0, 2.0], [20.0, 21.0], [1.0, 2.0]]
    listed = Made("aaaa000000000001/00000001", "zyx", flat, facts={"window": windows})
    beside = Made("aaaa000000000002/00000001", "zyx", flat, facts={"window": {"array": "window"}})
    folder = write_dataset(tmp_path / "d", [listed, beside], [])
    shard_writer.write_small_array(
        folder / "images.zarr" / beside.array / "window", np.asarray(windows), ["frame", "value"]
    )
    expected = np.full((4, 4), round(((10 - 19.5) / 20 + 0.5) * 255))
    expected[0, 0] = round(((20 - 19.5) / 20 + 0.5) * 255)
    for array in (listed, beside):
        np.testing.assert_array_equal(pixels(folder, array.array)[0], expected)


def test_nan_and_infinite_values_are_shown(tmp_path: Path) -> None:
    odd = np.full((6, 6), np.nan, "float32")
    odd[:, 3:] = np.inf
    odd[0] = (0, 1, 2, 3, 4, 5)
    folder = write_dataset(tmp_path / "d", [Made("aaaa000000000001/00000001", "yx", odd, bits=None)], [])
    assert pixels(folder, "aaaa000000000001/00000001")[0].shape == (6, 6)
    assert render(folder)


@pytest.mark.parametrize("harm", ["absent", "metadata", "chunk", "name"])
def test_an_array_that_cannot_be_read_leaves_a_placeholder(tmp_path: Path, harm: str) -> None:
    array = Made("aaaa000000000001/00000001", "yx", ramp(4, 4), on_disk=harm != "absent")
    if harm == "name":
        array = replace(array, array="../../secret", on_disk=False)
    folder = write_dataset(tmp_path / "d", [array], [])
    image = folder / "images.zarr" / array.array
    if harm == "metadata":
        (image / "0" / "zarr.json").write_text("{")
    if harm == "chunk":
        next(path for path in (image / "0").rglob("*") if path.is_file() and path.name != "zarr.json").write_bytes(b"x")
    parsed = Page(render(folder))
    assert parsed.tags["img"] == 0 and "No preview: " in parsed.text
    assert "1 array of the contact sheet cannot be opened" in parsed.text


def test_no_page_is_written_if_the_disk_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_dataset(tmp_path / "d", [Made("aaaa000000000001/00000001", "yx", ramp(4, 4))], [])

    def withheld(*args: object) -> None:
        raise OSError(errno.EIO, "the disk")

    monkeypatch.setattr(contact_sheet.Volume, "read", withheld)
    with pytest.raises(OSError, match="the disk"):
        render(folder)


def test_previews_are_chosen_evenly_over_modalities(dataset: Path) -> None:
    template = read_tables(dataset).arrays[0]
    many = [replace(template, array=f"{n:016x}/00000000", modality="CT") for n in range(1000)]
    few = [replace(template, array=f"{n:016x}/00000001", modality="MR") for n in range(3)]
    chosen = choose([*many, *few], 11)
    assert Counter(array.modality for array in chosen) == {"CT": 8, "MR": 3}
    assert [int(array.array[:16], 16) for array in chosen[:8]] == [62, 187, 312, 437, 562, 687, 812, 937]
    assert choose([*few, *reversed(many)], 11) == chosen
    assert choose([], 11) == [] and len(choose(few, 60)) == 3 and choose(few, 0) == []


# ----------------------------------------------------------------------------------------------- odd datasets


HOSTILE = '"><script>alert(1)</script><b a=\'$x^2$ style="fill: #123456" {{ 7*7 }} url(#x) &amp;'


def test_markup_in_a_table_stays_text(tmp_path: Path) -> None:
    arrays = [
        replace(array, modality=HOSTILE + str(n % 3), flags='<img/src="http:x">')  # a flag holds no space
        for n, array in enumerate(some_arrays())
    ]
    folder = write_dataset(
        tmp_path / "d", arrays, [("extracted", HOSTILE, 3), (HOSTILE, "<i>", 2), ("quarantined", "<u>", 1)]
    )
    table = (folder / "volumes.csv").read_text()
    (folder / "volumes.csv").write_text(table.replace(",train,", ",</td><td onclick=x>,"))
    text = render(folder)
    parsed = Page(text)
    assert parsed.open == []
    assert parsed.tags["script"] == parsed.tags["b"] == parsed.tags["i"] == parsed.tags["u"] == 0
    assert not [name for _, name, _ in parsed.attributes if name.startswith("on")]
    assert HOSTILE + "0" in parsed.text and "</td><td onclick=x>" in parsed.text
    assert all(value.startswith("data:image/png;base64,") for value in parsed.values("src"))


def test_an_empty_dataset_has_a_page(tmp_path: Path) -> None:
    folder = write_dataset(tmp_path / "d", [], [("ignored", "not_dicom", 3)])
    parsed = Page(render(folder))
    text = plain(parsed.text)
    assert parsed.open == [] and parsed.tags["img"] == 0
    assert "none of the 3 files in the source became one" in text and "No images to show." in text
    nothing = write_dataset(tmp_path / "e", [], [])
    assert "the source holds no files" in plain(Page(render(nothing)).text)


def test_empty_cells_are_accepted(tmp_path: Path) -> None:
    folder = write_dataset(tmp_path / "d", some_arrays()[:1], [("extracted", "", 1)])
    for name in ("volumes.csv", "reports/depth.csv", "reports/size.csv"):
        header, row = (folder / name).read_text().splitlines()
        filled = {"array", "series_id", "axes", "shape"}
        cells = [
            cell if column in filled else "" for column, cell in zip(header.split(","), row.split(","), strict=True)
        ]
        (folder / name).write_text(header + "\n" + ",".join(cells) + "\n")
    parsed = Page(render(folder))
    assert parsed.open == [] and "unknown" in parsed.text


# ------------------------------------------------------------------------------------------- words and the script


def test_formats_of_numbers() -> None:
    assert [plain(numbers.grouped(n)) for n in (0, 9999, 10_000, 1234567)] == ["0", "9999", "10 000", "1 234 567"]
    sizes = {0: "0 B", 999: "999 B", 1000: "1.00 kB", 12_345: "12.3 kB", 999_600: "1.00 MB", 5 * 10**12: "5.00 TB"}
    assert {number: plain(numbers.byte_size(number)) for number in sizes} == sizes
    shares = [(1, 0), (0, 5), (1, 3), (1, 20), (21, 1), (1, 10**6)]
    assert [plain(numbers.percent(*share)) for share in shares] == ["–", "0 %", "33 %", "5.0 %", "2100 %", "< 0.1 %"]
    assert numbers.spacing(["2.50000", "0.48828125", "?"]) == "2.5×0.4883×?"


def test_the_script_writes_the_page_and_nothing_else(dataset: Path, page: str, tmp_path: Path) -> None:
    from render_report import render_report

    report = tmp_path / "reports" / "report.html"
    assert render_report(dataset, report) == RuleRecord(counts={"bytes": len(page.encode())})
    assert report.read_text(encoding="utf-8") == page
    assert list(report.parent.iterdir()) == [report]
