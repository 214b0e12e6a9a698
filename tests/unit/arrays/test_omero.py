"""How viewers show an image first: windows in stored values, channels, the frame in the middle."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from dicomzarr.arrays.omero import _window, omero, stored_window
from dicomzarr.arrays.write_image import Decoded, write_image
from dicomzarr.dicom.dates_in_numbers import any_date
from dicomzarr.volumes.model import Frame, Place, Volume

CT = {"modality": "CT", "photometric": "MONOCHROME2", "bits_stored": 12}
DATES = st.dates(date(1850, 1, 1), date(2099, 12, 31)).map(lambda day: float(f"{day:%Y%m%d}"))
FRAME = Frame(0, 0, 1, "", "", "", "CT", (), 8, 8, 1, "<i2", "MONOCHROME2", 12)


def volume(frames: Sequence[Frame], axes: str = "zyx", shape: tuple[int, ...] | None = None) -> Volume:
    slices = (shape or (len(frames),))[axes.index("z")] if "z" in axes else 1
    places = tuple(
        Place(frame, n // slices if "t" in axes else None, n % slices if "z" in axes else None)
        for n, frame in enumerate(frames)
    )
    return Volume(("x",), "volume", "made up", tuple(axes), shape or (len(frames), 8, 8), places)


def written(folder: Path, pixels: NDArray[Any], facts: dict[str, Any], **of_frame: Any) -> Any:
    """Return the attribute `ome` of a written image, strict JSON."""
    dtype = pixels.dtype.newbyteorder("<").str
    frames = [dataclasses.replace(FRAME, dtype=dtype, **of_frame)] * len(pixels)
    axes = ("z", "c", "y", "x") if pixels.ndim == 4 else ("z", "y", "x")
    shape = (len(pixels), 3, *pixels.shape[1:3]) if pixels.ndim == 4 else pixels.shape
    made = dataclasses.replace(volume(frames), axes=axes, shape=shape)
    image = folder / "0123456789abcdef" / "01234567"
    image.parent.mkdir()
    write_image(
        image, made, iter(pixels), lambda: Decoded([], facts), name="0123456789abcdef/01234567", compression="none",
        layout="slice",
    )  # fmt: skip

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    return json.loads((image / "zarr.json").read_text(), parse_constant=refuse)["attributes"]["ome"]


@pytest.mark.parametrize(
    ("window", "rescale", "expected"),
    [
        ((40, 400), (1, -1024), (864, 1263)),  # black at -160 HU and below, white from 239 HU (PS3.3 C.11.2.1.2.1)
        ((2048, 4096), (1, 0), (0, 4095)),  # the example of PS3.3 C.11.2.1.2.1
        ((40, 400), (-2, 100), (-69.5, 130)),  # (239 - 100) / -2, (-160 - 100) / -2
        ((5, 1), (1, 0), (4.5, 5.5)),
        ((0.5, 0.25), (0.5, 0), (0.75, 1.25)),
        ((40, 0), (1, 0), None),
        ((40, -1), (1, 0), None),
        ((40, 400), (0, 5), None),
        ((40, 400), (1e-320, 5), None),
    ],
)
def test_a_window_is_turned_back_through_the_rescale(
    window: tuple[float, float], rescale: tuple[float, float], expected: tuple[float, float] | None
) -> None:
    assert stored_window(*window, *rescale) == expected


@pytest.mark.parametrize("function", ["LINEAR_EXACT", "SIGMOID"])
def test_a_window_that_is_not_linear_reaches_from_its_lower_to_its_upper_end(function: str) -> None:
    assert stored_window(0.75, 1.0, 0.0005, 0.0, function) == (500, 2500)
    assert stored_window(40, 400, 1, -1024, function) == (864, 1264)
    frame = dataclasses.replace(FRAME, rescale=(1.0, -1024.0), window=((40.0, 400.0),), window_function=function)
    assert omero(volume([frame]), CT)["channels"][0]["window"]["end"] == 1264


def test_the_window_is_that_of_the_frame_in_the_middle() -> None:
    frames = [
        dataclasses.replace(FRAME, rescale=(float(n + 1), -1024.0), window=((100.0 * n, 400.0),)) for n in range(6)
    ]
    shown = omero(volume(frames, "tzyx", (2, 3, 8, 8)), CT)
    # The middle is t 1, z 1: frame 4, center 400, slope 5: (200 + 1024) / 5 and (599 + 1024) / 5.
    assert shown["channels"][0]["window"] == {"min": -2048, "max": 2047, "start": 244.8, "end": 324.6}
    assert shown["rdefs"] == {"model": "greyscale", "defaultT": 1, "defaultZ": 1}


@pytest.mark.parametrize(("photometric", "slope", "inverted"), [
    ("MONOCHROME2", 1.0, False), ("MONOCHROME1", 1.0, True), ("MONOCHROME2", -1.0, True), ("MONOCHROME1", -1.0, False),
])  # fmt: skip
def test_white_is_the_small_value_where_header_or_slope_say_so(photometric: str, slope: float, inverted: bool) -> None:
    frame = dataclasses.replace(FRAME, rescale=(slope, 0.0), window=((40.0, 400.0),))
    (channel,) = omero(volume([frame]), CT | {"photometric": photometric})["channels"]
    assert channel["inverted"] is inverted and channel["window"]["start"] < channel["window"]["end"]


def test_without_a_window_the_values_decide_but_for_outliers_and_padding(tmp_path: Path) -> None:
    pixels = np.full((2, 64, 64), -2000, "<i2")
    pixels[:, 8:56, 8:56] = np.arange(48 * 48).reshape(48, 48) // 48  # 0 to 47, each as often
    pixels[1, 10, 10] = 1900  # metal
    ome = written(tmp_path, pixels, CT | {"padding_value": -2000}, bits_stored=12)
    (channel,) = ome["omero"]["channels"]
    assert channel == {
        "label": "CT", "color": "FFFFFF", "active": True, "inverted": False,
        "window": {"min": -2000, "max": 1900, "start": 0, "end": 47},
    }  # fmt: skip
    assert ome["multiscales"][0]["name"] == "0123456789abcdef/01234567"


@pytest.mark.parametrize(
    ("values", "window"),
    [
        ([0.25, np.nan, np.inf, -np.inf, 0.75], {"min": 0.25, "max": 0.75, "start": 0.25, "end": 0.75}),
        ([np.nan, np.inf, np.nan, np.nan, np.nan], {"min": 0, "max": 1, "start": 0, "end": 1}),
        ([7.0] * 5, {"min": 0, "max": 14, "start": 0, "end": 14}),
    ],
)
def test_floats_have_a_finite_window(tmp_path: Path, values: list[float], window: dict[str, float]) -> None:
    pixels = np.resize(np.array(values, "<f4"), (1, 5, 5))
    assert written(tmp_path, pixels, {"modality": ""})["omero"]["channels"][0]["window"] == window


@pytest.mark.parametrize(
    ("value", "dtype", "facts", "ends"),
    [
        (300, "<u2", {}, (0, 600)),
        (-300, "<i2", {}, (-600, 0)),
        (250, "|u1", {}, (0, 255)),
        (-128, "|i1", {}, (-128, 0)),
        (0, "<u2", {}, (0, 1)),
        (3.4e38, "<f4", {}, (0, 3.41e38)),
        (300, "<u2", {"window": ((40, 400),)}, (0, 600)),  # of the header, which would show it white
        (100, "<u2", {"window": ((40, 400),)}, (-160, 239)),
    ],
)
def test_one_value_alone_is_grey(
    tmp_path: Path, value: float, dtype: str, facts: dict[str, Any], ends: tuple[float, float]
) -> None:
    shown = written(tmp_path, np.full((1, 5, 5), value, dtype), {"modality": ""}, **facts)
    window = shown["omero"]["channels"][0]["window"]
    assert (window["start"], window["end"]) == ends
    assert window["min"] <= window["start"] and window["end"] <= window["max"]


def test_a_window_of_the_header_that_shows_nothing_is_not_used(tmp_path: Path) -> None:
    pixels = np.arange(5000, 5025, dtype="<u2").reshape(1, 5, 5)
    shown = written(tmp_path, pixels, {"modality": ""}, window=((40, 400),))
    window = shown["omero"]["channels"][0]["window"]
    assert (window["start"], window["end"]) == (5000, 5024)


@example(20031117.0, 20031117.0)
@example(20031117101530.0, 1.7e308)
@example(-1.79e308, 1.79e308)
@given(st.floats(allow_nan=False, allow_infinity=False) | DATES, st.floats(-1e9, 1e9) | DATES)
def test_no_number_of_a_window_reads_as_a_date(first: float, second: float) -> None:
    low, high = sorted((float(first), float(second)))
    window = _window(low, high, low, high)
    assert not any_date(window.values())
    assert window["min"] == window["start"] <= low and high <= window["max"]
    assert window["start"] < window["end"] <= window["max"]
    json.loads(json.dumps(window), parse_constant=pytest.fail)
    if max(abs(low), abs(high)) < 1e7 and low < high:
        assert (window["start"], window["end"]) == (low, high)


def test_colour_has_three_channels_with_the_range_of_its_bits(tmp_path: Path) -> None:
    shown = written(tmp_path, np.zeros((2, 8, 8, 3), "|u1"), {"modality": "US", "bits_stored": 8})["omero"]
    assert [(channel["label"], channel["color"]) for channel in shown["channels"]] == [
        ("R", "FF0000"),
        ("G", "00FF00"),
        ("B", "0000FF"),
    ]
    assert all(channel["window"] == {"min": 0, "max": 255, "start": 0, "end": 255} for channel in shown["channels"])
    assert shown["rdefs"] == {"model": "color", "defaultT": 0, "defaultZ": 1}


def test_sampling_many_large_frames_leaves_no_frame_out_of_the_range(tmp_path: Path) -> None:
    pixels = np.zeros((130, 200, 70), "<u2")
    pixels[:] = (np.arange(130) % 100)[:, None, None]
    pixels[77, 199, 69] = 60000  # in no sample
    shown = written(tmp_path, pixels, {"modality": "MR", "bits_stored": 16})["omero"]["channels"][0]["window"]
    assert shown == {"min": 0, "max": 60000, "start": 0, "end": 99}
