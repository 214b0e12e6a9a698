"""Patients who arrive in batches: each has one split and keeps it.

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
AGAIN = 50 if FULL else 10  # at each arrival, one of so many earlier patients has another study
LISTED = 5  # patients of the first arrival whose split is given


def arrive(workflow: Workflow, arrival: int) -> None:
    """Add new patients, and another study of some earlier patients."""
    new = range(arrival * EACH, (arrival + 1) * EACH)
    old = range(0, arrival * EACH, AGAIN)
    for patient in (*new, *old):
        name = f"arrival-{arrival}-{patient}"
        dataset = ct_slice(name, 0, pixels=np.full((2, 2), patient, "<i2"), PatientID=f"P{patient:05}")
        save(dataset, workflow.source / f"{arrival}" / f"{patient}.dcm")


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
        splits_of: dict[str, set[str]] = defaultdict(set)
        for row in rows:
            splits_of[row["subject_id"]].add(row["split"])
        assert len(rows) == sum(EACH + len(range(0, n * EACH, AGAIN)) for n in range(arrival + 1))
        assert set(splits_of) == {key.subject_id("", f"P{n:05}") for n in range((arrival + 1) * EACH)}
        assert {len(splits) for splits in splits_of.values()} == {1}  # one split each
        current = {subject: next(iter(splits)) for subject, splits in splits_of.items()}
        assert before.items() <= current.items()  # no split changed
        assert {current[subject] for subject in listed} == {"test"}
        before = current
    assigned = Counter(split for subject, split in before.items() if subject not in listed)
    patients = sum(assigned.values())
    for name, share in FRACTIONS.items():
        assert abs(assigned[name] - patients * share) < 4 * math.sqrt(patients * share * (1 - share))
    print(f"{patients} patients in {ARRIVALS} batches: {dict(sorted(assigned.items()))}")
