"""Facts that some frames lack: other facts or times say which volume they belong to, or nothing does."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up_frames import checked_volumes, frame, grid, means, only_volume, values

from dicomzarr.volumes.model import Frame

# Which volume a frame belongs to, beside its temporal position.
SIGNS: dict[str, Callable[[int, int], dict[str, float]]] = {
    "cardiac phase": lambda z, t: {"cardiac_phase_percent": 10.0 * t},
    "delay": lambda z, t: {"trigger_time_ms": 40.0 * t},
    "time of the volume": lambda z, t: {"acquisition_time_s": 36_000.0 + 2.5 * t},
    "echo time": lambda z, t: {"echo_time_ms": 5.0 + 10 * t},
}


def without(frames: list[Frame], name: str, lost: set[int]) -> list[Frame]:
    """Return frames of which some lack a cause."""
    return [
        replace(one, causes={key: value for key, value in one.causes.items() if key != name})
        if one.source in lost
        else one
        for one in frames
    ]


@pytest.mark.parametrize("sign", SIGNS)
@settings(max_examples=60, deadline=None)
@given(st.integers(3, 7), st.integers(2, 5), st.randoms(use_true_random=False))
def test_positions_in_time_that_are_lost_divide_nothing(sign: str, slices: int, times: int, rng: random.Random) -> None:
    """Any frame of each time may lack it: what is left and what is lost are no two even stacks."""
    frames = grid(slices, times, lambda z, t: {"temporal_position": t + 1.0, **SIGNS[sign](z, t)})
    lost = {slices * t + rng.randrange(slices) for t in range(times) if rng.random() < 0.8}
    volume = only_volume(without(frames, "temporal_position", lost))
    assert (volume.shape[:2], volume.flags) == ((times, slices), ())
    assert [place.frame.source for place in volume.places] == [one.source for one in frames]
    at = means(volume).index("temporal_position")
    rows = [row[at] if isinstance(row, list) else row for row in values(volume)]
    assert rows == [t + 1.0 for t in range(times)]


def test_an_echo_time_that_is_lost_divides_no_time_series() -> None:
    frames = grid(6, 4, lambda z, t: {"echo_time_ms": 30.0, "acquisition_time_s": 100.0 + 3 * t})
    volume = only_volume(without(frames, "echo_time_ms", {8, 9, 20}))
    assert (volume.shape[:2], volume.flags, means(volume)) == ((4, 6), (), ["acquisition_time_s"])
    assert volume.acquisition["echo_time_ms"] == 30.0


@pytest.mark.parametrize("shift", [0.0, 0.7, 1.0])
def test_images_without_a_b_value_get_none(shift: float) -> None:
    """At the places of those with one, or between them: they are images of their own."""
    plain = [frame(z, 2.0 * z + shift, {"acquisition_time_s": 1.0}) for z in range(6)]
    weighted = [frame(10 + z, 2.0 * z, {"b_value": 1000.0, "acquisition_time_s": 9.0}) for z in range(6)]
    for lost in (None, 12):
        volumes = checked_volumes([one for one in plain + weighted if one.source != lost])
        for volume in volumes:
            of_time = {(place.t, "b_value" in place.frame.causes) for place in volume.places}
            assert len(of_time) == len({t for t, _ in of_time})
        assert sum(len(volume.places) for volume in volumes) == 12 - (lost is not None)


def test_half_a_stack_without_its_echo_time_stays_apart() -> None:
    """Nothing says that it belongs to the other half: a file that states nothing is not known to be like another."""
    frames = [frame(z, 2.0 * z, {"echo_time_ms": 90.0} if z < 5 else {}) for z in range(10)]
    volumes = checked_volumes(frames)
    assert [(len(volume.places), "echo_time_ms" in volume.acquisition) for volume in volumes] in (
        [(5, True), (5, False)],
        [(5, False), (5, True)],
    )


@pytest.mark.parametrize("lost", [0, 3, 5])
@pytest.mark.parametrize("name", ["units", "data_type", "quantity"])
def test_a_slice_that_lacks_what_its_values_are_is_flagged(name: str, lost: int) -> None:
    """It is an array of its own, as is a quantity that is whole; that one has no flag."""
    key = "tables" if name == "quantity" else "terms"

    def made(word: str, start: int) -> list[Frame]:
        return [frame(start + z, 2.0 * z, {}, **{key: {name: word}}) for z in range(6)]

    frames = [replace(one, **{key: {}}) if one.source == lost else one for one in made("first", 0)] + made("other", 10)
    volumes = checked_volumes(frames)
    flagged = {len(volume.places): "stack_divided" in volume.flags for volume in volumes}
    assert flagged == {1: True, 5: True, 6: False}


def test_a_time_whose_slices_are_every_second_one_is_flagged() -> None:
    """Also where no other time has all slices: the grid of one with a gap has places for them."""
    lost = {0: {1}, 1: {2}, 2: {0, 2, 4}}
    frames = [
        frame(10 * t + z, 2.0 * z, {"temporal_position": t + 1.0})
        for t, without_slices in lost.items()
        for z in range(6)
        if z not in without_slices
    ]
    volumes = {len(volume.places): volume for volume in checked_volumes(frames)}
    assert volumes[3].spacing_mm["z"] == 4.0
    assert "incomplete_grid" in volumes[3].flags


@pytest.mark.parametrize(
    "slices", [[(0, 2), (1, 2)], [(0, 2, 4), (0, 1, 2, 3)], [(0, 2), (0, 1)], [(1, 3, 5), (0, 1, 2, 3, 4, 5)]]
)
def test_times_that_each_lost_other_slices_are_flagged(slices: list[tuple[int, ...]]) -> None:
    """The first time is even, and has no slice at a place between its own where the second one has."""
    frames = [
        frame(10 * t + z, 2.0 * z, {"temporal_position": t + 1.0}) for t, of_time in enumerate(slices) for z in of_time
    ]
    flags = {volume.acquisition["temporal_position"]: volume.flags for volume in checked_volumes(frames)}
    assert flags == {1.0: ("incomplete_grid",), 2.0: ()}


def test_stations_that_share_a_slice_lack_none() -> None:
    lower = [frame(z, 2.0 * z, {"temporal_position": 1.0}) for z in range(6)]
    upper = [frame(10 + z, 2.0 * z, {"temporal_position": 2.0}) for z in range(5, 9)]
    assert [volume.flags for volume in checked_volumes(lower + upper)] == [(), ()]


def test_a_whole_time_lacks_nothing_that_the_steps_of_another_suggest() -> None:
    """Positions of 0.4 mm that were rounded: those of a time that lost a slice fit a smaller step, too."""
    rounded = [round(0.4 * z + 0.04, 1) for z in range(5)]
    frames = [
        frame(10 * t + z, depth, {"temporal_position": t + 1.0})
        for t in range(3)
        for z, depth in enumerate(rounded)
        if (t, z) != (1, 2)
    ]
    whole, lacking = sorted(checked_volumes(frames), key=lambda volume: -len(volume.places))
    assert (whole.shape[:2], "incomplete_grid" in whole.flags) == ((2, 5), False)
    assert "incomplete_grid" in lacking.flags


def test_two_echoes_between_each_other_have_no_flag() -> None:
    frames = [frame(10 * e + z, 4.0 * z + 2 * e, {"echo_time_ms": 5.0 + e}) for e in (0, 1) for z in range(6)]
    assert [volume.flags for volume in checked_volumes(frames)] == [(), ()]


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 6), st.integers(4, 9), st.randoms(use_true_random=False))
def test_delays_that_positions_lack_in_their_own_ways_are_never_woven(
    slices: int, times: int, rng: random.Random
) -> None:
    """All positions have equally many frames, and not of the same times."""
    lost = rng.randint(1, times // 4)
    kept = [sorted(rng.sample(range(times), times - lost)) for _ in range(slices)]
    frames = [
        frame(100 * z + t, 2.0 * z, {"trigger_time_ms": 40.0 * t, "instance_number": 100.0 * z + t})
        for z, of_slice in enumerate(kept)
        for t in of_slice
    ]
    for volume in checked_volumes(frames):
        columns: dict[int | None, set[int]] = {}
        for place in volume.places:
            columns.setdefault(place.t, set()).add(place.frame.source % 100)
        assert all(len(column) == 1 for column in columns.values()) or "contested_place" in volume.flags


@settings(max_examples=80, deadline=None)
@given(st.integers(4, 9), st.integers(3, 5), st.sampled_from([0.0, 4.0]), st.randoms(use_true_random=False))
def test_one_phase_that_each_position_lacks_weaves_none(
    slices: int, times: int, jitter: float, rng: random.Random
) -> None:
    """Also of three phases, and where a phase is not at the same time everywhere."""
    lacking = [*range(times), *(rng.randrange(times) for _ in range(slices))][: max(slices, times + 1)]
    rng.shuffle(lacking)
    frames = [
        frame(100 * z + t, 2.0 * z, {"trigger_time_ms": round(300.0 * t + rng.uniform(0, jitter), 1)})
        for z, lost in enumerate(lacking)
        for t in range(times)
        if t != lost
    ]
    seen = Counter(one.source % 100 for one in frames)
    for volume in checked_volumes(frames):
        columns: dict[int | None, set[int]] = {}
        for place in volume.places:
            columns.setdefault(place.t, set()).add(place.frame.source % 100)
        if min(seen.values()) > 1:
            assert all(len(column) == 1 for column in columns.values())


@settings(max_examples=40, deadline=None)
@given(st.integers(3, 12), st.floats(0, 30), st.randoms(use_true_random=False))
def test_two_phases_of_heart_beats_of_several_lengths_are_one_array(
    slices: int, jitter: float, rng: random.Random
) -> None:
    beats = [rng.randint(700, 1100) for _ in range(slices)]
    frames = grid(slices, 2, lambda z, t: {"trigger_time_ms": 0.4 * beats[z] * t + rng.uniform(0, jitter)})
    volume = only_volume(frames)
    assert (volume.shape[:2], volume.flags) == ((2, slices), ())


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 12), st.integers(4, 20), st.randoms(use_true_random=False))
def test_delays_of_heart_beats_of_several_lengths_are_one_array(slices: int, times: int, rng: random.Random) -> None:
    beats = [rng.randint(700, 1100) for _ in range(slices)]
    frames = grid(slices, times, lambda z, t: {"trigger_time_ms": float(beats[z] * t // times)})
    volume = only_volume(frames)
    assert (volume.shape[:2], volume.flags) == ((times, slices), ())
