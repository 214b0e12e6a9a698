"""The slope and intercept, or the window, with which a frame is displayed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dicomzarr.pixels.display import pair_of


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (None, [None, None]),
        ([1.0, -1024.0], [(1.0, -1024.0)] * 2),
        ([[1.0, -1024.0], [2, 5]], [(1.0, -1024.0), (2.0, 5.0)]),
        ([[1.0, -1024.0], None], [(1.0, -1024.0), None]),
        ([None, [2.0, 5.0]], [None, (2.0, 5.0)]),
        ([[None, None], [2.0, 5.0]], [None, (2.0, 5.0)]),
        (np.array([[np.nan, np.nan], [2.0, 5.0]]), [None, (2.0, 5.0)]),
        ([2.0, np.nan], [None, None]),
    ],
)
def test_a_frame_has_its_own_pair_the_common_one_or_none(values: Any, expected: list[Any]) -> None:
    assert [pair_of(values, frame) for frame in range(2)] == expected
