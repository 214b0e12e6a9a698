"""Lookup tables that hold a text: what a damaged file, or one that was made to, has where numbers should be."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

_RUN = re.compile(rb"[A-Za-z0-9 ^=.,'_-]{12,}")  # of bytes that are letters, digits, or stand between words
_RUN_OF_WORDS = 16  # bytes: of entries with two characters each, where more runs occur by chance
_TURNS = 3  # a ramp passes through the codes of letters, too, but it turns at most once


def holds_text(values: Sequence[int]) -> bool:
    """Return whether the entries of a lookup table spell a text.

    Parameters
    ----------
    values : sequence of int
        Entries of 8 or 16 bits, as they are stored (PS3.3 C.7.9, C.11.1.1).

    Returns
    -------
    bool
        A run of twelve letters, digits and what stands between words, one in each entry or in a byte of it; or of
        sixteen, two in each entry. Its entries rise and fall, as those of colours or measures do not.
    """
    entries = np.asarray(values, np.int64)
    for unit in (257, 256):  # entries of 8 bits in words of 16
        if entries.max(initial=0) > 0xFF and not np.any(entries % unit):
            entries = entries // unit
    if entries.max(initial=0) <= 0xFF:
        return any(_turns(entries[run.start() : run.end()]) for run in _RUN.finditer(entries.astype("u1").tobytes()))
    for order in "<>":
        for run in _RUN.finditer(entries.astype(f"{order}u2").tobytes()):
            begin, end = (run.start() + 1) // 2, run.end() // 2
            if run.end() - run.start() >= _RUN_OF_WORDS and _turns(entries[begin:end]):
                return True
    return False


def _turns(run: np.ndarray[tuple[int, ...], np.dtype[np.int64]]) -> bool:
    steps = np.sign(np.diff(run))
    steps = steps[steps != 0]
    return int(np.count_nonzero(np.diff(steps))) >= _TURNS
