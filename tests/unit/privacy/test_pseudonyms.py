"""Keys and ids."""

from __future__ import annotations

import hashlib
import hmac
import re
import stat
from pathlib import Path

import pytest

from dicomzarr.privacy import pseudonyms
from dicomzarr.privacy.pseudonyms import KeyProblem, Pseudonyms

KEY = b"k" * 32


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(pseudonyms.KEY_VARIABLE, raising=False)


def test_an_id_is_a_keyed_hash_with_its_domain() -> None:
    expected = hmac.new(KEY, b"study\x001.2.3", hashlib.sha256).hexdigest()[:16]
    assert Pseudonyms(KEY).study_id("1.2.3") == expected


def test_ids_depend_on_key_domain_and_value() -> None:
    first, second = Pseudonyms(KEY), Pseudonyms(b"q" * 32)
    ids = [
        first.study_id("1"),
        first.study_id("2"),
        second.study_id("1"),
        first.subject_id("", "1"),
        first.subject_id("1", ""),
    ]
    ids += [first.series_id("s", "1"), first.series_id("t", "1"), first.unknown_subject_id("1")]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch("[0-9a-f]{16}", id_) for id_ in ids)
    assert re.fullmatch("[0-9a-f]{8}", first.volume_id("s", ("a", "b")))
    assert first.volume_id("s", ("a", "b")) != first.volume_id("s", ("ab",))
    # Not eight digits, since those of one group in 43 could be taken for a date of the source.
    assert re.fullmatch("[0-9a-f]{16}", first.group_id("s", ("a", "b")))
    assert first.group_id("s", ("a", "b")) != first.volume_id("s", ("group", "a", "b"))


def test_the_first_run_makes_a_private_key_and_later_ones_read_it(tmp_path: Path) -> None:
    first = pseudonyms.establish(tmp_path, set())
    path = tmp_path / "key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600 and len(path.read_bytes().strip()) >= 64
    assert pseudonyms.establish(tmp_path, {first.key_check}).key == first.key == pseudonyms.load(tmp_path).key


def test_a_lost_key_never_makes_a_new_one(tmp_path: Path) -> None:
    with pytest.raises(KeyProblem, match="is missing"):
        pseudonyms.establish(tmp_path, {"0" * 64})
    assert not (tmp_path / "key").exists()


def test_the_environment_wins_and_is_never_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(pseudonyms.KEY_VARIABLE, "e" * 32)
    assert pseudonyms.establish(tmp_path, set()).key == b"e" * 32
    assert not (tmp_path / "key").exists()
    with pytest.raises(KeyProblem, match="not the key of this dataset"):
        pseudonyms.establish(tmp_path, {Pseudonyms(KEY).key_check})


def test_a_short_key_is_refused_without_being_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(pseudonyms.KEY_VARIABLE, "tooshortsecret")
    with pytest.raises(KeyProblem) as caught:
        pseudonyms.key_from_environment()
    assert "14 characters" in str(caught.value) and "tooshortsecret" not in str(caught.value)


def test_an_empty_key_is_refused_and_not_taken_for_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(pseudonyms.KEY_VARIABLE, "")
    with pytest.raises(KeyProblem, match="is set and empty, as where a secret is missing in CI"):
        pseudonyms.key_from_environment()
