"""Windows are turned into ranges of stored values, and programs of the viewer keep to what it accepts."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from conftest import ROOT

from dicomzarr.viewer import shaders, windows
from dicomzarr.viewer.windows import Window, windows_of

PLANE = np.arange(4096, dtype="int16").reshape(64, 64)
CT = {"modality": "CT", "photometric": "MONOCHROME2", "rescale": [1.0, -1024.0], "window": [40.0, 400.0]}


def named(facts: dict[str, Any], plane: Any = PLANE, frame: int = 0) -> dict[str, tuple[float, float, bool]]:
    return {window.name: tuple(window[1:]) for window in windows_of(facts, plane, frame)}


def test_a_window_in_output_units_is_a_range_of_stored_values() -> None:
    """Center 40, width 400: from -160 to 239 HU (PS3.3 C.11.2.1.2.1), of which 1024 more are stored."""
    found = named(CT)
    assert found["window of the header"] == found["soft tissue"] == (864, 1263, False)
    assert found["lung"] == (-326, 1173, False)  # -1350 to 149 HU
    assert list(found)[0] == "window of the header"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"photometric": "MONOCHROME1"}, (864, 1263, True)),
        ({"rescale": [-1.0, 1024.0]}, (785, 1184, True)),
        ({"rescale": [-1.0, 1024.0], "photometric": "MONOCHROME1"}, (785, 1184, False)),
        ({"rescale": [0.5, -1024.0]}, (1728, 2526, False)),
        ({"rescale": [[1.0, 0.0], [2.0, -1024.0], [1.0, 0.0]]}, (432, 631.5, False)),
        ({"window": [[1.0, 2.0], [40.0, 400.0], [1.0, 2.0]]}, (864, 1263, False)),
        ({"window_function": "LINEAR_EXACT"}, (864, 1264, False)),
        ({"window": [0.5, 0.25], "rescale": [0.001, 0.0]}, (375, 625, False)),
        (
            {"window": [[1.0, 2.0], [0.5, 1.0]], "window_function": [None, "SIGMOID"], "rescale": [0.001, 0.0]},
            (0, 1000, False),
        ),
    ],
)
def test_inversion_slope_and_the_pair_of_the_middle_frame_count(
    changes: dict[str, Any], expected: tuple[float, float, bool]
) -> None:
    assert named(CT | changes, frame=1)["window of the header"] == expected


@pytest.mark.parametrize(
    "facts",
    [
        {"modality": "MR"},
        CT | {"modality": "MR", "window": [90000.0, 10.0]},  # shows nothing of the plane
        CT | {"modality": "MR", "window": [[None, None]]},
    ],
)
def test_without_a_window_that_shows_anything_the_percentiles_are_taken(facts: dict[str, Any]) -> None:
    assert named(facts) == {"1st to 99th percentile": (pytest.approx(40.95), pytest.approx(4054.05), False)}


def test_a_constant_or_empty_plane_has_a_window() -> None:
    nothing = np.full((4, 4), np.nan, "float32")
    for plane in (np.zeros((4, 4), "uint8"), nothing):
        assert named({"modality": "MR"}, plane) == {"1st to 99th percentile": (0, 1, False)}


@pytest.mark.parametrize(("value", "ends"), [(500, (0, 1000)), (-1000, (-2000, 0)), (1, (0, 2))])
def test_a_value_that_is_the_only_one_is_grey(value: int, ends: tuple[int, int]) -> None:
    assert named({"modality": "MR"}, np.full((4, 4), value, "int16")) == {"1st to 99th percentile": (*ends, False)}


def test_the_ends_of_a_control_are_whole_numbers_of_the_type() -> None:
    assert "range=[864, 1263], window=[0, 4000]" in shaders.grey(Window("", 864.2, 1262.9, False), "int16", 0, 4000)
    assert "range=[254, 255]" in shaders.grey(Window("", 254.9, 255, False), "uint8", 0, 255)
    assert "range=[0.25, 0.5]" in shaders.grey(Window("", 0.25, 0.5, False), "float32", 0, 1)


def test_a_window_that_leaves_the_type_is_not_cut() -> None:
    program = shaders.grey(Window("", -326, 1173, False), "uint16", 0, 4000)
    assert "invlerp" not in program and "default=-326.000" in program and "default=1173.000" in program


def test_the_presets_are_documented() -> None:
    page = (ROOT / "docs" / "viewing.md").read_text()
    rows = re.findall(r"^\| (\w[\w ]+) \| (?:CT with `rescale`: )?center (-?\d+), width (\d+) HU \|$", page, re.M)
    assert {name: (float(center), float(width)) for name, center, width in rows} == windows.CT


def test_a_palette_of_too_many_colours_has_no_program() -> None:
    table = {"first": 0, "bits": 8, "red": [0] * 4096, "green": [0] * 4096, "blue": [0] * 4096}
    assert shaders.palette(table) is None
