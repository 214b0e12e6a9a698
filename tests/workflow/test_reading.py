"""Reading the demo for training: epochs with any number of workers, and the example."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT, Workflow
from epochs import epoch

from dicomzarr.commands import demo_files as demo
from dicomzarr.dataset import DicomZarrDataset


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_epochs_over_the_demo_and_the_example(workflow: Workflow) -> None:
    demo.build(workflow.source)
    run = workflow.run()
    volumes = DicomZarrDataset(run.results)
    assert len(volumes) == len(run.table("dataset/volumes.csv")) > 60
    slices = DicomZarrDataset(run.results, sample="slice", rescale=True, invert=True)
    assert len(slices) == sum(int(row["frames"]) for row in run.table("dataset/volumes.csv"))
    size = {"y": 16, "x": 16}
    patches = DicomZarrDataset(run.results, sample="patch", patch=size, min_shape=size, patches_per_volume=3)
    for dataset, method in ((volumes, "spawn"), (slices, "fork"), (patches, "fork")):
        expected = epoch(dataset, 0, method)
        assert len(expected) == len(dataset)
        for workers in (2, 4):
            assert epoch(dataset, workers, method) == expected

    command = [sys.executable, str(ROOT / "examples" / "toy_network.py"), str(run.results)]
    trained = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(run.results))
    losses = [float(loss) for loss in re.findall(r"loss ([\d.]+)", trained.stdout)]
    assert losses[-1] < 0.1 * losses[0], trained.stdout + trained.stderr
    accuracy = re.search(r"correct on (\d+)%", trained.stdout)
    assert accuracy and int(accuracy[1]) > 65, trained.stdout
