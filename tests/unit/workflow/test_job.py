"""The frame of every job."""

from __future__ import annotations

import re

from conftest import ROOT

from dicomzarr.vocabulary.rules import RULES, readers_of, rules_before
from dicomzarr.workflow import job


def rule_texts() -> dict[str, str]:
    """Return the text of each rule by name."""
    declared = {}
    for path in (ROOT / "rules").glob("*.smk"):
        for name, text in re.findall(r"^(?:rule|checkpoint) (\w+):\n(.*?)(?=^\S|\Z)", path.read_text(), re.M | re.S):
            declared[name] = text
    return declared


# What functions for inputs return, by the rule that writes it. A plan that changes revokes the records of its readers.
FUNCTIONS = {
    'records_of("extract_batch")': {"extract_batch"},
    'records_of("check_batch")': {"check_batch"},
    "batch_records": {"extract_batch", "check_batch"},
    "label_record": {"join_labels"},
    "label_report": {"join_labels"},
    "joined_labels": {"join_labels"},
    "gate_record": {"check_gate"},
    "batch_plans": set(),
}


def test_every_rule_revokes_the_records_of_the_rules_that_read_what_it_writes() -> None:
    declared = rule_texts()
    inputs = {name: text.partition("input:")[2].partition("output:")[0] for name, text in declared.items()}
    outputs = {name: text.partition("output:")[2].partition("log:")[0] for name, text in declared.items()}
    path = re.compile(r'(?<!ancient\()"<results>/([^"]+)"')
    writers = {written: name for name, text in outputs.items() for written in path.findall(text)}
    writers["private/plans/{batch}.json"] = ""
    found: dict[str, set[str]] = {rule.name: set() for rule in RULES}
    for reader, text in inputs.items():
        read = set().union(*(rules for function, rules in FUNCTIONS.items() if f"={function}," in text))
        if before := re.search(r'rule=rules_before\("(\w+)"\)', text):
            read |= {*rules_before(before[1])}
        if "rule=DATASET_RULES" in text or '"<results>/dataset/dataset.json"' in text:
            read |= {"seal_dataset"}
        named = {name for name in path.findall(text) if "{rule}" not in name}
        read |= {writers[name] for name in named if name in writers} - {""}
        for writer in {"seal_dataset"} if "seal_dataset" in read else read:  # all before comes with the seal
            found[writer].add(reader)
    assert found["consolidate_dataset"] >= {"render_report", "write_crate"} and len(found["seal_dataset"]) == 8
    for writer, readers in found.items():
        assert readers <= {*readers_of(writer)}, writer
        assert writer not in readers_of(writer)
    assert readers_of("verify_dataset") == []  # of the read-only commands


def test_every_rule_that_the_seal_covers_revokes_it() -> None:
    """A rule that writes to dataset/, or whose record is an input of the seal, deletes the seal first."""
    declared = rule_texts()
    sealing_rule = declared.pop("seal_dataset")
    inputs = set(re.findall(r"[a-z]+_[a-z]+", sealing_rule.partition("output:")[0])) & set(declared)
    writes = {
        name
        for name, text in declared.items()
        if "<results>/dataset/" in text.partition("output:")[2].partition("log:")[0]
    }
    assert {"discover_files", "consolidate_dataset", "check_privacy"} <= inputs | writes
    assert set(job.SEALED) == inputs | writes | {"extract_batch", "check_batch"}
