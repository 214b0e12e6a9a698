"""Scans of one series that overlap, and Image Types of one place: no array holds two of them at one index of `t`."""

from __future__ import annotations

import random
from typing import Any

import pytest
from made_up_frames import checked_volumes, frame, grid, means, values

from dicomzarr.volumes.model import Frame, Volume

UNCERTAIN = {"ambiguous_stack", "contested_place", "t_order_only"}


def scans(seed: int) -> tuple[list[Frame], dict[int, int], bool]:
    """Frames of two to four scans of overlapping parts, the scan of each, and whether more than a counter says so."""
    rng = random.Random(seed)
    spans: list[range] = []
    while len(spans) < rng.choice([2, 3, 4]):
        start = rng.randint(0, 5)
        span = range(start, start + rng.randint(5, 10))
        # Scans that go on where another ends, or share one slice, are one stack to anybody.
        if all(min(span.stop, other.stop) - max(span.start, other.start) > 1 for other in spans):
            spans.append(span)
    numbering = rng.choice(["none", "again", "on"])
    clock = rng.choice(["none", "of slices", "of scans"])
    falls = rng.random() < 0.5
    frames: list[Frame] = []
    truth: dict[int, int] = {}
    for scan, span in enumerate(spans):
        for rank, z in enumerate(reversed(span) if falls else span):
            causes: dict[str, float] = {}
            if numbering != "none":
                causes["instance_number"] = 1.0 + (rank if numbering == "again" else len(frames))
            if clock != "none":
                causes["acquisition_time_s"] = 1e8 + 60 * scan + (0.5 * rank if clock == "of slices" else 0)
            truth[len(frames)] = scan
            frames.append(frame(len(frames), 2.5 * z, causes, modality="CT"))
    rng.shuffle(frames)
    return frames, truth, clock != "none" or numbering == "on"


def scans_at_each_time(volume: Volume, truth: dict[int, int]) -> list[set[int]]:
    found: dict[int | None, set[int]] = {}
    for place in volume.places:
        found.setdefault(place.t, set()).add(truth[place.frame.source])
    return list(found.values())


def test_no_array_mixes_scans_that_overlap() -> None:
    whole = 0
    for seed in range(250):
        frames, truth, is_known = scans(seed)
        volumes = checked_volumes(frames)
        for volume in volumes:
            if "z" in volume.axes and not UNCERTAIN & set(volume.flags):
                assert all(len(found) == 1 for found in scans_at_each_time(volume, truth)), (seed, volume.why)
        whole += is_known and not any(UNCERTAIN & set(volume.flags) for volume in volumes)
    assert whole > 150  # most are distinguished; the others have a flag that says they are not


@pytest.mark.parametrize("start", [1, 4, 1001])
@pytest.mark.parametrize("falls", [False, True])
def test_numbers_that_run_through_two_scans(start: int, falls: bool) -> None:
    """The counter differs by the same at each place of both; its first pass ends where the position turns back."""
    lower, upper = range(2, 8), range(4, 10)
    places = [z for span in (lower, upper) for z in (reversed(span) if falls else span)]
    frames = [frame(n, 2.5 * z, {"instance_number": float(start + n)}) for n, z in enumerate(places)]
    volumes = checked_volumes(frames)
    assert {frozenset(place.frame.source for place in volume.places) for volume in volumes} == {
        frozenset(range(6)),
        frozenset(range(6, 12)),
    }


@pytest.mark.parametrize("slices", [2, 3, 4, 5, 8, 11])
@pytest.mark.parametrize("start", [1, 101])
@pytest.mark.parametrize("order", ["rising", "falling", "interleaved", "odd first", "from the centre"])
@pytest.mark.parametrize("lost", [0, 1, 3])
def test_the_last_volume_lacks_slices_in_any_order_of_acquisition(
    slices: int, start: int, order: str, lost: int
) -> None:
    places = list(range(slices))
    orders = {
        "rising": places,
        "falling": places[::-1],
        "interleaved": places[::2] + places[1::2],
        "odd first": places[1::2] + places[::2],
        "from the centre": sorted(places, key=lambda z: abs(2 * z - slices + 1)),
    }
    numbered = [(n, z) for n, z in enumerate(orders[order] * 4)][: 4 * slices - min(lost, slices - 1)]
    frames = [frame(n, 2.5 * z, {"instance_number": float(start + n)}) for n, z in numbered]
    for volume in checked_volumes(frames):
        volumes_at: dict[int | None, set[int]] = {}
        for place in volume.places:
            volumes_at.setdefault(place.t, set()).add(place.frame.source // slices)
        assert all(len(found) == 1 for found in volumes_at.values())


@pytest.mark.parametrize("numbers", ["none", "again"])
def test_scans_of_different_parts_are_told_apart_by_their_times(numbers: str) -> None:
    """Two frames at each of seven places: first of scans one and two, then of scans two and three."""
    frames = []
    for scan, span in enumerate((range(6), range(2, 12), range(4, 11))):
        for rank, z in enumerate(span):
            causes = {"acquisition_time_s": 1e8 + 60 * scan + rank}
            causes |= {"instance_number": rank + 1.0} if numbers == "again" else {}
            frames.append(frame(len(frames), 2.5 * z, causes))
    volumes = checked_volumes(frames)
    assert sorted(len(volume.places) for volume in volumes) == [6, 7, 10]
    assert all({"pass_of_time"} <= set(volume.split_by) for volume in volumes)


@pytest.mark.parametrize("shared", [2, 3, 5])
@pytest.mark.parametrize("falls", [False, True])
@pytest.mark.parametrize("said_by", ["number", "time"])
def test_scans_that_share_a_few_slices(shared: int, falls: bool, said_by: str) -> None:
    """Chest and abdomen of one series, less than half of each at the same places."""
    chest, abdomen = range(12), range(12 - shared, 26 - shared)
    frames: list[Frame] = []
    for scan, span in enumerate((chest, abdomen)):
        for rank, z in enumerate(reversed(span) if falls else span):
            number = {"instance_number": float(len(frames) + 1)}
            time = {"instance_number": rank + 1.0, "acquisition_time_s": 1e8 + 120 * scan + rank}
            frames.append(frame(len(frames), 2.5 * z, number if said_by == "number" else time, modality="CT"))
    volumes = checked_volumes(frames)
    assert {frozenset(place.frame.source for place in volume.places) for volume in volumes} == {
        frozenset(range(12)),
        frozenset(range(12, 26)),
    }
    assert all(not volume.flags and volume.affine_lps for volume in volumes)


@pytest.mark.parametrize("at", [3, 7, 10])
def test_one_slice_that_is_there_twice_makes_no_scans(at: int) -> None:
    for order in ([*range(at), at - 2, *range(at, 12)], [*range(at), at - 1, *range(at, 12)], [*range(12), at]):
        frames = [frame(n, 2.5 * z, {"instance_number": n + 1.0}) for n, z in enumerate(order)]
        assert sorted(len(volume.places) for volume in checked_volumes(frames)) == [1, 12], (at, order)


# ------------------------------------------------------------------------------------------------------- Image Type

PLAIN = ("ORIGINAL", "PRIMARY", "M", "ND")


def corrected(causes: Any, second: tuple[str, ...], times: int = 3) -> list[Frame]:
    """Frames of a time series (sources 0 …) and of the same after a correction (sources 100 …)."""
    before = grid(4, times, lambda z, t: causes(z, t, False), image_type=PLAIN)
    after = grid(4, times, lambda z, t: causes(z, t, True), image_type=second)
    return before + [frame(one.source + 100, 0, one.causes, position=one.position, image_type=second) for one in after]


@pytest.mark.parametrize("word", ["MOCO", "DIS2D", "NORM", "a remark"])
@pytest.mark.parametrize(
    "causes",
    [
        lambda z, t, is_second: {"acquisition_time_s": 1e8 + t, "instance_number": 8.0 * t + 4 * is_second + z},
        lambda z, t, is_second: {"acquisition_number": t + 1.0, "instance_number": 8.0 * t + 4 * is_second + z},
        lambda z, t, is_second: {"instance_number": 12.0 * is_second + 4 * t + z},
        lambda z, t, is_second: {"instance_number": 4.0 * t + z},
        lambda z, t, is_second: {"acquisition_time_s": 1e8 + t, "content_time_s": 1e8 + 9 + 10 * t + 5 * is_second},
    ],
)
def test_a_time_series_before_and_after_a_correction_is_two(causes: Any, word: str) -> None:
    volumes = checked_volumes(corrected(causes, (*PLAIN, word)))
    assert {tuple(place.frame.source for place in volume.places) for volume in volumes} == {
        tuple(range(12)),
        tuple(range(100, 112)),
    }
    assert all(volume.split_by == ("image_type",) for volume in volumes)


@pytest.mark.parametrize("lost", [(5,), (105,), (5, 105), (0,), (111,)])
@pytest.mark.parametrize(
    "causes",
    [
        lambda z, t, is_second: {"acquisition_time_s": 1e8 + t, "instance_number": 8.0 * t + 4 * is_second + z},
        lambda z, t, is_second: {
            "acquisition_time_s": 1e8 + t + z / 10,
            "instance_number": 8.0 * t + 4 * is_second + z,
        },
        lambda z, t, is_second: {"acquisition_number": t + 1.0, "instance_number": 8.0 * t + 4 * is_second + z},
        lambda z, t, is_second: {"instance_number": 12.0 * is_second + 4 * t + z},
    ],
)
def test_a_lost_slice_does_not_mix_what_a_correction_divides(causes: Any, lost: tuple[int, ...]) -> None:
    frames = [one for one in corrected(causes, (*PLAIN, "MOCO")) if one.source not in lost]
    for volume in checked_volumes(frames):
        assert len({place.frame.image_type for place in volume.places}) == 1
        assert "ambiguous_stack" not in volume.flags


@pytest.mark.parametrize("has_clock", [False, True])
def test_a_remark_on_the_first_volume_does_not_split_a_time_series(has_clock: bool) -> None:
    frames = [
        frame(
            4 * t + z,
            2.0 * z,
            {"instance_number": 4.0 * t + z, **({"acquisition_time_s": 1e8 + t} if has_clock else {})},
            image_type=PLAIN if t else (*PLAIN, "FIRST"),
        )
        for t in range(5)
        for z in range(4)
    ]
    (volume,) = checked_volumes(frames)
    assert means(volume) == (["acquisition_time_s"] if has_clock else ["instance_number"])


@pytest.mark.parametrize("clock", ["acquisition_time_s", "content_time_s"])
def test_times_of_a_table_that_shuttles_rise_where_an_image_is_lost(clock: str) -> None:
    """Two places of a table that share a slice, to and fro: what sorts one pass may not sort another."""
    compared = 0
    for seed in range(60):
        rng = random.Random(seed)
        slices, times = rng.randint(3, 6), rng.randint(3, 8)
        frames: list[Frame] = []
        for cycle in range(times):
            for nth, part in enumerate((0, 1) if cycle % 2 == 0 else (1, 0)):
                for z in range(slices):
                    causes = {"instance_number": len(frames) + 1.0, clock: 36_000 + 3.0 * cycle + 1.5 * nth}
                    frames.append(frame(len(frames), 5.0 * (z + part * (slices - 1)), causes))
        del frames[rng.randrange(len(frames))]
        for volume in checked_volumes(frames):
            if volume.t_axis and means(volume) == [clock]:
                rising = [float(value) for value in values(volume)]
                assert rising == sorted(set(rising)), seed
                compared += 1
    assert compared > 60


@pytest.mark.parametrize("lost", [None, 3])
@pytest.mark.parametrize("counter", ["instance_number", "acquisition_time_s"])
@pytest.mark.parametrize("falls", [False, True])
def test_a_second_scan_at_half_the_distance_is_a_volume_of_its_own(lost: int | None, counter: str, falls: bool) -> None:
    """As before and after contrast: each scan by itself has slices as thick as they are apart, one after the other."""

    def numbered(depths: list[float], thickness: float) -> list[Frame]:
        return [
            frame(n, depth, {counter: 1.0 + n}, constants={"slice_thickness_mm": thickness})
            for n, depth in enumerate(depths)
        ]

    scan = [5.0 * z for z in range(8)]
    first, second = (scan[::-1], [z + 2.5 for z in scan][::-1]) if falls else (scan, [z + 2.5 for z in scan])
    frames = [one for one in numbered(first + second, 5.0) if one.source != lost]
    volumes = checked_volumes(frames)
    assert sorted({place.frame.source // 8 for place in volume.places}.pop() for volume in volumes) == [0, 1]
    assert all(len({place.frame.source // 8 for place in volume.places}) == 1 for volume in volumes)
    # Slices that overlap, numbered as they lie; and every second slice first, each as thick as all are apart.
    assert len(checked_volumes(numbered(sorted(first + second), 5.0))) == 1
    assert len(checked_volumes(numbered(first + second, 2.5))) == 1


@pytest.mark.parametrize("counter", ["instance_number", "acquisition_time_s"])
def test_one_scan_of_slices_that_overlap_may_acquire_every_second_one_first(counter: str) -> None:
    """As of a fetus: slices twice as thick as they are apart, neighbours not one after the other."""

    def volumes_with(distance: float) -> int:
        constants = {"slice_thickness_mm": 4.0, "spacing_between_slices_mm": distance}
        depths = [2.0 * z for z in (*range(0, 16, 2), *range(1, 16, 2))]
        frames = [frame(n, depth, {counter: 1.0 + n}, constants=constants) for n, depth in enumerate(depths)]
        return len(checked_volumes(frames))

    assert (volumes_with(2.0), volumes_with(4.0)) == (1, 2)


def test_scans_between_each_other_that_are_counted_together_are_one_stack() -> None:
    frames = [frame(n, 2.5 * n, {"instance_number": n + 1.0}, constants={"slice_thickness_mm": 5.0}) for n in range(16)]
    (volume,) = checked_volumes(frames)
    assert (volume.spacing_mm["z"], volume.flags) == (2.5, ())


@pytest.mark.parametrize("by", ["number", "time of writing", "times of writing"])
@pytest.mark.parametrize("scans", [2, 3])
@pytest.mark.parametrize("shift", [4.0, 6.5, 8.5, 12.0])
@pytest.mark.parametrize("decimals", [1, 6])
@pytest.mark.parametrize("lost", [0, 2])
def test_numbers_or_times_of_writing_part_scans_that_overlap(
    scans: int, shift: float, decimals: int, lost: int, by: str
) -> None:
    """No time of acquisition: slices of one scan go on by one distance from each number that starts again."""

    def causes(scan: int, z: int) -> dict[str, float]:
        if by == "number":
            return {"instance_number": z + 1.0}
        return {"content_time_s": 1e8 + 60.0 * scan + (0.5 * z if by == "times of writing" else 0.0)}

    for seed in range(5):
        rng = random.Random(seed)
        frames = [
            frame(100 * scan + z, round(2.5 * z + shift * scan + 0.123, decimals), causes(scan, z))
            for scan in range(scans)
            for z in sorted(rng.sample(range(20), 20 - lost * (scan == scans - 1)))
        ]
        for volume in checked_volumes(frames):
            assert len({place.frame.source // 100 for place in volume.places}) == 1, (seed, volume.why)
