"""What is one stack although it was acquired in pieces, and what is never woven although its slices would be even."""

from __future__ import annotations

import itertools
import random
from dataclasses import replace
from typing import Any

import pytest
from made_up_frames import SAGITTAL, checked_volumes, depths, frame, grid, means, only_volume, values

from dicomzarr.volumes.model import Frame

CLOCK = 60000.0  # of the first acquisition, s


def pieces(places: list[float], size: int, *, clock: bool) -> list[Frame]:
    """Slices of which each `size` are acquired at once."""
    frames = []
    for index, z in enumerate(places):
        causes = {"instance_number": index + 1.0, "acquisition_number": 1.0 + index // size}
        if clock:
            causes["acquisition_time_s"] = CLOCK + 2.0 * (index // size)
        frames.append(frame(index, z, causes))
    return frames


@pytest.mark.parametrize("clock", [False, True])
@pytest.mark.parametrize("size", [2, 4, 8])
def test_slices_of_two_increments_that_are_acquired_a_few_at_a_time_are_one_uneven_volume(
    size: int, clock: bool
) -> None:
    places = [2.5 * n for n in range(12)] + [27.5 + 5 * n for n in range(1, 13)]
    volume = only_volume(pieces(places, size, clock=clock))
    assert "uneven_spacing" in volume.flags
    assert depths(volume) == places


@pytest.mark.parametrize("lost", [7, 8, 15])
def test_a_slice_lost_at_the_edge_of_a_bed_is_a_gap(lost: int) -> None:
    frames = pieces([3.27 * n for n in range(24)], 8, clock=True)
    volume = only_volume(frames[:lost] + frames[lost + 1 :])
    assert "gap" in volume.flags
    assert volume.missing_slices == 1


@pytest.mark.parametrize("lost", range(1, 9))
def test_a_slice_lost_from_a_package_of_every_second_slice_is_a_gap(lost: int) -> None:
    frames = [
        frame(z, 5.0 * z, {"acquisition_number": 1.0 + z % 2, "instance_number": z + 1.0})
        for z in range(10)
        if z != lost
    ]
    assert only_volume(frames).missing_slices == 1


@pytest.mark.parametrize("clock", [False, True])
@pytest.mark.parametrize("left", [(0, 1), (0, 2), (0, 3), (0, 4), (1, 2), (1, 4), (2, 3), (2, 4), (3, 4)])
@pytest.mark.parametrize("block", range(3))
def test_two_slices_that_are_left_of_an_acquisition_go_on_where_the_others_end(
    block: int, left: tuple[int, int], clock: bool
) -> None:
    """Their distance says nothing: two slices 20 mm apart are no volume of that distance."""
    frames = pieces([5.0 * n for n in range(15)], 5, clock=clock)
    kept = [one for n, one in enumerate(frames) if n // 5 != block or n % 5 in left]
    volume = only_volume(kept)
    places = [one.position[2] for one in kept if one.position]
    assert depths(volume) == places
    missing = round((places[-1] - places[0]) / 5) + 1 - len(places)
    assert (volume.flags, volume.missing_slices) == ((("gap",), missing) if missing else ((), 0))


def test_an_acquisition_of_three_slices_has_a_distance_of_its_own() -> None:
    thin, thick = [2.5 * n for n in range(8)], [20.0, 25.0, 30.0]
    frames = pieces([*thin, *thick], 8, clock=True)
    assert sorted(len(depths(volume)) for volume in checked_volumes(frames)) == [3, 8]


def test_stacks_that_lie_apart_are_parted_by_their_number() -> None:
    for start in (60.0, 100.0):  # beyond the end at 38
        places = [2.0 * n for n in range(20)] + [start + 2 * n for n in range(20)]
        assert [len(volume.places) for volume in checked_volumes(pieces(places, 20, clock=False))] == [20, 20]


def of_thickness(place: float, thickness: float, index: int, number: float) -> Frame:
    causes = {"instance_number": number}
    return frame(index, place, causes, constants={"slice_thickness_mm": thickness})


@pytest.mark.parametrize("shift", [2.5, 0.0])
@pytest.mark.parametrize("numbered", ["by place", "thin first", "thick backwards"])
def test_thin_and_thick_slices_are_never_woven(shift: float, numbered: str) -> None:
    thin = [(5.0 * n, 1.25) for n in range(8)] if shift else [(1.25 * n, 1.25) for n in range(21)]
    thick = [(5.0 * n + shift, 5.0) for n in range(8 if shift else 6)]
    order = {
        "by place": sorted(thin + thick),
        "thin first": thin + thick,
        "thick backwards": thin + thick[::-1],
    }[numbered]
    frames = [of_thickness(z, thickness, n, n + 1.0) for n, (z, thickness) in enumerate(order)]
    volumes = checked_volumes(frames)
    assert sorted(depths(volume) for volume in volumes) == sorted([[z for z, _ in thin], [z for z, _ in thick]])
    for volume in volumes:
        assert len({place.frame.constants["slice_thickness_mm"] for place in volume.places}) == 1
        assert not {"contested_place", "incomplete_grid", "gap"} & set(volume.flags)


def test_a_thickness_that_is_rounded_in_two_ways_or_grows_along_the_stack_splits_nothing() -> None:
    only_volume([of_thickness(0.625 * n, 0.62 + 0.01 * (n % 2), n, n) for n in range(8)])
    places = [2.5 * n for n in range(6)] + [12.5 + 5 * n for n in range(1, 7)]
    only_volume([of_thickness(z, 2.5 if z < 15 else 5.0, n, n) for n, z in enumerate(places)])


def test_two_blocks_of_slices_far_apart_are_two_volumes() -> None:
    """Both breasts in one series: no slice is missing between them."""
    for gap, count in ((160.0, 2), (161.3, 2), (12.0, 1)):
        places = [2.0 * n for n in range(10)] + [18.0 + gap + 2.0 * n for n in range(10)]
        volumes = checked_volumes([frame(n, z, {"instance_number": n + 1.0}) for n, z in enumerate(places)])
        assert len(volumes) == count, gap
        assert ("gap" in volumes[0].flags) == (count == 1)
    # What is lost is short beside what is left; and many blocks are places that were visited again and again.
    for places in (
        [2.0 * n for n in range(20)] + [38.0 + 24 + 2 * n for n in range(20)],
        [30.0 * place + 0.25 * visit for place in range(4) for visit in range(3)],
    ):
        only_volume([frame(n, z, {"instance_number": n + 1.0}) for n, z in enumerate(places)])


@pytest.mark.parametrize("evidence", ["acquisition_number", "acquisition_time_s", "instance_number", "dimension_2"])
@pytest.mark.parametrize("delay", ["trigger_time_ms", "frame_reference_time_s", "temporal_offset_s"])
def test_delays_that_vary_from_beat_to_beat_are_not_the_order_of_beats(delay: str, evidence: str) -> None:
    rng = random.Random(1)
    slices, beats = 3, 6

    def causes(z: int, t: int) -> dict[str, float]:
        said = {
            "acquisition_number": t + 1.0,
            "acquisition_time_s": CLOCK + 3.0 * t + z,
            "instance_number": t * slices + z + 1.0,
            "dimension_2": t + 1.0,
        }
        return {delay: 300 + rng.gauss(0, 9), evidence: said[evidence]}

    volume = only_volume(grid(slices, beats, causes))
    assert [place.frame.source for place in volume.places] == list(range(slices * beats))
    assert means(volume) == [evidence]


def test_delays_of_a_cine_are_its_axis_whatever_the_clock() -> None:
    """Phases of a slice have one time of acquisition, or times in any order but one volume after the other."""
    for clock in (
        lambda z, t: CLOCK + z,
        lambda z, t: CLOCK + 10 * z + t,
        lambda z, t: CLOCK + 10 * t + z,
        lambda z, t: CLOCK + 10 * z + t * (z + 2) % 5,
        lambda z, t: CLOCK + 10 * (t * (z + 2) % 5) + 7 * z,
    ):
        made = grid(
            3, 5, lambda z, t, clock=clock: {"trigger_time_ms": (30.0 + z) * t, "acquisition_time_s": clock(z, t)}
        )
        volume = only_volume(made)
        assert means(volume)[0] == "trigger_time_ms"
        assert [place.frame.source for place in volume.places] == list(range(15))


@pytest.mark.parametrize("clock", [False, True])
def test_a_slice_that_lacks_a_phase_is_an_array_of_its_own(clock: bool) -> None:
    frames = []
    for z, t in itertools.product(range(6), range(5)):
        causes = {"trigger_time_ms": (30.0 + z) * t, "instance_number": len(frames) + 1.0}
        if clock:
            causes["acquisition_time_s"] = CLOCK + z
        if (z, t) != (3, 2):
            frames.append(frame(len(frames), 8.0 * z, causes))
    whole, part = sorted(checked_volumes(frames), key=lambda volume: -len(volume.places))
    assert (whole.axes, whole.shape[:2], whole.missing_slices) == (("t", "z", "y", "x"), (5, 5), 1)
    assert (part.axes, part.shape[0], part.flags) == (("t", "y", "x"), 4, ("incomplete_grid",))
    assert values(part) == [0.0, 33.0, 99.0, 132.0]


@pytest.mark.parametrize("fact", ["flip_angle_deg", "inversion_time_ms"])
def test_a_value_for_each_slice_splits_nothing(fact: str) -> None:
    volume = only_volume(grid(6, 3, lambda z, t: {fact: 60.0 - z, "trigger_time_ms": 30.0 * t}))
    assert (volume.shape[:2], means(volume)) == ((3, 6), ["trigger_time_ms"])
    assert fact not in volume.acquisition
    two = [frame(n, 4.0 * n, {fact: 60.0 - n % 2}) for n in range(8)]
    assert [len(volume.places) for volume in checked_volumes(two)] == [4, 4]


def test_a_stray_image_does_not_take_the_place_of_a_slice_whatever_its_number() -> None:
    for stray, place in itertools.product((1.0, 5.0, 40.0), range(10)):
        frames = [frame(z, 4.0 * z, {"instance_number": z + 2.0, "echo_time_ms": 5.0}) for z in range(10)]
        frames.append(frame(10, 4.0 * place, {"instance_number": stray, "echo_time_ms": 5.0}))
        if abs(stray - (place + 2)) <= 1:
            continue  # its number fits as well
        largest = max(checked_volumes(frames), key=lambda volume: len(volume.places))
        assert [each.frame.source for each in largest.places] == list(range(10)), (stray, place)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("rescale_type", ("HU", "MGML")),
        ("laterality", ("L", "R")),
        ("attenuation_correction", ("YES", "NO")),
        ("magnetization_transfer", ("ON_RESONANCE", "OFF_RESONANCE")),
    ],
)
@pytest.mark.parametrize("shift", [0.0, 1.0])
def test_what_values_mean_and_the_side_of_the_body_keep_frames_apart(
    name: str, words: tuple[str, str], shift: float
) -> None:
    frames = [
        frame(n, 2.0 * (n // 2) + shift * (n % 2), {"acquisition_time_s": CLOCK + n % 2}, terms={name: words[n % 2]})
        for n in range(10)
    ]
    volumes = checked_volumes(frames)
    assert sorted(str(volume.acquisition[name]) for volume in volumes) == sorted(words)
    assert all(volume.axes == ("z", "y", "x") for volume in volumes)


def test_a_term_that_some_files_leave_out_splits_nothing_but_one_that_means_something_does() -> None:
    def some(name: str, word: str) -> list[Frame]:
        return [frame(n, 2.0 * n, terms={} if n % 2 else {name: word}) for n in range(8)]

    for name, word in (("rescale_type", "HU"), ("laterality", "L"), ("attenuation_correction", "YES")):
        assert name not in only_volume(some(name, word)).acquisition
    assert len(checked_volumes(some("magnetization_transfer", "ON_RESONANCE"))) == 2


def test_frames_of_reference_keep_apart_what_lies_at_one_place() -> None:
    def of_two(share: Any, step: float = 2.0) -> list[Frame]:
        causes = {"acquisition_time_s": CLOCK}
        return [
            frame(n, step * (n % 5), {**causes, "content_time_s": CLOCK + n // 5}, frame_of_reference=f"1.2.{share(n)}")
            for n in range(10)
        ]

    assert [volume.axes for volume in checked_volumes(of_two(lambda n: n // 5))] == [("z", "y", "x")] * 2
    assert only_volume(of_two(lambda n: 0)).axes == ("t", "z", "y", "x")
    # A new identifier for each image, or for some slices of one even stack, is what a program wrote that removes names.
    assert only_volume(of_two(lambda n: n)).axes == ("t", "z", "y", "x")
    only_volume([frame(n, 2.0 * n, frame_of_reference=f"1.2.{n % 2}") for n in range(10)])


def test_times_that_cannot_be_joined_are_stated_from_the_first() -> None:
    moved = [
        frame(
            t,
            0,
            {"acquisition_time_s": CLOCK + 2.0 * t},
            position=(0.2 * t, 0.0, 0.5 * t),
            image_type=("ORIGINAL", "PRIMARY", "M", "MOSAIC"),
        )
        for t in range(4)
    ]
    assert sorted(volume.acquisition["acquisition_time_s"] for volume in checked_volumes(moved)) == [0.0, 2.0, 4.0, 6.0]
    alone = only_volume([frame(n, 2.0 * n, {"acquisition_time_s": CLOCK}) for n in range(4)])
    assert "acquisition_time_s" not in alone.acquisition
    lacking = [
        frame(n, 3.0 * z, {"frame_reference_time_s": (5.0, 25.0, 70.0)[t], "instance_number": n + 1.0})
        for n, (t, z) in enumerate(itertools.product(range(3), range(5)))
        if (t, z) != (1, 2)
    ]
    assert {volume.acquisition.get("frame_reference_time_s") for volume in checked_volumes(lacking)} == {None, 25.0}


def test_the_sides_of_a_sagittal_series_run_along_their_normal() -> None:
    left, right = ([(side + 2.0 * n, 0.0, 0.0) for n in range(6)] for side in (-120.0, 60.0))
    made = [frame(n, 0, position=place, orientation=SAGITTAL) for n, place in enumerate(left + right)]
    assert [volume.shape[0] for volume in checked_volumes(made)] == [6, 6]


def test_a_few_frames_without_a_counter_are_no_scan_of_their_own() -> None:
    """Two scans of other parts of the body; two slices lack Acquisition Number, and lie far from each other."""
    frames = [
        frame(z, 3.0 * z + 20 * (z > 7), {"acquisition_number": 1.0 + (z > 7), "instance_number": z + 1.0})
        for z in range(16)
    ]
    for first, second in itertools.combinations(range(1, 15, 3), 2):
        changed = [
            replace(one, causes={"instance_number": one.source + 1.0}) if one.source in (first, second) else one
            for one in frames
        ]
        assert all(len(volume.places) > 2 for volume in checked_volumes(changed))


def test_a_clock_that_two_slices_far_apart_share_makes_flagged_arrays() -> None:
    """Positions of 0.7 mm in whole millimetres: several slices lie at one, and times repeat in the next part."""
    frames = [
        frame(9 * part + z, float(round(149 + 0.7 * (z + 9 * part))), {"content_time_s": 36_000.0 + z})
        for part in range(2)
        for z in range(9)
    ]
    volumes = checked_volumes(frames)
    assert all(volume.flags for volume in volumes)
