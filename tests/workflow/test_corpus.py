"""The open corpus: pixels, separation into volumes, order of frames, other readers, and the list of images."""

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
from naive_list import compare_lists
from readers import assert_readers_agree

# Stacks that the corpus lists separately and also accepts in one array: pictures that all decode to RGB.
MAY_MERGE = {
    f"test pattern/TestPattern_JPEG-{name}.dcm"
    for name in ("LS-Lossless", "LS-NearLossless", "Lossless_RGB", "Baseline_YBR422", "Baseline_YBRFull")
}


def compare_splits(run: Run, corpus: Path) -> tuple[int, int]:
    """Return the number of series whose volumes are as expected, and the number of series.

    A duplicate is in no array; every other file of a stack must be in the array of its stack.
    """
    arrays: dict[str, set[str]] = defaultdict(set)
    for row in run.table("private/frames.csv"):
        arrays[unquote(row["path"])].add(row["array"])
    duplicates = {unquote(row["path"]) for row in run.table("private/files.csv") if row["reason"] == "duplicate"}
    series = json.loads((corpus / "expected.json").read_text())["series"]
    correct = 0
    for entry in series.values():
        expected = [set(stack["files"]) - duplicates for stack in entry["stacks"]]
        by_array: dict[str, set[str]] = defaultdict(set)
        for path in set().union(*expected):
            for array in arrays[path]:
                by_array[array].add(path)
        actual = sorted(map(sorted, by_array.values()))
        is_correct = actual == sorted(sorted(group) for group in expected if group)
        mergeable = [group for group in expected if group and group <= MAY_MERGE]
        if mergeable and not is_correct:
            others = [group for group in expected if group and not group <= MAY_MERGE]
            is_correct = actual == sorted(map(sorted, [set().union(*mergeable), *others]))
        if not is_correct:
            print(f"found {actual} ({entry['why']})")
        correct += is_correct
    return correct, len(series)


def compare_geometry(run: Run, corpus: Path) -> int:
    """Compare order, spacing and affine of regular volumes with highdicom and SimpleITK; return their number."""
    import numpy as np
    import pydicom
    import SimpleITK
    from highdicom.spatial import get_volume_positions

    frames_of: dict[str, dict[tuple[int, int], tuple[Path, int]]] = defaultdict(dict)
    for row in run.table("private/frames.csv"):
        path = corpus / "dicom" / unquote(row["path"])
        frames_of[row["array"]][int(row["t"] or 0), int(row["z"] or 0)] = (path, int(row["frame"]))
    compared = 0
    for name, actual in frames_of.items():
        group = json.loads((run.results / "dataset/images.zarr" / name / "zarr.json").read_text())["attributes"]
        facts, image = group["dicomzarr"], group["ome"]["multiscales"][0]
        if "affine_lps" not in facts or len({path for path, _ in actual.values()}) < len(actual):
            continue
        affine, scale = np.array(facts["affine_lps"]), image["datasets"][0]["coordinateTransformations"][0]["scale"]
        for t in sorted({t for t, _ in actual}):
            paths = [actual[key][0] for key in sorted(actual) if key[0] == t]
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
                position = (affine @ [*index, 1])[:3]
                assert position == pytest.approx(volume.TransformIndexToPhysicalPoint(index), abs=0.02)
            compared += 1
    return compared


def test_the_corpus_is_exact_and_the_contract_holds(workflow: Workflow, corpus: Path) -> None:
    run = workflow.run(source=str(corpus / "dicom"))
    command = [sys.executable, str(CHECKER), str(run.results), "--corpus", str(corpus)]
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    summary = process.stdout.strip().splitlines()[-1]
    match = re.fullmatch(
        r"contract: 0 contradictions; exact (\d+)/(\d+); orders (\d+)/(\d+); wrong outcomes 0", summary
    )
    if match is None:
        pytest.fail(process.stdout[-4000:])
    exact, images, ordered, stacks = map(int, match.groups())
    correct, series = compare_splits(run, corpus)
    print(f"exact {exact}/{images}, splits {correct}/{series}, orders {ordered}/{stacks}")
    assert exact == images > 100
    assert correct == series > 40
    assert ordered == stacks > 0

    arrays = [row["array"] for row in run.table("dataset/volumes.csv")]
    assert assert_readers_agree(run.results / "dataset/images.zarr", arrays) == len(arrays) > 50
    assert compare_geometry(run, corpus) >= 8  # all volumes of single-frame files with even spacing
    assert compare_lists(run, corpus) >= 95  # of 100; see `naive_list` for the others
