"""Copies of images under another UID, and repetitions that look like copies and are none."""

from __future__ import annotations

import random
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from dicomzarr.volumes.duplicates import Pixels, copies
from dicomzarr.volumes.model import Frame

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
ZERO = "zero"  # the pixels of a frame with one value


def image(number: int, z: float | None, **more: Any) -> Frame:
    frame = Frame(
        source=number,
        number=0,
        frames_in_file=1,
        content=f"{number:064x}",
        sop_instance_uid=f"1.2.{number}",
        sop_class_uid="1.2.840.10008.5.1.4.1.1.4",
        modality="MR",
        image_type=("ORIGINAL", "PRIMARY", "M"),
        rows=4,
        columns=6,
        samples=1,
        dtype="<i2",
        photometric="MONOCHROME2",
        bits_stored=12,
        position=None if z is None else (0.0, 0.0, z),
        orientation=None if z is None else AXIAL,
        pixel_spacing=(0.5, 0.25),
        rescale=(1.0, 0.0),
        causes={
            **{"instance_number": float(number), "series_number": 3.0, "acquisition_number": 1.0},
            **{"content_time_s": 200.0, "acquisition_time_s": 100.0, "echo_time_ms": 30.0},
        },
        terms={"complex_component": "magnitude"},
        constants={"slice_thickness_mm": 2.0},
    )
    causes = {**frame.causes, **more.pop("causes", {})}
    return replace(frame, causes=causes, **more)


class Series:
    """Files with their pixels, which are named by a word; counts the files whose pixels are read."""

    def __init__(self, cells: Sequence[tuple[Frame | Sequence[Frame], str]]) -> None:
        self.files: dict[int, Sequence[Frame]] = {}
        self.pixels: dict[int, str] = {}
        self.read: set[int] = set()
        for frames, pixels in cells:
            listed = [frames] if isinstance(frames, Frame) else list(frames)
            self.files[listed[0].source] = listed
            self.pixels[listed[0].source] = pixels

    def of(self, file: int) -> Pixels:
        self.read.add(file)
        return Pixels(self.pixels[file], self.pixels[file].startswith(ZERO))

    def copies(self, facts: Mapping[int, Hashable] | None = None) -> list[int]:
        return copies(self.files, (facts or {}).get, self.of)


def stack(slices: int, times: int = 1, pixels: Any = lambda z, t: f"{z},{t}") -> list[tuple[Frame, str]]:
    """Return slices of a stack, time by time: only their instance numbers tell times apart."""
    return [(image(t * slices + z, 2.5 * z), pixels(z, t)) for t in range(times) for z in range(slices)]


def test_a_slice_that_was_exported_twice_is_a_copy() -> None:
    series = Series([*stack(8), (image(99, 10.0), "4,0")])
    assert series.copies() == [99] and series.read == {4, 99}


def test_the_smallest_counter_stays_whatever_the_order_and_the_numbers_of_the_files() -> None:
    files = [*stack(5), (image(70, 5.0, causes={"instance_number": 1.5}), "2,0")]
    assert Series(files).copies() == [2]
    for seed in range(5):
        assert Series(random.Random(seed).sample(files, len(files))).copies() == [2]


def test_a_position_that_was_written_with_fewer_digits_is_the_same_place() -> None:
    series = Series([*stack(4), (image(9, 2.5, position=(0.0, 0.0, 2.5004)), "1,0")])
    assert series.copies() == [9]


@given(decimals=st.integers(1, 3), count=st.integers(1, 6), first=st.booleans(), seed=st.integers(0, 1 << 20))
def test_an_export_with_rounded_positions_is_a_copy_and_the_longer_numbers_stay(
    decimals: int, count: int, first: bool, seed: int
) -> None:
    rng = random.Random(seed)
    start, step = rng.uniform(-300, 300), rng.uniform(1, 4)
    places = [round(start + step * n, 6) for n in range(6)]
    series = [(image(n + 10 * first, z, causes={"instance_number": float(n)}), f"{n}") for n, z in enumerate(places)]
    again = [
        (image(n + 10 * (not first), round(z, decimals), causes={"instance_number": float(n)}), f"{n}")
        for n, z in enumerate(places[:count])
    ]
    assume(any(round(z, decimals) % 1 for z in places[:count]))  # whole numbers alone count as exact
    found = Series([*series, *again]).copies()
    assert len(found) == count
    longer = {frame.source for frame, _ in series}
    shortened = sum(round(z, decimals) != z for z in places[:count])
    assert len(set(found) - longer) >= shortened


def test_two_places_that_are_one_when_rounded_are_not_guessed() -> None:
    near = [(image(n, 0.004 * n), f"{n}") for n in range(2)]
    assert Series([*near, *[(image(n, 3.0 * n), f"{n}") for n in range(2, 5)], (image(9, 0.0), "1")]).copies() == []


@pytest.mark.parametrize("counter", ["instance_number", "acquisition_number", "content_time_s"])
def test_counters_and_times_of_writing_may_differ(counter: str) -> None:
    assert Series([*stack(4), (image(9, 2.5, causes={counter: 1234.0}), "1,0")]).copies() == [9]


@pytest.mark.parametrize(
    "different",
    [
        {"causes": {"acquisition_time_s": 101.0}},
        {"causes": {"echo_time_ms": 60.0}},
        {"causes": {"b_value": 0.0}},
        {"causes": {"trigger_time_ms": 0.0}},
        {"causes": {"temporal_position": 2.0}},
        {"causes": {"series_number": 2.0}},
        {"terms": {"complex_component": "phase"}},
        {"constants": {"slice_thickness_mm": 5.0}},
        {"kernel": "sharp"},
        {"image_type": ("DERIVED", "PRIMARY", "M")},
        {"rescale": (2.0, 0.0)},
        {"rescale": None},
        {"real_world": (0.1, 0.0)},
        {"pixel_spacing": (1.0, 1.0)},
        {"position": (0.0, 0.0, 2.6)},
        {"orientation": (0.0, 1.0, 0.0, 1.0, 0.0, 0.0)},
        {"dtype": "<u2"},
    ],
)
def test_files_with_other_facts_are_not_compared(different: dict[str, Any]) -> None:
    series = Series([*stack(4), (image(9, 2.5, **different), "1,0")])
    assert series.copies() == [] and not series.read


def test_facts_of_the_file_must_be_equal_too() -> None:
    assert Series([*stack(4), (image(9, 2.5), "1,0")]).copies({9: "other lookup table"}) == []


def test_other_pixels_at_the_same_place_are_no_copy() -> None:
    assert Series([*stack(4), (image(9, 2.5), "other")]).copies() == []


def test_a_stack_without_repetitions_is_not_read() -> None:
    series = Series(stack(300))
    assert series.copies() == [] and not series.read


def test_a_series_of_times_with_clocks_is_not_read() -> None:
    times = [
        (image(t * 9 + z, 2.5 * z, causes={"acquisition_time_s": 2.0 * t}), "same") for t in range(5) for z in range(9)
    ]
    series = Series(times)
    assert series.copies() == [] and not series.read


def test_a_repetition_known_by_its_counter_alone_is_settled_by_one_place() -> None:
    series = Series(stack(10, 20))
    assert series.copies() == [] and len(series.read) == 20


def test_empty_slices_of_a_repetition_stay() -> None:
    series = Series(stack(6, 5, lambda z, t: ZERO if z in (0, 1, 5) else f"{z},{t}"))
    assert series.copies() == []


def test_a_repetition_of_empty_slices_alone_stays() -> None:
    assert Series(stack(3, 4, lambda z, t: ZERO)).copies() == []


def test_a_mask_that_rests_at_some_times_stays() -> None:
    assert Series(stack(4, 3, lambda z, t: f"{z},{min(t, 1)}" if z else "0")).copies() == []
    assert Series(stack(4, 3, lambda z, t: f"{z},{t}" if z == 2 else f"{z}")).copies() == []


def test_the_copy_of_one_frame_of_a_repetition_is_found() -> None:
    series = Series([*stack(5, 4), (image(90, 5.0), "2,3")])
    assert series.copies() == [90]


def test_a_stack_that_was_exported_twice_keeps_one_of_each_even_its_empty_slices() -> None:
    twice = stack(6, 2, lambda z, t: ZERO if z in (0, 5) else f"{z}")
    assert Series(twice).copies() == [6, 7, 8, 9, 10, 11]
    assert Series(twice[:-2]).copies() == [6, 7, 8, 9]  # the second export was cut short


@pytest.mark.parametrize("times", [3, 4, 10])
def test_three_equal_times_that_are_counted_through_are_a_repetition(times: int) -> None:
    equal = stack(6, times, lambda z, t: ZERO if z == 5 else f"{z}")
    assert Series(equal).copies() == []
    same_numbers = [
        (replace(frame, causes={**frame.causes, "instance_number": frame.causes["instance_number"] % 6}), pixels)
        for frame, pixels in equal
    ]
    assert Series(same_numbers).copies() == list(range(6, 6 * times))


def test_a_repetition_that_was_exported_twice_keeps_the_first_export() -> None:
    twice = stack(3, 8, lambda z, t: ZERO if z == 0 else f"{z},{t % 4}")
    assert Series(twice).copies() == list(range(12, 24))


def test_an_empty_slice_of_a_stack_that_was_exported_twice_with_clocks_of_its_slices() -> None:
    def slices(first: int) -> list[tuple[Frame, str]]:
        return [
            (image(first + z, 2.5 * z, causes={"acquisition_time_s": 0.5 * z}), ZERO if z == 3 else f"{z}")
            for z in range(4)
        ]

    assert Series([*slices(0), *slices(10)]).copies() == [10, 11, 12, 13]
    assert Series([*slices(0), slices(10)[3]]).copies() == [13]
    assert Series([slices(0)[3], slices(10)[3]]).copies() == []


def test_a_contested_place_does_not_hide_a_copy_elsewhere() -> None:
    series = Series([*stack(8), (image(50, 5.0), "other"), (image(51, 10.0), "4,0")])
    assert series.copies() == [51]


def test_images_without_position_are_copies_if_their_number_is_the_same() -> None:
    files = [(image(n, None, causes={"instance_number": float(n)}), f"{n}") for n in range(4)]
    again = image(9, None, causes={"instance_number": 2.0})
    assert Series([*files, (again, "2")]).copies() == [9]
    assert Series([*files, (again, "other")]).copies() == []
    other_number = image(9, None, causes={"instance_number": 7.0})
    assert Series([*files, (other_number, "2")]).copies() == []
    unnumbered = [replace(image(n, None), causes={}) for n in (20, 21)]
    assert Series([(frame, "same") for frame in unnumbered]).copies() == []


def multi_frame(source: int, frames: int = 3, **more: Any) -> list[Frame]:
    return [
        replace(image(source, 2.5 * number, **more), number=number, frames_in_file=frames) for number in range(frames)
    ]


def test_multi_frame_files_are_compared_as_a_whole() -> None:
    assert Series([(multi_frame(0), "a"), (multi_frame(1), "a")]).copies() == [1]
    assert Series([(multi_frame(0), "a"), (multi_frame(1), "b")]).copies() == []
    assert Series([(multi_frame(0), "a"), (multi_frame(1, 2), "a")]).copies() == []
    later = multi_frame(1, causes={"temporal_position": 2.0})
    assert Series([(multi_frame(0), "a"), (later, "a")]).copies() == []


def test_files_that_cannot_be_read_are_neither_copies_nor_originals() -> None:
    series = Series([*stack(4), (image(9, 2.5), "1,0")])
    assert copies(series.files, lambda file: None, lambda file: None if file == 1 else series.of(file)) == []
    assert copies(series.files, lambda file: None, lambda file: None) == []


@settings(deadline=None)
@given(data=st.data())
def test_doubled_files_are_found_and_no_content_of_a_place_is_lost(data: st.DataObject) -> None:
    slices, times = data.draw(st.integers(1, 6)), data.draw(st.integers(1, 4))
    files = stack(slices, times)
    places = data.draw(st.sets(st.integers(0, slices - 1), max_size=(slices - 1) // 2))  # fewer than half
    numbers = [number for number in range(slices * times) if number % slices in places]
    doubled = data.draw(st.sets(st.sampled_from(numbers))) if numbers else set()
    again = [(image(1000 + number, 2.5 * (number % slices)), files[number][1]) for number in sorted(doubled)]
    series = Series(data.draw(st.permutations([*files, *again])))
    found = series.copies()
    assert found == [1000 + number for number in sorted(doubled)]
    kept = {(series.files[file][0].position, series.pixels[file]) for file in set(series.files) - set(found)}
    assert kept == {(series.files[file][0].position, series.pixels[file]) for file in series.files}
