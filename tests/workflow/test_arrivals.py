"""Patients who arrive in batches, through the real workflow: nobody moves, nobody stands in two splits.

DICOMZARR_TEST_FULL=1 takes 10,000 patients in ten batches.
"""

from __future__ import annotations

import math
import os
from collections import Counter, defaultdict

import numpy as np
from conftest import Workflow
from dicoms import ct_slice, save

from dicomzarr.privacy.pseudonyms import Pseudonyms

FULL = bool(os.environ.get("DICOMZARR_TEST_FULL"))
ARRIVALS, EACH = (10, 1000) if FULL else (3, 60)
FRACTIONS = {"test": 0.2, "train": 0.7, "val": 0.1}
AGAIN = 50 if FULL else 10  # one of so many comes back with another study at each arrival
LISTED = 5  # patients of the first arrival whose split is given


def arrive(workflow: Workflow, arrival: int) -> None:
    """Add new patients, and another study of some who are there already."""
    new = range(arrival * EACH, (arrival + 1) * EACH)
    old = range(0, arrival * EACH, AGAIN)
    for patient in (*new, *old):
        name = f"arrival-{arrival}-{patient}"
        one = ct_slice(name, 0, pixels=np.full((2, 2), patient, "<i2"), PatientID=f"P{patient:05}")
        save(one, workflow.source / f"{arrival}" / f"{patient}.dcm")


def test_patients_in_batches_of_arrival_stay_in_their_split(workflow: Workflow) -> None:
    key = Pseudonyms(workflow.environment["DICOMZARR_KEY"].encode())
    listed = [key.subject_id("", f"P{patient:05}") for patient in range(LISTED)]
    (workflow.folder / "listed.csv").write_text("PatientID\n" + "".join(f"P{n:05}\n" for n in range(LISTED)))
    workflow.config["splits"] = {"fractions": FRACTIONS, "seed": 1, "fixed": {"test": "listed.csv"}}
    workflow.timeout = 3600
    before: dict[str, str] = {}
    for arrival in range(ARRIVALS):
        arrive(workflow, arrival)
        rows = workflow.run().table("dataset/volumes.csv")
        found: dict[str, set[str]] = defaultdict(set)
        for row in rows:
            found[row["subject_id"]].add(row["split"])
        assert len(rows) == sum(EACH + len(range(0, n * EACH, AGAIN)) for n in range(arrival + 1))
        assert set(found) == {key.subject_id("", f"P{n:05}") for n in range((arrival + 1) * EACH)}
        assert {len(splits) for splits in found.values()} == {1}  # nobody stands in two
        now = {subject: next(iter(splits)) for subject, splits in found.items()}
        assert before.items() <= now.items()  # nobody moved
        assert {now[subject] for subject in listed} == {"test"}
        before = now
    dealt = Counter(split for subject, split in before.items() if subject not in listed)
    people = sum(dealt.values())
    for name, share in FRACTIONS.items():
        assert abs(dealt[name] - people * share) < 4 * math.sqrt(people * share * (1 - share))
    print(f"{people} patients in {ARRIVALS} batches: {dict(sorted(dealt.items()))}")
