"""Stored values as the eye sees them: through a window, stretched over a range, or looked up in a palette."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Grey = NDArray[np.float64]


def pair_of(values: Any, frame: int) -> tuple[float, float] | None:
    """Return the pair of numbers that holds for a frame: the one that all frames share, or its own.

    Parameters
    ----------
    values : array-like, shape (2,) or (frames, 2), optional
        Slope and intercept, or center and width.
    frame : int
        Its number in array order.
    """
    if values is None:
        return None
    table = np.asarray(values, np.float64)
    first, second = table[frame] if table.ndim == 2 else table
    return float(first), float(second)


def windowed(values: Grey, center: float, width: float) -> Grey:
    """Return values through the linear window of PS3.3 C.11.2.1.2.1, from 0 to 1; a step where the width is 1."""
    if width <= 1:
        return (values > center - 0.5).astype(np.float64)
    return np.clip((values - (center - 0.5)) / (width - 1) + 0.5, 0.0, 1.0)


def stretched(values: Grey, low: float, high: float) -> Grey:
    """Return values between two numbers, from 0 to 1; mid grey where the two are one."""
    if not high > low:
        return np.full_like(values, 0.5)
    with np.errstate(all="ignore"):  # of ranges without end
        return np.clip((values - low) / (high - low), 0.0, 1.0)


def coloured(indices: NDArray[Any], palette: Mapping[str, Any]) -> NDArray[np.uint8]:
    """Return palette indices as colours of 8 bits, one axis more, at the end.

    Indices outside of the palette take its first or last entry (PS3.3 C.7.6.3.1.5).
    """
    shift = max(int(palette["bits"]) - 8, 0)
    tables = [np.asarray(palette[name], np.int64) >> shift for name in ("red", "green", "blue")]
    at = indices.astype(np.int64) - int(palette["first"])
    colours: NDArray[Any] = np.stack([table[np.clip(at, 0, len(table) - 1)] for table in tables], axis=-1)
    return colours.astype(np.uint8)
