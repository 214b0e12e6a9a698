"""Facts that differ from slice to slice: noise divides no stack, and what divides one is flagged."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from made_up_frames import checked_volumes, depths, frame, means, only_volume, values

from dicomzarr.volumes.acquisition import NOISE
from dicomzarr.volumes.model import Frame

TYPICAL = {
    "echo_time_ms": 10.0,
    "b_value": 1000.0,
    "inversion_time_ms": 500.0,
    "flip_angle_deg": 15.0,
    "kvp": 120.0,
    "monoenergetic_kev": 70.0,
}


def noise(kind: str, seed: int) -> Callable[[int, int], float]:
    """Return what a value is multiplied by in slice `z` at time `t`: at most `NOISE` more than the smallest."""
    rng = random.Random(f"{kind} {seed}")
    levels = [1 + NOISE * rng.random() * 0.99 for _ in range(3)]
    of_slice = [1 + NOISE * rng.random() * 0.99 for _ in range(40)]
    return {
        "of each frame": lambda z, t: 1 + NOISE * rng.random() * 0.99,
        "of each slice": lambda z, t: of_slice[z],
        "three levels": lambda z, t: rng.choice(levels),
        "drift": lambda z, t: 1 + 0.002 * z,
        "drift in threes": lambda z, t: 1 + 0.004 * (z // 3),
    }[kind]


def series(fact: str, of: Callable[[int, int], float], slices: int, times: int) -> list[Frame]:
    """Return a stack at several times, acquired one after the other."""
    found = []
    for t in range(times):
        for z in range(slices):
            clock = {"acquisition_time_s": 40_000.0 + 60 * t + z, "instance_number": len(found) + 1.0}
            value = {fact: round(TYPICAL[fact] * of(z, t), 4)}
            found.append(frame(len(found), 3.0 * z, {**clock, **value}))
    return found


@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize("kind", ["of each frame", "of each slice", "three levels", "drift", "drift in threes"])
@pytest.mark.parametrize("fact", TYPICAL)
def test_noise_divides_no_stack(fact: str, kind: str, times: int) -> None:
    for seed in range(3):
        made = series(fact, noise(kind, seed), 12, times)
        volume = only_volume(made)
        assert (volume.shape[:-2], volume.flags) == ((3, 12) if times > 1 else (12,), ())
        assert [place.frame.source for place in volume.places] == list(range(len(made)))
        # No value is that of all frames, and times differ in nothing but their time. The tube drifts by 1 kV anyway.
        assert fact not in volume.acquisition or fact == "kvp"
        assert times == 1 or means(volume) == ["acquisition_time_s"]


@pytest.mark.parametrize("lost", [None, 5])
def test_noise_of_several_echoes_leaves_them_apart(lost: int | None) -> None:
    rng = random.Random(1)
    made = [
        frame(12 * t + z, 3.0 * z, {"echo_time_ms": round(echo + rng.uniform(-0.1, 0.1), 3), "acquisition_time_s": z})
        for t, echo in enumerate((10.0, 20.0, 30.0))
        for z in range(12)
    ]
    if lost is None:
        volume = only_volume(made)
        assert means(volume) == ["echo_time_ms"]
        assert values(volume) == pytest.approx([10.0, 20.0, 30.0], abs=0.1)
        assert [place.frame.source for place in volume.places] == list(range(36))
    else:
        volumes = checked_volumes(made[:lost] + made[lost + 1 :])
        assert sorted((v.shape[:-2], v.flags) for v in volumes) == [((2, 12), ()), ((11,), ("gap", "incomplete_grid"))]


@pytest.mark.parametrize("lost", [None, 2])
def test_a_drift_that_cuts_each_echo_at_another_slice_divides_none(lost: int | None) -> None:
    rng = random.Random(5)
    for _ in range(40):
        echoes, slices, amount = rng.randint(2, 4), rng.randint(6, 12), rng.uniform(0.005, 0.2)
        starts = [round(4.6 * (t + 1) + rng.uniform(0, 0.01), 3) for t in range(echoes)]
        made = [
            frame(slices * t + z, 3.0 * z, {"echo_time_ms": round(start + amount * z / slices, 3)})
            for t, start in enumerate(starts)
            for z in range(slices)
            if (t, z) != (1, lost)
        ]
        volumes = checked_volumes(made)
        assert sum(len(volume.places) for volume in volumes) == len(made)
        shapes = sorted((v.shape[:-2], v.flags) for v in volumes)
        if lost is None:
            assert shapes == [((echoes, slices), ())]
        else:
            others = (echoes - 1, slices) if echoes > 2 else (slices,)
            assert shapes == sorted([(others, ()), ((slices - 1,), ("gap", "incomplete_grid"))])
            for volume in volumes:  # the median of slices is no fact of any of them
                stated = volume.acquisition.get("echo_time_ms")
                read = [made[[f.source for f in made].index(p.frame.source)].causes for p in volume.places]
                assert stated is None or max(abs(causes["echo_time_ms"] - stated) for causes in read) <= 0.01


def test_b_values_as_measured_are_one_shell() -> None:
    rng = random.Random(2)
    made = []
    for t in range(4):
        for z in range(10):
            direction = {f"b_vector_{axis}": float(t == n + 1) for n, axis in enumerate("xyz")}
            b_value = 1000.0 + rng.choice([-4, 0, 3]) if t else 0.0
            made.append(frame(len(made), 3.0 * z, {"b_value": b_value, **direction}))
    volume = only_volume(made)
    assert volume.shape[:-2] == (4, 10)
    assert [row[0] for row in values(volume)] == [0.0, 1000.0, 1000.0, 1000.0]


def test_whole_times_that_differ_by_little_keep_their_values() -> None:
    """Each value is a volume by itself: a difference between volumes is no noise."""
    made = series("echo_time_ms", lambda z, t: 1 + 0.01 * t, 12, 3)
    volume = only_volume(made)
    assert (means(volume)[0], [row[0] for row in values(volume)] if len(means(volume)) > 1 else values(volume)) == (
        "echo_time_ms",
        [10.0, 10.1, 10.2],
    )


def test_two_values_of_slices_that_alternate_are_two_volumes() -> None:
    two = [frame(n, 4.0 * n, {"echo_time_ms": 10.0 + 0.1 * (n % 2)}) for n in range(12)]
    assert [len(volume.places) for volume in checked_volumes(two)] == [6, 6]


def test_times_of_inversion_that_each_slice_measured_for_itself_stay_with_their_slices() -> None:
    rng = random.Random(4)
    made = [
        frame(8 * z + t, 15.0 * z, {"inversion_time_ms": round(100 + 130 * t + 10 * z + rng.uniform(0, 40), 1)})
        for z in range(3)
        for t in range(8)
    ]
    volumes = checked_volumes(made)
    assert [(volume.shape[:-2], volume.flags, means(volume)) for volume in volumes] == [
        ((8,), (), ["inversion_time_ms"])
    ] * 3


def test_flip_angles_that_ramp_over_the_slices_of_two_slabs_divide_nothing() -> None:
    volume = only_volume([frame(z, 1.0 * z, {"flip_angle_deg": 15.0 + z % 6}) for z in range(12)])
    assert (volume.shape[:-2], volume.flags, "flip_angle_deg" in volume.acquisition) == ((12,), (), False)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("fact", ["echo_time_ms", "temporal_position", "cardiac_phase_percent", "b_value"])
def test_a_stack_that_facts_divide_is_flagged(fact: str, seed: int) -> None:
    rng = random.Random(f"{fact} {seed}")
    for count in range(2, 6):
        of = [rng.randrange(count) for _ in range(12)]
        made = [frame(z, 3.0 * z, {fact: 10.0 * (of[z] + 1)}) for z in range(12)]
        volumes = checked_volumes(made)
        assert all({10.0 * (of[p.frame.source] + 1) for p in v.places} == {v.acquisition[fact]} for v in volumes)
        are_even = all(len(v.shape) == 4 and not {"gap", "uneven_spacing"} & set(v.flags) for v in volumes)
        flagged = ["stack_divided" in volume.flags for volume in volumes]
        # Parts that are even themselves may be scans of their own.
        assert all(flagged) if len(volumes) > 1 and not are_even else len(set(flagged)) == 1


@pytest.mark.parametrize("last", [5, 11])
def test_one_slice_with_another_echo_time_is_flagged_with_the_stack(last: int) -> None:
    made = [frame(z, 3.0 * z, {"echo_time_ms": 20.0 if z == last else 10.0}) for z in range(12)]
    volumes = checked_volumes(made)
    assert sorted(len(depths(volume)) for volume in volumes) == [1, 11]
    assert all("stack_divided" in volume.flags for volume in volumes)


def test_volumes_that_are_whole_have_no_flag() -> None:
    """Two stations, an image elsewhere, and the echo of which a slice was lost."""
    cases: list[list[Any]] = [
        [frame(z, 3.0 * z, {"echo_time_ms": 10.0 + 5 * (z > 5)}) for z in range(12)],
        [frame(z, 3.0 * z + 40 * (z == 11), {"echo_time_ms": 10.0 + 5 * (z == 11)}) for z in range(12)],
        [frame(24 * t + z, 3.0 * z, {"echo_time_ms": 10.0 + 5 * t}) for t in range(2) for z in range(12) if z + t != 5],
    ]
    for made in cases:
        assert not any("stack_divided" in volume.flags for volume in checked_volumes(made))


@pytest.mark.parametrize("lost", [2, 4, 6])
@pytest.mark.parametrize("echoes", [1, 2, 3])
@pytest.mark.parametrize("drift", [0.003, 0.004])
def test_echo_times_that_drift_cut_no_stack_unsaid_where_a_slice_is_lost(lost: int, echoes: int, drift: float) -> None:
    """One slice of all echoes: what is left of each is no even stack, which would show that the pieces are one."""
    frames = [
        frame(100 * e + z, 2.0 * z, {"echo_time_ms": round(4.6 * (e + 1) + drift * z, 3)})
        for e in range(echoes)
        for z in range(9)
        if z != lost
    ]
    volumes = checked_volumes(frames)
    pieces = Counter(echo for volume in volumes for echo in {place.frame.source // 100 for place in volume.places})
    assert max(pieces.values()) == 1 or all("stack_divided" in volume.flags for volume in volumes)


@pytest.mark.parametrize("step", [2.0, 3.1])
def test_stations_of_other_echo_times_far_apart_have_no_flag(step: float) -> None:
    frames = [frame(20 * s + z, 150.0 * s + step * z, {"echo_time_ms": 4.6 + s / 10}) for s in (0, 1) for z in range(9)]
    volumes = checked_volumes(frames)
    assert [(len(volume.places), volume.flags) for volume in volumes] == [(9, ())] * 2
