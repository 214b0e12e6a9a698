"""The histogram of an array as a short text."""

from __future__ import annotations

import math
import string
from typing import Any

import numpy as np
from numpy.typing import NDArray

BINS = 48
ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase + "-_"


def histogram(sample: NDArray[Any], low: float, high: float) -> str:
    """Return the histogram of values: a character for each bin.

    Parameters
    ----------
    sample : ndarray
        Any shape; NaN is left out.
    low, high : float
        Range of `BINS` bins of equal width, in the unit of the values.

    Returns
    -------
    str
        The n-th character of `ALPHABET` is n/63 of the square root of the largest count. Empty without a finite range.
    """
    if not (sample.size and high > low and math.isfinite(high - low)):
        return ""
    values = (sample[np.isfinite(sample)] if sample.dtype.kind == "f" else sample).astype(np.float64)
    if not values.size:
        return ""
    # The division is last, so that a whole number on the edge of a bin is in the bin above it.
    bins = ((values - low) * BINS / (high - low)).astype(np.intp)
    counts = np.bincount(np.minimum(bins, BINS - 1), minlength=BINS)
    levels = np.rint(np.sqrt(counts / counts.max()) * (len(ALPHABET) - 1)).astype(int)
    return "".join(ALPHABET[level] for level in levels.tolist())
