"""OME-Zarr metadata: units only where known, directions only for aligned axes, long lists as arrays of their own."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from dicomzarr.arrays import ome_metadata
from dicomzarr.volumes.model import Frame, Place, Volume

FACTS = {"modality": "CT", "photometric": "MONOCHROME2"}


def volume(frames: int = 2, axis: str = "z", **more: Any) -> Volume:
    of_file = [
        Frame(0, n, frames, "c", "1.2", "1.3", "CT", (), 4, 4, 1, "<i2", "MONOCHROME2", 16, rescale=(1.0 + n, 0.0))
        for n in range(frames)
    ]
    places = tuple(Place(f, n if axis == "t" else None, n if axis == "z" else None) for n, f in enumerate(of_file))
    return Volume(("d",), "volume", "why", (axis, "y", "x"), (frames, 4, 4), places, **more)


def affine(x: tuple[float, ...], y: tuple[float, ...], z: tuple[float, ...]) -> tuple[tuple[float, ...], ...]:
    rows = [(float(x[i]), float(y[i]), float(z[i]), 0.0) for i in range(3)]
    return (*rows, (0.0, 0.0, 0.0, 1.0))


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        (((2, 0, 0), (0, 2, 0), (0, 0, 3)), ("right-to-left", "anterior-to-posterior", "inferior-to-superior")),
        (((-2, 0, 0), (0, 0, -2), (0, 3, 0)), ("left-to-right", "superior-to-inferior", "anterior-to-posterior")),
        (((2, 0.01, 0), (-0.01, 2, 0), (0, 0, 3)), (None, None, "inferior-to-superior")),
    ],
)
def test_only_aligned_axes_have_a_direction(columns: Any, expected: tuple[str | None, ...]) -> None:
    oriented = volume(affine_lps=affine(*columns))
    assert tuple(ome_metadata.anatomical(oriented, axis) for axis in "xyz") == expected
    orientations = {axis["name"]: axis.get("orientation") for axis in ome_metadata.axes(oriented)}
    for name, value in zip("xyz", expected, strict=True):
        assert orientations[name] == ({"type": "anatomical", "value": value} if value else None)
    assert ome_metadata.anatomical(volume(), "x") is None


@pytest.mark.parametrize(
    ("means", "values", "step"),
    [
        (["frame_time_s"], [0.0, 0.5, 1.0], 0.5),
        (["acquisition_time_s"], [0.0, 0.5, 1.2], None),
        (["echo_time_ms"], [0.0, 0.5, 1.0], None),
        (["frame_time_s", "echo_time_ms"], [[0.0, 1.0], [0.5, 1.0], [1.0, 1.0]], None),
        (["trigger_time_ms"], [0.0, 100.0, 200.0], 0.1),
        (["trigger_time_ms"], [21.5, 64.5, 107.5], 0.043),
        (["trigger_time_ms"], [0.0, 100.0, 250.0], None),
        (["trigger_time_ms"], [200.0, 100.0, 0.0], None),
        (["temporal_offset_s"], [0.0, 2.5, 5.0], 2.5),
        (["temporal_position", "trigger_time_ms"], [[1.0, 0.0], [2.0, 100.0], [3.0, 200.0]], 0.1),
        (["temporal_position", "trigger_time_ms"], [[1.0, 0.0], [2.0, None], [3.0, 200.0]], None),
        (["temporal_position", "acquisition_time_s"], [[1.0, 0.0], [2.0, 4.0]], 4.0),
        (["trigger_time_ms", "acquisition_time_s"], [[0.0, 0.0], [100.0, 0.1], [200.0, 0.2]], 0.1),
        (["trigger_time_ms", "acquisition_time_s"], [[0.0, 0.0], [100.0, 7.0], [200.0, 14.0]], None),
        (["temporal_position", "b_value", "trigger_time_ms"], [[1.0, 0.0, 0.0], [2.0, 50.0, 100.0]], None),
        (["temporal_position"], [1.0, 2.0, 3.0], None),
        (["inversion_time_ms"], [100.0, 200.0, 300.0], None),
    ],
)
def test_only_even_times_make_t_an_axis_of_seconds(means: list[str], values: list[Any], step: float | None) -> None:
    in_time = volume(3, "t", t_axis={"means": means, "values": values})
    assert ome_metadata.axes(in_time)[0].get("unit") == ("second" if step else None)
    assert ome_metadata.scale(in_time)[0] == (step or 1.0)


def test_unknown_spacing_has_no_unit() -> None:
    partly_known = volume(spacing_mm={"y": 0.5, "x": 0.75})
    assert [axis.get("unit") for axis in ome_metadata.axes(partly_known)] == [None, "millimeter", "millimeter"]
    assert ome_metadata.scale(partly_known) == [1.0, 0.5, 0.75]


def test_a_volume_of_one_whole_file_is_marked() -> None:
    whole = volume(3)
    assert ome_metadata.facts(whole, FACTS)["one_file"] is True
    turned = dataclasses.replace(whole, places=whole.places[::-1])
    assert ome_metadata.facts(turned, FACTS)["one_file"] == [2, 1, 0]
    part = dataclasses.replace(whole, places=whole.places[:2])
    other = dataclasses.replace(whole.places[0], frame=dataclasses.replace(whole.places[0].frame, source=1))
    mixed = dataclasses.replace(whole, places=(other, *whole.places[1:]))
    assert not {"one_file"} & (set(ome_metadata.facts(part, FACTS)) | set(ome_metadata.facts(mixed, FACTS)))
    assert "one_file" not in ome_metadata.facts(volume(1), FACTS)


def windowed(windows: list[Any], functions: list[str]) -> dict[str, Any]:
    """Return the attributes of a volume whose frames have these windows, and these functions of them."""
    made = volume(len(windows))
    places = tuple(
        dataclasses.replace(place, frame=dataclasses.replace(place.frame, window=window, window_function=function))
        for place, window, function in zip(made.places, windows, functions, strict=True)
    )
    return ome_metadata.facts(dataclasses.replace(made, places=places), FACTS)


def test_a_frame_without_a_window_takes_it_from_no_other() -> None:
    """As with rescale: one pair, or one for each frame, of null where it has none."""
    one, other = ((40.0, 400.0), (600.0, 1500.0)), ((41.0, 400.0),)
    assert windowed([one, one, one], [""] * 3)["window"] == [40.0, 400.0]
    assert windowed([one, (), one], [""] * 3)["window"] == [[40.0, 400.0], [None, None], [40.0, 400.0]]
    assert windowed([(), other, one], [""] * 3)["window"] == [[None, None], [41.0, 400.0], [40.0, 400.0]]
    assert "window" not in windowed([(), (), ()], [""] * 3)


@pytest.mark.parametrize(
    ("functions", "stated"),
    [
        (["", "", ""], None),
        (["", "SIGMOID", ""], None),  # that frame has no window
        (["SIGMOID", "", "SIGMOID"], "SIGMOID"),
        (["SIGMOID", "", ""], ["SIGMOID", None, "LINEAR"]),
    ],
)
def test_functions_of_windows_are_stated_unless_all_are_linear(functions: list[str], stated: Any) -> None:
    window = ((40.0, 400.0),)
    assert windowed([window, (), window], functions).get("window_function") == stated


def test_long_lists_lie_in_arrays_beside_the_image(tmp_path: Path) -> None:
    frames = ome_metadata.MANY + 1
    depths = tuple(float(n * n) for n in range(frames))
    lut = {"first": 0, "bits": 16, "values": list(range(frames))}
    long_volume = volume(frames, positions_mm=depths)
    digests = ome_metadata.write_image_group(tmp_path, long_volume, FACTS | {"modality_lut": lut})
    facts = json.loads((tmp_path / "zarr.json").read_text())["attributes"]["dicomzarr"]
    assert facts["rescale"] == {"array": "rescale"} and facts["positions_mm"] == {"array": "positions_mm"}
    assert facts["modality_lut"]["values"] == {"array": "modality_lut"}
    expected = {
        "rescale": [[1.0 + n, 0.0] for n in range(frames)],
        "positions_mm": depths,
        "modality_lut": range(frames),
    }
    for name, values in expected.items():
        array: Any = zarr.open_array(str(tmp_path / name), mode="r")
        np.testing.assert_array_equal(array[...], np.asarray(list(values)))
    written = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert set(digests) == written
