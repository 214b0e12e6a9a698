"""Reading for training: epochs over the demo with any number of workers, the examples, and masks of a run."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import yaml
from conftest import ROOT, Run, Workflow
from epochs import epoch
from forks import Forks
from scans_with_masks import ScanWithMasks, read_mask

from dicomzarr.commands.demo import files as demo
from dicomzarr.commands.demo import masks as demo_masks
from dicomzarr.commands.run import summary
from dicomzarr.dataset import DicomZarrDataset
from dicomzarr.terminal.screen import Screen


def assert_masks_are_those_of_the_demo(run: Run) -> None:
    """Compare the masks with the ellipsoids that the demo draws; contours of 48 corners lie a little inside of them."""
    rows = {row["mask"]: row for row in run.table("dataset/masks.csv")}
    assert sorted(rows) == ["heart", "lung", "skull", "tumour", "unnamed_1"]
    lung, heart = demo_masks.segments((40, 128, 128))
    for name, segment in (("lung", lung), ("heart", heart)):
        assert np.array_equal(read_mask(run.results, rows[name]), segment.voxels)
    for name, region in zip(("tumour", "skull", "unnamed_1"), demo_masks.REGIONS, strict=True):
        ellipsoids = [demo.ellipsoid(demo.axes(24, 96, 96), *each) < 1 for each in region.ellipsoids]
        truth = np.logical_xor.reduce(ellipsoids)
        mask = read_mask(run.results, rows[name]) > 0
        assert 2 * (mask & truth).sum() / (mask.sum() + truth.sum()) > 0.98, name
        assert rows[name]["flags"] == "" and rows[name]["unused_contours"] == "0"


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_epochs_over_the_demo_and_the_examples(workflow: Workflow) -> None:
    demo.build(workflow.source)
    run = workflow.run(**yaml.safe_load(demo_masks.CONFIG))
    assert_masks_are_those_of_the_demo(run)
    table = summary.lines(summary.facts(run.results / "dataset"), Screen())
    shown = "\n".join(table).strip("\n")
    assert shown.startswith("files found") and "\nattention " in shown and shown in (ROOT / "README.md").read_text()
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

    command[1] = str(ROOT / "examples" / "toy_segmentation.py")
    trained = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(run.results))
    losses = [float(loss) for loss in re.findall(r"loss ([\d.]+)", trained.stdout)]
    assert losses[-1] < 0.3 * losses[0], trained.stdout + trained.stderr
    overlap = re.search(r"Dice ([\d.]+) on 20 slices .*; ([\d.]+) if every", trained.stdout)
    assert overlap and float(overlap[1]) > 0.9 > 0.2 > float(overlap[2]), trained.stdout


def test_masks_of_a_run_are_on_the_region_of_their_image(tmp_path: Path, warm: Forks | None) -> None:
    config = {"masks": {"names": {"kidney_left": ["(?i)^kidney l"], "tumour": ["(?i)gtv"]}, "expected": ["spleen"]}}
    workflow = Workflow(tmp_path, config, {"DICOMZARR_KEY": "k" * 32}, forks=warm)
    made = ScanWithMasks("one")
    made.save(workflow.source)
    results = workflow.run().results
    names = {"liver": made.liver, "tumour": made.tumour, "kidney_left": made.kidney}
    whole = DicomZarrDataset(results, masks=[*names, "spleen"])
    assert len(whole) == 1 and np.array_equal(whole[0]["mask"], [*names.values(), np.zeros_like(made.liver)])
    assert set(whole.volume(0).masks) == set(names)
    size = {"z": 2, "y": 5, "x": 4}
    patches = DicomZarrDataset(
        results, sample="patch", patch=size, patches_per_volume=60, masks=list(names), foreground=0.5
    )
    around = Counter(sample["around"] for sample in patches)
    assert around[""] == 30 and set(around) == {"", *names}
    for sample in patches:
        z, y, x = map(int, sample["start"])
        region = slice(z, z + 2), slice(y, y + 5), slice(x, x + 4)
        assert np.array_equal(sample["image"], whole[0]["image"][region])
        assert np.array_equal(sample["mask"], [truth[region] for truth in names.values()])
        assert not sample["around"] or names[sample["around"]][region].any()
