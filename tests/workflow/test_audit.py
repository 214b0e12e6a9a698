"""`./run audit` and the commands of docs/privacy-audit.md, in their order, on the results of one small run."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT, Launch, Workflow
from dicoms import save_series
from folders import state_of

PAGE = (ROOT / "docs" / "privacy-audit.md").read_text()
NAMES = "Nobody^Quastenflosser\nAnna\nNiemandshausen Ottilie\n"


def commands() -> dict[str, list[str]]:
    """Return the commands of each step; a fenced block holds commands, one a line."""
    steps = {part.split("\n")[0]: part for part in re.split(r"^## ", PAGE, flags=re.M)[1:]}
    return {
        step: [line for block in re.findall(r"^```\n(.*?)^```$", part, re.M | re.S) for line in block.splitlines()]
        for step, part in steps.items()
    }


@pytest.fixture
def finished(workflow: Workflow) -> Workflow:
    """A finished run whose source is gone."""
    del workflow.environment["DICOMZARR_KEY"]  # the run makes a key of its own
    save_series(workflow.source, "alpha", 3, BodyPartExamined="HEAD")
    save_series(workflow.source, "beta", 2, Modality="US")
    workflow.run()
    shutil.rmtree(workflow.source)
    (workflow.folder / "names.txt").write_text(NAMES)
    shutil.copy(workflow.folder / "config.yaml", workflow.folder / "my.yaml")
    return workflow


def test_the_page_and_the_search_when_the_source_is_gone(finished: Workflow, launch: Launch) -> None:
    before = state_of(finished.results / "dataset")
    done = launch(finished, "audit", "--json")
    answer = json.loads(done.stdout)
    assert done.returncode == 0 and answer["good"] and not answer["unlisted"], done.stderr
    assert answer["values"] > 10 and answer["searched"] > 10 and not answer["control"]["missed"]
    page = Path(answer["page"]).read_text()
    assert "patient-alpha" not in page and str(finished.source) not in page
    copy = finished.folder / "elsewhere"
    shutil.copytree(finished.results / "dataset", copy)
    call = ("audit", "--needles", "names.txt", "--dataset", "elsewhere")
    done = launch(finished, *call, config=False)
    assert done.returncode == 0 and "not searched: line 2 of the list: too_short" in done.stdout, done.stderr
    (copy / "reports/note.txt").write_bytes("seen by Ottilie Niemandshausen".encode("utf-16"))
    done = launch(finished, *call, config=False)
    assert done.returncode == 1 and "value_in_file in reports/note.txt" in done.stdout
    assert "line 3 of the list" in done.stdout and "niemandshausen" not in (done.stdout + done.stderr).lower()
    for arguments, says in (
        (("--needles", "no.txt"), "--needles: 'no.txt' cannot be read"),
        (("--dataset", "elsewhere"), "--dataset belongs to a search: ./run audit --needles names.txt --dataset FOLDER"),
        (("--needle", "names.txt"), "unknown option '--needle'"),
        (("--needles", "names.txt", "--dataset", "nowhere"), "there is no folder 'nowhere'"),
    ):
        done = launch(finished, "audit", *arguments, config=False)
        assert (done.returncode, says in done.stderr) == (2, True), done.stderr
    assert state_of(finished.results / "dataset") == before


def test_each_command_of_the_page(finished: Workflow, environment: Path) -> None:
    run = finished.folder / "run"
    run.write_text(f'#!/bin/sh\nexec {sys.executable} {ROOT / "run"} "$@"\n')
    run.chmod(0o755)
    steps = commands()
    assert len(steps) == 10 and all(steps.values())
    variables = {**os.environ, **finished.environment, "DICOMZARR_VENV": str(environment)}
    before = state_of(finished.results / "dataset")
    for command in (command for step in steps.values() for command in step):
        expected = re.search(r"# exit code (\d)", command)
        done = subprocess.run(
            ["bash", "-c", command], cwd=finished.folder, env=variables, capture_output=True, text=True, check=False
        )
        assert done.returncode == (int(expected[1]) if expected else 0), f"{command}\n{done.stdout}{done.stderr}"
    assert state_of(finished.results / "dataset") == before
