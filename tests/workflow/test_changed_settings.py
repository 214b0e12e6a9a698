"""After a setting was changed: which jobs run, how many series are extracted, and the bytes of a run from scratch."""

from __future__ import annotations

import json
import re
import shutil
import zipfile
from pathlib import Path
from typing import Any

import pytest
from burned_in_text import body, save_scan, with_text
from conftest import FULL, ROOT, Run, Workflow
from dicoms import ct_slice, save, save_series
from folders import files_of
from forks import Forks
from scans_with_masks import ScanWithMasks

SCAN = {"burned_in": "scan", "burned_in_reason": ""}
SKIP = {"burned_in": "skip", "burned_in_reason": ""}
LABELS = [{"folder": 1, "name": "organ", "values": ["plain", "head", "text", "masked"]}]
ALL = 8  # series; a segmentation is one of its own

# ---- Rules

SEARCH = {"check_privacy", "seal_dataset"}
CARDS = {*SEARCH, "write_cards", "write_crate"}
REPORT = {*CARDS, "render_report"}
TABLES = {*REPORT, "consolidate_dataset"}
CHECKED = {*TABLES, "check_batch", "report_depth", "report_size"}
BATCHES = {*CHECKED, "extract_batch"}
HEADERS = {"discover_files", "index_headers", "plan_batches"}

# By key: a value, the rules that run, the number of series that are extracted, and what the configuration had before.
CASES: dict[str, tuple[dict[str, Any], set[str], int, dict[str, Any]]] = {
    "compression": ({"compression": "fast"}, BATCHES, ALL, {}),
    "layout": ({"layout": "brick"}, BATCHES, ALL, {}),
    "levels": ({"levels": 2}, BATCHES, ALL, {}),
    "spacing_tolerance": ({"spacing_tolerance": 0.01}, BATCHES, ALL, {}),
    "cross_check": ({"cross_check": 1.0}, BATCHES, ALL, {}),
    "burned_in": (SCAN, BATCHES, 1, {}),
    "burned_in, keep to skip": (SKIP, BATCHES, 1, {}),
    "burned_in, scan to keep": ({}, BATCHES, 1, SCAN),
    "burned_in, scan to skip": (SKIP, BATCHES, 2, SCAN),
    "burned_in, skip to scan": (SCAN, BATCHES, 2, SKIP),
    "allow_short": ({"allow_short": 4}, set(), 0, {}),
    "allow_short, scan": ({**SCAN, "allow_short": 8}, BATCHES, 1, SCAN),
    "faces": ({"faces": "skip"}, BATCHES, 1, {}),
    "masks.names": ({"masks": {"names": {"gtv": ["^GTV"]}}}, BATCHES, 1, {}),
    "limits": ({"limits": {"seconds": 30}}, {*HEADERS, *BATCHES}, 0, {}),
    "paranoid": ({"paranoid": True}, {*HEADERS, *BATCHES}, 0, {}),
    "archives": ({"archives": {"ratio": 100}}, {*HEADERS, *TABLES}, 0, {}),
    "archives, ignore": ({"archives": {"content": "ignore"}}, {*HEADERS, *BATCHES}, 0, {}),
    "archives, read": ({}, {*HEADERS, *BATCHES}, 1, {"archives": {"content": "ignore"}}),
    "follow_links": ({"follow_links": True}, {*HEADERS, *TABLES}, 0, {}),
    "batch": ({"batch": {"series": 2}}, {*BATCHES, "plan_batches"}, 0, {}),
    "report": ({"report": {"pictures": False}}, CHECKED, 0, {}),
    "labels": ({"labels": LABELS}, {*TABLES, "join_labels"}, 0, {}),
    "splits": ({"splits": {"fractions": {"train": 0.5, "val": 0.5}}}, TABLES, 0, {}),
    "masks.expected": ({"masks": {"expected": ["liver"]}}, TABLES, 0, {}),
    "small_cells": ({"small_cells": 1}, REPORT, 0, {}),
    "card": ({"card": {"title": "Livers"}}, CARDS, 0, {}),
    "burned_in_reason": ({"burned_in_reason": "Phantoms alone."}, CARDS, 0, {}),
    "faces_reason": ({"faces_reason": "consent"}, CARDS, 0, {}),
    "check_privacy": ({"check_privacy": "full"}, SEARCH, 0, {}),
    "nnunet": ({"nnunet": {"dataset": "Dataset001_A", "modality": "CT", "labels": ["liver"]}}, SEARCH, 0, {}),
    "gate": ({"gate": {"depth_fail": 100}}, {"check_gate"}, 0, {}),
    "export_level": ({"export_level": 6}, set(), 0, {}),
    "publish": ({"publish": {"target": "/nowhere/published"}}, set(), 0, {}),
    "dicomweb": ({"dicomweb": {"url": "https://pacs.example.org", "studies": "wanted.csv"}}, set(), 0, {}),
    "object_store": ({"object_store": {"region": "eu-central-1"}}, set(), 0, {}),
    "largest_drop": ({"largest_drop": 0.9}, set(), 0, {}),
    "confirm_drop": ({"confirm_drop": True}, set(), 0, {}),
    "keep_removed": ({"keep_removed": True}, set(), 0, {}),
    "restored": ({"restored": "no"}, set(), 0, {}),
}
SHORT = ["compression", "burned_in", "allow_short, scan", "masks.names", "report", "gate", "largest_drop"]
PRIVATE = (
    "manifest.csv",
    "files.csv",
    "frames.csv",
    "mask_files.csv",
    "mask_names.csv",
    "archives.csv",
    "headers.jsonl",
)


def build(source: Path) -> None:
    """Write eight series: one has text in its pixels, one is a head, one has masks, one is packed; and a link."""
    save_series(source / "plain", "plain", 3)
    save_series(source / "head", "head", 3, BodyPartExamined="HEAD")
    save(ct_slice("ultrasound", 0, Modality="US"), source / "ultrasound.dcm")
    for number, pixels in enumerate((with_text(body(0), "MADEUP"), body(1))):
        save(ct_slice("text", number, pixels=pixels), source / f"text/{number}.dcm")
    save_scan(source / "clean", "clean", 2)
    with zipfile.ZipFile(source / "packed.zip", "w") as archive:
        for path in save_series(source.parent / "packed", "packed", 3):
            archive.write(path, path.name)
    ScanWithMasks("masked").save(source / "masked")
    (source / "link").symlink_to("plain")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, warm: Forks | None) -> Workflow:
    workflow = Workflow(tmp_path_factory.mktemp("settings"), {}, {"DICOMZARR_KEY": "k" * 32}, forks=warm)
    build(workflow.source)
    (workflow.folder / "wanted.csv").write_text("PatientID\n1\n")
    return workflow


def bytes_of(results: Path) -> dict[str, bytes]:
    """Return the content of the dataset and of the private tables, by path."""
    return files_of(results / "dataset") | {name: (results / "private" / name).read_bytes() for name in PRIVATE}


def rules_of(run: Run) -> set[str]:
    """Return the rules of which jobs ran."""
    return {path.stem for path in (ROOT / "rules").glob("*.smk") if run.jobs(path.stem)}


@pytest.mark.parametrize("case", list(CASES) if FULL else SHORT)
def test_a_changed_setting_redoes_what_it_affects_and_gives_the_bytes_of_a_run_from_scratch(
    built: Workflow, case: str
) -> None:
    changes, rules, extracted, before = CASES[case]
    built.run(**before)
    run = built.run(**changes)
    assert rules_of(run) == rules
    assert (run.extracted_series() if "extract_batch" in rules else 0) == extracted
    assert built.run(**{**changes, "paranoid": False}).nothing_to_do
    shutil.rmtree(built.folder / "scratch", ignore_errors=True)
    scratch = built.run(**changes, results="scratch")
    found, expected = bytes_of(run.results), bytes_of(scratch.results)
    assert [path for path in {*found, *expected} if found.get(path) != expected.get(path)] == []


def table_of_settings() -> dict[str, str]:
    """Return what the documentation says is extracted again, by key."""
    section = (ROOT / "docs/recovery.md").read_text().partition("## Changes in the configuration")[2]
    rows = re.findall(r"^\| (`.+?) \| (.+?) \|", section.partition("\n## ")[0], re.M)
    return {key: extracted for keys, extracted in rows for key in re.findall(r"`([a-z_.]+)`", keys) if key != "scan"}


def test_the_documentation_has_each_setting_and_says_what_is_extracted_again() -> None:
    documented = table_of_settings()
    keys = json.loads((ROOT / "schemas/config.schema.json").read_text())["properties"]
    assert {key.partition(".")[0] for key in documented} == set(keys)
    assert documented.keys() - {"source", "results"} == {case for case in CASES if "," not in case}
    for key, extracted in documented.items():
        if key in CASES:
            counts = {CASES[case][2] for case in CASES if case.partition(",")[0] == key}
            assert (extracted == "every series") == (counts == {ALL}), key
            assert extracted != "nothing" or counts == {0}, key
