"""`burned_in: scan` and decisions: a file is set aside, a rerun has nothing to do, and a decision extracts it."""

from __future__ import annotations

from pathlib import Path

from blake3 import blake3
from conftest import Workflow
from dicoms import save_series
from forks import Forks


def decide(workflow: Workflow, decision: str, results: str = "results") -> None:
    content = blake3(sorted(workflow.source.rglob("*.dcm"))[0].read_bytes()).hexdigest()
    table = workflow.folder / results / "private" / "decisions.csv"
    table.parent.mkdir(parents=True, exist_ok=True)
    table.write_text(f"content,decision\n{content},{decision}\n")


def test_a_file_is_set_aside_and_kept_by_decision_as_from_scratch(tmp_path: Path, warm: Forks | None) -> None:
    workflow = Workflow(tmp_path, environment={"DICOMZARR_KEY": "k" * 32}, forks=warm)
    save_series(workflow.source / "chest", "chest", 3)
    scan = {"burned_in": "scan", "burned_in_reason": ""}
    first = workflow.run(**scan)
    assert {outcome for outcome, _ in first.outcome().values()} == {"extracted"}
    digest = first.sealed["digest"]
    decide(workflow, "set_aside")
    aside = workflow.run(**scan)
    assert sorted(aside.outcome().values()) == [("extracted", ""), ("extracted", ""), ("skipped", "text_in_pixels")]
    assert len(list(aside.results.glob("private/text/*/*.jpg"))) == 1
    assert [(row["kind"], row["files"]) for row in aside.table("dataset/reports/policy.csv")] == [
        ("text_in_pixels", "1")
    ]
    again = workflow.run(**scan)
    assert again.nothing_to_do
    decide(workflow, "keep")
    kept = workflow.run(**scan)
    assert kept.sealed["digest"] == digest
    assert {outcome for outcome, _ in kept.outcome().values()} == {"extracted"}
    assert not list(kept.results.glob("private/text/*/*.jpg"))
