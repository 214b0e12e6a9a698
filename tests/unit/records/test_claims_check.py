"""Claims are compared in several processes as in one: each damage has its reason."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path

import pytest

from dicomzarr.records import claims
from dicomzarr.records.record_file import FileClaim
from dicomzarr.records.revoke import Revocation
from dicomzarr.records.rule_record import RuleRecord
from dicomzarr.system.results_folder import Results

NUMBERS = range(12)


@pytest.fixture
def results(tmp_path: Path) -> Results:
    folders = Results(tmp_path / "results")
    for number in NUMBERS:
        names = [f"dataset/{number}/{name}" for name in ("zarr.json", "0/c/0")]
        if number == 0:
            names.append("private/plans/contents.json")
        for name in names:
            path = folders.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"seven.." * number)
        digest = hashlib.sha256(b"seven.." * number).hexdigest()
        record = RuleRecord(
            rule="extract_batch",
            params={"code": f"{number}"},
            claims={name: FileClaim(7 * number, digest) for name in names},
            unreadable=("a file",) if number == 3 else (),
        )
        path = record_of(folders, number)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(record.to_bytes().data)
    return folders


def record_of(results: Results, number: int) -> Path:
    folder = results.records if number < 2 else results.records / "extract_batch"
    return folder / f"{number:04d}.json"


def damage(results: Results) -> dict[Path, Revocation]:
    """Damage a file or a record of each kind, and return why its record must be revoked."""
    (results.root / "private/plans/contents.json").write_bytes(b"")  # of size 0, with the digest of nothing: true
    (results.root / "dataset/4/zarr.json").write_bytes(b"longer than it was, by some bytes")
    (results.root / "dataset/5/0/c/0").unlink()
    path = record_of(results, 6)
    path.write_bytes(path.read_bytes().replace(b'"6"', b'"7"'))
    path = record_of(results, 7)
    path.write_bytes(path.read_bytes()[:-9])
    record_of(results, 8).unlink()
    record_of(results, 8).mkdir()

    @dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
    class Other(RuleRecord):
        SCHEMA = 1

    record_of(results, 9).write_bytes(Other().to_bytes().data)
    (results.root / "dataset/10/0").rename(results.root / "dataset/10/1")
    return {
        record_of(results, 4): Revocation.FILE_MISSING,
        record_of(results, 5): Revocation.FILE_MISSING,
        record_of(results, 6): Revocation.DAMAGED,
        record_of(results, 7): Revocation.DAMAGED,
        record_of(results, 8): Revocation.DAMAGED,
        record_of(results, 9): Revocation.PARAMS_CHANGED,
        record_of(results, 10): Revocation.FILE_MISSING,
    }


@pytest.mark.parametrize("processes", [1, 2, 4])
def test_each_damage_has_its_reason(results: Results, monkeypatch: pytest.MonkeyPatch, processes: int) -> None:
    monkeypatch.setattr(claims, "_BYTES_PER_PROCESS", 1)
    with claims.checking(results, processes) as finish:
        assert not finish().false
    expected = damage(results)
    with claims.checking(results, processes) as finish:
        found = finish()
    assert found.false == expected
    assert [*found.true] == [record_of(results, number) for number in NUMBERS if number in (0, 1, 2, 3, 11)]
    assert found.true[record_of(results, 3)] == claims.TrueRecord("extract_batch", {"code": "3"}, ("a file",))
    (results.root / "private/plans/contents.json").write_bytes(b"x")
    with claims.checking(results, processes) as finish:
        assert finish().false[record_of(results, 0)] == Revocation.FILE_MISSING


def test_a_file_that_the_dag_reads_is_compared_by_content(results: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims, "READ_BY_THE_DAG", {"dataset/2/zarr.json"})
    monkeypatch.setattr(claims, "_BYTES_PER_PROCESS", 1)
    (results.root / "dataset/2/zarr.json").write_bytes(b"of the same size"[:14])
    with claims.checking(results, 2) as finish:
        assert finish().false == {record_of(results, 2): Revocation.DAMAGED}
