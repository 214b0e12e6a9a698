"""Splits: a patient never changes its split, has only one, and splits have the configured shares."""

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
    return [key.subject_id("", f"P{patient:05}") for patient in range(number)]


def test_ten_thousand_patients_in_ten_arrivals_keep_their_split() -> None:
    """Through what writes the cell of `volumes.csv`; tests/workflow/test_arrivals.py runs the whole workflow."""
    everybody = subjects(10_000)
    assert len(set(everybody)) == 10_000
    placed: dict[str, str] = {}
    for arrival in range(10):
        here = everybody[: (arrival + 1) * 1000]
        random.Random(arrival).shuffle(here)
        joined = Joined(splits={"fractions": FRACTIONS, "seed": 3})
        # Two series of each patient, whose own ids must not matter.
        now = [
            {subject: joined.of(f"{salt:016x}", subject)["split"] for subject in here}
            for salt in (arrival, arrival + 99)
        ]
        assert now[0] == now[1]
        assert placed.items() <= now[0].items()
        placed = now[0]
    counts = Counter(placed.values())
    for name, share in FRACTIONS.items():
        assert abs(counts[name] - 10_000 * share) < 4 * math.sqrt(10_000 * share * (1 - share))


def test_the_order_of_shares_in_the_configuration_does_not_matter() -> None:
    other = dict(reversed(FRACTIONS.items()))
    assert all(split_of(subject, FRACTIONS, 0) == split_of(subject, other, 0) for subject in subjects(500))


def test_another_seed_gives_independent_splits() -> None:
    everybody = subjects(2000)
    moved = sum(split_of(subject, FRACTIONS, 0) != split_of(subject, FRACTIONS, 1) for subject in everybody)
    expected = 2000 * (1 - sum(share**2 for share in FRACTIONS.values()))
    assert abs(moved - expected) < 5 * math.sqrt(expected)


def test_a_smaller_share_moves_as_few_patients_as_possible() -> None:
    """Half of val goes to train, its neighbour; nobody else moves."""
    changed = {"train": 0.75, "val": 0.05, "test": 0.2}
    for subject in subjects(3000):
        before, after = split_of(subject, FRACTIONS, 0), split_of(subject, changed, 0)
        assert before == after or (before, after) == ("val", "train")


@pytest.mark.parametrize("fractions", [{"all": 1.0}, {"a": 0.1, "b": 0.2, "c": 0.7}, {"a": 1.0, "none": 0.0}])
def test_everybody_has_a_split_of_the_configuration(fractions: dict[str, float]) -> None:
    assert {split_of(subject, fractions, 0) for subject in subjects(500)} == {
        n for n, share in fractions.items() if share
    }


def test_the_position_of_a_subject_is_as_computed_by_sha256sum() -> None:
    # The first 64 bits that sha256sum gives for "split NUL 0 NUL 0000000000000000", as a share of all.
    assert position("0" * 16, 0) == pytest.approx(0xAFA0A5B0BBD5B6EC / 2**64, abs=1e-15)
