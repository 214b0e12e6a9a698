"""`--until` and `--omit-from` work behind the checkpoint too, or are refused with a helpful message."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from conftest import Workflow
from dicoms import save_series

FIRST = ("discover_files", "index_headers", "plan_batches")


def test_until_runs_a_rule_behind_the_checkpoint_on_a_new_folder_and_after_a_change(workflow: Workflow) -> None:
    save_series(workflow.source / "1", "alpha", 2)
    run = workflow.run("--until", "extract_batch")
    assert [run.jobs(rule) for rule in (*FIRST, "extract_batch", "check_batch")] == [1, 1, 1, 1, 0]
    assert list(workflow.results.glob("dataset/images.zarr/*/zarr.json"))
    save_series(workflow.source / "2", "beta", 2)
    run = workflow.run("-U", "check_batch")
    assert [run.jobs(rule) for rule in (*FIRST, "extract_batch", "check_batch", "report_depth")] == [1, 1, 1, 1, 1, 0]
    run = workflow.run()
    assert run.jobs("extract_batch") == 0 and run.sealed["counts"]["arrays"] == 2


@pytest.mark.parametrize("arguments", [("--until", "report_depth"), ("report_depth",)])
def test_a_later_rule_has_all_batches_in_front_of_it_where_older_results_are_put_back(
    workflow: Workflow, arguments: tuple[str, ...]
) -> None:
    save_series(workflow.source / "1", "alpha", 2)
    workflow.run()
    shutil.copytree(workflow.results, workflow.folder / "backup", symlinks=True)
    save_series(workflow.source / "2", "beta", 2)
    workflow.run()
    shutil.rmtree(workflow.results)
    (workflow.folder / "backup").rename(workflow.results)
    run = workflow.run(*arguments)
    assert [run.jobs(rule) for rule in ("extract_batch", "check_batch", "report_depth", "report_size")] == [1, 1, 1, 0]
    assert (workflow.results / "dataset/reports/depth.csv").read_text().count("\n") == 3
    assert workflow.run().sealed["counts"]["arrays"] == 2


def test_rules_that_cannot_be_omitted_are_refused(workflow: Workflow) -> None:
    save_series(workflow.source, "alpha", 2)
    for arguments, words in (
        (("--omit-from", "check_batch"), "--until extract_batch"),
        (("-O", "render_report"), "--omit-from render_report: not possible here"),
        (("seal_dataset", "--until", "extract_batch"), "use the target all_extracted alone"),
    ):
        run = workflow.run(*arguments, ok=False)
        assert run.process.returncode == 1 and words in run.output and "Traceback" not in run.output
        assert not Path(workflow.results, "dataset").exists()
    run = workflow.run("--omit-from", "plan_batches")
    assert [run.jobs(rule) for rule in FIRST] == [1, 1, 0]
