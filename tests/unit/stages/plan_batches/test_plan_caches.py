"""The caches of planning: whatever changed or is damaged, the plans are those of a run without them."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dicomzarr.privacy.pseudonyms import Pseudonyms
from dicomzarr.stages.plan_batches import batches, part_cache, survey
from dicomzarr.system.results_folder import Results

KEY = Pseudonyms(b"k" * 32)
SEG = "1.2.840.10008.5.1.4.1.1.66.4"


@pytest.fixture(autouse=True)
def small_ranges(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ranges of a few lines."""
    for module in (survey, batches):
        monkeypatch.setattr(module, "BYTES_PER_PROCESS", 900)
    monkeypatch.setattr(survey, "_END", 3)


def row(draw: random.Random, number: int) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "SeriesInstanceUID": f"1.{draw.randrange(12)}",
        "SOPInstanceUID": f"2.{number if draw.random() < 0.8 else draw.randrange(30)}",
        "PatientID": draw.choice(["anna", "bert", ""]),
        "StudyInstanceUID": f"9.{draw.randrange(3)}",
    }
    if draw.random() < 0.3:
        facts["IssuerOfPatientID"] = draw.choice(["G", "H"])
    outcome, reason = draw.choice([("image", ""), ("image", ""), ("quarantined", "truncated_header"), ("ignored", "x")])
    if draw.random() < 0.1:
        facts |= {"SOPClassUID": SEG, "mask_references": {"series": [f"1.{draw.randrange(12)}"]}}
    path = f"{draw.randrange(1000):04d}-{number}.dcm"
    return {
        "path": path, "stat": [draw.randrange(10**6), 1, 1, 1], "outcome": outcome, "reason": reason, "flags": [],
        "facts": facts,
    }  # fmt: skip


def write(results: Results, rows: list[dict[str, Any]]) -> Path:
    index = results.root / "headers.jsonl"
    lines = sorted(rows, key=lambda line: line["path"])
    index.write_text("".join(json.dumps(line, sort_keys=True, separators=(",", ":")) + "\n" for line in lines))
    return index


def plan(
    results: Results, rows: list[dict[str, Any]], key: Pseudonyms = KEY, code: str = "", processes: int = 1
) -> Any:
    index = write(results, rows)
    return batches.plan_batches(
        results, index, results.plans / "contents.json", key,
        series_each=2, bytes_each=10**9, processes=processes, code=code,
    )  # fmt: skip


def planned(results: Results) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in results.plans.iterdir()}


def from_scratch(results: Results, rows: list[dict[str, Any]], key: Pseudonyms = KEY) -> tuple[Any, dict[str, bytes]]:
    """Plan in another folder; the number of batches never shrinks, so that of the last run is copied."""
    other = Results(results.root.with_name("scratch"))
    shutil.rmtree(other.root, ignore_errors=True)
    other.private.mkdir(parents=True)
    shutil.copy(results.private / "batches.json", other.private / "batches.json")
    return plan(other, rows, key), planned(other)


@pytest.mark.parametrize("processes", [1, 2])
def test_plans_after_any_change_are_those_of_a_run_without_caches(tmp_path: Path, processes: int) -> None:
    draw = random.Random(processes)
    results = Results(tmp_path / "results")
    results.private.mkdir(parents=True)
    rows = [row(draw, number) for number in range(60)]
    for step in range(40):
        for _ in range(draw.randrange(3)):
            change = draw.random()
            if change < 0.4 or len(rows) < 20:
                rows.append(row(draw, 100 + step))
            elif change < 0.7:
                rows.pop(draw.randrange(len(rows)))
            else:
                changed = draw.choice(rows)
                changed["facts"] = {**changed["facts"], "Rows": draw.randrange(9)}
        counts = plan(results, rows, processes=processes)
        expected, plans = from_scratch(results, rows)
        assert planned(results) == plans
        assert counts == expected


def test_one_more_line_costs_its_range_and_its_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draw = random.Random(5)
    results = Results(tmp_path / "results")
    results.private.mkdir(parents=True)
    rows = [row(draw, number) for number in range(200)]
    plan(results, rows)
    ranges = len(survey._ranges(results.root / "headers.jsonl"))
    read: list[int] = []
    written: list[bytes] = []
    parse, plan_json = survey._parse, batches.plan_json
    monkeypatch.setattr(survey, "_parse", lambda line: read.append(len(line)) or parse(line))
    monkeypatch.setattr(batches, "plan_json", lambda *of: written.append(plan_json(*of)) or written[-1])
    plan(results, rows)
    assert (read, written) == ([], [])
    plan(results, [*rows, {**row(draw, 500), "outcome": "image", "path": "0000.dcm"}])
    assert ranges > 20 and 0 < len(read) < 30 and 0 < len(written) < 5


def damage_part(results: Results) -> None:
    for path in (results.private / "cache" / part_cache.FOLDER).iterdir():
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)


def cut_part(results: Results) -> None:
    for path in (results.private / "cache" / part_cache.FOLDER).iterdir():
        path.write_bytes(path.read_bytes()[:-9])


def damage_plans(results: Results) -> None:
    for path in results.plans.glob("*-*.json"):
        data = path.read_bytes()
        path.write_bytes(data.replace(b"anna", b"anno").replace(b'"batch"', b'"hctab"'))


def damage_list(results: Results) -> None:
    path = results.private / "cache" / "plans.json"
    path.write_bytes(path.read_bytes().replace(b"0", b"1", 1))


def swap_parts(results: Results) -> None:
    first, second, *_ = sorted(part for part in (results.private / "cache" / part_cache.FOLDER).iterdir())
    content = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(content)


DAMAGES: list[Callable[[Results], None]] = [
    damage_part, cut_part, swap_parts, damage_plans, damage_list,
    lambda results: shutil.rmtree(results.private / "cache"),
    lambda results: shutil.rmtree(results.plans),
]  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_cache_or_plan_is_made_again(tmp_path: Path, damage: Callable[[Results], None]) -> None:
    draw = random.Random(6)
    results = Results(tmp_path / "results")
    results.private.mkdir(parents=True)
    rows = [row(draw, number) for number in range(60)]
    plan(results, rows)
    damage(results)
    counts = plan(results, rows)
    assert (counts, planned(results)) == from_scratch(results, rows)


def test_another_key_or_other_code_uses_no_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draw = random.Random(7)
    results = Results(tmp_path / "results")
    results.private.mkdir(parents=True)
    rows = [row(draw, number) for number in range(60)]
    plan(results, rows, code="old")
    other = Pseudonyms(b"o" * 32)
    counts = plan(results, rows, key=other, code="old")
    assert (counts, planned(results)) == from_scratch(results, rows, key=other)
    parse, read = survey._parse, []
    monkeypatch.setattr(survey, "_parse", lambda line: read.append(line) or parse(line))
    plan(results, rows, key=other, code="new")
    assert len(read) == 60


def test_caches_of_lines_that_are_gone_are_removed_and_all_are_private(tmp_path: Path) -> None:
    draw = random.Random(8)
    results = Results(tmp_path / "results")
    results.private.mkdir(parents=True)
    plan(results, [row(draw, number) for number in range(60)])
    before = {path.name for path in (results.private / "cache" / part_cache.FOLDER).iterdir()}
    plan(results, [row(draw, 900)])
    paths = [*(results.private / "cache" / part_cache.FOLDER).iterdir()]
    assert len(before) > 5 and len(paths) == 1 and paths[0].name not in before
    for path in (results.private / "cache").rglob("*"):
        assert path.stat().st_mode & 0o077 == 0
