"""Frames of multi-frame files: stacks that the file states, tiles, parts of one image, and the stored order."""

from __future__ import annotations

from dataclasses import replace

import pytest
from made_up_frames import AXIAL, checked_volumes, frame, means, of_file, only_volume, values

from dicomzarr.dicom.sop_classes import SEGMENTATION
from dicomzarr.volumes.model import Frame


def test_mosaics_are_kept_as_stored() -> None:
    sheet = ("ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC")
    volume = only_volume([frame(t, 5, {"acquisition_number": t + 1.0}, image_type=sheet) for t in range(3)])
    assert (volume.kind, volume.axes, volume.affine_lps) == ("mosaic", ("t", "y", "x"), None)
    assert volume.flags == ("mosaic", "t_order_only")
    # Sheets at several positions are no stack: each already holds a volume.
    assert len(checked_volumes([frame(t, 5 * t, image_type=sheet) for t in range(3)])) == 3


def test_cine_runs_along_t() -> None:
    volume = only_volume(of_file(5, lambda n: {"frame_time_s": n * 0.04}, modality="US"))
    assert (volume.kind, volume.axes) == ("cine", ("t", "y", "x"))
    assert volume.t_axis == {"means": ["frame_time_s"], "values": pytest.approx([0, 0.04, 0.08, 0.12, 0.16])}


def test_frames_without_geometry_stay_in_stored_order() -> None:
    volume = only_volume(of_file(3, lambda n: {}, modality="NM"))
    assert (volume.kind, volume.t_axis) == ("frames", {"means": ["frame"], "values": [0, 1, 2]})


def test_each_multi_frame_file_is_a_volume_of_its_own() -> None:
    frames = of_file(3, lambda n: {}, modality="XA") + of_file(3, lambda n: {}, source=1, modality="XA")
    assert [v.kind for v in checked_volumes(frames)] == ["cine", "cine"]


def test_tiles_state_their_offsets() -> None:
    offsets = [(0.0, 0.0), (0.0, 256.0), (256.0, 0.0)]
    frames = of_file(3, lambda n: dict(zip(("row_offset", "column_offset"), offsets[n], strict=True)), modality="SM")
    volume = only_volume(frames)
    assert (volume.kind, volume.t_axis) == (
        "tiles",
        {"means": ["row_offset", "column_offset"], "values": [[0, 0], [0, 256], [256, 0]]},
    )


def test_segments_keep_the_stored_order() -> None:
    frames = of_file(4, lambda n: {"segment_number": float(n // 2 + 1)}, modality="SEG", sop_class_uid=SEGMENTATION)
    placed = [replace(f, position=(0.0, 0.0, 3.0 * (1 - f.number % 2)), orientation=AXIAL) for f in frames]
    volume = only_volume(placed)
    assert (volume.kind, means(volume)) == ("segmentation", ["segment_number", "position_mm"])
    assert values(volume) == [[1, 3], [1, 0], [2, 3], [2, 0]]


def test_an_enhanced_file_is_stacked_like_single_slices() -> None:
    frames = of_file(6, lambda n: {"temporal_position": float(n % 2)})
    placed = [replace(f, position=(0.0, 0.0, -2.0 * (f.number // 2)), orientation=AXIAL) for f in frames]
    volume = only_volume(placed)
    assert volume.axes == ("t", "z", "y", "x")
    assert [p.frame.number for p in volume.places] == [4, 2, 0, 5, 3, 1]
    assert volume.affine_lps is not None


def test_stored_order_is_the_last_cause_for_frames_of_one_file() -> None:
    frames = of_file(6, lambda n: {"instance_number": 1.0})
    placed = [replace(f, position=(0.0, 0.0, f.number % 3), orientation=AXIAL) for f in frames]
    volume = only_volume(placed)
    assert (means(volume), volume.flags) == (["frame"], ("t_order_only",))
    assert [p.frame.number for p in volume.places] == list(range(6))


@pytest.mark.parametrize("counts", [(12,), (5, 5, 2), (1, 11), (4, 4, 4)])
@pytest.mark.parametrize("said_by", ["dimension_2", "frame"])
def test_times_of_an_image_in_parts_are_those_of_one_file(counts: tuple[int, ...], said_by: str) -> None:
    frames: list[Frame] = []
    for source, count in enumerate(counts):
        before = len(frames)
        more = {"concatenation": "1.9" if len(counts) > 1 else "", "concatenation_offset": before}
        part = of_file(
            count, lambda n, k=before: {"dimension_2": (n + k) // 4 + 1.0, "instance_number": 1.0}, source, **more
        )
        frames += part if said_by == "dimension_2" else [replace(f, causes={"instance_number": 1.0}) for f in part]
    placed = [replace(f, position=(0.0, 0.0, 2.0 * (n % 4)), orientation=AXIAL) for n, f in enumerate(frames)]
    volume = only_volume(placed)
    first = 1 if said_by == "dimension_2" else 0
    assert volume.t_axis == {"means": [said_by], "values": [first, first + 1, first + 2]}
    assert volume.flags == ("t_order_only",)
    assert [place.frame for place in volume.places] == placed


@pytest.mark.parametrize("said_by", ["instance_number", "content_time_s", "series_number"])
def test_each_image_in_parts_has_one_number_and_one_time(said_by: str) -> None:
    """Two images of six slices, in two parts each, which have numbers and times of their own."""
    frames: list[Frame] = []
    for source, count in enumerate((4, 2, 4, 2)):
        more = {"concatenation": "1.8" if source < 2 else "1.9", "concatenation_offset": 4 * (source % 2)}
        frames += of_file(count, lambda n, value=100.0 + source: {said_by: value}, source, **more)
    placed = [replace(f, position=(0.0, 0.0, 2.0 * (n % 6)), orientation=AXIAL) for n, f in enumerate(frames)]
    volume = only_volume(placed)
    assert (volume.shape, means(volume)) == ((2, 6, 4, 6), [said_by])
    assert [place.frame for place in volume.places] == placed


def of_stacks(frames: list[Frame], stacks: str, heights: list[float]) -> list[Frame]:
    return [
        replace(f, position=(0.0, 0.0, float(z)), orientation=AXIAL, stack=name)
        for f, name, z in zip(frames, stacks, heights, strict=True)
    ]


def test_stacks_of_a_file_are_separate_volumes() -> None:
    placed = of_stacks(of_file(6, lambda n: {}), "AAABBB", [0, 1, 2, 0.4, 1.4, 2.4])
    assert [v.shape for v in checked_volumes(placed)] == [(3, 4, 6), (3, 4, 6)]


@pytest.mark.parametrize("first", [2, 4, 5])
@pytest.mark.parametrize("concatenation", ["", "1.9"])
def test_a_stack_goes_on_in_the_next_file(first: int, concatenation: str) -> None:
    """Two stacks of four slices, of an image in two parts, or in two files."""
    more = {"concatenation": concatenation}
    frames = of_file(first, lambda n: {}, **more) + of_file(8 - first, lambda n: {}, source=1, **more)
    placed = of_stacks(frames, "AAAABBBB", [0, 1, 2, 3, 100.4, 101.4, 102.4, 103.4])
    assert [v.shape for v in checked_volumes(placed)] == [(4, 4, 6), (4, 4, 6)]


def test_ids_of_stacks_that_count_files_separate_nothing() -> None:
    frames = [f for n in range(3) for f in of_stacks(of_file(3, lambda _: {}, source=n), "ABC"[n] * 3, [0, 1, 4])]
    timed = [replace(f, causes={"acquisition_time_s": 1e8 + f.source}) for f in frames]
    assert only_volume(timed).shape == (3, 3, 4, 6)


@pytest.mark.parametrize("stacks", ["AAABBB", "ABABAB"])
def test_stacks_of_a_file_that_are_one_even_stack_are_packages_of_one_volume(stacks: str) -> None:
    volume = only_volume(of_stacks(of_file(6, lambda n: {}), stacks, [3.0 * n for n in range(6)]))
    assert (volume.shape, volume.spacing_mm["z"]) == ((6, 4, 6), 3)
