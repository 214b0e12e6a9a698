"""The frame of every job."""

from __future__ import annotations

import re

from conftest import ROOT

from dicomzarr.workflow import job


def test_every_rule_that_the_seal_covers_revokes_it() -> None:
    """A rule that writes to dataset/, or whose record is an input of the seal, deletes the seal first."""
    declared = {}
    for path in (ROOT / "rules").glob("*.smk"):
        for name, text in re.findall(r"^(?:rule|checkpoint) (\w+):\n(.*?)(?=^\S|\Z)", path.read_text(), re.M | re.S):
            declared[name] = text
    sealing_rule = declared.pop("seal_dataset")
    inputs = set(re.findall(r"[a-z]+_[a-z]+", sealing_rule.partition("output:")[0])) & set(declared)
    writes = {
        name
        for name, text in declared.items()
        if "<results>/dataset/" in text.partition("output:")[2].partition("log:")[0]
    }
    assert {"discover_files", "consolidate_dataset", "check_privacy"} <= inputs | writes
    assert set(job.SEALED) == inputs | writes | {"extract_batch", "check_batch"}
