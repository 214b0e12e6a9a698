"""Expected frames: one image per SOP Instance UID, whatever became of its files; nothing is lost in silence."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from dicoms import ct_slice, save, slice_pixels, uid
from extracted_series import Extracted, extract_folder
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up_pixels import DICOM, encapsulate
from pydicom.dataset import Dataset
from reference_cases import rle

from dicomzarr.stages.extract_batch import series
from dicomzarr.stages.extract_batch.series_files import Roots, SourceFile

Break = Callable[[Path, int], None]


def one(series: str, index: int, **attributes: Any) -> Dataset:
    return ct_slice(series, index, **attributes)


def truncated(source: Path, index: int) -> None:
    path = source / f"{index:02d}.dcm"
    path.write_bytes(path.read_bytes()[:-9])


def cut_in_header(source: Path, index: int) -> None:
    path = source / f"{index:02d}.dcm"
    data = path.read_bytes()
    path.write_bytes(data[: data.index(b"\x28\x00\x10\x00US") + 7])  # Rows (0028,0010): after position and orientation


def cut_after_the_series(source: Path, index: int) -> None:
    path = source / f"{index:02d}.dcm"
    data = path.read_bytes()
    path.write_bytes(data[: data.index(b"\x20\x00\x32\x00DS") + 20])  # Image Position (Patient) (0020,0032)


def without_bits(source: Path, index: int) -> None:
    path = source / f"{index:02d}.dcm"
    data = path.read_bytes()
    element = data.index(b"\x28\x00\x00\x01US")  # Bits Allocated (0028,0100)
    path.write_bytes(data[:element] + data[element + 10 :])


def broken_stream(source: Path, index: int) -> None:
    dataset = one("alpha", index)
    dataset.file_meta.TransferSyntaxUID = f"{DICOM}.5"
    dataset.PixelData = encapsulate([rle(slice_pixels("alpha", index))[:70]])
    dataset["PixelData"].VR, dataset["PixelData"].is_undefined_length = "OB", True
    save(dataset, source / f"{index:02d}.dcm")


def twins(source: Path, index: int) -> None:
    save(one("alpha", index, pixels=slice_pixels("other", index)), source / f"{index:02d}-twin.dcm")


def three_twins(source: Path, index: int) -> None:
    twins(source, index)
    save(one("alpha", index, pixels=slice_pixels("third", index)), source / f"{index:02d}-third.dcm")


def twins_of_other_headers(source: Path, index: int) -> None:
    other = {"ImagePositionPatient": [-10.0, -20.0, 500.0], "ImageOrientationPatient": [0, 1, 0, 0, 0, -1]}
    save(one("alpha", index, pixels=slice_pixels("other", index), **other), source / f"{index:02d}-twin.dcm")


def twin_that_is_cut(source: Path, index: int) -> None:
    twins(source, index)
    path = source / f"{index:02d}-twin.dcm"
    path.write_bytes(path.read_bytes()[:-9])


BREAKS: list[Break] = [
    truncated,
    cut_in_header,
    cut_after_the_series,
    without_bits,
    broken_stream,
    twins,
    three_twins,
    twins_of_other_headers,
]


def stack(source: Path, slices: int = 6) -> Path:
    for index in range(slices):
        save(one("alpha", index), source / f"{index:02d}.dcm")
    return source


def expected(extracted: Extracted) -> int:
    return sum(volume.frames_expected for volume in extracted.record.volumes)


@pytest.mark.parametrize("index", [0, 2, 5])
@pytest.mark.parametrize("spoil", BREAKS)
def test_a_lost_slice_is_expected_wherever_it_was(tmp_path: Path, spoil: Break, index: int) -> None:
    source = stack(tmp_path / "source")
    spoil(source, index)
    extracted = extract_folder(source)
    volume = extracted.volume
    assert (volume.frames_expected, len(volume.frame_rows)) == (6, 5)
    assert "incomplete" in volume.flags and extracted.verdict(volume) == "warn"
    assert all(reason for path, reason in extracted.outcomes.items() if path.startswith(f"{index:02d}"))


def test_a_slice_that_the_disk_does_not_read_is_expected(tmp_path: Path) -> None:
    extracted = extract_folder(stack(tmp_path / "source"), "05.dcm")
    assert extracted.outcomes["05.dcm"] == "unreadable_file"
    assert extracted.volume.frames_expected == 6 and extracted.verdict(extracted.volume) == "warn"


@pytest.mark.parametrize("index", [0, 5])
def test_a_twin_that_cannot_be_read_costs_nothing(tmp_path: Path, index: int) -> None:
    source = stack(tmp_path / "source")
    twin_that_is_cut(source, index)
    volume = extract_folder(source).volume
    assert (volume.frames_expected, len(volume.frame_rows), volume.flags) == (6, 6, ())


def test_duplicates_are_not_expected(tmp_path: Path) -> None:
    source = stack(tmp_path / "source")
    shutil.copy(source / "03.dcm", source / "copy.dcm")
    save(one("alpha", 2, SOPInstanceUID=uid("again")), source / "again.dcm")
    volume = extract_folder(source).volume
    assert (volume.frames_expected, len(volume.frame_rows), volume.flags) == (6, 6, ())


def test_a_lost_slice_at_a_place_that_is_taken_counts_for_the_stack(tmp_path: Path) -> None:
    source = stack(tmp_path / "source")
    save(one("alpha", 2, SOPInstanceUID=uid("again")), source / "06.dcm")
    truncated(source, 6)
    volume = extract_folder(source).volume
    assert (volume.frames_expected, len(volume.frame_rows)) == (7, 6) and "incomplete" in volume.flags


def test_a_lost_frame_counts_for_its_own_echo(tmp_path: Path) -> None:
    for index in range(10):
        image = one("echoes", index % 5, SOPInstanceUID=uid("e", index), Modality="MR", EchoTime=(5, 10)[index // 5])
        image.PixelData = slice_pixels("echoes", index).tobytes()
        save(image, tmp_path / "source" / f"{index:02d}.dcm")
    truncated(tmp_path / "source", 9)
    extracted = extract_folder(tmp_path / "source")
    assert expected(extracted) == 10
    for volume in extracted.record.volumes:
        frames = extracted.frames[volume.array]
        assert ("incomplete" in volume.flags) == (volume.frames_expected > len(frames))
        if "incomplete" in volume.flags:
            assert not {"00.dcm", "01.dcm"} & set(frames) or len(extracted.record.volumes) == 1


@pytest.mark.parametrize("spoil", [truncated, twins])
def test_a_lost_image_of_another_plane_is_said_of_the_series(tmp_path: Path, spoil: Break) -> None:
    source = stack(tmp_path / "source")
    plane = {"ImageOrientationPatient": [0, 1, 0, 0, 0, -1], "ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}
    save(one("alpha", 50, **plane), source / "50.dcm")
    spoil(source, 50)
    if spoil is twins:
        save(one("alpha", 50, pixels=slice_pixels("other", 50), **plane), source / "50-twin.dcm")
    volume = extract_folder(source).volume
    assert volume.frames_expected == 6 and volume.flags == ("series_incomplete",)


def test_a_lost_radiograph_does_not_make_another_one_incomplete(tmp_path: Path) -> None:
    plane = {"Modality": "DX", "ImagePositionPatient": None, "ImageOrientationPatient": None}
    for index in range(3):
        save(one("dx", index, InstanceNumber=index, **plane), tmp_path / "source" / f"{index:02d}.dcm")
    truncated(tmp_path / "source", 1)
    extracted = extract_folder(tmp_path / "source")
    assert [volume.frames_expected for volume in extracted.record.volumes] == [1, 1]
    assert {volume.flags for volume in extracted.record.volumes} == {("series_incomplete",)}
    assert {extracted.verdict(volume) for volume in extracted.record.volumes} == {"pass"}


def test_a_series_that_lost_nothing_is_not_flagged(tmp_path: Path) -> None:
    volume = extract_folder(stack(tmp_path / "source")).volume
    assert volume.flags == () and volume.frames_expected == 6


def test_numbers_that_cannot_be_read_are_named_by_the_array(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interpret(index: int, file: SourceFile, roots: Roots) -> None:
        interpret_file(index, file, roots)
        keywords = {"01.dcm": ("SliceThickness",), "03.dcm": ("EchoTime", "SliceThickness")}.get(file.row["path"], ())
        file.frames = [replace(frame, unreadable_numbers=keywords) for frame in file.frames]

    interpret_file = series.interpret
    assert "unreadable_numbers" not in facts_of(extract_folder(stack(tmp_path / "source")))
    monkeypatch.setattr(series, "interpret", interpret)
    facts = facts_of(extract_folder(tmp_path / "source"))
    assert facts["unreadable_numbers"] == ["EchoTime", "SliceThickness"]


def facts_of(extracted: Extracted) -> dict[str, Any]:
    (group,) = extracted.store.glob("*/zarr.json")
    return json.loads(group.read_text())["attributes"]["dicomzarr"]


FATES = ["good", "good", "uid copy", "content copy", "cut twin", *(spoil.__name__ for spoil in BREAKS)]


@settings(deadline=None, max_examples=40)
@given(data=st.data())
def test_expected_frames_are_the_images_of_the_series(data: st.DataObject) -> None:
    slices = data.draw(st.integers(3, 7))
    fates = [data.draw(st.sampled_from(FATES)) for _ in range(slices)]
    good = data.draw(st.integers(0, slices - 1))
    fates[good] = "good"
    by_name = {spoil.__name__: spoil for spoil in BREAKS}
    with tempfile.TemporaryDirectory() as folder:
        source = stack(Path(folder) / "source", slices)
        for index, fate in enumerate(fates):
            if fate == "uid copy":
                shutil.copy(source / f"{index:02d}.dcm", source / f"{index:02d}-copy.dcm")
            elif fate == "content copy":
                save(one("alpha", index, SOPInstanceUID=uid("again", index)), source / f"{index:02d}-again.dcm")
            elif fate == "cut twin":
                twin_that_is_cut(source, index)
            elif fate != "good":
                by_name[fate](source, index)
        extracted = extract_folder(source)
        assert set(extracted.outcomes) == {path.name for path in source.iterdir()}
    lost = [fate for fate in fates if fate in by_name]
    written = sum(len(volume.frame_rows) for volume in extracted.record.volumes)
    assert (expected(extracted), written) == (slices, slices - len(lost))
    for volume in extracted.record.volumes:
        missing = volume.frames_expected - len(volume.frame_rows)
        assert missing >= 0 and ("incomplete" in volume.flags) == (missing > 0)
        assert not missing or extracted.verdict(volume) == "warn"
    assert any("incomplete" in volume.flags for volume in extracted.record.volumes) == bool(lost)
