"""Results that were copied back are not read back; single files that changed are, and one other content reads all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import made_up_results
import numpy as np
import pytest
from made_up_results import BATCH, MadeUpCase

from dicomzarr.records import samples
from dicomzarr.records.batch_record import CHECK, EXTRACT, CheckBatchRecord, batch_record_path
from dicomzarr.records.record_file import FileClaim
from dicomzarr.stages.check_batch.batch import check_batch
from dicomzarr.system.files import sha256_of_bytes
from dicomzarr.system.results_folder import Results

SERIES = 4


@pytest.fixture
def results(tmp_path: Path) -> Results:
    random = np.random.default_rng(7)
    cases = {number: MadeUpCase(random.integers(0, 999, (3, 12, 14), np.uint16)) for number in range(SERIES)}
    return made_up_results.write_results(tmp_path / "results", cases)


def check(results: Results) -> CheckBatchRecord:
    record = check_batch(results, batch_record_path(results, EXTRACT, BATCH), "code")
    for name, claim in record.claims.items():
        assert (results.root / name).stat().st_size == claim.size
    return record


def copied_back(results: Results, copy: Callable[[str, str], object]) -> None:
    shutil.copytree(results.root, results.root.with_name("copy"), copy_function=copy)
    shutil.rmtree(results.root)
    results.root.with_name("copy").rename(results.root)


def in_whole_seconds(source: str, target: str) -> None:
    """Copy as a tar archive in the old format does."""
    shutil.copy2(source, target)
    os.utime(target, ns=(os.stat(source).st_mtime_ns // 10**9 * 10**9,) * 2)


COPIES = {"cp -a": shutil.copy2, "cp -r": shutil.copy, "tar with whole seconds": in_whole_seconds}


@pytest.mark.parametrize("copy", COPIES.values(), ids=COPIES)
def test_a_copy_is_not_read_back(results: Results, copy: Callable[[str, str], object]) -> None:
    before = check(results)
    assert before.counts["read"] == SERIES
    copied_back(results, copy)
    after = check(results)
    assert after.counts["read"] == 0 and (after.depth, after.size) == (before.depth, before.size)
    shard = sorted((results.images / made_up_results.array_of(1)).rglob("c/*"))[0]
    shard = shard if shard.is_file() else next(path for path in shard.rglob("*") if path.is_file())
    shard.write_bytes(shard.read_bytes())  # the new states are those of the copy: a single file is noticed again
    assert check(results).counts["read"] == 1


def test_one_other_content_and_all_are_read_back(results: Results) -> None:
    check(results)
    picture = sorted(results.pictures.glob("*/*.jpg"))[0]
    picture.write_bytes(bytes(picture.stat().st_size))
    copied_back(results, shutil.copy2)
    assert check(results).counts["read"] == SERIES


def test_where_a_quarter_of_a_batch_is_no_copy_all_is_read_back(results: Results) -> None:
    check(results)
    copied_back(results, shutil.copy2)
    with open(sorted(results.pictures.glob("*/*.jpg"))[0], "ab") as stream:
        stream.write(b"x")
    assert check(results).counts["read"] == SERIES


def test_an_array_that_was_written_again_is_read_back(results: Results) -> None:
    """Its bytes are those of before, but no job has read them: extraction removes the record of its check."""
    check(results)
    series_id = made_up_results.array_of(0).split("/")[0]
    results.series_record(CHECK, series_id).unlink()
    copied_back(results, shutil.copy2)
    assert check(results).counts["read"] == 1


def test_the_sample_is_bounded_and_random(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    claims = {}
    for number in range(30):
        path = tmp_path / f"{number}"
        path.write_bytes(bytes([number]) * 10)
        claims[path] = FileClaim(10, sha256_of_bytes(bytes([number]) * 10))
    assert samples.compare_claims(claims) == samples.Sample(30, is_equal=True)
    assert samples.compare_claims(claims, most_files=7).files == 7
    assert samples.compare_claims(claims, most_bytes=25).files == 3
    (tmp_path / "3").write_bytes(bytes(10))
    found = {samples.compare_claims(claims, most_files=3).is_equal for _ in range(200)}
    assert found == {True, False}  # a tenth of 200 draws finds it; that none or all do has a chance of 1e-9
