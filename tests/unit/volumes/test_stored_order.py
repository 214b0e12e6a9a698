"""Multi-frame images without positions: one array for each kind of frames, and flags where numbers leave them alike."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_up_frames import checked_volumes, frame, means, of_file, only_volume, stack, values

from dicomzarr.volumes.model import Frame

NM, US_VOLUME, MAP, CT, TOMOSYNTHESIS, DOSE, ANGIOGRAPHY = (
    f"1.2.840.10008.5.1.4.1.1.{end}" for end in ("20", "6.2", "30", "2", "13.1.3", "481.2", "12.1")
)


def unplaced(count: int, causes: Any, **more: Any) -> list[Frame]:
    return of_file(count, causes, **more)


WORDS: dict[str, tuple[Any, Any]] = {
    "terms": ({"data_type": "TISSUE_INTENSITY"}, {"data_type": "FLOW_VELOCITY"}),
    "tables": ({"quantity": "a"}, {"quantity": "b"}),
    "kernel": ("SOFT", "SHARP"),
    "image_type": (("ORIGINAL", "PRIMARY", "M"), ("ORIGINAL", "PRIMARY", "P")),
}


@pytest.mark.parametrize("name", WORDS)
@given(kinds=st.lists(st.booleans(), min_size=2, max_size=12))
def test_frames_of_two_kinds_share_no_array(name: str, kinds: list[bool]) -> None:
    frames = [
        replace(one, **{name: WORDS[name][kind]})
        for one, kind in zip(unplaced(len(kinds), lambda n: {}, sop_class_uid=US_VOLUME), kinds, strict=True)
    ]
    volumes = checked_volumes(frames)
    assert len(volumes) == len(set(kinds))
    for volume in volumes:
        numbers = [place.frame.number for place in volume.places]
        assert numbers == sorted(numbers)
        assert len({kinds[number] for number in numbers}) == 1
        assert "t_order_only" in volume.flags
        assert bool(volume.split_by) is (len(volumes) > 1)
    assert len({volume.group for volume in volumes}) == 1


def test_a_frame_that_lacks_a_unit_is_no_other_kind() -> None:
    frames = unplaced(4, lambda n: {"frame_time_s": 0.1 * n}, modality="XA", sop_class_uid=ANGIOGRAPHY)
    frames = [replace(one, terms={"laterality": "L"} if one.number else {}) for one in frames]
    assert only_volume(frames).shape == (4, 4, 6)


@pytest.mark.parametrize(
    ("numbers", "flags"),
    [
        ([(1, 1), (1, 2), (2, 1), (2, 2)], ()),
        ([(1, 1), (1, 2), (2, 1), (2, 1)], ("t_order_only",)),  # one number is wrong
        ([(1, 1), (1, 1), (2, 1), (2, 1)], ("t_order_only",)),  # a vector is constant
        ([(1, 1), (1, 1), (1, 1), (1, 1)], ()),  # nothing varies: frames in stored order
    ],
)
def test_numbers_that_leave_frames_alike_give_no_more_than_an_order(
    numbers: list[tuple[int, int]], flags: tuple[str, ...]
) -> None:
    frames = unplaced(
        4,
        lambda n: {"detector": float(numbers[n][0]), "angular_view": float(numbers[n][1])},
        modality="NM", sop_class_uid=NM, image_type=("ORIGINAL", "PRIMARY", "TOMO"),
    )  # fmt: skip
    volume = only_volume(frames)
    assert volume.flags == flags
    assert ("frame" in means(volume)) is (len(set(numbers)) < 4)
    assert len({tuple(row) if isinstance(row, list) else row for row in values(volume)}) == 4


@pytest.mark.parametrize(("modality", "sop"), [("US", US_VOLUME), ("MR", MAP), ("MG", TOMOSYNTHESIS)])
def test_slices_by_their_class_have_an_order_and_no_more(modality: str, sop: str) -> None:
    volume = only_volume(unplaced(4, lambda n: {}, modality=modality, sop_class_uid=sop))
    assert (volume.flags, means(volume)) == (("t_order_only",), ["frame"])


@pytest.mark.parametrize("modality", ["MG", "XA", "PX"])
def test_single_slices_of_tomosynthesis_without_a_position_are_no_projections(modality: str) -> None:
    frames = [frame(n, None, {"instance_number": 9.0 - n}, modality=modality, sop_class_uid=CT) for n in range(4)]
    volume = only_volume(frames)
    assert (volume.flags, [place.frame.source for place in volume.places]) == (("t_order_only",), [3, 2, 1, 0])
    alone = only_volume([replace(frames[0], causes={})])
    assert alone.flags == ("no_position",)


def test_planes_of_a_dose_without_a_position_are_flagged_and_never_joined() -> None:
    frames = [frame(n, None, {"instance_number": float(n)}, modality="RTDOSE", sop_class_uid=DOSE) for n in range(3)]
    assert [(v.kind, v.shape, v.flags) for v in checked_volumes(frames)] == [("dose", (4, 6), ("no_position",))] * 3


@pytest.mark.parametrize("slices", [3, 4, 7])
@pytest.mark.parametrize("number", [0, 500])
def test_a_slice_that_is_there_twice_makes_no_passes_of_the_others(slices: int, number: int) -> None:
    """Slices that are numbered position by position, phase by phase, and one more image of a slice and phase."""
    frames = [
        frame(10 * z + t, 2.0 * z, {"trigger_time_ms": 40.0 * t, "instance_number": 3.0 * z + t + 1})
        for z in range(slices)
        for t in range(3)
    ]
    again = frame(900, 0.0, {"trigger_time_ms": 0.0, "instance_number": float(number)})
    volumes = sorted(checked_volumes([*frames, again]), key=lambda volume: len(volume.places))
    assert [volume.shape[:-2] for volume in volumes] == [(), (3, slices)]
    assert all("contested_place" in volume.flags for volume in volumes)


@pytest.mark.parametrize("sop_class", ["2", "4", "7", "128"])
def test_label_maps_that_were_written_as_images_are_stacked(sop_class: str) -> None:
    """Some tools write a label map as CT or MR images, or captures, and give them the modality of a segmentation."""
    images = stack(*(3.0 * z for z in range(5)), modality="SEG", sop_class_uid=f"1.2.840.10008.5.1.4.1.1.{sop_class}")
    volume = only_volume(images[::-1])
    assert (volume.kind, [*volume.axes], len(volume.places)) == ("volume", ["z", "y", "x"], 5)


@pytest.mark.parametrize(
    "sop_class", ["", "1.3.6.1.4.1.9", "1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7"]
)
def test_segmentations_by_their_class_or_without_a_standard_one(sop_class: str) -> None:
    images = stack(*(3.0 * z for z in range(5)), modality="SEG", sop_class_uid=sop_class)
    assert [volume.kind for volume in checked_volumes(images)] == ["segmentation"] * 5
