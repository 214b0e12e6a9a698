"""Frames whose facts of acquisition differ: never on one axis z, joined along t where their slices coincide."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import pytest
from made_up_frames import AXIAL, checked_volumes, depths, frame, grid, means, of_file, only_volume, stack, values

from dicomzarr.dicom import sop_classes
from dicomzarr.volumes.frame_attributes import B_VECTOR
from dicomzarr.volumes.model import Frame, Volume

FACTS: list[dict[str, Any]] = [
    {"causes": {"echo_time_ms": 2.3}},
    {"causes": {"echo_time_ms": 4.6}},
    {"causes": {"b_value": 0.0}},
    {"causes": {"b_value": 1000.0, "b_vector_x": 1.0, "b_vector_y": 0.0, "b_vector_z": 0.0}},
    {"causes": {"b_value": 1000.0, "b_vector_x": 0.0, "b_vector_y": 1.0, "b_vector_z": 0.0}},
    {"causes": {"inversion_time_ms": 200.0}},
    {"causes": {"temporal_position": 1.0}},
    {"causes": {"temporal_position": 2.0}},
    {"causes": {"cardiac_phase_percent": 70.0}},
    {"causes": {"flip_angle_deg": 3.0}},
    {"kernel": "B30f"},
    {"terms": {"complex_component": "phase"}},
    {"image_type": ("ORIGINAL", "PRIMARY", "P")},
]


def numbered(frames: list[Frame], start: int) -> list[Frame]:
    return [replace(f, source=start + i, sop_instance_uid=f"1.2.{start + i}") for i, f in enumerate(frames)]


@pytest.mark.parametrize(("a", "b"), list(itertools.combinations(range(len(FACTS)), 2))[::3])
@pytest.mark.parametrize("shift", [0.5, 0.7])  # half a step, which makes one even stack; and another part
def test_facts_that_differ_never_share_an_axis_z(a: int, b: int, shift: float) -> None:
    one = stack(0, 1, 2, 3, 4, **FACTS[a])
    other = numbered(stack(*(z + shift for z in range(5)), **FACTS[b]), 10)
    volumes = checked_volumes(one + other)
    assert [v.shape for v in volumes] == [(5, 4, 6), (5, 4, 6)]
    assert [sorted({p.frame.source >= 10 for p in v.places}) for v in volumes] in ([[False], [True]], [[True], [False]])
    assert all(v.affine_lps is not None and v.spacing_mm["z"] == 1 for v in volumes)
    assert len({v.group for v in volumes}) == 1
    assert all(v.split_by for v in volumes)


def test_interleaved_acquisitions_are_two_even_stacks() -> None:
    one = stack(0, 5, 10, 15, causes={"acquisition_number": 1.0})
    other = numbered(stack(2, 7, 12, 17, causes={"acquisition_number": 2.0}), 10)
    volumes = checked_volumes(one + other)
    assert sorted(depths(v) for v in volumes) == [[0, 5, 10, 15], [2, 7, 12, 17]]
    assert {v.split_by for v in volumes} == {("acquisition_number",)}


@pytest.mark.parametrize(
    "counted",
    [
        lambda z: {"acquisition_number": float(z % 2)},
        lambda z: {"temporal_position": float(z)},
        lambda z: {"instance_number": float((z * 5) % 8), "acquisition_time_s": float((z * 3) % 8)},
        lambda z: {"trigger_time_ms": 55.0 * ((z * 3) % 8)},
        lambda z: {"series_number": float(z // 4)},
    ],
)
def test_slices_of_one_even_stack_may_be_counted_and_timed_as_they_come(counted: Any) -> None:
    volume = only_volume([frame(z, 2.0 * z, counted(z)) for z in range(8)])
    assert volume.shape == (8, 4, 6)
    assert volume.affine_lps is not None
    assert volume.split_by == ()


def test_passes_with_their_own_positions_are_parted_by_the_turn_of_the_depth() -> None:
    one = [frame(i, z, {"instance_number": float(i)}) for i, z in enumerate((0, 2, 4, 6, 8))]
    other = [frame(i + 5, z, {"instance_number": float(i + 5)}) for i, z in enumerate((0.7, 2.7, 4.7, 6.7, 8.7))]
    volumes = checked_volumes([*one, *other])
    assert sorted(depths(v) for v in volumes) == [[0, 2, 4, 6, 8], [0.7, 2.7, 4.7, 6.7, 8.7]]


def test_interleaved_image_types_are_separate_although_together_they_are_even() -> None:
    words = ("ORIGINAL", "PRIMARY", "M", "WORD")
    frames = [frame(z, z, image_type=words if z % 2 else words[:3]) for z in range(8)]
    assert sorted(depths(v) for v in checked_volumes(frames)) == [[0, 2, 4, 6], [1, 3, 5, 7]]
    behind = [frame(z, z, image_type=words if z > 3 else words[:3]) for z in range(8)]
    assert only_volume(behind).shape == (8, 4, 6)  # a remark does not split slices that follow each other


def test_two_delays_are_never_woven_but_the_delays_of_slices_are_one_stack() -> None:
    frames = [frame(z, 3.0 * z, {"trigger_time_ms": 400.0 * (z % 2)}) for z in range(10)]
    assert [v.shape for v in checked_volumes(frames)] == [(5, 4, 6)] * 2
    each = [frame(z, 3.0 * z, {"trigger_time_ms": 50.0 * ((z * 3) % 5)}) for z in range(10)]
    assert only_volume(each).shape == (10, 4, 6)


# ------------------------------------------------------------------------------------------------------------ along t


def test_a_repetition_time_that_varies_along_t_is_listed() -> None:
    frames = grid(3, 3, lambda z, t: {"instance_number": 3.0 * t + z})
    timed = [replace(f, constants={"repetition_time_ms": (300.0, 800.0, 3000.0)[f.source // 3]}) for f in frames]
    volume = only_volume(timed)
    assert volume.t_axis == {"means": ["repetition_time_ms"], "values": [300, 800, 3000]}
    assert volume.flags == ()


def test_b0_without_a_b_value_is_joined_with_null() -> None:
    def causes(z: int, t: int) -> dict[str, float]:
        return {} if t == 0 else {"b_value": 500.0 * t, "b_vector_x": 0.0, "b_vector_y": 0.0, "b_vector_z": 1.0}

    volume = only_volume(grid(3, 3, causes))
    assert means(volume) == ["b_value", "b_vector_x", "b_vector_y", "b_vector_z"]
    assert values(volume) == [[None] * 4, [500, 0, 0, 1], [1000, 0, 0, 1]]
    assert volume.acquisition == {}


def test_every_fact_that_varies_is_listed_not_the_first_that_suffices() -> None:
    frames = grid(
        3,
        4,
        lambda z, t: {
            "temporal_position": t + 1.0,
            "echo_time_ms": (10.0, 20.0)[t % 2],
            "b_value": 800.0,
            "inversion_time_ms": 100.0 * (t // 2),
            "acquisition_time_s": 7e8 + 3.0 * t + z,
        },
    )
    volume = only_volume(frames)
    assert means(volume) == ["temporal_position", "echo_time_ms", "inversion_time_ms"]
    assert values(volume) == [[1, 10, 0], [2, 20, 0], [3, 10, 100], [4, 20, 100]]
    assert volume.acquisition == {"b_value": 800.0}


def test_repetitions_of_one_b_value_are_told_apart_by_the_clock() -> None:
    frames = grid(3, 3, lambda z, t: {"b_value": (0.0, 0.0, 900.0)[t], "acquisition_time_s": 8e8 + 60.0 * t + z})
    volume = only_volume(frames)
    assert volume.t_axis == {"means": ["b_value", "acquisition_time_s"], "values": [[0, 0], [0, 60], [900, 120]]}
    assert volume.flags == ()


def test_counters_and_clocks_carry_no_date() -> None:
    dated = 20031117.0
    by_number = only_volume(grid(3, 2, lambda z, t: {"instance_number": dated + 3 * t + z}))
    assert values(by_number) == [0, 1]
    by_position = only_volume(grid(3, 2, lambda z, t: {"temporal_position": dated + t}))
    assert values(by_position) == [0, 1]
    by_clock = only_volume(grid(3, 2, lambda z, t: {"acquisition_time_s": 1.2e8 + 5 * t}))
    assert values(by_clock) == [0, 5]
    constant = only_volume(stack(0, 1, 2, causes={"temporal_position": dated, "echo_time_ms": 3.0}))
    assert constant.acquisition == {"echo_time_ms": 3.0}


@pytest.mark.parametrize(
    ("name", "date"),
    [("trigger_time_ms", 6081948.0), ("frame_reference_time_s", 15071.953), ("temporal_offset_s", 2e4)],
)
def test_a_delay_as_long_as_a_date_is_stated_from_the_first(name: str, date: float) -> None:
    volume = only_volume(grid(3, 3, lambda z, t: {"temporal_position": t + 1.0, name: date + 7.0 * t}))
    assert volume.t_axis == {"means": ["temporal_position", name], "values": [[1, 0], [2, 7], [3, 14]]}
    assert only_volume(stack(0, 1, 2, causes={name: date})).acquisition == {}


def test_delays_of_slices_are_listed_beside_the_temporal_position() -> None:
    volume = only_volume(grid(3, 3, lambda z, t: {"temporal_position": t + 1.0, "trigger_time_ms": 90.0 * t + z}))
    assert volume.t_axis == {
        "means": ["temporal_position", "trigger_time_ms"],
        "values": [[1, 1], [2, 91], [3, 181]],
    }


def test_constant_facts_are_attributes() -> None:
    causes = {"echo_time_ms": 3.5, "b_value": 50.0, "b_vector_x": 0.0, "b_vector_y": 0.6, "b_vector_z": 0.8}
    more = {"terms": {"complex_component": "magnitude"}, "constants": {"slice_thickness_mm": 2.0}}
    volume = only_volume(stack(0, 2, 4, causes=causes, **more))
    assert volume.acquisition == {
        "echo_time_ms": 3.5,
        "b_value": 50.0,
        "b_vector": [0.0, 0.6, 0.8],
        "complex_component": "magnitude",
        "slice_thickness_mm": 2.0,
    }


def test_noise_in_a_fact_is_no_difference() -> None:
    frames = [frame(z, z, {"echo_time_ms": 2.46 + 1e-5 * (z % 2)}) for z in range(6)]
    assert only_volume(frames).shape == (6, 4, 6)


def test_noise_in_b_values_and_directions_from_slice_to_slice_is_no_difference() -> None:
    def causes(z: int, t: int) -> dict[str, float]:
        b = 0.0 if t == 0 else 1000 + 0.08 * z
        vector = dict(zip(B_VECTOR, (0.6 + 3e-4 * z, 0.8 - 2e-4 * z, 0.0), strict=True)) if t else {}
        return {"b_value": b, **vector}

    volume = only_volume(grid(5, 2, causes))
    assert (volume.shape, means(volume)[0]) == ((2, 5, 4, 6), "b_value")
    assert [v.shape for v in checked_volumes(grid(5, 2, lambda z, t: {"b_value": 5.0 * t}))] == [(2, 5, 4, 6)]


def test_a_fact_that_one_slice_lacks_does_not_split_the_stack() -> None:
    frames = [frame(z, z, {} if z == 3 else {"echo_time_ms": 2.46}) for z in range(6)]
    volume = only_volume(frames)
    assert volume.affine_lps is not None
    assert volume.acquisition == {}


def whole(volumes: list[Volume]) -> Volume:
    return max(volumes, key=lambda v: len(v.places))


def test_an_aborted_last_volume_stays_by_itself() -> None:
    frames = grid(5, 4, lambda z, t: {"temporal_position": t + 1.0})[:-3]
    volumes = checked_volumes(frames)
    assert sorted(v.shape for v in volumes) == [(2, 4, 6), (3, 5, 4, 6)]
    assert whole(volumes).t_axis == {"means": ["temporal_position"], "values": [1, 2, 3]}
    last = min(volumes, key=lambda v: len(v.places))
    assert last.acquisition == {"temporal_position": 4.0}
    assert "incomplete_grid" in last.flags


@pytest.mark.parametrize("known", [(0,), (1,), (2,), (0, 2)])
def test_times_of_which_some_lack_their_position_are_in_the_order_of_the_clock(known: tuple[int, ...]) -> None:
    clock = "acquisition_time_s"
    frames = grid(4, 3, lambda z, t: {clock: 10.0 * t} | ({"temporal_position": t + 1.0} if t in known else {}))
    volume = only_volume(frames)
    assert [place[0] if isinstance(place, list) else place for place in values(volume)] == [
        t + 1.0 if t in known else None for t in range(3)
    ]
    times = [place.frame.causes[clock] for place in sorted(volume.places, key=lambda place: (place.t, place.z))]
    assert times == sorted(times)


@pytest.mark.parametrize("counter", ["temporal_position", "echo_number", "time_slot"])
def test_a_counter_of_slices_splits_nothing_at_several_times_either(counter: str) -> None:
    volume = only_volume(grid(4, 3, lambda z, t: {counter: z + 1.0, "acquisition_time_s": 10.0 * t}))
    assert (volume.shape, means(volume)) == ((3, 4, 4, 6), ["acquisition_time_s"])
    two = checked_volumes([frame(z, z, {counter: z + 1.0, "acquisition_time_s": 0.0}) for z in (0, 0, 5, 5)])
    assert len(two) > 1  # two places prove nothing


# ------------------------------------------------------------------------------------------------- multi-frame files


def enhanced(source: int, slices: int, **causes: float) -> list[Frame]:
    first = frame(source, 0)
    return [
        replace(
            first,
            number=n,
            frames_in_file=slices,
            position=(0.0, 0.0, 2.0 * n),
            causes={"instance_number": float(source), "dimension_1": n + 1.0, **causes},
        )
        for n in range(slices)
    ]


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ([{"temporal_position": t + 1.0} for t in range(4)], [1, 2, 3, 4]),
        ([{"echo_time_ms": 5.0 * (t + 1)} for t in range(4)], [5, 10, 15, 20]),
        ([{"b_value": (0.0, 700.0, 1400.0, 50.0)[t]} for t in range(4)], [0, 50, 700, 1400]),
        ([{"acquisition_time_s": 9e8 + 2.5 * t} for t in range(4)], [0, 2.5, 5, 7.5]),
        ([{} for _ in range(4)], [0, 1, 2, 3]),
    ],
)
def test_multi_frame_files_of_one_series_are_joined(facts: list[dict[str, float]], expected: list[float]) -> None:
    frames = [f for source, causes in enumerate(facts) for f in enhanced(source, 5, **causes)]
    volume = only_volume(frames)
    assert volume.shape == (4, 5, 4, 6)
    assert values(volume) == expected
    assert all(len({p.frame.source for p in volume.places if p.t == t}) == 1 for t in range(4))


def test_files_with_positions_of_their_own_stay_apart() -> None:
    shifted = [replace(f, position=(0.0, 0.0, 2.0 * f.number + 0.9)) for f in enhanced(1, 5)]
    volumes = checked_volumes([*enhanced(0, 5), *shifted])
    assert [v.shape for v in volumes] == [(5, 4, 6), (5, 4, 6)]


def test_parts_of_a_concatenation_are_the_image_they_were_cut_from() -> None:
    cut = [
        replace(
            f, source=f.number // 2, number=f.number % 2, sop_instance_uid=f"1.{9 - f.number // 2}", frames_in_file=2
        )
        for f in enhanced(0, 6)
    ]
    volume = only_volume([replace(f, concatenation="1.5", concatenation_offset=2 * f.source) for f in cut])
    assert depths(volume) == [0, 2, 4, 6, 8, 10]
    unplaced = [replace(f, position=None, concatenation="1.5", concatenation_offset=2 * f.source) for f in cut]
    volume = only_volume(unplaced)
    assert [(p.frame.source, p.frame.number) for p in volume.places] == [(s, n) for s in range(3) for n in range(2)]


def test_parts_of_a_map_are_the_map_they_were_cut_from() -> None:
    """Two maps at the same places, each in parts of three frames, three, and one."""
    parts = [
        replace(
            f,
            source=3 * one + f.number // 3,
            number=f.number % 3,
            sop_class_uid=sop_classes.PARAMETRIC_MAP,
            sop_instance_uid=f"1.{one}.{f.number // 3}",
            frames_in_file=1 if f.number == 6 else 3,
            concatenation=f"1.5.{one}",
            concatenation_offset=3 * (f.number // 3),
        )
        for one in (0, 1)
        for f in enhanced(one, 7)
    ]
    volumes = checked_volumes(parts)
    assert [(v.kind, depths(v)) for v in volumes] == [("parametric_map", [2 * n for n in range(7)])] * 2
    assert [{p.frame.concatenation for p in v.places} for v in volumes] == [{"1.5.0"}, {"1.5.1"}]


@pytest.mark.parametrize("lost", [1, 2])
def test_a_concatenation_without_its_middle_part_is_one_stack_with_a_gap(lost: int) -> None:
    cut = [
        replace(f, source=part, number=f.number % 2, sop_instance_uid=f"1.{part}", frames_in_file=2)
        for f in enhanced(0, 8)
        if (part := f.number // 2) != lost
    ]
    numbers = {"in_concatenation_total_number": 4.0}
    frames = [
        replace(
            f,
            concatenation="1.5",
            concatenation_offset=2 * f.source,
            causes={**f.causes, **numbers, "in_concatenation_number": f.source + 1.0},
        )
        for f in cut
    ]
    volume = only_volume(frames)
    assert (volume.flags, volume.missing_slices) == (("gap", "incomplete_concatenation"), 2)


# ----------------------------------------------------------------------------------------------- without a position


def test_slices_without_a_position_follow_their_numbers() -> None:
    frames = [frame(i, None, {"instance_number": float(n)}) for i, n in enumerate((3, 1, 20031117, 2))]
    volume = only_volume(frames)
    assert (volume.axes, volume.flags) == (("t", "y", "x"), ("t_order_only",))
    assert volume.t_axis == {"means": ["instance_number"], "values": [0, 1, 2, 3]}
    assert [p.frame.source for p in volume.places] == [1, 3, 0, 2]


def test_numbers_that_repeat_order_nothing() -> None:
    frames = [frame(i, None, {"instance_number": float(n)}) for i, n in enumerate((1, 2, 2, 3))]
    volumes = checked_volumes(frames)
    assert sorted((v.shape, v.flags) for v in volumes) == [
        ((2, 4, 6), ("t_order_only",)),
        ((4, 6), ("no_position",)),
        ((4, 6), ("no_position",)),
    ]


@pytest.mark.parametrize("modality", ["CR", "US", "OT"])
def test_pictures_are_not_slices(modality: str) -> None:
    frames = [frame(i, None, {"instance_number": float(i)}, modality=modality) for i in range(3)]
    assert [v.shape for v in checked_volumes(frames)] == [(4, 6)] * 3


def test_echoes_without_a_position_that_share_their_numbers_are_an_array_each() -> None:
    frames = [frame(i, None, {"instance_number": float(i // 2), "echo_time_ms": (9.0, 3.0)[i % 2]}) for i in range(8)]
    volumes = checked_volumes(frames)
    assert [v.shape for v in volumes] == [(4, 4, 6)] * 2
    assert sorted(v.acquisition["echo_time_ms"] for v in volumes) == [3.0, 9.0]


def test_echo_numbers_keep_frames_apart_where_there_is_no_echo_time() -> None:
    frames = [frame(z, 3.0 * z, {"echo_number": 1.0 + z % 2}) for z in range(10)]
    volumes = checked_volumes(frames)
    assert [v.shape for v in volumes] == [(5, 4, 6)] * 2
    assert sorted(v.acquisition["echo_number"] for v in volumes) == [1, 2]
    timed = [frame(z, 3.0 * z, {"echo_number": 1.0 + z % 2, "echo_time_ms": 30.0}) for z in range(10)]
    assert only_volume(timed).acquisition == {"echo_time_ms": 30.0}


@pytest.mark.parametrize("words", [("FAT_FRACTION", "R2_STAR"), ("OF_ONE_MAKER", "OF_ANOTHER")])
def test_images_at_the_same_places_that_only_image_type_tells_apart_are_separate(words: tuple[str, str]) -> None:
    frames = grid(4, 2, lambda z, t: {"instance_number": 4.0 * t + z})
    typed = [replace(f, image_type=("DERIVED", "PRIMARY", "DIXON", words[f.source // 4])) for f in frames]
    volumes = checked_volumes(typed)
    assert [v.shape for v in volumes] == [(4, 4, 6)] * 2
    assert len({v.group for v in volumes}) == 1
    assert all(len({p.frame.image_type for p in v.places}) == 1 for v in volumes)


def test_the_last_part_of_a_concatenation_may_have_one_frame_and_no_offset() -> None:
    parts = [(0, 4), (1, 4), (2, 1)]
    frames = [
        replace(frame(part, None, {"in_concatenation_number": part + 1.0}), number=n, frames_in_file=count)
        for part, count in parts
        for n in range(count)
    ]
    volume = only_volume([replace(f, concatenation="1.9", concatenation_offset=-1) for f in frames])
    assert [(p.frame.source, p.frame.number) for p in volume.places] == [(p, n) for p, c in parts for n in range(c)]


def test_other_facts_of_slices_without_a_position_are_listed() -> None:
    frames = [frame(i, None, {"instance_number": float(i), "echo_time_ms": (9.0, 3.0)[i % 2]}) for i in range(4)]
    volume = only_volume(frames)
    assert (means(volume), volume.flags) == (["echo_time_ms", "instance_number"], ("t_order_only",))
    assert values(volume) == [[9, 0], [3, 1], [9, 2], [3, 3]]


def test_directions_of_one_b_value_are_in_the_order_of_acquisition() -> None:
    table = [(0.0, 0.0), (900.0, 0.8), (900.0, -0.2), (0.0, 0.0), (900.0, 0.5)]
    frames = grid(
        3,
        5,
        lambda z, t: {
            "b_value": table[t][0],
            "b_vector_x": table[t][1],
            "b_vector_y": 0.0,
            "b_vector_z": 0.0,
            "acquisition_time_s": 1e8 + 9 * t,
        },
    )
    volume = only_volume(frames)
    assert means(volume) == ["b_value", "b_vector_x", "b_vector_y", "b_vector_z", "acquisition_time_s"]
    assert [(row[0], row[1], row[4]) for row in values(volume)] == [
        (0, 0, 0),
        (0, 0, 27),
        (900, 0.8, 9),
        (900, -0.2, 18),
        (900, 0.5, 36),
    ]


@pytest.mark.parametrize("has_dimensions", [True, False])
def test_directions_of_one_file_without_times_are_in_the_order_of_its_dimensions_or_as_stored(
    has_dimensions: bool,
) -> None:
    """Stored slice by slice: neither times nor Instance Numbers say which direction came first."""
    x_of = [0.0, 0.8, -0.2, 0.5, 0.1]

    def causes(number: int) -> dict[str, float]:
        z, t = divmod(number, len(x_of))
        dimensions = {"dimension_1": 1.0, "dimension_2": z + 1.0, "dimension_3": float(len(x_of) - t)}
        vector = {"b_vector_x": x_of[t], "b_vector_y": 0.0, "b_vector_z": 0.0}
        return {"b_value": 900.0 * (t > 0), "instance_number": 1.0, **vector, **(dimensions if has_dimensions else {})}

    slices = of_file(3 * len(x_of), causes)
    frames = [replace(f, position=(0.0, 0.0, 2.0 * (f.number // len(x_of))), orientation=AXIAL) for f in slices]
    volume = only_volume(frames)
    order = [0.1, 0.5, -0.2, 0.8] if has_dimensions else [0.8, -0.2, 0.5, 0.1]
    assert [row[1] for row in values(volume)] == [0.0, *order]


def test_one_stack_that_nothing_tells_apart_leaves_the_others_joined() -> None:
    frames = [f for source in range(3) for f in enhanced(source, 4, echo_time_ms=5.0 * (source + 1))]
    twin = [replace(f, source=7, sop_instance_uid="1.7") for f in enhanced(0, 4, echo_time_ms=5.0)]
    same = [replace(f, causes={k: v for k, v in f.causes.items() if k != "instance_number"}) for f in [*frames, *twin]]
    volumes = checked_volumes(same)
    assert sorted(v.shape for v in volumes) == [(3, 4, 4, 6), (4, 4, 6)]
    assert {"ambiguous_stack" in v.flags for v in volumes} == {False, True}
