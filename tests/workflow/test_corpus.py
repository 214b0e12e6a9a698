"""The open corpus through the real workflow, judged by the contract's own checker."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import CHECKER, Workflow


def test_the_corpus_is_exact_and_the_contract_holds(workflow: Workflow, corpus: Path) -> None:
    run = workflow.run(source=str(corpus / "dicom"))
    command = [sys.executable, str(CHECKER), str(run.results), "--corpus", str(corpus)]
    judged = subprocess.run(command, capture_output=True, text=True, check=False)
    figure = judged.stdout.strip().splitlines()[-1]
    print(figure)
    match = re.fullmatch(r"contract: 0 contradictions; exact (\d+)/(\d+); orders (\d+)/(\d+); wrong outcomes 0", figure)
    if match is None:
        pytest.fail(judged.stdout[-4000:])
    exact, images, good, stacks = map(int, match.groups())
    assert exact == images > 100
    assert good == stacks > 0
