"""A series of which one image has text: it is extracted without it; a new detector looks again."""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from blake3 import blake3
from dicoms import ct_slice, save
from extracted_series import read_headers

from dicomzarr.burned_in import scan
from dicomzarr.privacy.pseudonyms import Pseudonyms
from dicomzarr.records.plan import SeriesPlan
from dicomzarr.records.series_record import SeriesRecord
from dicomzarr.stages.extract_batch.commit import pictures_of
from dicomzarr.stages.extract_batch.contents import SeriesContents
from dicomzarr.stages.extract_batch.extraction import Extraction
from dicomzarr.stages.extract_batch.options import Options
from dicomzarr.stages.extract_batch.series import extract, look_again, options_of
from dicomzarr.stages.extract_batch.series_files import Roots
from dicomzarr.system import sandbox
from dicomzarr.system.thread_pool import SERIAL, ThreadPool

TEXT_VALUE, BAD_VALUE, STILL_VALUE = 3000, 2999, 2998
FOUND = scan.Box(1, 2, 3, 4, "network")


def bright_block(frame: np.ndarray, *, allow_short: int = 2) -> tuple[scan.Box, ...]:
    if (frame == BAD_VALUE).any():
        raise ValueError("a bug")
    return (FOUND,) if (frame == TEXT_VALUE).any() else ()


@pytest.fixture(autouse=True)
def _detector(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(scan, "look", bright_block)
    sandbox.end_all()  # a child has the detector that was there when it was forked
    yield
    sandbox.end_all()


def use(monkeypatch: pytest.MonkeyPatch, detector: Any) -> None:
    monkeypatch.setattr(scan, "look", detector)
    sandbox.end_all()


def of_folder(folder: Path, chosen: Options, pool: ThreadPool = SERIAL) -> tuple[Extraction, dict[str, str]]:
    """Return the extraction of a series of all files of a folder, and the digests of these by path."""
    rows, contents = read_headers(folder)
    plan, roots = SeriesPlan("s", "t", "u", (), tuple(rows)), Roots({"": os.fsencode(folder)})
    return Extraction(plan, store(folder), roots, Pseudonyms(b"k" * 32), chosen, pool), contents


def slices(folder: Path, *values: int) -> None:
    """Write one slice for each value, which it has in a few pixels."""
    for index, value in enumerate(values):
        pixels = np.full((16, 16), index, np.int16)
        pixels[1:3, 2:4] = value
        save(ct_slice("scan", index, pixels=pixels), folder / f"{index}.dcm")


def options(**changes: Any) -> Options:
    values: dict[str, Any] = {"compression": "balanced", "layout": "slice", "tolerance": 1e-3, "cross_check": 0.0}
    values |= {"burned_in": "scan", "software": ("a 1",), "code": "c", "detector": "d"}
    return Options(**(values | changes))


def store(folder: Path) -> Path:
    return folder / "out" / "s"


def pictures(folder: Path) -> set[str]:
    drawn = pictures_of(store(folder))
    return {path.stem for path in drawn.iterdir()} if drawn.exists() else set()


def extracted(folder: Path, threads: int = 1, **changes: Any) -> SeriesRecord:
    pool = ThreadPool(threads)
    extraction, contents = of_folder(folder, options(**changes), pool)
    try:
        return extract(extraction, SeriesContents(contents))
    finally:
        pool.close()


def reasons(record: SeriesRecord) -> dict[str, str]:
    return {file.path: file.reason for file in record.files if file.reason}


def content_of(folder: Path, name: str) -> str:
    return blake3((folder / name).read_bytes()).hexdigest()


def test_an_image_with_text_is_set_aside_with_place_and_picture(tmp_path: Path) -> None:
    slices(tmp_path, 0, TEXT_VALUE, 2, 3)
    record = extracted(tmp_path)
    content = content_of(tmp_path, "1.dcm")
    assert reasons(record) == {"1.dcm": "text_in_pixels"}
    assert record.text == {content: ((0, *FOUND),)} and record.looked["frames"] == 4
    assert pictures(tmp_path) == {content}
    picture = pictures_of(store(tmp_path)) / f"{content}.jpg"
    assert (picture.parent.stat().st_mode & 0o777, picture.stat().st_mode & 0o777) == (0o700, 0o600)
    assert SeriesRecord.from_json(json.loads(json.dumps(record.to_json()))).looked == record.looked
    kept = extracted(tmp_path, decisions=((content, "keep"),))
    assert reasons(kept) == {} and not pictures_of(store(tmp_path)).exists()
    assert kept.looked["frames"] == 3


def test_a_detector_that_fails_at_a_file_costs_this_file_alone(tmp_path: Path) -> None:
    slices(tmp_path, 0, BAD_VALUE, 2, TEXT_VALUE)
    one, two = extracted(tmp_path), extracted(tmp_path, threads=2)
    assert one == two
    assert reasons(one) == {"1.dcm": "text_search_failed", "3.dcm": "text_in_pixels"}
    assert one.looked["frames"] == 3 and len(one.volumes[0].frames) == 2
    assert "incomplete" in one.volumes[0].flags
    assert pictures(tmp_path) == {content_of(tmp_path, "1.dcm"), content_of(tmp_path, "3.dcm")}
    kept = extracted(tmp_path, decisions=((content_of(tmp_path, "1.dcm"), "keep"),))
    assert reasons(kept) == {"3.dcm": "text_in_pixels"}


def test_a_new_detector_extracts_again_only_where_a_verdict_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slices(tmp_path, 0, TEXT_VALUE, 2, 3)
    record, new = extracted(tmp_path), options(detector="e")
    again = (*of_folder(tmp_path, new), record)
    same = look_again(*again)
    assert same and same.looked == {**record.looked, "code": "e"} and same.volumes == record.volumes
    before = {path: path.read_bytes() for path in pictures_of(store(tmp_path)).iterdir()}
    moved = scan.Box(5, 6, 9, 9, "network")
    use(monkeypatch, lambda frame, **_: (moved,) if (frame == TEXT_VALUE).any() else ())
    same = look_again(*of_folder(tmp_path, new, ThreadPool(2)), record)
    assert same and same.text == {content_of(tmp_path, "1.dcm"): ((0, *moved),)} and same.volumes == record.volumes
    after = {path: path.read_bytes() for path in pictures_of(store(tmp_path)).iterdir()}
    assert after.keys() == before.keys() and after != before
    use(monkeypatch, lambda frame, **_: ())
    assert look_again(*again) is None
    use(monkeypatch, lambda frame, **_: (FOUND,) if (frame >= 2).any() else ())
    assert look_again(*again) is None


def test_a_new_detector_looks_again_at_files_at_which_the_last_one_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slices(tmp_path, 0, BAD_VALUE, 2)
    record, new = extracted(tmp_path), options(detector="e")
    again = (*of_folder(tmp_path, new), record)
    same = look_again(*again)
    assert same and same.looked["code"] == "e"
    use(monkeypatch, lambda frame, **_: ())
    assert look_again(*again) is None


def test_equal_bytes_have_one_verdict_and_one_picture(tmp_path: Path) -> None:
    slices(tmp_path, 0, TEXT_VALUE, 2)
    (tmp_path / "copy.dcm").write_bytes((tmp_path / "1.dcm").read_bytes())
    record = extracted(tmp_path)
    assert reasons(record) == {"1.dcm": "text_in_pixels", "copy.dcm": "text_in_pixels"}
    assert pictures(tmp_path) == {content_of(tmp_path, "1.dcm")} and len(record.text) == 1
    same = look_again(*of_folder(tmp_path, options(detector="e")), record)
    assert same and same.text == record.text


@pytest.mark.parametrize("uid", ["same", "other"])
def test_a_file_with_the_same_pixels_follows_a_decision_to_set_aside(tmp_path: Path, uid: str) -> None:
    slices(tmp_path, 0, 1, 2)
    changes = {} if uid == "same" else {"SOPInstanceUID": "1.2.3"}
    pixels = np.full((16, 16), 1, np.int16)
    save(ct_slice("scan", 1, pixels=pixels, PatientName="Other", **changes), tmp_path / "copy.dcm")
    assert [*reasons(extracted(tmp_path)).values()] == ["duplicate"]
    for name in ("1.dcm", "copy.dcm"):
        content = content_of(tmp_path, name)
        record = extracted(tmp_path, decisions=((content, "set_aside"),))
        assert reasons(record)[name] == "text_in_pixels" and {*reasons(record)} == {"1.dcm", "copy.dcm"}
        assert len(record.volumes[0].frames) == 2


def several_frames(folder: Path, *frames: np.ndarray) -> None:
    data = np.stack(frames).astype("<i2")
    dataset = ct_slice("scan", 0, pixels=frames[0], NumberOfFrames=len(frames), PixelData=data.tobytes())
    save(dataset, folder / "frames.dcm")


def test_text_in_one_frame_sets_the_whole_file_aside(tmp_path: Path) -> None:
    clean, text = np.zeros((16, 16), np.int16), np.full((16, 16), TEXT_VALUE, np.int16)
    several_frames(tmp_path, clean, clean + 1, text, clean + 3)
    record = extracted(tmp_path)
    assert reasons(record) == {"frames.dcm": "text_in_pixels"} and not record.volumes
    assert [row[0] for rows in record.text.values() for row in rows] == [2] and record.looked["frames"] == 4


def test_text_in_what_does_not_move_sets_a_file_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def look(self: scan.Still, *, allow_short: int = 2) -> tuple[scan.Box, ...]:
        same = self._low is not None and bool(((self._low == self._high) & (self._low == STILL_VALUE)).any())
        return (scan.Box(0, 0, 2, 2, "still"),) if same and self.frames > 1 else ()

    monkeypatch.setattr(scan.Still, "look", look)
    sandbox.end_all()
    frames = [np.full((16, 16), number, np.int16) for number in range(3)]
    for number, frame in enumerate(frames):
        frame[5, 5] = STILL_VALUE + 10 * number
    several_frames(tmp_path, *frames)
    assert reasons(extracted(tmp_path)) == {}
    for frame in frames:
        frame[5, 5] = STILL_VALUE
    several_frames(tmp_path, *frames)
    one, two = extracted(tmp_path), extracted(tmp_path, threads=2)
    assert one == two and reasons(one) == {"frames.dcm": "text_in_pixels"}
    assert [row for rows in one.text.values() for row in rows] == [(-1, 0, 0, 2, 2, "still")]
    assert pictures(tmp_path) == {content_of(tmp_path, "frames.dcm")}
    same = look_again(*of_folder(tmp_path, options(detector="e")), one)
    assert same and same.text == one.text


CHOSEN: dict[str, dict[str, Any]] = {
    "keep": {"burned_in": "keep", "detector": ""},
    "skip": {"burned_in": "skip", "detector": ""},
    "scan": {},
    "more are short": {"allow_short": 5},
}


@pytest.mark.parametrize("decision", ["", "keep", "set_aside"])
@pytest.mark.parametrize("values", [(0, 1, 2), (0, TEXT_VALUE, 2), (0, BAD_VALUE, 2), (0, STILL_VALUE, 2)])
def test_a_series_that_was_looked_at_otherwise_is_as_if_it_was_extracted_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, values: tuple[int, ...], decision: str
) -> None:
    """Of a still value the text is short; the second file is the one that is decided about, and has a copy."""

    def look(frame: np.ndarray, *, allow_short: int = 2) -> tuple[scan.Box, ...]:
        short = (frame == STILL_VALUE).any() and allow_short < 5
        return (FOUND,) if short else bright_block(frame)

    use(monkeypatch, look)
    slices(tmp_path, *values)
    (tmp_path / "copy.dcm").write_bytes((tmp_path / "1.dcm").read_bytes())
    decisions = ((content_of(tmp_path, "1.dcm"), decision),) if decision else ()
    records = {name: extracted(tmp_path, **chosen, decisions=decisions) for name, chosen in CHOSEN.items()}
    kept = 0
    for before, after in itertools.permutations(CHOSEN, 2):
        new = options(**CHOSEN[after], decisions=decisions)
        assert records[before].fingerprint == records[after].fingerprint
        looked = look_again(*of_folder(tmp_path, new), records[before])
        kept += looked is not None
        if looked:
            shown = options_of(new, has_masks=False)
            assert dataclasses.replace(looked, options=shown) == records[after], (before, after)
    clean = {*values}.isdisjoint((TEXT_VALUE, BAD_VALUE, STILL_VALUE)) or decision == "keep"
    assert kept == 12 if clean and decision != "set_aside" else kept >= 2


def test_a_series_of_which_no_pixels_can_be_trusted_is_extracted_to_be_looked_at(tmp_path: Path) -> None:
    """The first look may find text in a file before decoders disagree about another."""
    slices(tmp_path, 0, 1)
    record = extracted(tmp_path, burned_in="keep", detector="")
    assert look_again(*of_folder(tmp_path, options()), record)
    assert (
        look_again(*of_folder(tmp_path, options()), dataclasses.replace(record, disagreement=("a", ("b", "c")))) is None
    )
