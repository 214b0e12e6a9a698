"""Revoking records."""

from __future__ import annotations

from pathlib import Path

import pytest

from dicomzarr.records import revoke
from dicomzarr.records.revoke import Revocation
from dicomzarr.system.results_folder import Results


@pytest.fixture
def results(tmp_path: Path) -> Results:
    return Results(tmp_path / "results")


def test_revoking_deletes_the_record_and_logs_the_reason(results: Results) -> None:
    record = results.records / "plan_batches.json"
    record.parent.mkdir(parents=True)
    record.write_text("{}")
    assert revoke.revoke(results, record, Revocation.FILE_MISSING)
    assert not record.exists()
    (logged,) = revoke.revocations(results)
    assert (logged["record"], logged["why"]) == ("private/records/plan_batches.json", "file_missing")
    assert results.revoked.stat().st_mode & 0o777 == 0o600


def test_revoking_a_missing_record_logs_nothing(results: Results) -> None:
    assert not revoke.revoke(results, results.records / "plan_batches.json", Revocation.DAMAGED)
    assert list(revoke.revocations(results)) == []


def test_a_folder_at_the_path_of_a_record_is_removed(results: Results) -> None:
    (results.sealed / "inner").mkdir(parents=True)
    assert revoke.revoke(results, results.sealed, Revocation.SEAL_BROKEN)
    assert not results.sealed.exists()


def test_a_long_log_keeps_its_newer_half_and_an_unfinished_line_is_skipped(
    results: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(revoke, "LOG_BYTES", 1000)
    results.records.mkdir(parents=True)
    for number in range(20):
        record = results.records / f"{number}.json"
        record.touch()
        revoke.revoke(results, record, Revocation.REPAIR)
    with results.revoked.open("ab") as log:
        log.write(b'{"record": "half')
    revoke.shorten_log(results)
    names = [logged["record"] for logged in revoke.revocations(results)]
    assert names and names[-1] == "private/records/19.json" and len(names) < 10
