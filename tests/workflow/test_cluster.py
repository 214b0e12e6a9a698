"""Jobs on other nodes: each job builds its own DAG, and none requests more threads than allowed."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from conftest import Workflow
from dicoms import save_series
from queues import Queue

BATCHES = {"series": 2, "megabytes": 512}
LABELS = {"labels": [{"folder": 1, "name": "organ", "values": ["liver", "lung"]}]}
SPLITS = {"splits": {"fractions": {"train": 0.5, "test": 0.5}, "seed": 3}}


def fill(source: Path) -> None:
    for number in range(5):
        save_series(source / ("liver" if number % 2 else "lung") / f"folder {number}", f"series-{number}", 3)


@pytest.fixture(scope="module")
def local_run(tmp_path_factory: pytest.TempPathFactory) -> Workflow:
    """A dataset with labels, splits and several batches, made by a run on this machine."""
    config = {"batch": BATCHES, **LABELS, **SPLITS}
    workflow = Workflow(tmp_path_factory.mktemp("locally"), config, {"DICOMZARR_KEY": "k" * 32})
    fill(workflow.source)
    workflow.run()
    return workflow


def test_jobs_on_other_nodes_make_the_same_dataset(workflow: Workflow, local_run: Workflow) -> None:
    workflow.config, workflow.forks = dict(local_run.config, source=str(local_run.source)), None
    queue = Queue(workflow.folder)
    run = workflow.run(*queue.options(), cores=0)
    assert run.sealed == local_run.sealed()
    assert run.jobs("extract_batch") == run.jobs("check_batch") > 1 and run.jobs("join_labels") == 1
    assert workflow.run().nothing_to_do
    scripts = queue.scripts()
    # A job reads headers and plans, one extracts and checks a batch, one joins labels and writes tables, one searches.
    assert len(scripts) == run.jobs("extract_batch") + 3
    assert all(str(local_run.source) not in script for script in scripts)


def test_a_path_on_the_command_line_stops_the_run_before_it_submits_a_job(
    workflow: Workflow, local_run: Workflow
) -> None:
    workflow.config, workflow.forks = local_run.config, None
    queue = Queue(workflow.folder)
    run = workflow.run(*queue.options(), "--config", f"source={local_run.source}", cores=0, ok=False)
    assert run.process.returncode == 2 and "config key 'source': given with --config" in run.output
    assert not queue.scripts() and str(local_run.source) not in run.output and not workflow.results.exists()


def test_no_job_requests_more_threads_than_a_node_may_have(workflow: Workflow, local_run: Workflow) -> None:
    """At most the maximum of the profile; without one, fewer than the 64 that an export could use."""
    workflow.config, workflow.forks = dict(local_run.config, source=str(local_run.source)), None
    queue = Queue(workflow.folder)
    workflow.run(*queue.options(), "--max-threads", "3", "results/private/headers.jsonl", cores=0)
    assert max(queue.threads()) == 3
    queue = Queue(local_run.folder)
    local_run.run(*queue.options(), "export_npz", cores=0)
    assert queue.threads() == [8]


def test_a_new_folder_runs_only_the_batches_of_its_series(local_run: Workflow) -> None:
    contents = local_run.results / "private" / "plans" / "contents.json"
    before = {name: batch["digest"] for name, batch in json.loads(contents.read_text())["batches"].items()}
    save_series(local_run.source / "lung" / "folder 9", "series-9", 3)
    run = local_run.run()
    after = {name: batch["digest"] for name, batch in json.loads(contents.read_text())["batches"].items()}
    changed = {name for name in after if before.get(name) != after[name]}
    assert 0 < len(changed) < len(after)
    assert run.jobs("extract_batch") == len(changed) and run.extracted_series() >= 1
    # A newer table of contents by itself runs nothing.
    os.utime(contents)
    assert local_run.run().nothing_to_do
