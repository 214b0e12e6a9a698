"""The open corpus through the real workflow: pixels, splits, orders, and three readers of the arrays."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from urllib.parse import unquote

import pytest
from conftest import CHECKER, Run, Workflow
from readers import assert_read_alike

# Stacks that the corpus lists apart, as the finest split, and allows in one array: pictures that decode to RGB alike.
MAY_MERGE = {
    f"test pattern/TestPattern_JPEG-{name}.dcm"
    for name in ("LS-Lossless", "LS-NearLossless", "Lossless_RGB", "Baseline_YBR422", "Baseline_YBRFull")
}


def splits(run: Run, corpus: Path) -> tuple[int, int]:
    """Return how many series of the corpus came apart as stated, and how many there are.

    What is a duplicate is in no array; every other file of a stack must be in one, and with its stack.
    """
    arrays: dict[str, set[str]] = defaultdict(set)
    for row in run.table("private/frames.csv"):
        arrays[unquote(row["path"])].add(row["array"])
    gone = {unquote(row["path"]) for row in run.table("private/files.csv") if row["reason"] == "duplicate"}
    series = json.loads((corpus / "expected.json").read_text())["series"]
    right = 0
    for entry in series.values():
        stated = [set(stack["files"]) - gone for stack in entry["stacks"]]
        together: dict[str, set[str]] = defaultdict(set)
        for path in set().union(*stated):
            for array in arrays[path]:
                together[array].add(path)
        found = sorted(map(sorted, together.values()))
        good = found == sorted(sorted(group) for group in stated if group)
        alike = [group for group in stated if group and group <= MAY_MERGE]
        if alike and not good:
            rest = [group for group in stated if group and not group <= MAY_MERGE]
            good = found == sorted(map(sorted, [set().union(*alike), *rest]))
        if not good:
            print(f"found {found} ({entry['why']})")
        right += good
    return right, len(series)


def test_the_corpus_is_exact_and_the_contract_holds(workflow: Workflow, corpus: Path) -> None:
    run = workflow.run(source=str(corpus / "dicom"))
    command = [sys.executable, str(CHECKER), str(run.results), "--corpus", str(corpus)]
    judged = subprocess.run(command, capture_output=True, text=True, check=False)
    figure = judged.stdout.strip().splitlines()[-1]
    match = re.fullmatch(r"contract: 0 contradictions; exact (\d+)/(\d+); orders (\d+)/(\d+); wrong outcomes 0", figure)
    if match is None:
        pytest.fail(judged.stdout[-4000:])
    exact, images, good, stacks = map(int, match.groups())
    right, series = splits(run, corpus)
    print(f"exact {exact}/{images}, splits {right}/{series}, orders {good}/{stacks}")
    assert exact == images > 100
    assert right == series > 40
    assert good == stacks > 0

    arrays = [row["array"] for row in run.table("dataset/volumes.csv")]
    assert assert_read_alike(run.results / "dataset/images.zarr", arrays) == len(arrays) > 50
