"""The open corpus through the real workflow: pixels, splits, orders, readers of the arrays, and the naive list."""

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
from naive_list import lists_alike
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


def agree_with_oracles(run: Run, corpus: Path) -> int:
    """Hold order, spacing and affine of the regular volumes against highdicom and SimpleITK; return how many."""
    import numpy as np
    import pydicom
    import SimpleITK
    from highdicom.spatial import get_volume_positions

    places: dict[str, dict[tuple[int, int], tuple[Path, int]]] = defaultdict(dict)
    for row in run.table("private/frames.csv"):
        path = corpus / "dicom" / unquote(row["path"])
        places[row["array"]][int(row["t"] or 0), int(row["z"] or 0)] = (path, int(row["frame"]))
    compared = 0
    for name, found in places.items():
        group = json.loads((run.results / "dataset/images.zarr" / name / "zarr.json").read_text())["attributes"]
        facts, image = group["dicomzarr"], group["ome"]["multiscales"][0]
        if "affine_lps" not in facts or len({path for path, _ in found.values()}) < len(found):
            continue
        affine, scale = np.array(facts["affine_lps"]), image["datasets"][0]["coordinateTransformations"][0]["scale"]
        for t in sorted({t for t, _ in found}):
            paths = [found[key][0] for key in sorted(found) if key[0] == t]
            headers = [pydicom.dcmread(path, stop_before_pixels=True) for path in paths]
            positions = [[float(x) for x in header.ImagePositionPatient] for header in headers]
            cosines = [float(x) for x in headers[0].ImageOrientationPatient]
            spacing, order = get_volume_positions(positions, cosines, rtol=0.01)
            assert order in (list(range(len(paths))), list(range(len(paths)))[::-1])
            assert spacing == pytest.approx(scale[-3], rel=1e-3)
            volume = SimpleITK.ReadImage([str(path) for path in paths])
            assert volume.GetSpacing() == pytest.approx(scale[:-4:-1], rel=1e-3)
            for corner in np.ndindex(2, 2, 2):
                index = [int((size - 1) * end) for size, end in zip(volume.GetSize(), corner, strict=True)]
                ours = (affine @ [*index, 1])[:3]
                assert ours == pytest.approx(volume.TransformIndexToPhysicalPoint(index), abs=0.02)
            compared += 1
    return compared


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
    assert agree_with_oracles(run, corpus) >= 8  # all that lie in files of one frame with even spacing
    assert lists_alike(run, corpus) >= 95  # of 100; see there for the others
