"""Run the workflow once on made-up cases of every transfer syntax, pixel layout and kind of series."""

from __future__ import annotations

import dataclasses
import fcntl
import json
import os
from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import unquote

import numpy as np
import pytest
import zarr
from conftest import Run, Workflow
from forks import Forks
from made_up_cases import CASES, FlowCase
from readers import assert_readers_agree

from dicomzarr.dicom.transfer_syntaxes import DECODED
from dicomzarr.records.series_record import SeriesRecord


@dataclass
class Results:
    """What the run made of the cases, by case."""

    run: Run

    @cached_property
    def outcomes(self) -> dict[str, dict[str, dict[str, str]]]:
        rows: dict[str, dict[str, dict[str, str]]] = defaultdict(dict)
        for row in self.run.table("private/files.csv"):
            name, _, file = unquote(row["path"]).partition("/")
            rows[name][file] = row
        return rows

    @cached_property
    def frames(self) -> dict[str, dict[tuple[str, int], dict[str, str]]]:
        rows: dict[str, dict[tuple[str, int], dict[str, str]]] = defaultdict(dict)
        for row in self.run.table("private/frames.csv"):
            name, _, file = unquote(row["path"]).partition("/")
            rows[name][file, int(row["frame"])] = row
        return rows

    def arrays(self, case: FlowCase) -> list[str]:
        return sorted({row["array"] for row in self.frames[case.name].values()})

    def attributes(self, array: str) -> dict[str, Any]:
        path = self.run.results / "dataset/images.zarr" / array / "zarr.json"
        attributes: dict[str, Any] = json.loads(path.read_text())["attributes"]
        return attributes

    def axes(self, array: str) -> str:
        return "".join(axis["name"] for axis in self.attributes(array)["ome"]["multiscales"][0]["axes"])

    def frame(self, row: dict[str, str]) -> Any:
        """Return a frame as decoded: rows, columns and, where there is colour, samples."""
        axes = self.axes(row["array"])
        array = zarr.open_array(str(self.run.results / "dataset/images.zarr" / row["array"] / "0"), mode="r")
        index = tuple(int(row[axis]) if axis in "tz" else slice(None) for axis in axes)
        plane = array[index]
        return np.moveaxis(plane, 0, -1) if "c" in axes else plane


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory, warm: Forks | None) -> Results:
    """One run on all cases; the processes of one test session share it."""
    session = os.environ.get("PYTEST_XDIST_TESTRUNUID")
    base = tmp_path_factory.getbasetemp()
    folder = base.parent / f"fidelity-{session}" if session else base / "fidelity"
    folder.mkdir(exist_ok=True)
    with open(folder / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        workflow = Workflow(folder, environment={"DICOMZARR_KEY": "k" * 32}, forks=warm)
        for case in CASES.values() if not workflow.source.exists() else ():
            for name, content in case.files.items():
                path = workflow.source / case.name / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
        return Results(workflow.run(cross_check=1.0, batch={"series": 1000, "megabytes": 512}))


@pytest.mark.parametrize("case", CASES.values(), ids=str)
def test_each_case_becomes_the_volumes_written_down_for_it(results: Results, case: FlowCase) -> None:
    outcomes = results.outcomes[case.name]
    assert set(outcomes) == set(case.files)
    for name, reason in case.not_extracted.items():
        assert outcomes[name]["reason"] == reason
    extracted = {name for name, row in outcomes.items() if row["outcome"] == "extracted"}
    if case.one_of:
        assert len(stays := {name for name in case.one_of if any(file.startswith(name) for file in extracted)}) == 1
        case = dataclasses.replace(case, voxels={n: v for n, v in case.voxels.items() if n.startswith(tuple(stays))})
        assert {outcomes[name]["reason"] for name in set(case.files) - extracted} == {"duplicate"}
    if case.copies:
        assert len(extracted & case.copies) == 1
        assert all(outcomes[name]["reason"] == "duplicate" for name in case.copies - extracted)
    assert extracted - case.copies == set(case.voxels) - case.copies

    frames = results.frames[case.name]
    for name in sorted(extracted):
        voxels = case.voxels[name]
        assert {number for file, number in frames if file == name} == set(range(len(voxels)))
        for number, expected in enumerate(voxels):
            frame = results.frame(frames[name, number])
            assert frame.dtype == expected.dtype.newbyteorder("<")
            if case.tolerance:
                assert np.abs(frame.astype(np.int64) - expected.astype(np.int64)).max() <= case.tolerance
            else:
                assert frame.shape == expected.shape and frame.tobytes() == np.ascontiguousarray(expected).tobytes()
    for key, (t, z) in case.places.items():
        assert (frames[key]["t"], frames[key]["z"]) == tuple("" if n is None else str(n) for n in (t, z))

    arrays = results.arrays(case)
    assert len(arrays) == case.arrays
    flags = {flag for array in arrays for flag in results.attributes(array)["dicomzarr"]["flags"]}
    assert flags == case.flags
    if case.axes:
        assert {results.axes(array) for array in arrays} == {case.axes}
    facts = results.attributes(arrays[0])["dicomzarr"] if arrays else {}
    for key, expected in case.facts.items():
        assert facts.get(key) == expected, key


def test_every_transfer_syntax_is_extracted(results: Results) -> None:
    syntaxes: set[str] = set()
    for case in CASES.values():
        for array in results.arrays(case):
            syntaxes.update(results.attributes(array)["dicomzarr"]["transfer_syntax"])
    assert syntaxes == set(DECODED)


def test_every_frame_of_a_syntax_with_two_decoders_was_compared(results: Results) -> None:
    counts: dict[str, int] = defaultdict(int)
    for path in (results.run.results / "dataset/provenance/extract_batch").glob("*.jsonl"):
        for line in path.read_text().splitlines():
            for volume in json.loads(line)["volumes"]:
                for outcome, number in volume["cross_checks"].items():
                    counts[outcome] += number
    assert not [outcome for outcome in counts if outcome.startswith("refused")]
    agreed = {outcome.split()[1] for outcome in counts if outcome.startswith("agreed")}
    assert agreed == {"pillow", "jpegsof3", "dicomzarr-jpegls", "dicomzarr-rle", "openjph", "libdeflate"}


def test_depth_reports_ranges_and_padding(results: Results) -> None:
    depth = {row["array"]: row for row in results.run.table("dataset/reports/depth.csv")}
    assert {row["read_back"] for row in depth.values()} == {"exact"}
    (outside,) = results.arrays(CASES["outside the declared range"])
    assert depth[outside]["verdict"] == "warn" and depth[outside]["flags"] == "outside_declared_range"
    (padded,) = results.arrays(CASES["padding"])
    voxels = CASES["padding"].voxels["one.dcm"][0]
    row = depth[padded]
    assert int(row["observed_min"]) == voxels.min() == -32768
    assert int(row["unpadded_min"]) == voxels[voxels > -32768].min()


@pytest.mark.parametrize(
    ("name", "found", "needed"),
    [
        ("short data", 208, 210),  # bytes
        ("more frames than bytes", 210, 280),
        ("4 frames declared of 3", 3, 4),  # frames
    ],
)
def test_a_false_number_of_frames_is_recorded_with_both_numbers(
    results: Results, name: str, found: int, needed: int
) -> None:
    records = (results.run.results / "private/records/extract_batch").glob("*/*.json")
    outcomes = [file for path in records for file in SeriesRecord.load(path).files]
    (file,) = (file for file in outcomes if unquote(file.path).startswith(f"{name}/"))
    assert (file.found, file.needed) == (found, needed)
    logs = "".join(path.read_text() for path in (results.run.results / "logs/extract_batch").glob("*.log"))
    assert f"{file.reason}, found {found}, needed {needed}" in logs


def test_every_array_is_valid_and_three_readers_agree(results: Results) -> None:
    arrays = sorted({array for case in CASES.values() for array in results.arrays(case)})
    assert assert_readers_agree(results.run.results / "dataset/images.zarr", arrays) == len(arrays) > 200


def test_ome_zarr_py_lists_the_images_of_a_series_and_how_to_show_them(results: Results) -> None:
    from ome_zarr.io import parse_url
    from ome_zarr.reader import Reader

    images = results.run.results / "dataset/images.zarr"
    by_series = defaultdict(set)
    for row in results.run.table("dataset/volumes.csv"):
        by_series[row["series_id"]].add(row["array"])
    for series_id in sorted(by_series, key=lambda series_id: (-len(by_series[series_id]), series_id))[::20]:
        nodes = {str(node.zarr.path): node for node in Reader(parse_url(images / series_id))() if node.data}
        assert set(nodes) == {str(images / array) for array in by_series[series_id]}
        for array in by_series[series_id]:
            shown = nodes[str(images / array)].metadata
            assert shown["name"] == array
            assert len(shown["contrast_limits"]) == (3 if "c" in results.axes(array) else 1)
            assert all(start < end for start, end in shown["contrast_limits"])
