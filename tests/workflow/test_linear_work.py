"""The work of each step grows with the number of files in a series, not with its square."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from conftest import Workflow
from dicoms import save_series

# Python reads this file when it starts. It counts calls of functions, of Python and of C, in every thread.
COUNTER = """
import atexit, itertools, os, sys, threading
calls = itertools.count()

def count(frame, event, argument):
    if event in ("call", "c_call"):
        next(calls)

def write():
    sys.setprofile(None)
    with open(os.path.join(os.environ["CALLS_FOLDER"], str(os.getpid())), "w") as file:
        script = os.path.basename(sys.argv[0]).split(".", 1)[1]  # Snakemake puts a word of its own in front
        file.write(f'["{script}", {next(calls)}]')

# The main process knows no files, only batches.
if not any(word.endswith("snakemake_process.py") for word in sys.orig_argv):
    atexit.register(write)
    threading.setprofile(count)
    sys.setprofile(count)
"""
SIZES = (30, 60, 120)  # files
# Calls for the last 60 files beside twice those for 30 files before: 1 if a file always costs the same, 2 if it costs
# as much as there are files before it. Steps with few calls for each file are left out: theirs come in groups of files.
MOST = 1.4
FEW = 150  # calls for a file


def calls_by_step(workflow: Workflow, count: int) -> Counter[str]:
    """Run the workflow on one series of so many files, and return how many functions each program called."""
    folder = workflow.folder / str(count)
    save_series(folder / "source", "long", count)
    (folder / "calls").mkdir()
    (folder / "python").mkdir()
    (folder / "python" / "sitecustomize.py").write_text(COUNTER)
    counted = {"CALLS_FOLDER": str(folder / "calls"), "PYTHONPATH": str(folder / "python"), "DICOMZARR_PLAIN_JOBS": "1"}
    Workflow(folder, environment={**workflow.environment, **counted}, forks=None).run(cores=1)
    calls: Counter[str] = Counter()
    for path in Path(folder, "calls").iterdir():
        name, number = json.loads(path.read_text())
        calls[name] += number
    return calls


@pytest.fixture
def workflow(tmp_path: Path) -> Workflow:
    return Workflow(tmp_path, environment={"DICOMZARR_KEY": "k" * 32})


def test_a_file_costs_the_same_in_a_long_series(workflow: Workflow) -> None:
    few, more, many = (calls_by_step(workflow, count) for count in SIZES)
    steps = {"index_headers.py", "extract_batch.py", "check_batch.py", "consolidate_dataset.py", "check_privacy.py"}
    assert steps <= set(many)
    added = {step: (more[step] - few[step], many[step] - more[step]) for step in many}
    last = SIZES[2] - SIZES[1]
    too_much = {step: calls for step, calls in added.items() if calls[1] > max(FEW * last, MOST * 2 * calls[0])}
    assert not too_much, f"for {SIZES[1] - SIZES[0]} and {last} files more: {added}"
