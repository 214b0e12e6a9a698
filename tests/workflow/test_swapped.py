"""A source that was swapped for another with the same names stops the run before anything is removed."""

from __future__ import annotations

import shutil

from conftest import Workflow
from dicoms import save_series
from folders import files_of


def test_another_disk_with_the_same_names_is_refused_until_confirmed(workflow: Workflow) -> None:
    other_disk = workflow.folder / "wrong"
    for number in range(4):
        save_series(workflow.source / str(number), f"right-{number}", 2)
        save_series(other_disk / str(number), f"wrong-{number}", 2)
    digest = workflow.run().sealed["digest"]
    unchanged = [workflow.results / "dataset/images.zarr", workflow.results / "private/records/extract_batch"]
    before = [files_of(folder) for folder in unchanged]
    shutil.copytree(workflow.source, workflow.folder / "right")
    shutil.rmtree(workflow.source)
    shutil.copytree(other_disk, workflow.source)

    refused = workflow.run(ok=False)
    assert refused.process.returncode == 1 and "Traceback" not in refused.output
    assert (
        "config key 'source': series that earlier runs extracted are missing from the source, 4 of 4" in refused.output
    )
    assert "nothing was removed" in refused.output and "--config confirm_drop=true" in refused.output
    assert [files_of(folder) for folder in unchanged] == before
    assert refused.jobs("extract_batch") == 0
    assert workflow.run(ok=False).process.returncode == 1  # refused each time

    shutil.rmtree(workflow.source)
    shutil.copytree(workflow.folder / "right", workflow.source)
    restored = workflow.run()
    assert restored.sealed["digest"] == digest and restored.extracted_series() in (0, 4)
    assert files_of(unchanged[0]) == before[0]

    shutil.rmtree(workflow.source)
    shutil.copytree(other_disk, workflow.source)
    confirmed = workflow.run("--config", "confirm_drop=true")
    assert confirmed.sealed["counts"]["arrays"] == 4 and confirmed.sealed["digest"] != digest
    assert workflow.run().nothing_to_do
