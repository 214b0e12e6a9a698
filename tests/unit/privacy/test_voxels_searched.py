"""In voxels, digits, hyphens and letters stand beside each other by chance: a finding there needs twelve of them."""

from __future__ import annotations

import datetime
import itertools

import numpy as np
import pytest

from dicomzarr.privacy.grouped_numbers import forms_of
from dicomzarr.privacy.identifiers import identifiers_of
from dicomzarr.privacy.scanner import MIN_WEIGHT_IN_PIXELS, Scanner

LONG_NAME, LONG_NUMBER = b"Quastenflosser^Ottilie", b"943476591912"


def _days() -> list[bytes]:
    first = datetime.date(1930, 1, 1)
    return [f"{first + datetime.timedelta(days):%Y%m%d}".encode() for days in range(0, 35_000)]


@pytest.fixture(scope="module")
def identifiers() -> frozenset[int]:
    """Every day of a century, and as many patients as a large hospital has: ids of eight digits, short names."""
    rng = np.random.default_rng(5)
    letters = rng.integers(97, 123, (20_000, 11), np.uint8)
    names = [bytes(row[:6]) + b"^" + bytes(row[6:]) for row in letters]
    ids = [b"%d" % number for number in rng.integers(10**7, 10**8, 20_000)]
    texts = [*(("DA", day) for day in _days()), *(("PN", name) for name in names), *(("LO", text) for text in ids)]
    return frozenset(
        itertools.chain.from_iterable(
            identifiers_of(kind, text) for kind, text in [*texts, ("PN", LONG_NAME), ("LO", LONG_NUMBER)]
        )
    )


def _noise(lowest: int, highest: int, dtype: str) -> bytes:
    """1 MB of values that change slowly, as in the dark or the grey of an image."""
    rng = np.random.default_rng(lowest)
    slow = np.repeat(rng.random(1 << 14), 64) * (highest - lowest) + lowest
    return (slow + rng.normal(0, 1.5, slow.size)).clip(lowest, highest).astype(dtype).tobytes()[: 1 << 20]


@pytest.mark.parametrize("dtype", ["u1", "<u2"])
@pytest.mark.parametrize(("lowest", "highest"), [(40, 60), (45, 58), (60, 122)], ids=["dark", "digits", "letters"])
def test_values_of_an_image_are_no_texts_of_the_source(
    identifiers: frozenset[int], lowest: int, highest: int, dtype: str
) -> None:
    scanner, voxels = Scanner(identifiers, frozenset()), _noise(lowest, highest, dtype)
    assert scanner.content(voxels, "", MIN_WEIGHT_IN_PIXELS) is None
    for planted in (LONG_NAME, LONG_NUMBER, b"9434-7659-1912"):
        within = voxels[:5_000] + b" " + planted + b" " + voxels[5_000:]
        assert scanner.content(within, "", MIN_WEIGHT_IN_PIXELS) is not None, planted


@pytest.mark.parametrize("text", ["03.02.1937", "1937-02-03", "943 476 5919", "010185-1234"])
def test_a_listed_number_in_groups_needs_twelve_digits_in_voxels(text: str) -> None:
    listed = Scanner(frozenset(), frozenset(), grouped=forms_of(text))
    data = b"\0\1 " + text.encode() + b" \1\0"
    assert listed.content(data) is not None
    assert listed.content(data, "", MIN_WEIGHT_IN_PIXELS) is None
    longer = Scanner(frozenset(), frozenset(), grouped=forms_of("943 476 591 912"))
    assert longer.content(b"\0\1 943 476 591 912 \1\0", "", MIN_WEIGHT_IN_PIXELS) is not None
