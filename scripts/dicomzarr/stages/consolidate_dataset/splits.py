"""Splits by patient: a function of the keyed subject id and a seed, so that no patient changes its split."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping


def position(subject_id: str, seed: int) -> float:
    """Return the position of a subject between 0 and 1: uniformly distributed, independent of other subjects.

    Parameters
    ----------
    subject_id : str
        Keyed id of the patient, 16 hex digits.
    seed : int
        Another seed gives all patients other positions.

    Returns
    -------
    float
        At least 0, less than 1.
    """
    digest = hashlib.sha256(f"split\0{seed}\0{subject_id}".encode()).digest()
    return (int.from_bytes(digest[:8], "big") >> 11) / (1 << 53)  # the 53 bits of a double's mantissa: less than 1.0


def split_of(subject_id: str, fractions: Mapping[str, float], seed: int) -> str:
    """Return the split of a subject.

    Parameters
    ----------
    subject_id : str
        Keyed id of the patient, 16 hex digits.
    fractions : mapping of str to float
        Share of each split; they add up to 1. Splits divide the range from 0 to 1 in the order of their names, so that
        the order in the configuration does not matter.
    seed : int
    """
    place, end = position(subject_id, seed), 0.0
    names = sorted(name for name in fractions if fractions[name] > 0)
    for name in names:
        end += fractions[name]
        if place < end:
            return name
    return names[-1]  # rounding: the shares add up to a little less than 1
