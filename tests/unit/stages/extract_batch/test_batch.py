"""A job of `extract_batch` and the record of a series: reused, updated, or revoked with its reason."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from dicoms import save_series
from revocations import revoked

from dicomzarr.privacy.pseudonyms import Pseudonyms
from dicomzarr.records.batch_record import BatchRecord
from dicomzarr.records.series_record import SeriesRecord
from dicomzarr.source import inventory, listing
from dicomzarr.stages.extract_batch import batch
from dicomzarr.stages.extract_batch.options import Options
from dicomzarr.stages.index_headers import index
from dicomzarr.stages.plan_batches import batches
from dicomzarr.system import files, json_files, run_token, sandbox
from dicomzarr.system.results_folder import Results

IDS = Pseudonyms(b"k" * 32)
OPTIONS = Options("balanced", "slice", 1e-3, 0.0, "keep", ("a 1",), "c")


def extract(results: Results, **switches: bool) -> BatchRecord:
    """Bring the one batch up to date with the source."""
    sources = {"": bytes(results.root.parent / "source")}
    headers = results.private / "headers.jsonl"
    inventory.write(sources, listing.list_sources(sources), results.inventory)
    index.index_headers(results.inventory, headers, results.private / "cache", 1)
    batches.plan_batches(results, headers, results.plans / "contents.json", IDS, series_each=10, bytes_each=1 << 40)
    (plan,) = results.plans.glob("*-*.json")
    return batch.extract_batch(plan, results.inventory, results, IDS, OPTIONS, **switches)


@pytest.fixture
def results(tmp_path: Path) -> Results:
    """Two extracted series."""
    for name in ("one", "two"):
        save_series(tmp_path / "source" / name, name, 2)
    folder = Results(tmp_path / "results")
    files.make_private(folder.private)
    assert extract(folder).counts == {"series": 2, "extracted": 2, "unchanged": 0, "removed": 0, "hashed": 4}
    assert revoked(folder.root) == set()
    return folder


def records(results: Results) -> list[Path]:
    return sorted(results.records.glob("extract_batch/*/*.json"))


def test_unchanged_series_are_claimed_without_reading_their_files(results: Results) -> None:
    before = [path.read_bytes() for path in records(results)]
    record_of_batch = extract(results)
    assert (record_of_batch.counts["unchanged"], record_of_batch.counts["hashed"]) == (2, 0)
    for path in records(results):
        record, size, _ = SeriesRecord.read(path)
        assert record_of_batch.claims[os.path.relpath(path, results.root)] == (size, "")
        claimed = {f"dataset/images.zarr/{name}": claim for name, claim in record.claimed_files().items()}
        assert claimed and claimed.items() <= record_of_batch.claims.items()
        assert record_of_batch.series[record.series_id] == record.fingerprint
    assert [path.read_bytes() for path in records(results)] == before and revoked(results.root) == set()


def test_renaming_a_folder_changes_only_the_paths_in_the_record(results: Results, tmp_path: Path) -> None:
    before = {path: path.stat().st_ino for path in results.images.rglob("*")}
    (tmp_path / "source" / "one").rename(tmp_path / "source" / "three")
    counts = extract(results).counts
    assert (counts["unchanged"], counts["hashed"]) == (2, 2) and revoked(results.root) == set()
    paths = {file.path.split("/")[0] for path in records(results) for file in SeriesRecord.load(path).files}
    assert paths == {"two", "three"}
    assert {path: path.stat().st_ino for path in results.images.rglob("*")} == before


@pytest.mark.parametrize(
    ("damage", "reason"), [("record", "damaged"), ("folder", "damaged"), ("array", "file_missing")]
)
def test_a_series_with_a_damaged_record_or_a_missing_file_is_extracted_again(
    results: Results, damage: str, reason: str
) -> None:
    first = records(results)[0]
    whole = first.read_bytes()
    checked = results.series_record("check_batch", first.stem)
    files.write_atomically(checked, b"{}")
    if damage == "record":
        first.write_bytes(whole[:-9])
    elif damage == "folder":
        first.unlink()
        first.mkdir()
    else:
        next((results.images / first.stem).rglob("c/*/*/*")).unlink()
    assert extract(results).counts["extracted"] == 1
    because = {("extract_batch", "series", reason), ("check_batch", "series", "superseded")}
    assert first.read_bytes() == whole and revoked(results.root) == because
    assert not checked.exists()  # although all bytes are those of before, they must be read back


def test_a_changed_series_supersedes_its_record(results: Results, tmp_path: Path) -> None:
    save_series(tmp_path / "source" / "one", "one", 3)
    assert extract(results).counts["extracted"] == 1
    assert revoked(results.root) == {("extract_batch", "series", "superseded")}


@pytest.mark.parametrize("keep", [False, True])
def test_a_series_that_left_the_source_is_removed_and_noted(results: Results, tmp_path: Path, *, keep: bool) -> None:
    shutil.rmtree(tmp_path / "source" / "one")
    counts = extract(results, keep_removed=keep).counts
    assert counts == {"series": 1, "extracted": 0, "unchanged": 1, "removed": 1, "hashed": 0}
    (path,) = (results.private / "retired").iterdir()
    note = json_files.read_json(path)
    assert note["series_id"] == path.stem and note["kept"] is keep
    assert [Path(file).parent.name for file in note["files"]] == ["one"] * 2 and len(note["arrays"]) == 1
    assert not (results.images / path.stem).exists() and len(records(results)) == 1
    assert (results.private / "removed" / path.stem).exists() == keep
    assert revoked(results.root) == {("extract_batch", "series", "removed")}


def test_a_job_commits_nothing_after_another_run_has_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_series(tmp_path / "source", "alpha", 3)
    results = Results(tmp_path / "results")
    files.make_private(results.private)
    monkeypatch.setenv(run_token.VARIABLE, "1" * 32)
    (results.private / run_token.FILE).write_bytes(json_files.canonical_json({"token": "2" * 32}))
    try:
        with pytest.raises(run_token.Superseded):
            extract(results)
    finally:
        sandbox.end()
    assert not any(results.images.iterdir()) and not records(results)
