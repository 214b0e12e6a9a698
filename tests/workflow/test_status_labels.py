"""`./run status` after the configuration of a finished dataset got labels."""

from __future__ import annotations

import pytest
from conftest import Launch, Workflow
from dicoms import save_series


@pytest.mark.xfail(
    strict=True,
    reason="a dry run does not write private/labels/labels.json, the input of join_labels, and no rule makes it",
)
def test_status_after_labels_were_added_says_what_is_due(workflow: Workflow, launch: Launch) -> None:
    save_series(workflow.source, "series-0", 2)
    workflow.run()
    (workflow.folder / "labels.csv").write_text("p,kind\npatient-series-0,benign\n")
    kinds = {"kind": {"values": ["benign", "malignant"]}}
    workflow.write_config(labels=[{"file": "labels.csv", "by": "patient", "key": "p", "columns": kinds}])
    done = launch(workflow, "status")
    assert "MissingInputException" not in done.stderr
    assert done.returncode == 2 and "Joining labels with the series (1), since its output is missing" in done.stdout
