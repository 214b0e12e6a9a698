"""Edits of the source: only their series are extracted again, and the dataset equals that of a run from scratch."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import FULL, Workflow
from edits import EDITS, SLICES, Edit, Tree, ids_of
from folders import state_of_arrays
from forks import Forks
from from_scratch import dataset_digest, digest_of_workflow
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st

BATCH = {"series": 2, "megabytes": 512}
SERIES = 6
TOGETHER = 5  # edits before each run, in the short form


def tree_at(folder: Path, seed: int, forks: Forks | None = None) -> tuple[Workflow, Tree]:
    workflow = Workflow(folder, {"batch": BATCH}, {"DICOMZARR_KEY": "k" * 32}, forks=forks)
    tree = Tree(workflow.source, random.Random(seed))
    for _ in range(SERIES):
        tree.add_series()
    return workflow, tree


def groups(size: int) -> list[list[tuple[str, Edit]]]:
    listed = list(EDITS.items())
    return [listed[start : start + size] for start in range(0, len(listed), size)]


def test_each_edit_extracts_only_its_series_and_gives_the_dataset_of_a_run_from_scratch(
    tmp_path: Path, warm: Forks | None
) -> None:
    workflow, tree = tree_at(tmp_path / "tree", 1, warm)
    run = workflow.run()
    elsewhere = Workflow(
        tmp_path / "elsewhere", {"source": str(workflow.source), "batch": BATCH}, workflow.environment, forks=warm
    )
    scratch = digest_of_workflow(workflow)
    assert run.sealed["digest"] == elsewhere.run(cores=1).sealed["digest"] == scratch
    for number, group in enumerate(groups(1 if FULL else TOGETHER)):
        name = ", ".join(name for name, _ in group)
        before = state_of_arrays(workflow.results)
        expected = ids_of(set().union(*(edit(tree) for _, edit in group)) & set(tree.series))
        run = workflow.run()
        after = state_of_arrays(workflow.results)
        assert {name for name in after if after[name] != before.get(name)} == expected, name
        assert run.sealed["digest"] == digest_of_workflow(workflow), name
        if FULL:  # and from scratch by the real workflow, not by the core alone
            fresh = Workflow(tmp_path / f"fresh {number}", elsewhere.config, workflow.environment, forks=warm)
            assert run.sealed["seal"] == fresh.run(cores=1).sealed["seal"], name
            print(f"{name}: {len(expected)} series extracted, as expected; digest and seal as from scratch")
        assert dataset_digest(workflow.results / "dataset") == run.sealed["digest"], name
        if FULL or number % 3 == 0:
            assert workflow.run().nothing_to_do, name
    assert run.sealed["digest"] == elsewhere.run(cores=1).sealed["digest"]


STEPS = st.tuples(
    st.sampled_from(sorted(EDITS)), st.none() | (st.floats(0.1, 2.5) if FULL else st.floats(0.8, 4.5)), st.booleans()
)


@settings(
    max_examples=3 if FULL else 1,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
    database=None,
)
@given(seed=st.integers(0, 10**6), steps=st.lists(STEPS, min_size=30 if FULL else 5, max_size=30 if FULL else 5))
def test_random_edits_and_kills_give_the_dataset_of_a_run_from_scratch(
    tmp_path_factory: pytest.TempPathFactory,
    forks: Forks | None,
    seed: int,
    steps: list[tuple[str, float | None, bool]],
) -> None:
    # Hypothesis starts with the simplest example, which edits nothing.
    assume(len({name for name, _, _ in steps}) > 2 and any(kill for _, kill, _ in steps))
    folder = tmp_path_factory.mktemp("walk")
    workflow, tree = tree_at(folder / "tree", seed, forks)
    print(f"walk with seed {seed}: {steps}")
    for name, kill_after, finish in steps:
        EDITS[name](tree)
        if kill_after is not None:
            workflow.write_config()
            workflow.killed(kill_after, "--cores", "2")
        elif finish:
            workflow.run()
    run = workflow.run()
    assert run.sealed["digest"] == digest_of_workflow(workflow)
    assert workflow.run().nothing_to_do


TURKISH = "tr_TR.UTF-8"  # has a decimal comma, and a capital i that is not ASCII
IN_FORCE = (
    "import locale; locale.setlocale(locale.LC_ALL, '')"  # as a C library may do; Python sets only a part of the locale
)


@pytest.fixture
def turkish(tmp_path: Path) -> dict[str, str]:
    """Environment variables for that locale; empty if it is neither installed nor can be compiled."""
    for variables_of_path in ({}, {"LOCPATH": str(tmp_path / "locales")}):
        if variables_of_path and shutil.which("localedef"):
            Path(variables_of_path["LOCPATH"]).mkdir()
            command = ["localedef", "-i", "tr_TR", "-f", "UTF-8", str(tmp_path / "locales" / TURKISH)]
            subprocess.run(command, capture_output=True, check=False)
        chosen = {**variables_of_path, "LC_ALL": TURKISH, "LANG": TURKISH}
        ask = [sys.executable, "-c", f"{IN_FORCE}; print(locale.localeconv()['decimal_point'])"]
        if subprocess.run(ask, env=os.environ | chosen, capture_output=True, check=False).stdout == b",\n":
            return chosen
    return {}


def test_the_digest_does_not_depend_on_time_zone_locale_or_order_of_creation(
    tmp_path: Path, turkish: dict[str, str]
) -> None:
    digests = set()
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(IN_FORCE)
    variants = [("UTC", {"LC_ALL": "C", "LANG": "C"}), ("America/Caracas", turkish)]
    variants = variants if turkish else [*variants[:1], ("America/Caracas", {"LC_ALL": "C.UTF-8", "LANG": "C.UTF-8"})]
    for number, (zone, locale) in enumerate([*variants, ("Pacific/Kiritimati", {"LC_ALL": "C.UTF-8"})]):
        workflow, tree = tree_at(tmp_path / f"first {number}", seed=number)
        files = sorted(path for path in workflow.source.rglob("*") if path.is_file())
        random.Random(number).shuffle(files)
        other = tmp_path / f"at {number}"
        for path in files:
            target = other / "source" / path.relative_to(workflow.source)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
        variables = {"TZ": zone, "PYTHONPATH": str(tmp_path / "site"), **locale}
        sealed = (
            Workflow(other, {"batch": BATCH}, {**workflow.environment, **variables}).run(cores=1 + number % 2).sealed
        )
        digests.add((sealed["digest"], sealed["seal"]))
        assert len(tree.series) * SLICES == len(files)
    assert len(digests) == 1
    if not turkish:
        pytest.skip(f"time zones agree; the locale {TURKISH} is not installed, and localedef cannot compile it")
