"""Grey values and colours of previews."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from dicomzarr.stages.export import preview


def shown(pixels: Any, facts: Any, number: int = 0, low: Any = 0, high: Any = 100) -> list[Any]:
    frame = SimpleNamespace(pixels=np.asarray(pixels))
    array: Any = SimpleNamespace(depth=SimpleNamespace(unpadded_min=low, unpadded_max=high), frames=lambda: [frame])
    samples = preview.eight_bits(frame.pixels, facts, number, preview.limits_of(array))
    assert samples.dtype == np.uint8
    return samples.tolist()


def test_the_window_of_the_frame_applies_after_rescale() -> None:
    facts = {"window": [[1.0, 2.0], [50.5, 101.0]], "rescale": [[1.0, 0.0], [2.0, -10.0]]}
    assert shown([[5, 30, 55]], facts, 1) == [[0, 128, 255]]  # 0, 50 and 100


def test_a_window_of_width_one_is_a_threshold() -> None:
    assert shown([[9, 10, 11]], {"window": [10.5, 1.0]}) == [[0, 0, 255]]


def test_the_window_has_the_function_of_the_header() -> None:
    values, rescale = [[0, 500, 1000, 1500, 2000, 3000]], [0.0005, 0.0]
    for function in ("LINEAR_EXACT", ["SIGMOID", "LINEAR_EXACT"]):
        facts = {"window": [0.75, 1.0], "window_function": function, "rescale": rescale}
        assert shown(values, facts, 1) == [[0, 0, 64, 128, 191, 255]]
    curve = 1 / (1 + np.exp(-4 * (np.array(values) * 0.0005 - 0.75) / 1.0))
    assert shown(values, facts) == np.rint(255 * curve).astype(int).tolist()


def test_a_frame_without_a_window_is_stretched_beside_others_that_have_one() -> None:
    facts = {"window": [[50.5, 101.0], [None, None]]}
    assert shown([[0, 50, 200]], facts, 0, high=200) == [[0, 128, 255]]
    assert shown([[0, 50, 200]], facts, 1, high=200) == [[0, 64, 255]]


def test_without_a_window_the_range_of_the_array_is_used_and_monochrome1_inverted() -> None:
    assert shown([[0, 50, 100, 200]], {}) == [[0, 128, 255, 255]]
    assert shown([[0, 100]], {"photometric": "MONOCHROME1"}) == [[255, 0]]
    assert shown([[0, 100]], {"rescale": [-1.0, 0.0]}) == [[255, 0]]  # the largest stored value is the smallest
    assert shown([[0, 100]], {"rescale": [-1.0, 0.0], "photometric": "MONOCHROME1"}) == [[0, 255]]
    assert shown([[7, 7]], {}, low=7, high=7) == [[128, 128]]


def test_nan_and_infinite_values_are_shown() -> None:
    assert shown([[np.nan, 0.0, 1.0, np.inf]], {}, low=0.0, high=1.0) == [[0, 0, 255, 255]]
    assert shown([[np.nan, -np.inf, np.inf]], {}, low="-inf", high="inf") == [[128, 128, 128]]
    assert len(shown([[np.nan]], {}, low=None, high=None)[0]) == 1


def test_an_infinite_value_does_not_make_all_others_black() -> None:
    assert shown([[0.0, 50.0, 100.0, np.inf]], {}, low=0.0, high="inf") == [[0, 128, 255, 255]]
    assert shown([[-np.inf, -100.0, 0.0]], {}, low="-inf", high=0.0) == [[0, 0, 255]]
    assert shown([[-9e9, 0.0, 100.0, np.inf]], {}, low=0.0, high="inf") == [[0, 0, 255, 255]]  # padding is no limit


def test_palette_indices_become_colours_and_deep_colours_have_8_bits() -> None:
    palette = {"first": 2, "bits": 16, "red": [0, 0xFF00], "green": [0x8000, 1], "blue": [0, 0x1234]}
    facts = {"palette": palette, "photometric": "PALETTE COLOR"}
    assert shown([[0, 2, 3, 9]], facts) == [[[0, 128, 0], [0, 128, 0], [255, 0, 18], [255, 0, 18]]]
    assert shown([[0, 100]], {"palette": palette, "photometric": "MONOCHROME2"}) == [[0, 255]]
    assert shown([[[0, 4095, 2048]]], {"bits_stored": 12}) == [[[0, 255, 128]]]
    assert shown([[[0, 255, 7]]], {"bits_stored": 8}) == [[[0, 255, 7]]]


def test_a_modality_lut_comes_before_the_window() -> None:
    lut = {"first": 10, "bits": 16, "values": [300, 200, 100, 0]}
    facts = {"modality_lut": lut, "window": [100.5, 201.0]}
    assert shown([[10, 11, 12, 13, 99]], facts) == [[255, 255, 128, 0, 0]]
    assert shown([[11, 12, 13]], {"modality_lut": lut}, low=11, high=13) == [[255, 128, 0]]
    assert shown([[0, 4_000_000_000]], {"modality_lut": lut}, low=0, high=4_000_000_000) == [[255, 0]]
