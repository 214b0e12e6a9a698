"""Copies of images under another SOP Instance UID, from files to outcomes."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dicoms import ct_slice, save, save_series, slice_pixels, uid
from extracted_series import extract_folder
from folders import files_of
from made_up_pixels import DICOM, encapsulate
from pydicom.dataset import Dataset
from reference_cases import rle


def again(series: str, index: int, **attributes: Any) -> Dataset:
    """Return a slice under a UID of its own."""
    return ct_slice(series, index, **{"SOPInstanceUID": uid("again", series, index), **attributes})


def packed(dataset: Dataset) -> Dataset:
    """Return a slice compressed with RLE, so that its bytes are others and its pixels the same."""
    pixels = np.frombuffer(dataset.PixelData, "<i2").reshape(dataset.Rows, dataset.Columns)
    dataset.file_meta.TransferSyntaxUID = f"{DICOM}.5"
    dataset.PixelData = encapsulate([rle(pixels)])
    dataset["PixelData"].VR, dataset["PixelData"].is_undefined_length = "OB", True
    return dataset


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A stack of eight slices."""
    for index in range(8):
        save(ct_slice("alpha", index), tmp_path / "source" / f"s{index}.dcm")
    return tmp_path / "source"


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"InstanceNumber": 5000},
        {"InstanceNumber": 5000, "ContentTime": "101112", "ContentDate": "20240102"},
        {"AcquisitionNumber": 7, "InstanceNumber": 5000},
        {"ImagePositionPatient": [-10.0, -20.0, 10.0002], "WindowCenter": 40, "WindowWidth": 400},
    ],
)
def test_a_slice_under_two_uids_is_a_duplicate_and_the_others_one_volume(
    source: Path, attributes: dict[str, Any]
) -> None:
    save(again("alpha", 4, **attributes), source / "again.dcm")
    extracted = extract_folder(source)
    assert sorted(filter(None, extracted.outcomes.values())) == ["duplicate"]
    assert "duplicate" in (extracted.outcomes["again.dcm"], extracted.outcomes["s4.dcm"])
    volume = extracted.volume
    assert volume.axes == "zyx" and volume.shape[0] == 8 and volume.spacing_mm["z"] == 2.5
    assert volume.flags == () and extracted.verdict(volume) == "pass" and volume.frames_expected == 8


def test_a_copy_that_was_compressed_without_loss_is_a_duplicate(source: Path) -> None:
    save(packed(again("alpha", 7, InstanceNumber=5000)), source / "again.dcm")
    extracted = extract_folder(source)
    assert extracted.outcomes["again.dcm"] == "duplicate" and extracted.volume.shape[0] == 8


def test_a_stack_that_was_exported_twice_is_one_volume(source: Path) -> None:
    air = np.full((16, 12), -1000, "<i2")
    save(ct_slice("alpha", 0, pixels=air), source / "s0.dcm")
    for index in range(8):
        pixels = air if index == 0 else slice_pixels("alpha", index)
        save(again("alpha", index, pixels=pixels, InstanceNumber=5000 - index), source / f"t{index}.dcm")
    extracted = extract_folder(source)
    assert {path for path, reason in extracted.outcomes.items() if reason} == {f"t{index}.dcm" for index in range(8)}
    assert extracted.volume.axes == "zyx" and extracted.volume.shape[0] == 8


def test_times_that_only_their_instance_numbers_tell_apart_stay_with_their_empty_slices(tmp_path: Path) -> None:
    empty = np.zeros((16, 12), "<i2")
    for number in range(20):
        pixels = empty if number % 5 == 0 else slice_pixels("beta", number)
        time = ct_slice("beta", number % 5, pixels=pixels, SOPInstanceUID=uid("t", number), InstanceNumber=number + 1)
        save(time, tmp_path / "source" / f"{number}.dcm")
    extracted = extract_folder(tmp_path / "source")
    assert set(extracted.outcomes.values()) == {""}
    assert sum(len(volume.frame_rows) for volume in extracted.record.volumes) == 20


def test_a_copy_that_cannot_be_decoded_is_quarantined_and_the_other_stays(source: Path) -> None:
    broken = packed(again("alpha", 3))
    broken.PixelData = encapsulate([rle(slice_pixels("alpha", 3))[:70]])
    broken["PixelData"].VR, broken["PixelData"].is_undefined_length = "OB", True
    save(broken, source / "again.dcm")
    extracted = extract_folder(source)
    assert {path: reason for path, reason in extracted.outcomes.items() if reason} == {"again.dcm": "decode_error"}


@pytest.mark.parametrize("change", ["window", "lookup table"])
def test_a_copy_with_another_lookup_table_is_none(tmp_path: Path, change: str) -> None:
    for index in range(4):
        save(ct_slice("alpha", index, RescaleSlope=None, RescaleIntercept=None), tmp_path / "source" / f"{index}.dcm")
    copy = again("alpha", 2, RescaleSlope=None, RescaleIntercept=None)
    if change == "window":
        copy.WindowCenter, copy.WindowWidth = 1, 2
    else:
        item = Dataset()
        item.LUTDescriptor, item.LUTData = [2, 0, 16], [1, 2]
        item["LUTDescriptor"].VR, item["LUTData"].VR = "US", "US"
        item.ModalityLUTType = "US"
        copy.ModalityLUTSequence = [item]
    save(copy, tmp_path / "source" / "again.dcm")
    reasons = set(extract_folder(tmp_path / "source").outcomes.values())
    assert reasons == ({"", "duplicate"} if change == "window" else {""})


def _radiograph(uid_of: int, number: int, pixels: int) -> Dataset:
    return ct_slice(
        "dx",
        pixels,
        **{"Modality": "DX", "ImagePositionPatient": None, "ImageOrientationPatient": None},
        **{"SOPInstanceUID": uid("dx", uid_of), "InstanceNumber": number},
    )


@pytest.mark.parametrize(
    ("number", "pixels", "reasons"), [(1, 1, ["", "", "duplicate"]), (3, 1, [""] * 3), (1, 9, [""] * 3)]
)
def test_images_without_position_are_duplicates_if_their_instance_number_is_equal(
    tmp_path: Path, number: int, pixels: int, reasons: list[str]
) -> None:
    for index, image in enumerate([_radiograph(1, 1, 1), _radiograph(2, 2, 2), _radiograph(3, number, pixels)]):
        save(image, tmp_path / "source" / f"{index}.dcm")
    assert sorted(extract_folder(tmp_path / "source").outcomes.values()) == reasons


def _clip(series: str, instance: object, seed: int) -> Dataset:
    frames = np.stack([slice_pixels(series, seed + number) for number in range(3)])
    clip = ct_slice(series, 0, SOPInstanceUID=uid(series, instance), NumberOfFrames=3, InstanceNumber=1, FrameTime=40)
    clip.PixelData = frames.tobytes()
    return clip


def test_multi_frame_files_are_duplicates_as_a_whole(tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 50)):
        save(_clip("clip", name, seed), tmp_path / "source" / f"{name}.dcm")
    extracted = extract_folder(tmp_path / "source")
    assert extracted.outcomes["c.dcm"] == ""
    assert sorted([extracted.outcomes["a.dcm"], extracted.outcomes["b.dcm"]]) == ["", "duplicate"]


RENAMINGS: list[Callable[[str], str]] = [lambda name: f"z{name}", lambda name: name[::-1]]


@pytest.mark.parametrize("rename", RENAMINGS)
def test_names_and_order_of_files_do_not_matter(source: Path, rename: Callable[[str], str]) -> None:
    save(again("alpha", 4), source / "again.dcm")
    first = extract_folder(source)
    other = source.with_name("other")
    other.mkdir()
    for path in source.iterdir():
        shutil.copy(path, other / rename(path.name))
    second = extract_folder(other)
    reasons = {rename(path): reason for path, reason in first.outcomes.items()}
    assert second.outcomes == reasons and files_of(first.store) == files_of(second.store)


@pytest.mark.parametrize(
    "changes",
    [
        lambda index: {"InstanceNumber": 200 - index},
        lambda index: {"AcquisitionTime": f"11{index:02d}00", "AcquisitionDate": "20240102"},
        lambda _: {"SeriesNumber": 9, "ContentTime": "101112"},
        lambda _: {"SliceThickness": 2.5},
        lambda index: {"ImagePositionPatient": [-10, -20, round(2.5031 * index, 1)]},
    ],
)
def test_one_copy_of_a_stack_under_the_same_uids_stays_as_a_whole(
    tmp_path: Path, changes: Callable[[int], dict[str, Any]]
) -> None:
    """The headers differ in counters, clocks, or in how much they say: no contradiction, and never half of each."""
    for index in range(12):
        place = {"ImagePositionPatient": [-10, -20, round(2.5031 * index, 4)]}
        save(ct_slice("alpha", index, **place), tmp_path / "source" / f"a{index}.dcm")
        save(ct_slice("alpha", index, **{**place, **changes(index)}), tmp_path / "source" / f"b{index}.dcm")
    extracted = extract_folder(tmp_path / "source")
    stays = {name[0] for name, reason in extracted.outcomes.items() if not reason}
    assert len(stays) == 1 and sorted(filter(None, extracted.outcomes.values())) == ["duplicate"] * 12
    assert extracted.volume.shape[0] == 12


def test_an_ordinary_stack_is_decoded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dicomzarr.stages.extract_batch import duplicates

    monkeypatch.setattr(duplicates, "_pixels", lambda *_: pytest.fail("pixels were read"))
    save_series(tmp_path / "source", "alpha", 9)
    assert extract_folder(tmp_path / "source").volume.shape[0] == 9
