"""Maps of several quantities in one series: no axis `t`, whatever times their computation has."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from made_up_frames import checked_volumes, frame, means, only_volume

from dicomzarr.volumes.model import Frame

CLOCKS: dict[str, Callable[[int, int], dict[str, float]]] = {
    "acquisition": lambda i, z: {"acquisition_time_s": 36_000.0 + 60 * i},
    "acquisition of slices": lambda i, z: {"acquisition_time_s": 36_000.0 + 60 * i + z},
    "content": lambda i, z: {"content_time_s": 36_000.0 + 60 * i},
    "both": lambda i, z: {"acquisition_time_s": 30_000.0, "content_time_s": 36_000.0 + 60 * i + z},
    "number": lambda i, z: {},
}
MAPS = (
    (("PERFUSION", "KTRANS"), ("PERFUSION", "KEP"), ("PERFUSION", "VE")),
    (("T1", "OTHER"), ("T2", "OTHER")),
    (("M", "SLOPE", "DIS2D"), ("M", "INTERCEPT", "DIS2D"), ("M", "R2", "DIS2D")),
)
SLICES = 8


def maps(
    words: tuple[tuple[str, ...], ...], clock: str, origin: tuple[str, ...] = ("DERIVED", "PRIMARY")
) -> list[Frame]:
    """Return a stack of each type, all at the same places."""
    return [
        frame(
            SLICES * i + z,
            3.0 * z,
            {"instance_number": SLICES * i + z + 1.0, **CLOCKS[clock](i, z)},
            image_type=(*origin, *of),
        )
        for i, of in enumerate(words)
        for z in range(SLICES)
    ]


@pytest.mark.parametrize("lost", [None, 3, 7])
@pytest.mark.parametrize("clock", CLOCKS)
@pytest.mark.parametrize("words", MAPS)
def test_maps_named_by_image_type_are_arrays_of_one_group(
    words: tuple[tuple[str, ...], ...], clock: str, lost: int | None
) -> None:
    volumes = checked_volumes([one for one in maps(words, clock) if one.source != lost])
    assert sorted(len(volume.places) for volume in volumes) == [SLICES - (lost is not None)] + [SLICES] * (
        len(words) - 1
    )
    assert all(volume.t_axis is None and len({p.frame.image_type for p in volume.places}) == 1 for volume in volumes)
    assert len({volume.group for volume in volumes}) == 1


@pytest.mark.parametrize("words", [(("SUB1",), ("SUB2",), ("SUB3",)), (("NORM", "X"), ("NORM",)), (("SUB",),) * 3])
def test_times_of_a_derived_series_stay_together(words: tuple[tuple[str, ...], ...]) -> None:
    """A word that counts, and one that some times have, name no quantity."""
    assert means(only_volume(maps(words, "acquisition"))) == ["acquisition_time_s"]


def test_words_of_original_images_are_remarks() -> None:
    words = (("M", "FIRST"), ("M", "SECOND"))
    assert means(only_volume(maps(words, "acquisition", ("ORIGINAL", "PRIMARY")))) == ["acquisition_time_s"]


def test_derived_images_in_the_order_of_their_computation_are_flagged() -> None:
    volume = only_volume(maps((("OTHER",),) * 3, "content"))
    assert (volume.flags, means(volume)) == (("t_order_only",), ["content_time_s"])
    original = only_volume(maps((("OTHER",),) * 3, "content", ("ORIGINAL", "PRIMARY")))
    assert (original.flags, means(original)) == ((), ["content_time_s"])


def test_facts_keep_maps_of_one_quantity_together() -> None:
    """Of two b-values, two maps each: an array for each quantity, with its b-values along `t`."""
    frames = [
        frame(100 * b + SLICES * i + z, 3.0 * z, {"b_value": 500.0 * b}, image_type=("DERIVED", "PRIMARY", *of))
        for b in (1, 2)
        for i, of in enumerate((("SLOPE",), ("INTERCEPT",)))
        for z in range(SLICES)
    ]
    volumes = checked_volumes(frames)
    assert [(volume.shape[:-2], means(volume)) for volume in volumes] == [((2, SLICES), ["b_value"])] * 2
