"""Pictures through several checks of one batch: what is drawn again, what is kept, and what goes."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import made_up_results
import numpy as np
import pytest
from made_up_results import BATCH, MadeUpCase, MadeUpMask

from dicomzarr.records.batch_record import CHECK, EXTRACT, CheckBatchRecord, batch_record_path
from dicomzarr.records.check_record import CheckRecord
from dicomzarr.stages import verify_dataset
from dicomzarr.stages.check_batch.batch import check_batch
from dicomzarr.system import files, json_files, run_token
from dicomzarr.system.results_folder import Results

MASK = np.zeros((6, 20, 24), np.uint8)
MASK[2:5, 5:12, 6:20] = 1


@pytest.fixture
def results(tmp_path: Path) -> Results:
    random = np.random.default_rng(7)
    cases = {
        0: MadeUpCase(random.integers(0, 999, MASK.shape, np.uint16), {"liver": MadeUpMask(MASK)}),
        1: MadeUpCase(random.integers(0, 99, (16, 30), np.uint8), axes="yx", affine=None),
    }
    return made_up_results.write_results(tmp_path / "results", cases)


def check(results: Results, threads: int = 1, *, draws: bool = True) -> CheckBatchRecord:
    """Check the batch, and write its record as the job does; its claims must hold."""
    record = check_batch(results, batch_record_path(results, EXTRACT, BATCH), "code", threads, draws=draws)
    path = batch_record_path(results, CHECK, BATCH)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(record.to_bytes().data)
    for name, claim in record.claims.items():
        data = (results.root / name).read_bytes()
        assert len(data) == claim.size and claim.digest in ("", files.sha256_of_bytes(data))
    assert not results.temporary.exists() or not any(results.temporary.iterdir())
    on_disk = {str(path.relative_to(results.root)) for path in results.pictures.rglob("*") if path.is_file()}
    assert on_disk == {name for name in record.claims if name.endswith(".jpg")}
    return record


def content(results: Results) -> dict[str, bytes]:
    return {str(path.relative_to(results.pictures)): path.read_bytes() for path in results.pictures.rglob("*.jpg")}


def other_bytes(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


CHANGES: dict[str, Callable[[Path], object]] = {
    "deleted": Path.unlink,
    "other bytes of the same size": other_bytes,
    "a file that is not ours": lambda path: (path.parent / "note.txt").write_text("x"),
    "a folder in its place": lambda path: (path.unlink(), path.mkdir()),
    "all of the series": lambda path: shutil.rmtree(path.parent),
}


def test_only_the_series_of_a_changed_picture_is_read_again(results: Results) -> None:
    record = check(results)
    before = content(results)
    assert (record.counts["pictures"], record.counts["read"], len(before)) == (2, 2, 4)
    assert check(results, threads=3).counts["read"] == 0
    for name, change in CHANGES.items():
        change(sorted(results.pictures.glob("*/*.jpg"))[0])
        assert check(results, threads=3).counts["read"] == 1, name
        assert content(results) == before, name


def test_without_pictures_nothing_is_read_and_all_are_removed(results: Results) -> None:
    check(results)
    before = content(results)
    record = check(results, draws=False)
    assert (record.counts["read"], record.counts["pictures"]) == (0, 0) and not any(results.pictures.iterdir())
    for array in (made_up_results.array_of(number) for number in (0, 1)):
        (row,) = CheckRecord.load(results.series_record(CHECK, array.split("/")[0])).pictures
        assert (row.array, row.trouble, row.planes + row.boxes + row.histogram) == (array, "not drawn", "")
    assert check(results, draws=False).counts["read"] == 0
    results.pictures.joinpath("0123456789abcdef").mkdir()  # of a run that was killed between pictures and record
    assert check(results).counts["read"] == 2
    assert content(results) == before


def test_damage_of_a_picture_is_that_of_the_check_of_its_series(results: Results) -> None:
    record = check(results)
    path = next(results.pictures.glob("*/*.thumb.jpg"))
    owner = results.series_record(CHECK, path.parent.name)
    claimed, _ = verify_dataset.claims(results)
    assert claimed[os.path.relpath(path, results.dataset)].record == owner
    other_bytes(path)
    finding = ("damaged", os.path.relpath(path, results.dataset))
    assert finding in verify_dataset.verify(results).findings
    verify_dataset.schedule_repair(results, verify_dataset.Verdict(findings=[finding]))
    assert not owner.exists()
    assert check(results).counts["read"] == 1 and check(results).claims == record.claims


def test_a_mask_that_is_not_exact_is_not_outlined(results: Results) -> None:
    array = made_up_results.array_of(0)
    path = results.series_record(CHECK, array.split("/")[0])
    check(results)
    assert CheckRecord.load(path).pictures[0].outlines.startswith("liver=#")
    made_up_results.write_voxel(results, 0, "labels/liver/0", (3, 8, 10), 0)
    assert check(results).counts["mismatches"] == 1
    assert (CheckRecord.load(path).pictures[0].outlines, CheckRecord.load(path).pictures[0].trouble) == ("", "")


def test_a_job_replaces_no_picture_after_another_run_has_started(
    results: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    check(results)
    changed = sorted(results.pictures.glob("*/*.jpg"))[0]
    changed.write_bytes(b"of the newer run")
    before, record = content(results), results.series_record(CHECK, changed.parent.name).read_bytes()
    monkeypatch.setenv(run_token.VARIABLE, "1" * 32)
    (results.private / run_token.FILE).write_bytes(json_files.canonical_json({"token": "2" * 32}))
    with pytest.raises(run_token.Superseded):
        check(results)
    assert content(results) == before
    assert results.series_record(CHECK, changed.parent.name).read_bytes() == record
