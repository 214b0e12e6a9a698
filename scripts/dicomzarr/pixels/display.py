"""Stored values for display: through a window, stretched over a range, or as palette colours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Grey = NDArray[np.float64]


def pair_of(values: Any, frame: int) -> tuple[float, float] | None:
    """Return the pair of numbers of a frame: its own, or the pair that all frames share.

    Parameters
    ----------
    values : array-like, shape (2,) or (frames, 2), optional
        Slope and intercept, or center and width; None or NaN in place of the pair of a frame that has none.
    frame : int
        Its number in array order.

    Returns
    -------
    tuple of float, or None
        None where the frame has no values.
    """
    if values is None:
        return None
    each = any(pair is None or np.ndim(pair) for pair in values)
    pair = np.asarray(values[frame] if each else values, np.float64)
    return None if np.isnan(pair).any() else (float(pair[0]), float(pair[1]))


def function_of(functions: Any, frame: int) -> str:
    """Return the function of the window of a frame: its own, or the one that all frames share.

    Parameters
    ----------
    functions : str or list of str, optional
        The attribute `window_function` of an image.
    frame : int
        Its number in array order.

    Returns
    -------
    str
        ``LINEAR`` where nothing else is stated.
    """
    own = functions if functions is None or isinstance(functions, str) else functions[frame]
    return own or "LINEAR"


def _ramp(center: float, width: float, function: str) -> tuple[float, float]:
    """Return the middle and the length of the ramp of a window; a width below 1 cannot be that of LINEAR."""
    return (center - 0.5, width - 1) if function == "LINEAR" and not 0 < width < 1 else (center, width)


def window_ends(center: float, width: float, function: str = "LINEAR") -> tuple[float, float]:
    """Return the values between which a window rises from black to white.

    Parameters
    ----------
    center, width, function
        As for `windowed`. SIGMOID touches this ramp at its center.

    Returns
    -------
    tuple of float
        Black and white; white is not above black if the window is a step.
    """
    middle, length = _ramp(center, width, function)
    return middle - length / 2, middle + length / 2


def windowed(values: Grey, center: float, width: float, function: str = "LINEAR") -> Grey:
    """Apply a window function; a step where its ramp has no length, as for a width of 1.

    Parameters
    ----------
    values : ndarray of float64
        After rescale, any shape.
    center, width : float
        Window Center (0028,1050) and Window Width (0028,1051), in the unit of the values.
    function : str
        VOI LUT Function (0028,1056): ``LINEAR``, ``LINEAR_EXACT`` or ``SIGMOID``. A width below 1, which LINEAR cannot
        have, is that of LINEAR_EXACT.

    Returns
    -------
    ndarray of float64
        From 0 to 1, shape of the values.

    References
    ----------
    DICOM PS3.3 C.11.2.1.2.1 (LINEAR), C.11.2.1.3.1 (SIGMOID), C.11.2.1.3.2 (LINEAR_EXACT).
    """
    middle, length = _ramp(center, width, function)
    if length <= 0:
        return (values > middle).astype(np.float64)
    if function == "SIGMOID":
        with np.errstate(over="ignore"):
            curve: Grey = 1 / (1 + np.exp(-4 * (values - center) / width))
        return curve
    return np.clip((values - middle) / length + 0.5, 0.0, 1.0)


def stretched(values: Grey, low: float, high: float) -> Grey:
    """Map the range from `low` to `high` linearly to 0 to 1; mid grey where the range is empty.

    Parameters
    ----------
    values : ndarray of float64
        Any shape.
    low, high : float
        In the unit of the values; values outside are clipped.

    Returns
    -------
    ndarray of float64
        From 0 to 1, shape of the values.
    """
    if not high > low:
        return np.full_like(values, 0.5)
    with np.errstate(all="ignore"):  # infinite ranges
        return np.clip((values - low) / (high - low), 0.0, 1.0)


def coloured(indices: NDArray[Any], palette: Mapping[str, Any]) -> NDArray[np.uint8]:
    """Convert palette indices to colours of 8 bits.

    Parameters
    ----------
    indices : ndarray of integers
        Stored values, any shape.
    palette : mapping
        A `palette.Palette`.

    Returns
    -------
    ndarray of uint8
        Shape of the indices, and a last axis of length 3 for RGB. Indices outside the palette take its first or last
        entry.

    References
    ----------
    DICOM PS3.3 C.7.6.3.1.5.
    """
    shift = max(int(palette["bits"]) - 8, 0)
    tables = [np.asarray(palette[name], np.int64) >> shift for name in ("red", "green", "blue")]
    at = indices.astype(np.int64) - int(palette["first"])
    colours: NDArray[Any] = np.stack([table[np.clip(at, 0, len(table) - 1)] for table in tables], axis=-1)
    return colours.astype(np.uint8)
