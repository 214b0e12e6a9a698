"""Windows as the standard defines them (PS3.3 C.11.2.1.2, C.11.2.1.3), by its own examples and formulas."""

from __future__ import annotations

import math

import numpy as np
import pytest

from dicomzarr.pixels.display import window_ends, windowed


@pytest.mark.parametrize(
    ("center", "width", "function", "values", "expected"),
    [
        # The examples of C.11.2.1.2.1
        (2048, 4096, "LINEAR", [-1, 0, 4095, 4096], [0, 0, 1, 1]),
        (2048, 1, "LINEAR", [2047, 2047.5, 2048], [0, 0, 1]),
        (0, 100, "LINEAR", [-50, 49], [0, 1]),
        (0, 1, "LINEAR", [-0.5, -0.4], [0, 1]),
        # C.11.2.1.3.2, and a width that LINEAR cannot have
        (2048, 4096, "LINEAR_EXACT", [0, 2048, 4096], [0, 0.5, 1]),
        (0.5, 0.5, "LINEAR", [0.25, 0.5, 0.75], [0, 0.5, 1]),
        # C.11.2.1.3.1
        (10, 4, "SIGMOID", [10, 14, 6], [0.5, 1 / (1 + math.exp(-4)), 1 / (1 + math.exp(4))]),
        (10, 4, "SIGMOID", [-1e9, 1e9], [0, 1]),
    ],
)
def test_a_window_gives_the_values_of_the_standard(
    center: float, width: float, function: str, values: list[float], expected: list[float]
) -> None:
    np.testing.assert_allclose(windowed(np.array(values, float), center, width, function), expected, atol=1e-12)


@pytest.mark.parametrize(
    ("window", "ends"),
    [
        ((0, 100, "LINEAR"), (-50, 49)),
        ((0, 100, "LINEAR_EXACT"), (-50, 50)),
        ((0, 1, "LINEAR"), (-0.5, -0.5)),
        ((0, 0.5, "LINEAR"), (-0.25, 0.25)),
    ],
)
def test_a_window_rises_between_its_ends(window: tuple[float, float, str], ends: tuple[float, float]) -> None:
    assert window_ends(*window) == ends
