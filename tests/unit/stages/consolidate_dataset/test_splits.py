"""Splits: a patient never moves, never stands in two, and the shares come out."""

from __future__ import annotations

import math
import random
from collections import Counter

import pytest

from dicomzarr.privacy.pseudonyms import Pseudonyms
from dicomzarr.stages.consolidate_dataset.accounts import Joined
from dicomzarr.stages.consolidate_dataset.splits import position, split_of

FRACTIONS = {"train": 0.7, "val": 0.1, "test": 0.2}


def subjects(number: int) -> list[str]:
    """Return the ids of made-up patients as the workflow makes them."""
    key = Pseudonyms(b"k" * 32)
    return [key.subject_id("", f"P{one:05}") for one in range(number)]


def test_ten_thousand_patients_in_ten_arrivals_stay_where_they_are() -> None:
    """By what writes the cell of `volumes.csv`; tests/workflow/test_arrivals.py has the whole way there."""
    everybody = subjects(10_000)
    assert len(set(everybody)) == 10_000
    placed: dict[str, str] = {}
    for arrival in range(10):
        here = everybody[: (arrival + 1) * 1000]
        random.Random(arrival).shuffle(here)
        joined = Joined(splits={"fractions": FRACTIONS, "seed": 3})
        # Two series of each patient, whose own ids must not matter.
        now = [{one: joined.of(f"{salt:016x}", one)["split"] for one in here} for salt in (arrival, arrival + 99)]
        assert now[0] == now[1]
        assert placed.items() <= now[0].items()
        placed = now[0]
    found = Counter(placed.values())
    for name, share in FRACTIONS.items():
        assert abs(found[name] - 10_000 * share) < 4 * math.sqrt(10_000 * share * (1 - share))


def test_the_order_in_which_shares_are_written_decides_nothing() -> None:
    other = dict(reversed(FRACTIONS.items()))
    assert all(split_of(one, FRACTIONS, 0) == split_of(one, other, 0) for one in subjects(500))


def test_another_seed_deals_anew() -> None:
    everybody = subjects(2000)
    moved = sum(split_of(one, FRACTIONS, 0) != split_of(one, FRACTIONS, 1) for one in everybody)
    expected = 2000 * (1 - sum(share**2 for share in FRACTIONS.values()))
    assert abs(moved - expected) < 5 * math.sqrt(expected)


def test_a_smaller_share_moves_only_those_who_have_to() -> None:
    """Half of val goes to train, its neighbour; nobody else moves."""
    changed = {"train": 0.75, "val": 0.05, "test": 0.2}
    for one in subjects(3000):
        before, after = split_of(one, FRACTIONS, 0), split_of(one, changed, 0)
        assert before == after or (before, after) == ("val", "train")


@pytest.mark.parametrize("fractions", [{"all": 1.0}, {"a": 0.1, "b": 0.2, "c": 0.7}, {"a": 1.0, "none": 0.0}])
def test_everybody_has_a_split_of_the_configuration(fractions: dict[str, float]) -> None:
    assert {split_of(one, fractions, 0) for one in subjects(500)} == {n for n, share in fractions.items() if share}


def test_a_position_is_known() -> None:
    # The first 64 bits that sha256sum gives for "split NUL 0 NUL 0000000000000000", as a share of all.
    assert position("0" * 16, 0) == pytest.approx(0xAFA0A5B0BBD5B6EC / 2**64, abs=1e-15)
