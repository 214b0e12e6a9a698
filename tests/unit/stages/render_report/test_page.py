"""The report: its figures and pictures; one self-contained page, with equal bytes for equal inputs."""

from __future__ import annotations

import base64
import errno
import hashlib
import html
import re
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from made_up_dataset import OUTCOMES, Made, ramp, some_arrays, write_dataset
from made_up_pictures import MadePicture, write_pictures
from parsed_page import Page, data_of, plain

from dicomzarr.records.rule_record import RuleRecord
from dicomzarr.stages.render_report import flow, numbers
from dicomzarr.stages.render_report.assets import assets
from dicomzarr.stages.render_report.findings import FINDINGS_IN_FULL, findings
from dicomzarr.stages.render_report.page import render
from dicomzarr.stages.render_report.pictures import choose
from dicomzarr.stages.render_report.tables import read_tables
from dicomzarr.vocabulary.flags import FLAGS
from dicomzarr.vocabulary.reasons import REASONS

ROOT = Path(__file__).resolve().parents[4]


def with_pictures(folder: Path, names: list[str]) -> Path:
    """Draw a ramp for each array, as `check_batch` draws planes."""
    return write_pictures(folder, [MadePicture(name, [ramp(8, 12)]) for name in names])


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    arrays = some_arrays()
    folder = write_dataset(tmp_path_factory.mktemp("made") / "dataset", arrays, OUTCOMES)
    pictures = [MadePicture(array.array, [ramp(8, 12)]) for array in arrays if array.on_disk]
    pictures.append(MadePicture(arrays[-1].array, trouble="cannot be read"))
    return write_pictures(folder, pictures)


@pytest.fixture(scope="module")
def page(dataset: Path) -> str:
    return render(dataset)


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
    targets = set(parsed.ids) | {array["array"] for array in data_of(page)["arrays"]}
    asked = {value[1:] for value in parsed.values("href")} | set(parsed.values("aria-labelledby"))
    assert asked and asked <= targets


def test_nothing_is_fetched_from_anywhere(page: str) -> None:
    parsed = Page(page)
    own = page.replace(assets().library, "")  # Chart.js names its home page in a comment
    assert set(re.findall(r"https?://[\w./]+", own)) == {"http://www.w3.org/2000/svg"}  # a name, never fetched
    assert parsed.tags["link"] == parsed.tags["iframe"] == 0
    assert [value for value in parsed.values("src") if not value.startswith("data:image/jpeg;base64,")] == []
    assert all(value.startswith("#") for value in parsed.values("href"))


def test_the_policy_allows_our_style_and_scripts_and_no_other(page: str) -> None:
    policy = html.unescape(re.search(r'Content-Security-Policy" content="([^"]*)"', page).group(1))
    style = re.search(r"<style>(.*?)</style>", page, re.DOTALL).group(1)
    scripts = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)

    def digest(text: str) -> str:
        return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()

    assert policy.startswith("default-src 'none'") and f"style-src '{digest(style)}'" in policy
    assert f"script-src {' '.join(repr(digest(script)) for script in scripts)};" in policy
    assert len(scripts) == 4 and page.count("<script") == 5 and page.count("<style") == 1
    assert "unsafe" not in policy and Page(page).values("style") == []
    assert not [name for _, name, _ in Page(page).attributes if name.startswith("on")]


def test_chart_js_is_the_file_of_the_registry() -> None:
    """The digest is that of `dist/chart.umd.min.js` in chart.js-4.6.1.tgz, whose own digest npm publishes."""
    folder = ROOT / "scripts/dicomzarr/stages/render_report/vendor"
    data = (folder / "chart.umd.min.js").read_bytes()
    assert hashlib.sha256(data).hexdigest() == "87364cc2b2a76a6684929e7d6b80b18a897794db38400caff1fcf1791c6925d2"
    assert b"Chart.js v4.6.1" in data[:60] and b"</script" not in data
    assert "MIT License" in (folder / "chart.js.LICENSE.md").read_text()


def test_charts_have_a_table_of_their_values(page: str) -> None:
    parsed, charts = Page(page), data_of(page)["charts"]
    assert parsed.tags["canvas"] == len(charts) and set(charts) <= set(parsed.ids)
    assert {"depth-kinds", "depth-ranges", "depth-bits", "size-ratio", "size-shapes"} <= set(charts)
    assert {"spacing-within", "spacing-between", "patients", "splits"} <= set(charts)
    cells = [[plain(cell) for cell in row] for row in parsed.cells]
    assert ["CT", "2", "0", "0", "671", "1279"] in cells  # smallest, medians of smallest and largest, largest
    assert ["uint16, 12 bits", "4"] in cells


def test_a_spacing_counts_where_another_is_unknown(tmp_path: Path) -> None:
    """Slices with gaps have no distance, but columns have."""
    made = some_arrays()[0]
    other = replace(made, array="aaaa000000000002/00000001", spacing={"y": 0.5, "x": 0.25})
    page = render(write_dataset(tmp_path / "d", [made, other], []))
    data = data_of(page)
    assert data["charts"]["spacing-within"]["labels"] == ["CT · 2"]
    assert data["charts"]["spacing-between"]["labels"] == ["CT · 1"]
    assert [array["spacing"] for array in data["arrays"]] == ["2.5×0.5×0.5", "–×0.5×0.25"]


def test_every_colour_of_a_chart_is_one_of_the_style_sheet(tmp_path: Path) -> None:
    """A name that it lacks is drawn black: bars that no legend explains, and none on a dark page."""
    made = some_arrays()
    splits = ("train", "val", "test", "holdout")
    folder = write_dataset(tmp_path, [replace(a, split=splits[i % 4]) for i, a in enumerate(made)], OUTCOMES)
    page = render(folder)
    charts = data_of(page)["charts"]
    used = {series["colour"] for chart in charts.values() for series in chart.get("series", ()) if "colour" in series}
    assert len(charts["splits"]["series"]) == 4 and {"accent", "soft"} < used
    assert [name for name in sorted(used) if f"--{name}:" not in page] == []


def test_tables_pictures_and_charts_have_descriptions(page: str) -> None:
    parsed = Page(page)
    assert parsed.tags["h1"] == 1
    assert parsed.tags["caption"] + page.count(', values">') == parsed.tags["table"]
    alts = [value for tag, name, value in parsed.attributes if (tag, name) == ("img", "alt") and value]
    assert len(alts) == parsed.tags["img"] == 7
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
    text = plain(Page(page).text)
    assert "Of 18 files in the source, 12 became 8 image arrays; 7 of them read back exactly" in text
    assert "failed 3 findings need your attention, 1 of them a failure." in text
    assert "6 files were set aside: 1 skipped, 2 quarantined, 3 ignored." in text


def test_outcomes_have_meaning_and_remedy(page: str) -> None:
    outcomes = ("extracted", "skipped", "quarantined", "ignored")
    rows = [[plain(cell) for cell in row] for row in Page(page).cells if len(row) == 6 and row[0] in outcomes]
    assert [row[0] for row in rows] == list(outcomes)
    command = "./run files --outcome extracted"
    assert rows[0] == ["extracted", "–", "12", "all its frames are in the dataset", "–", f"{command}Copy"]
    command = "./run files --reason truncated_header"
    words = ["the file ends inside its header", "copy the file again"]
    assert rows[2] == ["quarantined", "truncated_header", "2", *words, f"{command}Copy"]
    assert page.count(f'data-copy="{command}"') == 2  # in the findings, too


def test_the_flow_counts_files_series_volumes_and_verdicts(page: str) -> None:
    assert "from the series on, of the frames" in page  # 25 in 12 files
    wide, narrow = re.findall(r'<svg viewBox="0,0,(?:1000|370),.*?</svg>', page, re.DOTALL)
    texts = re.findall(r"<text[^>]*>(.*?)</text>", wide)
    assert {"18 found", "extracted 12", "skipped 1", "quarantined 2", "ignored 3"} <= set(texts)
    assert {"CT · 2 series", "US · 2 series", "2 volumes", "6 pass", "1 warning", "1 failed"} <= set(texts)
    assert {"truncated header 2", "not dicom 3", "dicomdir 1"} <= set(texts)
    assert {"18", "CT · 2 volumes", "truncated header 2"} <= set(re.findall(r"<text[^>]*>(.*?)</text>", narrow))
    lost = "(1 skipped, 2 quarantined, 3 ignored)"
    told = f"Of 18 files 12 were extracted {lost}; they are 7 series, which became 8 volumes."
    assert f'role="img" aria-label="{told}"' in page


def test_the_width_of_a_ribbon_is_the_share_of_the_files(tmp_path: Path) -> None:
    folder = write_dataset(tmp_path / "d", some_arrays()[:1], [("extracted", "", 3), ("ignored", "not_dicom", 1)])
    wide, _ = flow.drawings(read_tables(folder))
    heights = [float(h) for h in re.findall(r'<path class="ribbon o-\w[\w-]*" d="[^"]*?v([\d.]+)C', wide)]
    assert heights[:2] == [195.0, 65.0]  # of 260: three quarters and one


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


def test_a_long_list_is_cut_with_a_note_and_keeps_what_needs_attention(dataset: Path) -> None:
    page = render(dataset, max_rows=3)
    parsed = Page(page)
    assert len([row for row in parsed.cells if len(row) == 12]) == 4
    assert [array["verdict"] for array in data_of(page)["arrays"]] == ["fail", "warn", "pass"]
    assert "The 3 of 8 arrays that need attention first are listed here; 5 more are in volumes.csv." in plain(
        parsed.text
    )


def test_the_advice_of_further_warnings_is_behind_a_click_and_every_title_stays(tmp_path: Path) -> None:
    reasons = sorted(REASONS)[:30]
    folder = write_dataset(tmp_path / "d", some_arrays(), [("quarantined", reason, 1) for reason in reasons])
    found, page = findings(read_tables(folder)), render(folder)
    assert len(found) > 30 and page.count("<summary>What to do</summary>") == len(found) - FINDINGS_IN_FULL
    assert page.index(html.escape(found[FINDINGS_IN_FULL - 1].advice, quote=False)[:40]) < page.index("What to do")
    outside = html.unescape(re.sub("<details>.*?</details>", "", page, flags=re.DOTALL))
    assert all(each.title in outside for each in found)


def test_findings_link_to_volumes_that_are_listed(tmp_path: Path) -> None:
    arrays = [
        replace(some_arrays()[0], array=f"aaaa00000000000{n}/00000001", flags="rounded_positions") for n in (1, 2)
    ]
    folder = write_dataset(tmp_path / "d", arrays, [])
    first, second = (f'<a href="#{each.array}"><code>' for each in arrays)
    whole, cut = render(folder), render(folder, max_rows=1)
    assert first in whole and second in whole and "Show them in the table" in whole
    assert first in cut and second not in cut and f"<code>{arrays[1].array}</code>" in cut
    assert "Show those that are listed in the table" in cut


# ------------------------------------------------------------------------------------------- volumes and pictures


def test_the_data_of_a_volume(dataset: Path, page: str) -> None:
    (found,) = [array for array in data_of(page)["arrays"] if array["array"] == "aaaa000000000004/00000001"]
    expected = {
        "verdict": "pass", "modality": "MR", "axes": "tzyx", "shape": "3×4×6×6", "dtype": "int16", "bits": 12,
        "used": 9, "spacing": "2.5×0.5×0.5", "frames": 12, "megabytes": 0.001, "split": "train", "flags": [],
        "low": "0", "high": "431", "read_back": "exact", "picture": 1, "boxes": ["0,0,12,8"], "trouble": "",
    }  # fmt: skip
    assert {name: found[name] for name in expected} == expected
    assert len(found["histogram"]) == 48 and found["histogram"].isalpha()
    levels = [data_of(page)["levels"].index(letter) for letter in found["histogram"]]
    assert levels == sorted(levels) and levels[0] == 0  # the made-up one rises


def test_kind_and_reason_of_a_volume_are_in_its_data(tmp_path: Path) -> None:
    folder = write_dataset(tmp_path / "d", some_arrays()[:1], [("extracted", "", 5)])
    head, row = (folder / "volumes.csv").read_text().splitlines()
    (folder / "volumes.csv").write_text(f"{head},kind,why\n{row},volume,5 frames at 5 positions 2.5 mm apart\n")
    (found,) = data_of(render(folder, small_cells=5))["arrays"]
    assert (found["kind"], found["why"]) == ("volume", "5 frames at 5 positions 2.5 mm apart")
    (folder / "volumes.csv").write_text(f"{head},kind,why\n{row},dose,a dose\n")
    (found,) = data_of(render(folder, small_cells=5))["arrays"]
    assert (found["modality"], found["kind"], found["why"]) == ("rare", "", "")  # a dose is RTDOSE


def test_names_in_the_meaning_of_a_flag_are_code(tmp_path: Path) -> None:
    """Meanings are written as in docs/outputs.md; a page shows no backtick."""
    made = replace(some_arrays()[0], flags="outside_bits_stored face_by_geometry")
    page = render(write_dataset(tmp_path / "d", [made], []))
    assert "Bits Stored: verdict <code>fail</code></li>" in page and "<code>face_risk</code> was set by" in page
    assert "`" not in re.sub("<(script|style).*?</\\1>", "", page, flags=re.DOTALL)
    assert numbers.coded("a `<b>` & `c`") == "a <code>&lt;b&gt;</code> &amp; <code>c</code>"


def test_flags_that_occur_are_explained(dataset: Path) -> None:
    arrays = [replace(some_arrays()[0], flags="gap odd_one")]
    folder = write_dataset(dataset.parent / "flags", arrays, [("extracted", "", 5)])
    assert data_of(render(folder))["flags"] == {"gap": FLAGS["gap"], "odd_one": ""}


def test_no_number_of_the_data_is_as_long_as_a_date(tmp_path: Path) -> None:
    """The privacy search takes numbers of eight digits and more seriously, wherever they stand."""
    arrays = [replace(each, stored_bytes=20_031_117, source_bytes=19_991_231) for each in some_arrays()]
    page = render(with_pictures(write_dataset(tmp_path / "d", arrays, OUTCOMES), [arrays[0].array]))
    for asset in (assets().style, assets().library, *assets().scripts):
        page = page.replace(asset, "")
    page = re.sub(r"data:image/jpeg;base64,[\w+/=]+|[0-9a-f]{8,16}…?/[0-9a-f]{8}|sha256-[\w+/=]+", "", page)
    assert re.findall(r"(?<!\w)[\d.]{8,}(?!\w)", page) == []


def test_pictures_are_read_as_the_table_describes_them(tmp_path: Path) -> None:
    name = some_arrays()[3].array
    folder = write_dataset(tmp_path / "d", some_arrays()[3:4], [("extracted", "", 5)])
    planes = [ramp(6, 6), ramp(4, 6), ramp(4, 6)]
    words = "t:1/3 z:2/4 y:3/6 x:3/6"
    write_pictures(folder, [MadePicture(name, planes, words, "", "liver=#e6550d", shown="1–99 %")])
    (found,) = data_of(render(folder))["arrays"]
    assert found["planes"] == ["z 3 of 4", "y 4 of 6", "x 4 of 6"] and found["at"] == "t 2 of 3"
    assert found["boxes"] == ["0,0,6,6", "6,0,6,4", "12,0,6,4"] and found["shown"] == "1–99 %"
    assert found["histogram"] == "" and found["outlines"] == [["rare", "#e6550d"]]  # masks.csv does not name it


@pytest.mark.parametrize("harm", ["no table", "trouble", "no file", "name", "cells"])
def test_an_array_without_a_picture(tmp_path: Path, harm: str) -> None:
    array = Made("../../secret" if harm == "name" else "aaaa000000000001/00000001", "yx", ramp(4, 4), on_disk=False)
    folder = write_dataset(tmp_path / "d", [array], [("extracted", "", 1)])
    made = MadePicture(array.array, [ramp(4, 4)], trouble="cannot be read" if harm == "trouble" else "")
    if harm == "cells":
        made = replace(made, planes="z:1/x <b>", histogram="<i>" * 16, outlines="<u>=red")
    if harm != "no table":
        write_pictures(folder, [made] if harm != "name" else [])
    if harm == "no file":
        shutil.rmtree(folder / "reports" / "pictures")
    page = render(folder)
    parsed = Page(page)
    assert parsed.open == [] and parsed.tags["img"] == (harm == "cells") and "secret.jpg" not in page
    assert ("1 array: cannot be read" in plain(parsed.text)) is (harm == "trouble")
    if harm == "cells":
        (found,) = data_of(page)["arrays"]
        assert found["planes"] == ["", ""] and found["histogram"] == "" and found["outlines"] == []


def test_no_page_is_written_if_the_disk_fails(dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def withheld(*args: object) -> None:
        raise OSError(errno.EIO, "the disk")

    monkeypatch.setattr(Path, "read_bytes", withheld)
    with pytest.raises(OSError, match="the disk"):
        render(dataset)


def test_the_page_holds_the_pictures_of_at_most_a_hundred_arrays(tmp_path: Path) -> None:
    template = some_arrays()[4]
    arrays = [replace(template, array=f"aaaa{number:012x}/00000001", on_disk=False) for number in range(130)]
    folder = write_dataset(tmp_path / "d", arrays, [("extracted", "", 130)])
    page = render(with_pictures(folder, [array.array for array in arrays]))
    data = data_of(page)
    assert page.count("<img ") == len(data["large"]) == 100
    assert sum(array["picture"] for array in data["arrays"]) == 130  # the others are files beside the page


def test_embedded_pictures_are_chosen_evenly_over_modalities(dataset: Path) -> None:
    template = read_tables(dataset).arrays[0]
    many = [template._replace(array=f"{n:016x}/00000000", modality="CT") for n in range(1000)]
    few = [template._replace(array=f"{n:016x}/00000001", modality="MR") for n in range(3)]
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
    assert parsed.tags["b"] == parsed.tags["i"] == parsed.tags["u"] == 0 and parsed.tags["script"] == 5
    assert not [name for _, name, _ in parsed.attributes if name.startswith("on")]
    assert HOSTILE + "0" in parsed.text and "</td><td onclick=x>" in parsed.text
    assert {array["modality"] for array in data_of(text)["arrays"]} == {HOSTILE + end for end in "012"}
    assert parsed.values("src") == []


def test_an_empty_dataset_has_a_page(tmp_path: Path) -> None:
    folder = write_dataset(tmp_path / "d", [], [("ignored", "not_dicom", 3)])
    parsed = Page(render(folder))
    text = plain(parsed.text)
    assert parsed.open == [] and parsed.tags["img"] == 0
    assert "none of the 3 files in the source became one" in text and "No volumes." in text
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
