"""Files with other bytes than were written are no verdict on what was written: their series is extracted again."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import made_up_results
import numpy as np
import pytest
from made_up_results import BATCH, MadeUpCase, MadeUpMask

from dicomzarr.records.batch_record import CHECK, EXTRACT, CheckBatchRecord, batch_record_path
from dicomzarr.stages.check_batch import masks, read_back
from dicomzarr.stages.check_batch.batch import check_batch
from dicomzarr.system import json_files, run_token
from dicomzarr.system.results_folder import Results
from dicomzarr.vocabulary.errors import Damaged

MASK = np.zeros((6, 20, 24), np.uint8)
MASK[2:5, 5:12, 6:20] = 1
IMAGES = [made_up_results.array_of(number) for number in range(3)]
SERIES = [array.split("/")[0] for array in IMAGES]


@pytest.fixture
def results(tmp_path: Path) -> Results:
    random = np.random.default_rng(11)
    voxels = random.integers(0, 999, (3, *MASK.shape), np.uint16)
    cases = {number: MadeUpCase(voxels[number], {"liver": MadeUpMask(MASK)}) for number in range(3)}
    return made_up_results.write_results(tmp_path / "results", cases)


def check(results: Results) -> CheckBatchRecord:
    return check_batch(results, batch_record_path(results, EXTRACT, BATCH), "code", draws=False)


def one_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def no_bytes(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


DAMAGE: dict[str, tuple[str, Callable[[Path], object]]] = {
    "a bit of the voxels": ("0/c/0/0/0", one_bit),
    "zeros in place of the voxels": ("0/c/0/0/0", no_bytes),
    "half of the voxels": ("0/c/0/0/0", lambda path: os.truncate(path, path.stat().st_size // 2)),
    "zeros in place of the metadata": ("0/zarr.json", no_bytes),
    "no metadata": ("0/zarr.json", Path.unlink),
    "zeros in place of a mask": ("labels/liver/0/c/0/0/0", no_bytes),
    "no masks": ("labels", shutil.rmtree),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_series_has_no_verdict_and_is_extracted_again(results: Results, name: str) -> None:
    below, damage = DAMAGE[name]
    damage(results.images / IMAGES[1] / below)
    with pytest.raises(Damaged):
        check(results)
    assert [results.series_record(EXTRACT, series).exists() for series in SERIES] == [True, False, True]
    checked = [results.series_record(CHECK, series).read_bytes() for series in SERIES]
    assert b"exact" in checked[0] and b"exact" in checked[2] and not any(b"mismatch" in record for record in checked)


def test_each_damaged_series_of_a_batch_is_found_at_once(results: Results) -> None:
    for array in IMAGES[:2]:
        one_bit(results.images / array / "0/c/0/0/0")
    with pytest.raises(Damaged):
        check(results)
    assert [results.series_record(EXTRACT, series).exists() for series in SERIES] == [False, False, True]


def test_a_job_of_an_older_run_revokes_nothing(results: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    for array in IMAGES:
        one_bit(results.images / array / "0/c/0/0/0")
    monkeypatch.setenv(run_token.VARIABLE, "1" * 32)
    (results.private / run_token.FILE).write_bytes(json_files.canonical_json({"token": "2" * 32}))
    with pytest.raises(run_token.Superseded):
        check(results)
    assert all(results.series_record(EXTRACT, series).exists() for series in SERIES)


def test_what_was_written_wrongly_stays_a_mismatch(results: Results) -> None:
    made_up_results.write_voxel(results, 0, "0", (3, 8, 10), 12345)
    made_up_results.write_voxel(results, 1, "labels/liver/0", (3, 8, 10), 0)
    assert check(results).counts["mismatches"] == 2
    assert check(results).counts["read"] == 0


def test_a_file_that_nobody_wrote_is_no_damage(results: Results) -> None:
    (results.images / IMAGES[2] / "0" / "note.txt").write_text("x")
    record = check(results)
    assert record.counts["mismatches"] == 0
    assert [row.verdict for row in record.size] == ["warn", "warn", "fail"]


@pytest.mark.parametrize(("module", "times"), [(read_back, 3), (masks, 1)])  # an image is read twice as it is
def test_a_moment_in_which_the_disk_gives_other_bytes_is_no_mismatch(
    results: Results, monkeypatch: pytest.MonkeyPatch, module: Any, times: int
) -> None:
    opened, failing = module.open_array, iter(range(times))

    def open_array(path: Path) -> Any:
        if next(failing, None) is not None:
            raise json.JSONDecodeError("Expecting value", "", 0)
        return opened(path)

    monkeypatch.setattr(module, "open_array", open_array)
    assert check(results).counts["mismatches"] == 0
    assert next(failing, None) is None


def test_a_folder_that_the_disk_cannot_list_ends_the_job(results: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    scandir = os.scandir

    def failing(path: Any) -> Any:
        if str(path).endswith(f"{IMAGES[0]}/0"):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", failing)
    with pytest.raises(OSError, match="Input/output error"):
        check(results)
    assert results.series_record(EXTRACT, SERIES[0]).exists()
