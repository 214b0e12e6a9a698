"""One frame lost from a series that is more than one plain stack: nothing is woven, scattered or silent for it."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest
from made_up_frames import checked_volumes, depths, frame, grid, means, only_volume, stack

from dicomzarr.volumes.model import Frame, Volume

REMARKS = (("ORIGINAL", "PRIMARY", "M", "NORM"), ("ORIGINAL", "PRIMARY", "M", "DIS2D"))


def shapes(frames: list[Frame]) -> list[tuple[tuple[int, ...], tuple[str, ...]]]:
    """Return times and slices of each array, with its flags."""
    return sorted((volume.shape[:-2], volume.flags) for volume in checked_volumes(frames))


def woven(kind: str) -> list[list[Frame]]:
    """Return two stacks of which the slices of one lie exactly between those of the other."""
    more: list[dict[str, Any]] = {
        "thickness": [{"constants": {"slice_thickness_mm": thickness}} for thickness in (1.0, 3.0)],
        "repetition time": [{"constants": {"repetition_time_ms": time}} for time in (500.0, 2500.0)],
        "image type": [{"image_type": words} for words in REMARKS],
        "trigger time": [{"causes": {"trigger_time_ms": delay}} for delay in (100.0, 600.0)],
    }[kind]
    return [[frame(100 * n + i, 2.0 * i + n, **more[n]) for i in range(10)] for n in (0, 1)]


@pytest.mark.parametrize("lost", [1, 5, 9])
@pytest.mark.parametrize("kind", ["thickness", "repetition time", "image type", "trigger time"])
def test_stacks_between_each_other_are_not_woven_where_a_slice_is_lost(kind: str, lost: int) -> None:
    first, second = woven(kind)
    del second[lost]
    volumes = checked_volumes(first + second)
    assert sorted(depths(volume) for volume in volumes) == sorted([_places(first), _places(second)])
    assert sum("gap" in volume.flags for volume in volumes) == (lost < 9)


def _places(frames: list[Frame]) -> list[float]:
    return [one.position[2] for one in frames if one.position]


@pytest.mark.parametrize("lost", [5, 6, 7])
def test_a_remark_that_begins_in_a_stack_does_not_divide_it_at_a_lost_slice(lost: int) -> None:
    frames = [replace(one, image_type=REMARKS[i >= 6]) for i, one in enumerate(stack(*(2.0 * n for n in range(12))))]
    volume = only_volume(frames[:lost] + frames[lost + 1 :])
    assert (volume.flags, volume.missing_slices) == (("gap",), 1)


@pytest.mark.parametrize("lost", range(1, 11))
@pytest.mark.parametrize("known", ["acquisition_time_s", "instance_number"])
@pytest.mark.parametrize("count", [2, 3])
def test_an_interleaved_stack_that_lost_a_slice_is_one_with_a_gap(count: int, known: str, lost: int) -> None:
    """Every second or third slice is acquired before the others: no passes through the stack."""
    order = [z for first in range(count) for z in range(first, 12, count)]
    numbers = {"acquisition_time_s": lambda z: 90.0 * (z % count), "instance_number": lambda z: order.index(z) + 1.0}
    frames = [frame(z, 3.0 * z, {known: numbers[known](z)}) for z in range(12)]
    volume = only_volume(frames[:lost] + frames[lost + 1 :])
    assert (volume.flags, volume.missing_slices) == (("gap",), 1)


def packages(slices: int, count: int, cause: str, numbered: bool) -> list[Frame]:
    """Return eight times of slices that are acquired in packages: each has one time for all of its slices."""

    def causes(z: int, t: int) -> dict[str, float]:
        found = {cause: 2000.0 * t + 2000.0 * (z % count) / count}
        return found | ({"instance_number": 1.0 + t * slices + z} if numbered else {})

    return grid(slices, 8, causes)


@pytest.mark.parametrize("numbered", [True, False])
@pytest.mark.parametrize("cause", ["acquisition_time_s", "trigger_time_ms"])
@pytest.mark.parametrize(("slices", "count"), [(4, 2), (6, 2), (7, 2), (8, 2), (9, 3), (12, 4)])
def test_a_lost_frame_does_not_divide_a_series_into_its_packages(
    slices: int, count: int, cause: str, numbered: bool
) -> None:
    assert shapes(packages(slices, count, cause, numbered)) == [((8, slices), ())]
    frames = packages(slices, count, cause, numbered)
    del frames[3 * slices + 2]
    volumes = checked_volumes(frames)
    whole = next(volume for volume in volumes if len(volume.shape) == 4)
    # Numbers show the time that lacks a slice; without them, the slice that lacks a time stands alone.
    assert whole.shape[:2] == ((7, slices) if numbered else (8, slices - 1))
    assert means(whole) == [cause]
    (other,) = (volume for volume in volumes if volume is not whole)
    assert "incomplete_grid" in other.flags
    for volume in volumes:
        _assert_one_time_in_each_volume(volume, cause)


def _assert_one_time_in_each_volume(volume: Volume, cause: str) -> None:
    for t in {place.t for place in volume.places}:
        times = {place.frame.causes[cause] // 2000 for place in volume.places if place.t == t}
        assert len(times) == 1


def test_parts_of_the_body_with_times_of_their_own_stay_apart_where_a_frame_is_lost() -> None:
    """They do not go on at one distance: no packages of one stack."""
    frames = grid(6, 8, lambda z, t: {"acquisition_time_s": 1000.0 * (z // 3) + 10 * t})
    frames = [replace(f, position=(0.0, 0.0, z + (5.5 if z > 5 else 0))) for f in frames for z in [_depth(f)]]
    del frames[6 * 4 + 1]
    volumes = checked_volumes(frames)
    assert all(len({_depth(place.frame) > 5 for place in volume.places}) == 1 for volume in volumes)


def _depth(one: Frame) -> float:
    assert one.position
    return one.position[2]


def test_orientations_that_jitter_are_one_stack_where_a_slice_is_lost() -> None:
    rng = random.Random(8)
    for _ in range(20):
        jittered = [
            replace(one, orientation=(1.0, 0.0, 0.0, 0.0, 1.0, round(rng.uniform(-5e-4, 5e-4), 7)))
            for one in stack(*(3.0 * n for n in range(8)))
        ]
        only_volume(jittered)
        assert only_volume(jittered[:3] + jittered[4:]).flags == ("gap",)
    turned = (1.0, 0.0, 0.0, 0.0, 1.0, 5e-4)
    stations = stack(*(3.0 * n for n in range(8))) + stack(*(30 + 3.0 * n for n in range(8)), start=20)
    stations = [replace(one, orientation=turned) if one.source >= 20 else one for one in stations]
    assert [len(volume.places) for volume in checked_volumes(stations)] == [8, 8]


def test_orientations_of_each_slice_divide_no_series_in_time_where_slices_are_lost() -> None:
    rng = random.Random(9)
    for _ in range(30):
        times, slices = rng.randint(2, 4), rng.randint(4, 9)
        made = [
            replace(
                frame(100 * t + z, 4.0 * z, {"acquisition_time_s": 10.0 * t}),
                orientation=(1.0, 0.0, 0.0, 0.0, 1.0, round(rng.uniform(-5e-4, 5e-4), 7)),
            )
            for t in range(times)
            for z in range(slices)
        ]
        del made[rng.randrange(len(made))]
        volumes = checked_volumes(made)
        assert len(volumes) <= 2
        for volume in volumes:
            of_time: dict[int | None, set[int]] = {}
            for place in volume.places:
                of_time.setdefault(place.t, set()).add(place.frame.source // 100)
            assert all(len(found) == 1 for found in of_time.values())


@pytest.mark.parametrize("lost", range(6))
def test_two_short_stacks_far_apart_are_two_volumes_where_a_slice_is_lost(lost: int) -> None:
    """Discs of a spine, of which two are parallel."""
    frames = stack(*(4.0 * n for n in range(3)), *(80 + 4.0 * n for n in range(3)))
    volumes = checked_volumes(frames[:lost] + frames[lost + 1 :])
    assert sorted(len(volume.places) for volume in volumes) == [2, 3]


def test_a_time_that_lacks_an_end_slice_is_flagged_beside_a_larger_stack_elsewhere() -> None:
    """A table that toggles: the other position has more slices."""

    def position(slices: int, start: float, first: int) -> list[Frame]:
        found = grid(slices, 4, lambda z, t: {"acquisition_time_s": 10.0 * t + first / 1000})
        return [
            replace(one, source=first + one.source, sop_instance_uid=f"1.2.{first + one.source}", position=(0, 0, z))
            for one in found
            for z in [start + _depth(one)]
        ]

    near, far = position(6, 0.0, 0), position(4, 100.0, 500)
    del far[4 * 2]  # the first slice at the third time
    flags = {volume.shape[:-2]: volume.flags for volume in checked_volumes(near + far)}
    assert flags == {(4, 6): (), (3, 4): (), (3,): ("incomplete_grid",)}


@pytest.mark.parametrize("counts", [[20, 20, 19, 18, 20, 20], [20, 19, 18, 20, 19, 20], [8, 8, 6, 8, 7, 8]])
@pytest.mark.parametrize("known", [("trigger", "clock"), ("trigger",), ()])
def test_slices_of_a_cine_with_numbers_of_phases_of_their_own_are_not_scattered(
    counts: list[int], known: tuple[str, ...]
) -> None:
    frames: list[Frame] = []
    for z, count in enumerate(counts):
        for t in range(count):
            causes = {"instance_number": len(frames) + 1.0}
            causes |= {"trigger_time_ms": (30.0 + z) * t} if "trigger" in known else {}
            causes |= {"acquisition_time_s": 36000.0 + 15 * z} if "clock" in known else {}
            frames.append(frame(len(frames), 8.0 * z, causes))
    volumes = checked_volumes(frames)
    assert len(volumes) == 1 + sum(count < max(counts) for count in counts)
    for volume in volumes:
        for t in {place.t for place in volume.places}:
            at = [place.frame.causes["instance_number"] for place in volume.places if place.t == t]
            phases = {number - 1 - sum(counts[:z]) for number in at for z in [_slice_of(number, counts)]}
            assert phases == {t}
        assert (len(volume.shape) == 3) == ("incomplete_grid" in volume.flags)


def _slice_of(number: float, counts: list[int]) -> int:
    return next(z for z in range(len(counts)) if number <= sum(counts[: z + 1]))


def test_times_of_acquisition_are_stated_where_a_counter_had_to_find_the_lost_frame() -> None:
    frames = grid(6, 5, lambda z, t: {"acquisition_time_s": 36000 + 5 * t + 0.05 * z, "instance_number": 6.0 * t + z})
    del frames[6 * 2 + 3]
    whole = next(volume for volume in checked_volumes(frames) if len(volume.shape) == 4)
    assert whole.t_axis == {"means": ["acquisition_time_s"], "values": [0.0, 5.0, 15.0, 20.0]}
    assert "t_order_only" not in whole.flags
    # A time of all phases is none, nor are times in another order at each position.
    for times in (lambda z, t: 0.05 * z, lambda z, t: 5.0 * ((z + t) % 5)):
        frames = grid(
            6, 5, lambda z, t, f=times: {"acquisition_time_s": 36000 + f(z, t), "instance_number": 6.0 * t + z}
        )
        whole = only_volume(frames)
        assert (means(whole), whole.flags) == (["instance_number"], ("t_order_only",))


@pytest.mark.parametrize("clock", [None, "content_time_s"])
def test_thin_and_thick_slices_at_the_same_places_state_their_thickness(clock: str | None) -> None:
    def slices(thickness: tuple[float, float]) -> list[Frame]:
        causes = [{"instance_number": i + 1.0, **({clock: 100.0 + i} if clock else {})} for i in range(12)]
        return [
            frame(i, 2.0 * (i % 6), causes[i], constants={"slice_thickness_mm": thickness[i // 6]}) for i in range(12)
        ]

    volume = only_volume(slices((1.0, 5.0)))
    assert volume.t_axis == {"means": ["slice_thickness_mm"], "values": [1.0, 5.0]}
    assert volume.flags == ()
    assert "slice_thickness_mm" not in means(only_volume(slices((0.62, 0.625))))  # rounded in two ways


@pytest.mark.parametrize("lost", range(12))
def test_a_stack_of_two_frames_of_reference_that_lost_a_slice(lost: int) -> None:
    """Programs that remove names replace the UID of some files; a seam with a gap may be that of two scans."""
    frames = [frame(z, 3.0 * z, frame_of_reference="1.2" if z < 6 else "1.3") for z in range(12) if z != lost]
    expected: list[Any] = [((11,), ("gap",) if 0 < lost < 11 else ())]
    assert shapes(frames) == ([((5,), ()), ((6,), ())] if lost in (5, 6) else expected)


@pytest.mark.parametrize("lost", [(), (3,), (3, 5), (4, 5)])
def test_a_cine_with_a_file_for_each_slice_stays_one_where_slices_are_lost(lost: tuple[int, ...]) -> None:
    frames = [
        frame(z, 3.0 * z, {"trigger_time_ms": (40.0 + z) * t}, number=t, frames_in_file=2, content=f"{z:064x}")
        for z in range(8)
        if z not in lost
        for t in range(2)
    ]
    volume = only_volume(frames)
    assert volume.shape[:-2] == (2, 8 - len(lost))
    assert bool(volume.flags) == bool(lost)


def test_repetition_times_that_follow_the_heart_beat_divide_nothing() -> None:
    rng = random.Random(3)
    for _ in range(20):
        times = [rng.choice([780.0, 800.0, 820.0, 1600.0]) for _ in range(12)]
        frames = [frame(z, 8.0 * z, constants={"repetition_time_ms": time}) for z, time in enumerate(times)]
        assert only_volume(frames).shape[:-2] == (12,)


@pytest.mark.parametrize("lost", [0, 5, 7])
@pytest.mark.parametrize("times", [1, 3])
def test_a_component_that_lacks_slices_of_the_other_one_is_flagged(lost: int, times: int) -> None:
    def made(component: str, start: int) -> list[Frame]:
        return [
            frame(start + 10 * t + z, 3.0 * z, {"echo_time_ms": 5.0 * (t + 1)}, terms={"complex_component": component})
            for t in range(times)
            for z in range(8)
        ]

    magnitude, phase = made("magnitude", 0), made("phase", 100)
    assert all(volume.flags == () for volume in checked_volumes(magnitude + phase))
    lacking = [one for one in phase if one.source % 10 != lost]
    flags = {
        volume.acquisition["complex_component"]: set(volume.flags) for volume in checked_volumes(magnitude + lacking)
    }
    assert flags == {"magnitude": set(), "phase": {"incomplete_grid", *({"gap"} if lost == 5 else set())}}
    # Of another kernel fewer slices may have been made.
    other = [replace(one, kernel="b", source=one.source + 200) for one in made("magnitude", 0) if one.source % 10 < 5]
    assert all(volume.flags == () for volume in checked_volumes(magnitude + other))
