"""Windows of an image, as ranges of stored values: stored values stay as they are, so the window is turned."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dicomzarr.pixels.display import function_of, pair_of, window_ends

# Window presets of CT: center and width, in Hounsfield units.
CT = {
    "soft tissue": (40.0, 400.0),
    "lung": (-600.0, 1500.0),
    "bone": (400.0, 1800.0),
    "brain": (40.0, 80.0),
}
HEADER, PERCENTILES = "window of the header", "1st to 99th percentile"


class Window(NamedTuple):
    """A range of stored values, shown from black to white.

    Attributes
    ----------
    name : str
    low, high : float
        Stored values, low < high.
    inverted : bool
        `low` is white: a negative slope, or MONOCHROME1.
    """

    name: str
    low: float
    high: float
    inverted: bool


def windows_of(facts: Mapping[str, Any], plane: NDArray[Any], frame: int) -> list[Window]:
    """Return the windows of a grey image, the one to show first.

    Parameters
    ----------
    facts : mapping
        The attribute `dicomzarr`.
    plane : ndarray
        Stored values of a plane through the middle, or of a part of it.
    frame : int
        Number of this plane in array order: its rescale and its window are used for all planes.

    Returns
    -------
    list of Window
        That of the header, if it shows anything of the plane; presets of the modality; the percentiles of the plane.
    """
    dark = facts.get("photometric") == "MONOCHROME1"
    slope, intercept = pair_of(facts.get("rescale"), frame) or (1.0, 0.0)
    values = plane[np.isfinite(plane)].astype(np.float64)
    found = []
    header = pair_of(facts.get("window"), frame)
    ends = window_ends(*header, function_of(facts.get("window_function"), frame)) if header else (0.0, 0.0)
    if ends[1] > ends[0] and slope and "modality_lut" not in facts:
        window = _stored(HEADER, ends, slope, intercept, dark)
        if values.size and values.min() < window.high and values.max() > window.low:
            found.append(window)
    low, high = (float(value) for value in np.percentile(values, (1, 99))) if values.size else (0.0, 1.0)
    if not high > low:
        low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 1.0)
    if not high > low:  # one value alone: grey, since black on black is nothing to see
        low, high = (min(0.0, 2 * low), max(0.0, 2 * low)) if low else (0.0, 1.0)
    percentiles = Window(PERCENTILES, low, high, dark)
    found += [percentiles] if not found else []
    if facts.get("modality") == "CT" and "rescale" in facts and slope:
        found += [_stored(name, window_ends(*pair), slope, intercept, dark) for name, pair in CT.items()]
    return found if percentiles in found else [*found, percentiles]


def _stored(name: str, ends: tuple[float, float], slope: float, intercept: float, dark: bool) -> Window:
    """Return a window of output units, from black to white, as a range of stored values."""
    stored = [(end - intercept) / slope for end in ends]
    return Window(name, min(stored), max(stored), dark ^ (slope < 0))
