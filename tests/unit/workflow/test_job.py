"""What surrounds the work of every rule."""

from __future__ import annotations

import re

from conftest import ROOT

from dicomzarr.workflow import job


def test_the_seal_goes_before_each_rule_that_it_speaks_for() -> None:
    """A rule that writes below dataset/, or whose record the seal asks for, must not begin beside an older seal."""
    declared = {}
    for path in (ROOT / "rules").glob("*.smk"):
        for name, text in re.findall(r"^(?:rule|checkpoint) (\w+):\n(.*?)(?=^\S|\Z)", path.read_text(), re.M | re.S):
            declared[name] = text
    seals = declared.pop("seal_dataset")
    asked = set(re.findall(r"[a-z]+_[a-z]+", seals.partition("output:")[0])) & set(declared)
    writes = {
        name
        for name, text in declared.items()
        if "<results>/dataset/" in text.partition("output:")[2].partition("log:")[0]
    }
    assert {"discover_files", "consolidate_dataset", "check_privacy"} <= asked | writes
    assert set(job.SEALED) == asked | writes | {"extract_batch", "check_batch"}
