"""Lookup tables that hold a text: what a damaged file, or one that was made to, has where numbers should be."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

Entries = np.ndarray[tuple[int, ...], np.dtype[np.int64]]

_RUN = re.compile(rb"[A-Za-z0-9 ^=.,'_-]{12,}")  # of bytes that are letters, digits, or stand between words
_RUN_OF_WORDS = 16  # bytes: of entries with two characters each, where more runs occur by chance
_TURNS = 3  # a ramp passes through the codes of letters, too, but it turns at most once
_COLUMNS = range(2, 9)  # of a map of colours, whose rows follow each other: velocity by variance of colour Doppler
_STEPS = 20  # from row to row that agree, around a run: more than a short text at an end of a table can have by chance


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
        sixteen, two in each entry. Its entries rise and fall, as those of colours or measures do not; also from row to
        row, if they were the rows of a map of two dimensions.
    """
    entries = np.asarray(values, np.int64)
    for unit in (257, 256):  # entries of 8 bits in words of 16
        if entries.max(initial=0) > 0xFF and not np.any(entries % unit):
            entries = entries // unit
    if entries.max(initial=0) <= 0xFF:
        return any(_spells(entries, *run.span()) for run in _RUN.finditer(entries.astype("u1").tobytes()))
    for order in "<>":
        for run in _RUN.finditer(entries.astype(f"{order}u2").tobytes()):
            begin, end = (run.start() + 1) // 2, run.end() // 2
            if run.end() - run.start() >= _RUN_OF_WORDS and _spells(entries, begin, end):
                return True
    return False


def _spells(entries: Entries, begin: int, end: int) -> bool:
    """Return whether a run of entries rises and falls as letters do."""
    return _turns(entries[begin:end]) and not any(_goes_on(entries, begin, end, columns) for columns in _COLUMNS)


def _turns(run: Entries) -> bool:
    steps = np.sign(np.diff(run))
    steps = steps[steps != 0]
    return int(np.count_nonzero(np.diff(steps))) >= _TURNS


def _goes_on(entries: Entries, begin: int, end: int, columns: int) -> bool:
    """Return whether all columns of a map rise, or all fall, from row to row, in a run of its entries and around it."""
    steps = np.sign(entries[columns:] - entries[:-columns])
    start = max(begin - columns, 0)
    of_run = set(steps[start:end].tolist()) - {0}
    if len(of_run) != 1:
        return False
    against = np.flatnonzero(steps == -of_run.pop())
    before, after = against[against < start], against[against >= start]
    around = steps[before[-1] + 1 if len(before) else 0 : after[0] if len(after) else len(steps)]
    return int(np.count_nonzero(around)) >= _STEPS
