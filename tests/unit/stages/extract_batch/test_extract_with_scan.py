"""A series of which one image has text: it is extracted without it; a new detector looks again."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from blake3 import blake3
from dicoms import ct_slice, save

from dicomzarr.burned_in import scan
from dicomzarr.privacy.identifiers import Gatherer
from dicomzarr.privacy.pseudonyms import Pseudonyms
from dicomzarr.records.plan import SeriesPlan
from dicomzarr.records.series_record import SeriesRecord
from dicomzarr.stages.extract_batch.options import Options
from dicomzarr.stages.extract_batch.series import extract, look_again, pictures_of
from dicomzarr.stages.extract_batch.series_files import Roots
from dicomzarr.stages.index_headers.read_chunk import read_files
from dicomzarr.system.thread_pool import ThreadPool

TEXT_VALUE = 3000


def bright_block(frame: np.ndarray, *, allow_short: int = 2) -> tuple[scan.Box, ...]:
    return (scan.Box(1, 2, 3, 4, "strokes"),) if (frame == TEXT_VALUE).any() else ()


def series(folder: Path, slices: int = 4, text: int = 1) -> tuple[SeriesPlan, dict[str, str], Roots]:
    rows, contents = [], {}
    for index in range(slices):
        pixels = np.full((16, 16), index, np.int16)
        pixels[1:3, 2:4] = TEXT_VALUE if index == text else index
        path = save(ct_slice("scan", index, pixels=pixels), folder / f"{index}.dcm")
        status = os.stat(path)
        key = (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
        (line,) = read_files({"": str(folder)}, [(path.name, key)], Gatherer())
        rows.append(json.loads(line))
        contents[path.name] = blake3(path.read_bytes()).hexdigest()
    return SeriesPlan("s", "t", "u", (), tuple(rows)), contents, Roots({"": os.fsencode(folder)})


def options(**changes: Any) -> Options:
    values: dict[str, Any] = {"compression": "balanced", "layout": "slice", "tolerance": 1e-3, "cross_check": 0.0}
    values |= {"burned_in": "scan", "software": ("a 1",), "code": "c", "detector": "d"}
    return Options(**(values | changes))


def extracted(folder: Path, threads: int = 1, **changes: Any) -> SeriesRecord:
    plan, contents, roots = series(folder)
    pseudonyms = Pseudonyms(b"k" * 32)
    store = folder / "out" / "s"
    return extract(plan, contents, store, roots, pseudonyms, options(**changes), ThreadPool(threads))


def test_an_image_with_text_is_set_aside_with_place_and_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scan, "look", bright_block)
    record = extracted(tmp_path)
    assert sorted(file.reason for file in record.files) == ["", "", "", "text_in_pixels"]
    (content,) = [file.content for file in record.files if file.reason]
    assert record.text == {content: ((0, 1, 2, 3, 4, "strokes"),)} and record.looked["frames"] == 4
    assert [path.stem for path in pictures_of(tmp_path / "out" / "s").iterdir()] == [content]
    assert SeriesRecord.from_json(json.loads(json.dumps(record.to_json()))).looked == record.looked
    kept = extracted(tmp_path, decisions=((content, "keep"),))
    assert {file.reason for file in kept.files} == {""} and not pictures_of(tmp_path / "out" / "s").exists()


def test_a_new_detector_looks_again_and_asks_for_extraction_where_a_verdict_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scan, "look", bright_block)
    record = extracted(tmp_path)
    plan, contents, roots = series(tmp_path)
    new = options(detector="e")
    same = look_again(plan, contents, roots, new, record)
    assert same and same.looked == {**record.looked, "code": "e"} and same.volumes == record.volumes
    monkeypatch.setattr(scan, "look", lambda frame, **_: ())
    assert look_again(plan, contents, roots, new, record) is None
