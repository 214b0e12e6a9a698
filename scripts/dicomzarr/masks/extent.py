"""Whether a mask lies within an image, where nothing but their frame of reference joins them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

MARGIN_MM: Final = 1.0  # by which a mask may exceed the box of its image: half a voxel, or rounded positions


def is_within(extent: Sequence[ArrayLike], low: ArrayLike, high: ArrayLike) -> bool:
    """Return whether a box contains an extent, within `MARGIN_MM`.

    Parameters
    ----------
    extent : sequence of 2 array-like, shape (3,)
        Smallest and largest coordinates of a mask along three axes, mm.
    low, high : array-like, shape (3,)
        Of the box, along the same axes, mm.

    Returns
    -------
    bool
    """
    first, last = (np.asarray(corner, float) for corner in extent)
    is_above = np.all(first >= np.asarray(low, float) - MARGIN_MM)
    return bool(is_above and np.all(last <= np.asarray(high, float) + MARGIN_MM))
