"""Frames of one slice each, laid out as volumes: stacks, what separates them, and what lies along t."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up_frames import (
    AXIAL,
    SAGITTAL,
    checked_volumes,
    depths,
    frame,
    grid,
    means,
    of_file,
    only_volume,
    stack,
    values,
)

from dicomzarr.volumes import grouping
from dicomzarr.volumes.model import Frame
from dicomzarr.volumes.stacking import lay_out

# ------------------------------------------------------------------------------------------------------ stacks


def test_a_plain_stack() -> None:
    volume = only_volume(stack(5, 0, 2.5, 7.5))
    assert (volume.kind, volume.axes, volume.shape, volume.flags) == ("volume", ("z", "y", "x"), (4, 4, 6), ())
    assert depths(volume) == [0, 2.5, 5, 7.5]
    assert volume.spacing_mm == {"z": 2.5, "y": 0.5, "x": 0.25}
    assert volume.affine_lps == ((0.25, 0, 0, 0), (0, 0.5, 0, 0), (0, 0, 2.5, 0), (0, 0, 0, 1))
    assert volume.origin_lps == (0, 0, 0)
    assert volume.why == "4 frames at 4 positions 2.5 mm apart"


def test_a_stack_against_the_axis_runs_along_its_own_normal() -> None:
    flipped = (1.0, 0.0, 0.0, 0.0, -1.0, 0.0)
    volume = only_volume(stack(0, 1, 2, orientation=flipped))
    assert depths(volume) == [2, 1, 0]
    assert volume.affine_lps is not None
    assert [row[2] for row in volume.affine_lps] == [0, 0, -1, 0]


def test_one_slice_has_no_axis_z() -> None:
    volume = only_volume(stack(3))
    assert (volume.kind, volume.axes, volume.affine_lps) == ("image", ("y", "x"), None)
    assert (volume.origin_lps, volume.orientation_lps) == ((0, 0, 3), AXIAL)


def test_axis_c_lies_between_t_and_z() -> None:
    volume = only_volume(grid(3, 2, lambda z, t: {"echo_time_ms": float(t)}, samples=3, photometric="RGB"))
    assert (volume.axes, volume.shape) == (("t", "c", "z", "y", "x"), (2, 3, 3, 4, 6))


def test_a_gap_keeps_its_positions() -> None:
    volume = only_volume(stack(0, 2, 4, 10, 12))
    assert volume.flags == ("gap",)
    assert volume.missing_slices == 2
    assert volume.positions_mm == (0, 2, 4, 10, 12)
    assert "z" not in volume.spacing_mm
    assert volume.affine_lps is None


def test_uneven_slices_keep_their_positions() -> None:
    volume = only_volume(stack(0, 2, 4.3, 6.3))
    assert (volume.flags, volume.missing_slices) == (("uneven_spacing",), 0)
    assert volume.positions_mm == (0, 2, 4.3, 6.3)


def test_a_tilted_gantry_shears_the_affine() -> None:
    shift = math.tan(math.radians(20))
    frames = [frame(k, 0, position=(0.0, shift * 3 * k, 3.0 * k)) for k in range(6)]
    volume = only_volume(frames)
    assert volume.flags == ("gantry_tilt",)
    assert volume.spacing_mm["z"] == 3
    assert volume.affine_lps is not None
    assert [row[2] for row in volume.affine_lps[:3]] == pytest.approx([0, 3 * shift, 3])


def test_cosines_rounded_to_three_decimals_are_no_tilt() -> None:
    angle = 0.3
    row, normal = (math.cos(angle), math.sin(angle), 0.0), (0.0, 0.0, 1.0)
    exact = (math.sin(angle) * 4, -math.cos(angle) * 4, 0.0)  # stacked along the third axis of a turned coronal plane
    rounded = tuple(round(c, 3) for c in (*row, *normal))
    frames = [frame(k, 0, orientation=rounded, position=tuple(k * c for c in exact)) for k in range(20)]
    assert only_volume(frames).flags == ()


def test_stacks_side_by_side_are_separate_volumes() -> None:
    left = stack(0, 1, 2, 3)
    right = [replace(f, position=(80.0, 0.0, f.position[2])) for f in stack(0, 1, 2, 3, start=9) if f.position]
    volumes = checked_volumes(left + right)
    assert [v.shape for v in volumes] == [(4, 4, 6), (4, 4, 6)]
    assert {v.spacing_mm["z"] for v in volumes} == {1}
    assert "2 origins within the plane" in volumes[0].why


# ------------------------------------------------------------------------------------------------------ splits


@pytest.mark.parametrize(
    "other",
    [
        {"orientation": SAGITTAL},
        {"rows": 8},
        {"columns": 8},
        {"dtype": "<u2"},
        {"samples": 3, "photometric": "RGB"},
        {"photometric": "MONOCHROME1"},
        {"pixel_spacing": (0.6, 0.25)},
        {"pixel_spacing": None},
        {"image_type": ("DERIVED", "SECONDARY", "M")},
        {"image_type": ("ORIGINAL", "PRIMARY", "LOCALIZER")},
        {"image_type": ("ORIGINAL", "PRIMARY", "P")},
        {"image_type": ("ORIGINAL", "PRIMARY", "M", "ND", "R")},
        {"image_type": ("ORIGINAL", "PRIMARY", "M_FFE", "P_FFE")},
        {"image_type": ("ORIGINAL", "PRIMARY", "M", "ADC")},
        {"image_type": ("ORIGINAL", "PRIMARY", "M", "MOSAIC")},
        {"sop_class_uid": "1.2.840.10008.5.1.4.1.1.7"},
    ],
)
def test_attributes_that_split_a_stack(other: dict[str, Any]) -> None:
    volumes = checked_volumes([*stack(0, 1, 2), frame(7, 3, **other)])
    assert sorted(len(v.places) for v in volumes) == [1, 3]
    assert all("apart from other frames of the series by 2 " in v.why for v in volumes)


@pytest.mark.parametrize(
    "other",
    [
        {"causes": {"acquisition_number": 5.0}},
        {"causes": {"echo_time_ms": 5.0}},
        {"bits_stored": 10},
        {"rescale": (2.0, 1.0)},
        {"image_type": ("ORIGINAL", "PRIMARY", "M", "ND", "NORM")},
        {"orientation": (1.0, 1e-6, 0.0, -1e-6, 1.0, 0.0)},
        {"pixel_spacing": (0.500001, 0.25)},
    ],
)
def test_attributes_that_do_not_split_a_stack(other: dict[str, Any]) -> None:
    assert only_volume([*stack(0, 1, 2), frame(7, 3, **other)]).shape == (4, 4, 6)


def test_projections_and_images_without_geometry_are_not_stacked() -> None:
    projections = stack(0, 1, 2, modality="CR", sop_class_uid="1.2.840.10008.5.1.4.1.1.1")
    frames = projections + [frame(9, None), frame(10, None, modality="OT")]
    volumes = checked_volumes(frames)
    assert [v.kind for v in volumes] == ["image"] * 5
    assert len(checked_volumes([replace(f, sop_instance_uid="") for f in frames])) == 5


@pytest.mark.parametrize("modality", ["XA", "MG", "PX", "DX", "OT"])
def test_slices_are_stacked_whatever_the_modality_of_their_machine(modality: str) -> None:
    assert only_volume(stack(0, 3, 6, modality=modality)).shape == (3, 4, 6)  # MR, by its SOP class


def test_a_further_slice_does_not_change_the_id() -> None:
    frames = stack(0, 1, 2, 3, 4)
    assert only_volume(frames[:4]).discriminators == only_volume(frames).discriminators


def test_two_equal_files_have_different_ids() -> None:
    twin = replace(frame(0, None), source=1)
    assert len(checked_volumes([frame(0, None), twin])) == 2


# ------------------------------------------------------------------------------------------- frames at one position


def test_echoes_lie_along_t_by_their_time() -> None:
    volume = only_volume(grid(4, 3, lambda z, t: {"echo_time_ms": (3.1, 12.4, 7.7)[t], "instance_number": float(z)}))
    assert volume.axes == ("t", "z", "y", "x")
    assert volume.t_axis == {"means": ["echo_time_ms"], "values": [3.1, 7.7, 12.4]}
    assert volume.flags == ()
    assert [p.frame.causes["echo_time_ms"] for p in volume.places[:5]] == [3.1] * 4 + [7.7]


def test_echo_times_time_are_two_causes() -> None:
    frames = grid(3, 6, lambda z, t: {"echo_time_ms": 5.0 * (t % 2), "acquisition_time_s": 100 + 10.0 * t + z})
    volume = only_volume(frames)
    assert means(volume) == ["echo_time_ms", "acquisition_time_s"]
    assert values(volume) == [[0, 0], [0, 20], [0, 40], [5, 10], [5, 30], [5, 50]]


def test_b_values_and_directions() -> None:
    table = [(0.0, 0, 0, 0), (1000.0, 1, 0, 0), (1000.0, 0, 1, 0), (1000.0, 0, 0, 1)]

    def causes(z: int, t: int) -> dict[str, float]:
        keys = ("b_value", "b_vector_x", "b_vector_y", "b_vector_z")
        return dict(zip(keys, map(float, table[t]), strict=True))

    volume = only_volume(grid(3, 4, causes))
    assert means(volume) == ["b_value", "b_vector_x", "b_vector_y", "b_vector_z"]
    assert sorted(map(tuple, values(volume))) == sorted(table)


def test_temporal_position_goes_first() -> None:
    volume = only_volume(grid(3, 2, lambda z, t: {"temporal_position": t + 1.0, "acquisition_time_s": 9.0 - t}))
    assert volume.t_axis == {"means": ["temporal_position"], "values": [1, 2]}


def test_times_that_differ_between_slices_are_compared_by_rank() -> None:
    volume = only_volume(grid(3, 4, lambda z, t: {"trigger_time_ms": 40.0 * t + z}))
    assert volume.t_axis == {"means": ["trigger_time_ms"], "values": [1, 41, 81, 121]}


def test_content_time_must_sweep_the_stack() -> None:
    jumble = {(0, 0): 0.0, (0, 1): 5.0, (1, 0): 6.0, (1, 1): 7.0, (2, 0): 1.0, (2, 1): 9.0}
    volumes = checked_volumes(grid(3, 2, lambda z, t: {"content_time_s": jumble[z, t]}))
    assert len(volumes) == 6
    assert {v.flags for v in volumes} == {("ambiguous_stack",)}
    sweep = only_volume(grid(3, 2, lambda z, t: {"content_time_s": 60.0 * t + z}))
    assert sweep.t_axis == {"means": ["content_time_s"], "values": [0, 60]}


@pytest.mark.parametrize(
    "number",
    [
        lambda z, t: t * 3 + z + 1,  # volume by volume
        lambda z, t: t * 75 + (2 - z) + 1,  # downwards, with a pause
        lambda z, t: z * 2 + t + 1,  # position by position
        lambda z, t: t * 3 + (1, 0, 2)[z] + 1,  # interleaved
        lambda z, t: t * 3 + (2 - z if t else z) + 1,  # to and fro: a table that shuttles
        lambda z, t: t * 3 + (z if t else 2 - z) + 1,
    ],
)
def test_instance_numbers_give_the_order_only(number: Any) -> None:
    volume = only_volume(grid(3, 2, lambda z, t: {"instance_number": float(number(z, t))}))
    assert volume.shape == (2, 3, 4, 6)
    assert volume.flags == ("t_order_only",)
    assert volume.t_axis == {"means": ["instance_number"], "values": [0, 1]}
    for place in volume.places:
        assert place.frame.causes["instance_number"] == number(place.z, place.t)


def test_random_instance_numbers_distinguish_nothing() -> None:
    numbers = iter([1, 4, 2, 6, 3, 5])
    volumes = checked_volumes(grid(3, 2, lambda z, t: {"instance_number": float(next(numbers))}))
    assert {(v.kind, v.flags) for v in volumes} == {("image", ("ambiguous_stack",))}
    assert len(volumes) == 6


def test_numbers_to_and_fro_distinguish_nothing_where_they_do_not_run_from_end_to_end() -> None:
    for order in ([0, 1, 1, 0], [1, 0, 2, 2, 0, 1]):
        volumes = checked_volumes([frame(n, 2.0 * z, {"instance_number": n + 1.0}) for n, z in enumerate(order)])
        assert {volume.flags for volume in volumes} == {("ambiguous_stack",)}


def test_frames_of_a_file_at_the_same_places_are_counted_by_their_rank() -> None:
    placed = [
        replace(f, position=(0.0, 0.0, 2.0 * (f.number % 4)), orientation=AXIAL) for f in of_file(8, lambda n: {})
    ]
    volume = only_volume(placed)
    assert (volume.t_axis, volume.flags) == ({"means": ["frame"], "values": [0, 1]}, ("t_order_only",))


def test_acquisition_numbers_as_a_last_resort() -> None:
    volume = only_volume(grid(3, 2, lambda z, t: {"instance_number": 1.0, "acquisition_number": t + 4.0}))
    assert volume.t_axis == {"means": ["acquisition_number"], "values": [0, 1]}  # ranks: a number may be a date
    assert volume.flags == ("t_order_only",)


def test_undistinguished_frames_at_one_position_form_one_array() -> None:
    volume = only_volume(stack(3, 3, 3))
    assert volume.axes == ("t", "y", "x")
    assert volume.t_axis == {"means": ["unexplained"], "values": [0, 1, 2]}
    assert volume.flags == ("ambiguous_stack",)


@pytest.mark.parametrize("cause", ["echo_time_ms", "b_value", "temporal_position", "acquisition_time_s"])
def test_a_grid_with_a_hole_is_a_volume_of_the_complete_values_and_one_of_the_other(cause: str) -> None:
    frames = grid(4, 3, lambda z, t: {cause: 10.0 * t})
    whole, holed = sorted(
        checked_volumes([f for f in frames if f.source != 6]), key=lambda v: -len(v.places)
    )  # t 1, z 2
    assert (whole.shape, holed.shape) == ((2, 4, 4, 6), (3, 4, 6))
    assert whole.t_axis == {"means": [cause], "values": [0, 20]}
    assert whole.flags == ()
    assert "gap" in holed.flags
    assert holed.missing_slices == 1
    assert {p.frame.causes[cause] for p in holed.places} == {10.0}
    assert whole.group == holed.group
    assert whole.split_by == holed.split_by == (cause,)


@pytest.mark.parametrize("number", [lambda z, t: t * 4 + z + 1, lambda z, t: z * 3 + t + 1])
@pytest.mark.parametrize("lost", range(12))
def test_instance_numbers_sort_a_grid_with_any_hole(number: Any, lost: int) -> None:
    frames = grid(4, 3, lambda z, t: {"instance_number": float(number(z, t)), "truth": float(t)})
    holed, whole = sorted(checked_volumes([f for f in frames if f.source != lost]), key=lambda v: len(v.places))
    assert (len(holed.places), len(whole.places)) == (3, 8)
    assert "incomplete_grid" in holed.flags
    assert whole.flags == ("t_order_only",)
    assert len({p.frame.causes["truth"] for p in holed.places}) == 1
    assert len({(p.t, p.frame.causes["truth"]) for p in whole.places}) == 2


@pytest.mark.parametrize("position", range(4))
def test_one_surplus_frame_leaves_the_rest_one_volume(position: int) -> None:
    volumes = checked_volumes([*stack(0, 1, 2, 3), frame(9, position)])
    assert sorted(v.shape for v in volumes) == [(4, 4, 6), (4, 6)]
    assert {v.flags for v in volumes} == {("contested_place",)}
    assert len({v.group for v in volumes}) == 1


@pytest.mark.parametrize("place", range(10))
@pytest.mark.parametrize("number", ["that of its twin", "the next", "none"])
def test_a_doubled_slice_never_cuts_a_volume_whatever_its_number(place: int, number: str) -> None:
    numbered = [frame(i, 2.5 * i, {} if number == "none" else {"instance_number": i + 1.0}) for i in range(10)]
    own = {"that of its twin": {"instance_number": place + 1.0}, "the next": {"instance_number": 11.0}, "none": {}}
    volumes = checked_volumes([*numbered, frame(10, 2.5 * place, own[number])])
    assert sorted(v.shape for v in volumes) == [(4, 6), (10, 4, 6)]
    assert all("contested_place" in v.flags for v in volumes)


@pytest.mark.parametrize("first", ["thin", "thick"])
def test_a_shorter_pass_over_the_same_places_is_a_stack_of_its_own(first: str) -> None:
    """21 slices of 1 mm, and 5 of 5 mm among their places."""
    places = [float(z) for z in range(21)], [5.0 * z for z in range(5)]
    ordered = [*places[0], *places[1]] if first == "thin" else [*places[1], *places[0]]
    frames = [frame(i, z, {"instance_number": i + 1.0}) for i, z in enumerate(ordered)]
    volumes = checked_volumes(frames)
    assert sorted(v.spacing_mm["z"] for v in volumes) == [1, 5]
    assert sorted(v.shape for v in volumes) == [(5, 4, 6), (21, 4, 6)]


def test_a_contested_place_of_one_time_is_flagged_in_the_whole_series() -> None:
    frames = grid(4, 3, lambda z, t: {"temporal_position": t + 1.0, "instance_number": 4.0 * t + z + 1})
    volumes = checked_volumes([*frames, frame(20, 4.0, {"temporal_position": 2.0, "instance_number": 13.0})])
    assert sorted(v.shape for v in volumes) == [(3, 4, 4, 6), (4, 6)]
    assert all("contested_place" in v.flags for v in volumes)


def test_the_frame_that_fits_by_its_number_stays_in_the_stack() -> None:
    numbered = [frame(i, i, {"instance_number": float(i + 1)}) for i in range(5)]
    late = frame(0, 2, {"instance_number": 77.0}, sop_instance_uid="1.1")  # first by UID
    volumes = checked_volumes([*numbered[:2], late, *numbered[2:]])
    whole = max(volumes, key=lambda v: len(v.places))
    assert [p.frame.causes["instance_number"] for p in whole.places] == [1, 2, 3, 4, 5]


# ------------------------------------------------------------------------------------------------------- properties

wild = st.builds(
    frame,
    st.just(0),
    st.one_of(st.none(), st.integers(0, 4), st.floats(-5, 5)),
    st.dictionaries(
        st.sampled_from(
            [
                "temporal_position",
                "echo_time_ms",
                "trigger_time_ms",
                "acquisition_time_s",
                "instance_number",
                "series_number",
            ]
        ),
        st.integers(0, 4).map(float),
    ),
    rows=st.sampled_from([4, 8]),
    modality=st.sampled_from(["MR", "CR"]),
    image_type=st.sampled_from([(), ("ORIGINAL", "PRIMARY", "P"), ("ORIGINAL", "PRIMARY", "M", "MOSAIC")]),
    orientation=st.sampled_from([AXIAL, AXIAL, AXIAL, SAGITTAL, None, (1.0, 0.0, 0.0, 1.0, 0.0, 0.0)]),
)


@settings(max_examples=300)
@given(st.lists(wild, max_size=14), st.randoms(use_true_random=False))
def test_every_frame_has_one_place_in_any_order(frames: list[Frame], rng: random.Random) -> None:
    named = [replace(f, source=i, content=f"{i:064x}", sop_instance_uid=f"1.2.{i % 7}") for i, f in enumerate(frames)]
    volumes = checked_volumes(named)
    rng.shuffle(named)
    assert lay_out(named) == volumes


@settings(max_examples=100)
@given(
    st.floats(-3, 3),
    st.floats(-3, 3),
    st.floats(-3, 3),
    st.integers(2, 8),
    st.integers(1, 4),
    st.randoms(use_true_random=False),
)
def test_any_orientation_in_any_order(
    a: float, b: float, c: float, slices: int, times: int, rng: random.Random
) -> None:
    ca, sa, cb, sb, cc, sc = math.cos(a), math.sin(a), math.cos(b), math.sin(b), math.cos(c), math.sin(c)
    row, column = (ca * cb, sa * cb, -sb), (ca * sb * sc - sa * cc, sa * sb * sc + ca * cc, cb * sc)
    normal = (ca * sb * cc + sa * sc, sa * sb * cc - ca * sc, cb * cc)
    frames = []
    for k in range(slices * times):
        z, t = k % slices, k // slices
        origin = tuple(40 - 3.3 * z * n for n in normal)  # files run against the normal
        frames.append(frame(k, 0, {"b_value": 100.0 * t}, position=origin, orientation=(*row, *column)))
    rng.shuffle(frames)
    volume = only_volume(frames)
    size = dict(zip(volume.axes, volume.shape, strict=True))
    assert (size.get("t", 1), size["z"]) == (times, slices)
    assert volume.affine_lps is not None
    for place in volume.places:
        assert place.frame.source == (place.t or 0) * slices + slices - 1 - (place.z or 0)
        position = [line[2] * (place.z or 0) + line[3] for line in volume.affine_lps[:3]]
        assert position == pytest.approx(place.frame.position, abs=1e-6)


@pytest.mark.parametrize(
    ("number", "words", "text"),
    [
        (1, "kind of image", "1 kind of image"),
        (2, "kind of image", "2 kinds of image"),
        (3, "matrix", "3 matrixes"),
        (2, "pixel spacing", "2 pixel spacings"),
    ],
)
def test_counts_have_the_right_plural(number: int, words: str, text: str) -> None:
    assert grouping.count_of(number, words) == text
