"""Text in pixels: which files are set aside, what the record says, and the picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dicomzarr.burned_in import scan
from dicomzarr.dicom.facts import ImageFacts
from dicomzarr.source.row import HeaderRow
from dicomzarr.stages.extract_batch.looking import STILL, Looker, _picture
from dicomzarr.stages.extract_batch.options import Options
from dicomzarr.stages.extract_batch.series_files import Roots, SourceFile

BRIGHT = 200


def options(**changes: object) -> Options:
    values: dict[str, object] = {"compression": "fast", "layout": "slice", "tolerance": 1e-3, "cross_check": 0.0}
    values |= {"burned_in": "scan", "software": ("a 1",), "code": "c", "detector": "d"}
    return Options(**(values | changes))  # type: ignore[arg-type]


def source_file(content: str, decision: str = "") -> SourceFile:
    row = HeaderRow(path=content, stat=(1, 1, 1, 1), outcome="image", reason="", flags=[], facts=ImageFacts())
    return SourceFile(row, content, decision=decision)


def bright_block(frame: np.ndarray, *, allow_short: int = 2, thorough: bool = False) -> tuple[scan.Box, ...]:
    rows, columns = np.nonzero(frame > BRIGHT)
    if not len(rows):
        return ()
    return (scan.Box(int(rows.min()), int(columns.min()), int(rows.max()) + 1, int(columns.max()) + 1, "strokes"),)


@pytest.fixture(autouse=True)
def _bright_blocks_are_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan, "look", bright_block)


def frame(*, text: bool) -> np.ndarray:
    values = np.full((20, 30), 50, np.uint8)
    values[4:8, 10:20] = 255 if text else 50
    return values


def test_a_frame_is_looked_at_with_scan_alone_and_unless_it_is_kept() -> None:
    files = [source_file("a"), source_file("b", "keep")]
    looker = Looker(files, Roots({}), options())
    assert looker.add(0, 0, frame(text=True)) and not looker.add(0, 1, frame(text=False))
    assert not looker.add(1, 0, frame(text=True))
    assert not Looker(files, Roots({}), options(burned_in="skip")).add(0, 0, frame(text=True))
    assert Looker(files, Roots({}), options(burned_in="skip")).looked() == {}
    looked = looker.looked()
    assert (looked["frames"], looked["allow_short"], looked["code"]) == (2, 2, "d")


def test_a_picture_is_small_and_has_its_box_and_equal_bytes() -> None:
    image = _picture(np.tile(frame(text=True), (100, 100)), [(40, 100, 80, 200)])
    assert max(image.size) == 512 and image.getpixel((round(100 * 512 / 3000) - 2, 10)) == (255, 0, 0)
    assert image.tobytes() == _picture(np.tile(frame(text=True), (100, 100)), [(40, 100, 80, 200)]).tobytes()
    assert isinstance(image, Image.Image) and STILL == -1
    _picture(np.zeros((1, 9000, 3), np.uint16), [])


def test_no_picture_without_a_file_that_is_set_aside(tmp_path: Path) -> None:
    Looker([source_file("a")], Roots({}), options()).draw(tmp_path / "s.text")
    assert not (tmp_path / "s.text").exists()
