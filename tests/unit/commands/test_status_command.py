"""`./run status` prints the reasons of the main process, independent of the output of Snakemake."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from launched_project import Project

from dicomzarr.commands.launcher.json_forms import FORMS
from dicomzarr.commands.status.command import CAUSES, LINES, line_of
from dicomzarr.workflow.snakemake_quirks import planned_jobs

JOB = {"reason": "job", "rule": "extract_batch", "job": "Extracting", "why": "output_missing", "count": 2}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path).with_environment()


def test_without_reasons_there_is_nothing_to_do(project: Project) -> None:
    done = project.run("status", REASONS="[]", SNAKEMAKE_PRINTS="Job 3: Extracting\nReason: Missing output files: x\n")
    assert (done.returncode, done.stdout, done.stderr) == (0, "Nothing to do\n", "")
    assert project.called("snakemake")[0]["arguments"] == ["--cores", "all", "--dry-run"]


def test_reasons_are_printed_as_text_and_as_json(project: Project) -> None:
    reasons = [{"reason": "source_new", "count": 1}, JOB]
    done = project.run("status", REASONS=json.dumps(reasons))
    assert (done.returncode, done.stderr) == (2, "")
    assert done.stdout == "source: 1 entry is new\njobs: Extracting (2), since its output is missing\n"
    as_json = project.run("status", "--json", REASONS=json.dumps(reasons))
    none = {"masks": 0, "labels": 0, "proposals": []}
    expected = {"pending": True, "reasons": reasons, "unnamed_masks": none}
    assert (as_json.returncode, json.loads(as_json.stdout)) == (2, expected)
    documented = {name for name, _ in FORMS["status"]}
    assert {re.split(r"[.\[]", name)[0] for name in documented} == {*expected}
    assert {f"reasons[].{key}" for key in JOB} <= documented


def test_read_only_results_are_a_reason_and_not_a_failure(project: Project) -> None:
    done = project.run("status", REASONS='[{"reason": "read_only"}]', SNAKEMAKE_EXITS="1")
    assert done.returncode == 2 and "not writable from here" in done.stdout


def test_of_a_refusal_only_its_error_line_is_printed(project: Project) -> None:
    printed = "Building DAG of jobs...\nError: config key 'source': no such folder\n"
    done = project.run("status", SNAKEMAKE_EXITS="1", SNAKEMAKE_PRINTS=printed)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "Error: config key 'source': no such folder\n")


def test_every_reason_and_cause_has_a_text() -> None:
    for reason in LINES:
        line = line_of({"reason": reason, "count": 3, "rule": "r", "job": "j", "why": "forced"})
        assert line and "{" not in line
    assert {cause for _, cause in planned_jobs._CAUSES} == {*CAUSES}
    assert line_of({**JOB, "why": ""}).endswith("since Snakemake requires it")
