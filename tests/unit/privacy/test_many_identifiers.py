"""Membership among the identifiers of a large source, which are no set in memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dicomzarr.privacy import identifiers as module
from dicomzarr.privacy import numbers
from dicomzarr.privacy.identifiers import identifiers_of, read_identifiers

ENDS = np.array([0, 1, 1 << 63, (1 << 64) - 2, (1 << 64) - 1], np.uint64)


@pytest.mark.parametrize("count", [0, 1, 5, 1000, 100_000])
@pytest.mark.parametrize("bits", [8, 40, 64])  # crowded at the low end, or spread
def test_a_sorted_array_has_the_members_of_a_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int, bits: int
) -> None:
    monkeypatch.setattr(module, "_MAX_IN_SET", 0)
    random = np.random.default_rng(count)
    drawn = random.integers(0, 1 << bits, count, np.uint64, endpoint=False) if bits < 64 else random.bytes(8 * count)
    hashes = np.unique(np.concatenate([np.frombuffer(drawn, np.uint64), ENDS[: min(count, 5)]]))
    np.save(tmp_path / "identifiers.npy", np.concatenate([np.array([7], np.uint64), hashes]))
    members, code, array = read_identifiers(tmp_path / "identifiers.npy")
    assert isinstance(members, module._SortedHashes) and code == 7
    np.testing.assert_array_equal(array, hashes)
    known = set(hashes.tolist())
    sample = [*hashes[:: max(1, len(hashes) // 500)].tolist(), *hashes[-3:].tolist()]
    asked = {(number + step) % (1 << 64) for number in [*sample, *ENDS.tolist()] for step in (-1, 0, 1)}
    assert {number for number in asked if number in members} == asked & known


@pytest.mark.parametrize("dtype", ["<i4", "<u4", "<f4", "<i8", "<f8"])
def test_a_number_is_found_in_an_array_of_any_type_that_can_hold_it(dtype: str) -> None:
    found = set(identifiers_of("LO", b"47110816"))  # less than 2 ** 26: a float32 holds it, as a multiple of 8
    values = np.array([[0, 1], [47110816, -5]]).astype(dtype)
    assert numbers.in_array(values, found) == numbers.IN_FILE
    assert numbers.in_array(values + 32, found) is None
