"""Text in pixels: which files are set aside, what the record says, and the picture."""

from __future__ import annotations

import os
import signal
import tracemalloc
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dicomzarr.burned_in import scan
from dicomzarr.dicom.facts import ImageFacts
from dicomzarr.source.row import HeaderRow
from dicomzarr.stages.extract_batch.look_for_text import FAILED, STILL, TEXT, Looker, control
from dicomzarr.stages.extract_batch.options import Options
from dicomzarr.stages.extract_batch.series_files import Readers, Roots, SourceFile
from dicomzarr.stages.extract_batch.text_picture import picture
from dicomzarr.system import sandbox

BRIGHT = 200


def options(**changes: object) -> Options:
    values: dict[str, object] = {"compression": "fast", "layout": "slice", "tolerance": 1e-3, "cross_check": 0.0}
    values |= {"burned_in": "scan", "software": ("a 1",), "code": "c", "detector": "d"}
    return Options(**(values | changes))  # type: ignore[arg-type]


def source_file(content: str, decision: str = "") -> SourceFile:
    row = HeaderRow(path=content, stat=(1, 1, 1, 1), outcome="image", reason="", flags=[], facts=ImageFacts())
    return SourceFile(row, content, decision=decision)


def bright_block(frame: np.ndarray, *, allow_short: int = 2) -> tuple[scan.Box, ...]:
    rows, columns = np.nonzero((frame.max(axis=-1) if frame.ndim == 3 else frame) > BRIGHT)
    if not len(rows):
        return ()
    return (scan.Box(int(rows.min()), int(columns.min()), int(rows.max()) + 1, int(columns.max()) + 1, "strokes"),)


@pytest.fixture(autouse=True)
def _bright_blocks_are_text(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(scan, "look", bright_block)
    sandbox.end_all()  # a child has the detector that was there when it was forked
    yield
    sandbox.end_all()


def frame(*, text: bool) -> np.ndarray:
    values = np.full((20, 30), 50, np.uint8)
    values[4:8, 10:20] = 255 if text else 50
    return values


def several_frames(file: SourceFile, count: int) -> SourceFile:
    file.frames = [  # type: ignore[assignment]
        types.SimpleNamespace(number=number) for number in range(count)
    ]
    return file


def test_a_frame_is_looked_at_with_scan_alone_and_unless_it_is_kept() -> None:
    files = [source_file("a"), source_file("b", "keep")]
    looker = Looker(files, Roots({}), options())
    assert looker.add(0, 0, frame(text=True)) == TEXT and not looker.add(0, 1, frame(text=False))
    assert not looker.add(1, 0, frame(text=True))
    assert not Looker(files, Roots({}), options(burned_in="skip")).add(0, 0, frame(text=True))
    assert Looker(files, Roots({}), options(burned_in="skip")).looked() == {}
    looked = looker.looked()
    assert (looked["frames"], looked["allow_short"], looked["code"]) == (2, 2, "d")


def raises(frame: np.ndarray, *, allow_short: int = 2) -> tuple[scan.Box, ...]:
    raise ValueError("a text of the header")


def dies(frame: np.ndarray, *, allow_short: int = 2) -> tuple[scan.Box, ...]:
    os.kill(os.getpid(), signal.SIGKILL)
    return ()


def has_no_memory(frame: np.ndarray, *, allow_short: int = 2) -> tuple[scan.Box, ...]:
    raise MemoryError


@pytest.mark.parametrize("detector", [raises, dies, has_no_memory])
def test_a_detector_that_fails_costs_the_file_alone(detector: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def look(values: np.ndarray, *, allow_short: int = 2) -> tuple[scan.Box, ...]:
        return detector(values) if values[0, 0] == 1 else bright_block(values)

    monkeypatch.setattr(scan, "look", look)
    bad = frame(text=False)
    bad[0, 0] = 1
    files = [several_frames(source_file(content), 1) for content in ("a", "b", "c")]
    looker = Looker(files, Roots({}), options())
    assert [looker.add(0, 0, bad), looker.add(1, 0, frame(text=False)), looker.add(2, 0, frame(text=True))] == [
        FAILED,
        "",
        TEXT,
    ]
    assert [looker.verdict(source) for source in range(3)] == [FAILED, "", TEXT]
    assert looker.set_aside() == (0, FAILED)


def test_text_in_one_frame_counts_more_than_a_failure_in_another(monkeypatch: pytest.MonkeyPatch) -> None:
    def look(values: np.ndarray, *, allow_short: int = 2) -> tuple[scan.Box, ...]:
        return raises(values) if values[0, 0] == 1 else bright_block(values)

    monkeypatch.setattr(scan, "look", look)
    bad = frame(text=False)
    bad[0, 0] = 1
    looker = Looker([several_frames(source_file("a"), 2)], Roots({}), options())
    assert (looker.add(0, 0, bad), looker.add(0, 1, frame(text=True)), looker.verdict(0)) == (FAILED, TEXT, TEXT)


def test_what_does_not_move_is_looked_at_once_all_frames_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = 0

    def look(self: scan.Still, *, allow_short: int = 2) -> tuple[scan.Box, ...]:
        return (scan.Box(1, 2, 3, self.frames, "still"),) if self.frames == 3 else ()

    monkeypatch.setattr(scan.Still, "look", look)
    monkeypatch.setattr(scan, "look", lambda values, **_: ())
    call = sandbox.call

    def counted(*arguments: Any, **fault: Any) -> Any:
        nonlocal calls
        calls += 1
        return call(*arguments, **fault)

    monkeypatch.setattr(sandbox, "call", counted)
    looker = Looker([several_frames(source_file("a"), 3)], Roots({}), options())
    for number in range(3):
        assert not looker.add(0, number, frame(text=False))
        assert looker.verdict(0) == (TEXT if number == 2 else "")
    before = calls
    assert looker.set_aside() == (0, TEXT) and looker.verdict(0) == TEXT and calls == before


def palette_file(table: list[int], count: int = 1) -> SourceFile:
    file = several_frames(source_file("a"), count)
    file.palette = {"bits": 8, "first": 0, "red": table, "green": table, "blue": table}
    return file


def test_a_palette_image_is_looked_at_in_its_colours() -> None:
    indices = np.ones((20, 30), np.uint8)
    indices[4:8, 10:20] = 2

    looker = Looker([palette_file([0, 30, 255])], Roots({}), options())
    assert looker.add(0, 0, indices) == TEXT  # the values 1 and 2 themselves are no bright block
    assert Looker([source_file("a")], Roots({}), options()).add(0, 0, indices) == ""


def test_a_palette_image_is_looked_at_in_its_stored_indices_too() -> None:
    """A palette gives the index of the text the colour of its surroundings; the array has the index."""
    file = palette_file([0] * 256)
    looker = Looker([file], Roots({}), options())
    assert looker.add(0, 0, frame(text=True)) == TEXT and looker.set_aside() == (0, TEXT)
    file.reason = TEXT
    assert looker.findings() == {"a": ((0, 4, 10, 8, 20, "strokes"),)}
    assert Looker([palette_file([0] * 256)], Roots({}), options()).add(0, 0, frame(text=False)) == ""


def test_text_that_colours_and_indices_show_is_one_finding() -> None:
    file = palette_file([*range(256)])
    looker = Looker([file], Roots({}), options())
    assert looker.add(0, 0, frame(text=True)) == TEXT
    file.reason = TEXT
    assert looker.findings() == {"a": ((0, 4, 10, 8, 20, "strokes"),)}


def test_what_does_not_move_is_looked_at_in_colours_and_indices(monkeypatch: pytest.MonkeyPatch) -> None:
    def look(still: scan.Still, *, allow_short: int = 2) -> tuple[scan.Box, ...]:
        assert still.frames == 2 and still._low is not None
        return tuple(box._replace(by="still") for box in bright_block(still._low))

    monkeypatch.setattr(scan.Still, "look", look)
    monkeypatch.setattr(scan, "look", lambda frame, *, allow_short=2: ())
    looker = Looker([palette_file([0] * 256, 2)], Roots({}), options())
    for number in range(2):
        assert not looker.add(0, number, frame(text=True))
    assert looker.verdict(0) == TEXT


def test_the_picture_of_a_palette_image_shows_both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever decides must see the text where it is: here in the indices, at the right."""
    file = palette_file([90] * 256)
    shown = frame(text=True)
    monkeypatch.setattr(Readers, "frame", lambda *_: types.SimpleNamespace(pixels=shown))
    looker = Looker([file], Roots({}), options())
    assert looker.add(0, 0, shown) == TEXT
    file.reason = TEXT
    looker.draw(tmp_path)
    with Image.open(tmp_path / "a.jpg") as image:
        values = np.asarray(image.convert("RGB")).astype(int)
    assert values.shape == (20, 60, 3)
    red = (values[..., 0] - values[..., 1]) > 60
    assert not red[:, :30].any() and red[:, 30:].any()
    assert values[:, :30].max() < 60 and values[5, 45].min() > 150


@pytest.mark.parametrize("detector", [lambda: False, lambda: None, lambda: 1 / 0, lambda: dies(frame(text=False))])
def test_the_control_fails_with_whatever_goes_wrong(detector: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()  # the real detector
    sandbox.end_all()
    assert control()
    monkeypatch.setattr(scan, "control", detector)
    sandbox.end_all()
    assert not control()


def test_a_picture_is_small_and_has_its_box_and_equal_bytes() -> None:
    image = picture(np.tile(frame(text=True), (100, 100)), [(40, 100, 80, 200)])
    assert max(image.size) == 512 and image.getpixel((round(100 * 512 / 3000) - 2, 10)) == (255, 0, 0)
    assert image.tobytes() == picture(np.tile(frame(text=True), (100, 100)), [(40, 100, 80, 200)]).tobytes()
    assert isinstance(image, Image.Image) and STILL == -1


TOP = np.finfo(np.float64).max


@pytest.mark.parametrize(
    "values",
    [
        np.full((8, 9), np.nan, np.float32),
        np.array([[np.nan, 1.0], [np.inf, -np.inf]], np.float32),
        np.array([[-TOP, TOP], [0, np.nan]]),
        np.array([[np.iinfo(np.int32).min, np.iinfo(np.int32).max]], np.int32),
        np.array([[7]], np.uint8),
        np.zeros((1, 9000, 3), np.uint16),
        np.zeros((9000, 1), np.int16),
        np.ones((5, 6, 1), np.uint8),
        np.ones((5, 6, 2), np.uint8),
        np.ones((5, 6, 4), np.uint16),
        np.array([[False, True]]),
    ],
)
@pytest.mark.parametrize("boxes", [[], [(0, 0, 1, 1)], [(-5, 900, 10**9, -(10**9))], [(5, 5, 2, 2)]])
@pytest.mark.filterwarnings("error")
def test_a_hostile_image_has_a_picture(values: np.ndarray, boxes: list[tuple[int, int, int, int]]) -> None:
    image = picture(values, boxes)
    assert image.mode == "RGB" and min(image.size) >= 1 and max(image.size) <= 512


def test_a_huge_image_is_converted_in_parts() -> None:
    """The whole of it in numbers of 64 bits takes 240 MB, and several such copies are made."""
    tracemalloc.start()
    values = np.zeros((6000, 5000), np.int16)
    values[5500:] = 1000
    image = picture(values, [])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert image.getpixel((5, 5)) == (0, 0, 0) and image.getpixel((5, 505)) == (255, 255, 255)
    assert peak < 400_000_000


def test_no_picture_without_a_file_that_is_set_aside(tmp_path: Path) -> None:
    Looker([source_file("a")], Roots({}), options()).draw(tmp_path / "s.text")
    assert not (tmp_path / "s.text").exists()
