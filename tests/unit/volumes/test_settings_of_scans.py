"""Scans that differ only in filter, contrast agent or the like, and are numbered and timed place by place."""

from __future__ import annotations

import random
from typing import Any

import pytest
from frames_from_files import MadeUpFormat
from hypothesis import given
from hypothesis import strategies as st
from made_up_frames import checked_volumes, frame, means, only_volume

from dicomzarr.dicom.facts import ImageFacts
from dicomzarr.volumes.frames import frames_of
from dicomzarr.volumes.model import Frame, Volume

CLOCKS: dict[str, Any] = {
    "none": lambda k: {},
    "number": lambda k: {"instance_number": k + 1.0},
    "time": lambda k: {"instance_number": k + 1.0, "acquisition_time_s": 1e8 + k},
    "content": lambda k: {"instance_number": k + 1.0, "content_time_s": 1e8 + k},
}


def settings_of(volume: Volume) -> list[set[str]]:
    """Return the settings of each index of `t`."""
    found: dict[int | None, set[str]] = {}
    for place in volume.places:
        found.setdefault(place.t, set()).add(place.frame.setting)
    return list(found.values())


@given(st.integers(4, 15), st.sampled_from(["AB", "ABC"]), st.sampled_from(list(CLOCKS)), st.booleans(), st.randoms())
def test_scans_between_each_other_are_parted_by_a_setting(
    slices: int, names: str, clock: str, thick: bool, order: random.Random
) -> None:
    count = len(names)
    thickness = {"slice_thickness_mm": 1.25 * count if thick else 1.25}
    frames = [
        frame(z, 1.25 * z, CLOCKS[clock](z), setting=names[z % count], constants=thickness)
        for z in range(slices * count)
    ]
    gone = order.randrange(1, len(frames) - 1)
    for kept in (frames, [one for one in frames if one.source != gone or slices < 6]):
        volumes = checked_volumes(kept)
        assert sorted(map(settings_of, volumes), key=str) == [[{name}] for name in names]
        assert len({volume.discriminators for volume in volumes}) == count


@given(st.integers(2, 9), st.sampled_from(list(CLOCKS)), st.randoms())
def test_an_index_of_t_has_one_setting_in_whatever_order_each_place_was_acquired(
    slices: int, clock: str, order: random.Random
) -> None:
    frames: list[Frame] = []
    for z in range(slices):
        for name in order.sample("ABC", 3):
            frames.append(frame(len(frames), 2.0 * z, CLOCKS[clock](len(frames)), setting=name))
    volume = only_volume(frames)
    assert sorted(map(str, settings_of(volume))) == ["{'A'}", "{'B'}", "{'C'}"]
    assert "t_order_only" in volume.flags or "acquisition_time_s" in means(volume) or "content_time_s" in means(volume)


@given(st.integers(1, 6), st.integers(2, 6), st.sampled_from(["AB", "ABC"]), st.randoms())
def test_settings_with_the_same_numbers_are_one_array_with_times_of_each(
    slices: int, times: int, names: str, order: random.Random
) -> None:
    """Two metabolites over time, each numbered from the first image, as maps of spectra are."""
    frames = [
        frame(len(names) * (t * slices + z) + n, 5.0 * z, {"instance_number": float(t * slices + z)}, setting=name)
        for t in range(times)
        for z in range(slices)
        for n, name in enumerate(names)
    ]
    order.shuffle(frames)
    volume = only_volume(frames)
    assert all(len(found) == 1 for found in settings_of(volume))
    by_setting: dict[str, list[tuple[int, float]]] = {}
    for place in volume.places:
        if not place.z:
            by_setting.setdefault(place.frame.setting, []).append((place.t or 0, place.frame.causes["instance_number"]))
    for along in by_setting.values():
        assert [number for _, number in sorted(along)] == sorted(number for _, number in along)
        assert len(along) == times


@given(st.integers(3, 20), st.integers(1, 3), st.sampled_from(["number", "time"]), st.randoms())
def test_a_setting_that_changes_from_slice_to_slice_parts_nothing(
    slices: int, times: int, clock: str, order: random.Random
) -> None:
    """Neither at random, nor in a part of the stack, nor from one time to the next."""
    first = order.randrange(slices)
    rules: list[Any] = [lambda z, t: "AB"[z < first], lambda z, t: "AB"[t > 0], lambda z, t: f"{z}"]
    if slices > 9:
        wild = [order.choice("AB") for _ in range(slices)]
        rules.append(lambda z, t: wild[z] if z > 2 else "A")
    for rule in rules:
        frames = [
            frame(t * slices + z, 2.0 * z, CLOCKS[clock](t * slices + z), setting=rule(z, t))
            for t in range(times)
            for z in range(slices)
        ]
        assert len(only_volume(frames).places) == slices * times


@pytest.mark.parametrize(
    "keyword", [*("FilterType", "ContrastBolusAgent", "ScanningSequence", "ScanOptions"), "SeriesDescription"]
)
def test_what_a_setting_is_read_from(keyword: str) -> None:
    def setting(**facts: Any) -> str:
        one: ImageFacts = {"Rows": 4, "Columns": 6, **facts}  # type: ignore
        [found] = frames_of(0, "0" * 64, one, MadeUpFormat(4, 6, 1, "<i2", "MONOCHROME2", 12, 1))
        return found.setting

    assert setting(**{keyword: "A"}) != setting(**{keyword: "B"}) != setting()
    assert setting(SequenceVariant=["SK"]) != setting(SequenceVariant=["SK", "SP"])
