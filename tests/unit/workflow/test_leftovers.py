"""Arrays without a record are deleted; those with one stay, also where its folder is a link or cannot be listed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dicomzarr.records.batch_record import EXTRACT
from dicomzarr.system.results_folder import Results
from dicomzarr.workflow.prepare import delete_leftovers

KEPT, LEFT = "abc0123456789def", "abd0123456789def"


@pytest.fixture
def results(tmp_path: Path) -> Results:
    results = Results(tmp_path / "results")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / f"{KEPT}.json").write_text("{}")
    (results.records / EXTRACT).mkdir(parents=True)
    (results.records / EXTRACT / KEPT[:3]).symlink_to(elsewhere)
    for name in (KEPT, LEFT, "stray"):
        (results.images / name).mkdir(parents=True)
    return results


def test_only_arrays_with_a_record_stay(results: Results) -> None:
    delete_leftovers(results)
    assert os.listdir(results.images) == [KEPT]


def test_caches_of_older_states_are_deleted(results: Results) -> None:
    cache = results.private / "cache"
    (cache / "matplotlib").mkdir(parents=True)
    for name in ("needles.npy", "needles.more", "looked_up-1.npy", "identifiers.npy", "absent-1.npy", "plans.json"):
        (cache / name).touch()
    delete_leftovers(results)
    assert sorted(os.listdir(cache)) == ["absent-1.npy", "identifiers.npy", "plans.json"]


def test_nothing_is_deleted_if_records_cannot_be_listed(results: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    listdir = os.listdir

    def failing(path: str) -> list[str]:
        if os.path.basename(path) == KEPT[:3]:
            raise FileNotFoundError(path)
        return listdir(path)

    monkeypatch.setattr(os, "listdir", failing)
    with pytest.raises(FileNotFoundError):
        delete_leftovers(results)
    assert {path.name for path in results.images.iterdir()} == {KEPT, LEFT, "stray"}
