"""Sealing keeps a signature that holds for the new `dataset.json`, and no other."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from signing_keys import key_pair, signed_by_hand

from dicomzarr.stages.seal_dataset import remove_stale_signature
from dicomzarr.system.results_folder import Results

OLD, NEW = b'{"seal":"a"}\n', b'{"seal":"b"}\n'


@pytest.fixture
def results(tmp_path: Path) -> Results:
    """A dataset that somebody signed, whose `dataset.json` a run has removed."""
    results = Results(tmp_path / "results")
    results.dataset.mkdir(parents=True)
    results.sealed.write_bytes(OLD)
    signed_by_hand(results.sealed, key_pair(tmp_path, "key"))
    results.sealed.unlink()
    return results


def test_the_same_bytes_keep_it_and_others_remove_it(results: Results, caplog: pytest.LogCaptureFixture) -> None:
    signature = results.dataset / "dataset.json.sig"
    remove_stale_signature(results, OLD)
    assert signature.is_file()
    with caplog.at_level(logging.WARNING, "dicomzarr"):
        remove_stale_signature(results, NEW)
    assert not signature.exists() and "not one of these bytes" in caplog.text
    remove_stale_signature(results, NEW)


def test_one_that_cannot_be_checked_is_removed(results: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(results.root))
    remove_stale_signature(results, OLD)
    assert not (results.dataset / "dataset.json.sig").exists()


@pytest.mark.parametrize("kind", ["link", "folder", "text"])
def test_what_is_no_signature_is_removed(results: Results, kind: str, tmp_path: Path) -> None:
    path = results.dataset / "dataset.json.sig"
    path.rename(tmp_path / "elsewhere")
    if kind == "link":
        path.symlink_to(tmp_path / "elsewhere")
    elif kind == "folder":
        path.mkdir()
    else:
        path.write_text("signed, Anna Wolf\n")
    remove_stale_signature(results, OLD)
    assert not path.exists() and (tmp_path / "elsewhere").is_file()
