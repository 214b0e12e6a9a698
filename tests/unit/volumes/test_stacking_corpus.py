"""Splits and orders of the open corpus, if it lies beside the repository."""

from __future__ import annotations

import json
import random
import warnings
from typing import Any

import pytest
from conftest import CORPUS
from frames_from_files import frames_of_file

from dicomzarr.volumes.model import Frame, Volume
from dicomzarr.volumes.stacking import lay_out

pytestmark = pytest.mark.skipif(not (CORPUS / "expected.json").exists(), reason="the open corpus is not there")
# Stacks that the corpus lists separately ("finest split") but allows in one array: pictures that decode to RGB.
MAY_MERGE = {"test pattern/TestPattern_JPEG-Baseline_YBR422.dcm", "test pattern/TestPattern_JPEG-Baseline_YBRFull.dcm"}


def series() -> dict[str, Any]:
    expected: dict[str, Any] = json.loads((CORPUS / "expected.json").read_text())["series"]
    return expected


def arranged(entry: dict[str, Any]) -> tuple[list[str], list[Volume]]:
    """Lay out the files of a series as extraction does, without corrupt files and duplicates."""
    paths = [path for stack in entry["stacks"] for path in stack["files"]]
    frames: list[Frame] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for source, path in enumerate(paths):
            frames += frames_of_file(CORPUS / "dicom" / path, source)
    random.Random(1).shuffle(frames)
    return paths, lay_out(frames)


def order_in(volume: Volume, paths: list[str]) -> list[tuple[str, int]]:
    return [(paths[place.frame.source], place.frame.number) for place in volume.places]


def right_order(stack: dict[str, Any], volume: Volume, paths: list[str]) -> bool:
    order = order_in(volume, paths)
    if stack["kind"] in ("volume", "volume_series") and len(stack["files"]) > 1:
        slices = stack.get("volumes") or [stack["files"]]
        size = len(slices[0])
        got = [[path for path, _ in order[i : i + size]] for i in range(0, len(order), size)]
        return got in (slices, [part[::-1] for part in slices])
    if stack["kind"] == "volume":
        return [number for _, number in order] in (stack["frame_order"], stack["frame_order"][::-1])
    if "frame_positions_mm" in stack and stack["kind"] == "segmentation":
        assert volume.t_axis is not None
        rows: Any = volume.t_axis["values"]
        expected = list(zip(stack["frame_segment"], stack["frame_positions_mm"], strict=True))
        return [number for _, number in order] == list(range(len(rows))) and all(
            row[0] == want[0] and abs(row[1] - want[1]) < 0.01 for row, want in zip(rows, expected, strict=True)
        )
    if stack.get("frame_order") == "stored order":
        return [number for _, number in order] == list(range(stack["frames"])) and "z" not in volume.axes
    return "z" not in volume.axes


def test_splits_and_orders_as_stated() -> None:
    splits = orders = stacks = 0
    entries = series()
    for entry in entries.values():
        paths, volumes = arranged(entry)
        where = {path: volume for volume in volumes for path, _ in order_in(volume, paths)}
        groups = [set(stack["files"]) for stack in entry["stacks"]]
        split = [{path for path, _ in order_in(volume, paths)} for volume in volumes]
        merged = [group for group in groups if not group & MAY_MERGE]
        merged = [
            group | MAY_MERGE if "JPEG-LS-Lossless.dcm" in str(group) and "test" in str(group) else group
            for group in merged
        ]
        is_right = sorted(map(sorted, split)) in (sorted(map(sorted, groups)), sorted(map(sorted, merged)))
        splits += is_right
        if not is_right:
            print("split", entry["why"], split)
        for stack in entry["stacks"]:
            stacks += 1
            is_right = right_order(stack, where[stack["files"][0]], paths)
            orders += is_right
            if not is_right:
                print("order", entry["why"], order_in(where[stack["files"][0]], paths))
    print(f"splits {splits}/{len(entries)}, orders {orders}/{stacks}")
    assert (splits, orders) == (len(entries), stacks)


def test_spacing_and_gaps_as_stated() -> None:
    for entry in series().values():
        paths, volumes = arranged(entry)
        for stack in entry["stacks"]:
            volume = next(v for v in volumes if stack["files"][0] in [path for path, _ in order_in(v, paths)])
            if stack["kind"] not in ("volume", "volume_series"):
                assert "z" not in volume.spacing_mm
                continue
            missing = sum(gap["count"] for gap in stack.get("missing") or [])
            assert volume.missing_slices == missing
            if stack["uniform"]:
                assert volume.spacing_mm["z"] == pytest.approx(stack["spacing_mm"], abs=0.01)
                assert volume.affine_lps is not None
                assert volume.positions_mm is None
            else:
                assert "z" not in volume.spacing_mm
                assert volume.affine_lps is None
                assert volume.positions_mm == pytest.approx(stack["positions_mm"], abs=0.01)
                assert "gap" in volume.flags


def test_an_affine_agrees_with_simpleitk() -> None:
    import SimpleITK as sitk

    compared = 0
    for entry in series().values():
        paths, volumes = arranged(entry)
        for volume in volumes:
            if volume.affine_lps is None or "t" in volume.axes or len(paths) == 1:
                continue
            names = [str(CORPUS / "dicom" / path) for path, _ in order_in(volume, paths)]
            image = sitk.ReadImage(names)
            far = [size - 1 for size in image.GetSize()]
            ours = [sum(row[i] * far[i] for i in range(3)) + row[3] for row in volume.affine_lps[:3]]
            assert ours == pytest.approx(image.TransformIndexToPhysicalPoint(far), abs=1e-3)
            compared += 1
    assert compared >= 4
