"""One run on made-up files: correct pixels, order, tables and records, and the columns of every table."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import stat
import subprocess
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import zarr
from conftest import ROOT, Run, Workflow
from dicoms import ct_slice, save, save_series, slice_pixels

from dicomzarr.system import csv_tables
from dicomzarr.vocabulary.reasons import REASONS

SLICES = 5


@pytest.fixture(scope="module")
def flow(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run on a source with two good series, one damaged slice, and files that are not images."""
    workflow = Workflow(tmp_path_factory.mktemp("flow"), environment={"DICOMZARR_KEY": "k" * 32})
    source = workflow.source
    save_series(source / "alpha", "alpha", SLICES)
    save_series(source / "beta =1" / "deep" / "er", "beta", SLICES)
    cut = save(ct_slice("beta", SLICES), source / "beta =1" / "cut.dcm")
    cut.write_bytes(cut.read_bytes()[:-100])
    (source / "notes.txt").write_text("no DICOM, though named in a folder of images\n" * 20)
    (source / "-leading\nnewline").write_bytes(b"x")
    (source / "empty.dcm").touch()
    (source / "link.dcm").symlink_to(cut)
    return workflow.run()


def test_every_entry_has_one_row(flow: Run) -> None:
    outcome = flow.outcome()
    assert len(outcome) == len(flow.table("private/files.csv")) == 2 * SLICES + 5
    assert outcome["beta =1/cut.dcm"] == ("quarantined", "truncated_pixel_data")
    assert outcome["notes.txt"] == ("ignored", "not_dicom")
    assert outcome["%2Dleading%0Anewline"] == ("ignored", "not_dicom")
    assert outcome["empty.dcm"] == ("ignored", "empty_file")
    assert outcome["link.dcm"] == ("ignored", "symbolic_link")
    assert Counter(word for word, _ in outcome.values()) == {"extracted": 2 * SLICES, "quarantined": 1, "ignored": 4}


def test_manifest_holds_the_paths_of_regular_files_only(flow: Run) -> None:
    rows = flow.table("private/manifest.csv")
    assert [list(row) for row in rows] == [["path"]] * (2 * SLICES + 4)
    assert {row["path"] for row in rows} == set(flow.outcome()) - {"link.dcm"}


@pytest.mark.parametrize("series", ["alpha", "beta"])
def test_voxels_are_stored_values_in_the_order_of_positions(flow: Run, series: str) -> None:
    first = next(row for row in flow.table("private/frames.csv") if series in row["path"])
    array = zarr.open_array(str(flow.results / "dataset" / "images.zarr" / first["array"] / "0"), mode="r")
    expected = np.stack([slice_pixels(series, index) for index in range(SLICES)])
    assert array.dtype == np.dtype("<i2")
    np.testing.assert_array_equal(array[...], expected)


def test_attributes_describe_the_volume(flow: Run) -> None:
    volume = flow.table("dataset/volumes.csv")[0]
    group = json.loads((flow.results / "dataset/images.zarr" / volume["array"] / "zarr.json").read_text())
    ome, facts = group["attributes"]["ome"], group["attributes"]["dicomzarr"]
    assert ome["multiscales"][0]["datasets"][0]["coordinateTransformations"][0]["scale"] == [2.5, 0.5, 0.75]
    assert [axis["unit"] for axis in ome["multiscales"][0]["axes"]] == ["millimeter"] * 3
    assert facts["rescale"] == [1.0, -1024.0]
    assert facts["affine_lps"] == [[0.75, 0, 0, -10], [0, 0.5, 0, -20], [0, 0, 2.5, 0], [0, 0, 0, 1]]
    assert facts["modality"] == "CT" and facts["lossy"] is False and facts["decoder"] == ["native"]


def test_a_damaged_slice_flags_its_volume(flow: Run) -> None:
    by_frames = {row["frames_expected"]: row for row in flow.table("dataset/reports/size.csv")}
    assert by_frames["6"]["frames_written"] == "5"
    assert by_frames["6"]["verdict"] == "warn" and "incomplete" in by_frames["6"]["flags"]
    assert by_frames["5"]["verdict"] == "pass"


@pytest.mark.parametrize(
    ("name", "columns"),
    [
        ("private/manifest.csv", csv_tables.MANIFEST),
        ("private/files.csv", csv_tables.FILES),
        ("private/frames.csv", csv_tables.FRAMES),
        ("dataset/volumes.csv", csv_tables.VOLUMES),
        ("dataset/reports/depth.csv", csv_tables.DEPTH),
        ("dataset/reports/size.csv", csv_tables.SIZE),
        ("dataset/reports/outcomes.csv", csv_tables.OUTCOMES),
    ],
)
def test_every_table_has_its_columns_sorted_by_key(flow: Run, name: str, columns: tuple[str, ...]) -> None:
    text = (flow.results / name).read_bytes()
    rows = flow.table(name)
    assert text.endswith(b"\n") and b"\r" not in text
    assert tuple(rows[0]) == columns
    keys = [row[columns[0]] for row in rows]
    assert keys == sorted(keys)


def test_outcomes_sum_to_files(flow: Run) -> None:
    counted = Counter(flow.outcome().values())
    reported = {
        (row["outcome"], row["reason"]): int(row["files"]) for row in flow.table("dataset/reports/outcomes.csv")
    }
    assert reported == counted
    assert {reason for _, reason in reported if reason} <= set(REASONS)
    assert all(REASONS[reason].outcome == outcome for outcome, reason in reported if reason)


def test_depth_and_size_describe_the_array(flow: Run) -> None:
    size = {row["array"]: row for row in flow.table("dataset/reports/size.csv")}
    for row in flow.table("dataset/reports/depth.csv"):
        pixels = zarr.open_array(str(flow.results / "dataset/images.zarr" / row["array"] / "0"), mode="r")[...]
        assert (row["read_back"], row["verdict"]) == ("exact", "pass")
        assert (int(row["observed_min"]), int(row["observed_max"])) == (pixels.min(), pixels.max())
        assert row["bits_used"] == "13"  # -1024 … 3070 needs twelve bits and a sign
        folder = flow.results / "dataset/images.zarr" / row["array"]
        files = [path for path in folder.rglob("*") if path.is_file()]
        assert int(size[row["array"]]["files"]) == len(files) == 3
        assert int(size[row["array"]]["stored_bytes"]) == sum(path.stat().st_size for path in files)
        assert int(size[row["array"]]["expected_bytes"]) == pixels.nbytes


def test_private_files_are_readable_by_their_owner_alone(flow: Run) -> None:
    private = flow.results / "private"
    assert stat.S_IMODE(private.stat().st_mode) == 0o700
    readable_by_others = [
        path for path in private.rglob("*") if path.is_file() and stat.S_IMODE(path.stat().st_mode) != 0o600
    ]
    assert not readable_by_others
    assert not (private / "key").exists()  # the key came from the environment and is never written to a file


def test_every_rule_writes_a_record_a_log_and_a_benchmark(flow: Run) -> None:
    provenance = flow.results / "dataset" / "provenance"
    rules = {path.stem for path in (Path(__file__).parents[2] / "rules").glob("*.smk")}
    rules -= {"common", "check_gate", "join_labels"}  # the last two only where the configuration asks for them
    rules = {rule for rule in rules if not rule.startswith(("export_", "publish"))}
    recorded = {path.stem if path.is_file() else path.name for path in provenance.iterdir()}
    assert recorded - {"Snakefile"} == rules - {"seal_dataset"}
    for rule in rules:
        for kind in ("logs", "benchmarks"):
            assert list((flow.results / kind).glob(f"{rule}.*")) + list((flow.results / kind / rule).glob("*.*"))
    for path in provenance.glob("*.json"):
        record = json.loads(path.read_text())
        assert record["rule"] == path.stem and re.fullmatch(r"[0-9a-f]{16}", record["params"]["code"])
        assert {"software", "inputs", "outputs", "counts"} <= set(record)


def test_provenance_of_series_is_filed_by_the_first_two_digits_of_the_id(flow: Run) -> None:
    for rule in ("extract_batch", "check_batch"):
        lines = {}
        for path in (flow.results / "dataset/provenance" / rule).glob("*.jsonl"):
            for line in path.read_text().splitlines():
                record = json.loads(line)
                assert record["series_id"].startswith(path.stem)
                lines[record["series_id"]] = record
        assert set(lines) == {row["series_id"] for row in flow.table("dataset/volumes.csv")}


def test_the_seal_is_the_digest_of_the_files(flow: Run) -> None:
    dataset = flow.results / "dataset"
    digests = {}
    for path in dataset.rglob("*"):
        if path.is_file() and path.name != "dataset.json":
            digests[str(path.relative_to(dataset))] = hashlib.sha256(path.read_bytes()).hexdigest()

    def digest(paths: list[str]) -> str:
        return hashlib.sha256("".join(f"{p}\0{digests[p]}\n" for p in sorted(paths)).encode()).hexdigest()

    without = ("reports/report.html", "checksums", "ro-crate-metadata.json")
    data = [p for p in digests if p not in without and not p.startswith("provenance/")]
    assert flow.sealed["digest"] == digest(data)
    assert flow.sealed["seal"] == digest(list(digests))
    assert {"schema_version", "key_check", "counts", "config", "software"} <= set(flow.sealed)
    assert flow.sealed["counts"]["arrays"] == 2


def test_checksums_list_every_other_file_as_sha256sum_does(flow: Run) -> None:
    dataset = flow.results / "dataset"
    rows = [line.split("\0") for line in (dataset / "checksums").read_text().splitlines()]
    others = {str(path.relative_to(dataset)) for path in dataset.rglob("*") if path.is_file()}
    paths = [path for path, _, _ in rows]
    assert paths == sorted(others - {"checksums", "dataset.json"})
    assert [int(size) for _, size, _ in rows] == [(dataset / path).stat().st_size for path in paths]
    command = "tr '\\0' '\\t' < checksums | awk -F'\\t' '{print $3 \"  \" $1}' | sha256sum --check --quiet"
    assert command in (ROOT / "docs" / "outputs.md").read_text()
    subprocess.run(["sh", "-c", command], cwd=dataset, check=True)


@pytest.mark.parametrize("seconds", [-(10**9), 253370764800])  # of 1938 and of 9999, which ext4 cannot store
def test_a_file_may_have_a_modification_time_in_any_year(workflow: Workflow, tmp_path: Path, seconds: int) -> None:
    memory = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(dir=memory if os.access(memory, os.W_OK) else tmp_path))
    try:
        save_series(folder, "alpha", 3)
        for path in folder.iterdir():
            os.utime(path, (seconds, seconds))
        workflow.config["source"] = str(folder)
        assert Counter(workflow.run().outcome().values()) == {("extracted", ""): 3}
        assert workflow.run().nothing_to_do
    finally:
        shutil.rmtree(folder)
