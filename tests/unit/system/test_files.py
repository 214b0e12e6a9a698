"""Files that are whole or not there, also where the system has less than Linux usually has."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import json
import os
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomzarr.privacy import pseudonyms
from dicomzarr.system import digested_json, flush, json_files, locks
from dicomzarr.system import files as storage
from dicomzarr.vocabulary import errors


def test_a_record_tells_every_flip_and_cut(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    said = {"claims": {"a": [1, "x"]}, "schema_version": 1, "zz": "é"}
    data = digested_json.record_json(said)
    path.write_bytes(data)
    assert digested_json.read_record(path) == said
    damaged = [data[:at] for at in range(len(data))]
    damaged += [data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :] for at in range(len(data))]
    for wrong in [*damaged, data + b"\n", json_files.canonical_json(said), b"[]", b"{}"]:
        path.write_bytes(wrong)
        with pytest.raises(errors.Damaged):
            digested_json.read_record(path)


def test_a_folder_in_the_place_of_a_file_makes_way(tmp_path: Path) -> None:
    place = tmp_path / "file"
    (place / "below").mkdir(parents=True)
    storage.write_if_changed(place, b"content")
    assert place.read_bytes() == b"content"


def test_a_file_may_be_written_out_before_its_flush(tmp_path: Path) -> None:
    path = tmp_path / "shard"
    path.write_bytes(bytes(range(256)) * 8192)
    with open(path, "rb") as stream:
        flush.begin_to_write_out(stream.fileno())
    assert path.read_bytes() == bytes(range(256)) * 8192
    flush.begin_to_write_out(-1)  # what the system refuses is left to the flush


def test_shared_files_become_durable_together(tmp_path: Path) -> None:
    files = flush.Staged(flush.Disk(tmp_path), private=False)
    old, new = tmp_path / "below/old", tmp_path / "below/new"
    storage.write_atomically(old, b"as it was")
    before = old.stat()
    files.add_if_changed(old, b"as it was")
    files.add_if_changed(new, b"new")
    assert not new.exists() and len(files) == 1
    files.publish()
    assert new.read_bytes() == b"new" and old.stat() == before
    assert new.stat().st_mode == old.stat().st_mode  # for whom the umask lets
    assert sorted(path.name for path in old.parent.iterdir()) == ["new", "old"]


def no_syncfs(monkeypatch: pytest.MonkeyPatch, error: int) -> None:
    class Libc:
        def syncfs(self, handle: int) -> int:
            ctypes.set_errno(error)
            return -1

    monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: Libc())


def test_what_is_flushed_was_opened_before_it_was_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Linux tells a descriptor only of errors since it was opened, or of those that nobody has been told of."""
    opened: list[str] = []
    real = os.open
    monkeypatch.setattr(
        os, "open", lambda path, *rest, **more: (opened.append(str(path)), real(path, *rest, **more))[1]
    )
    records = flush.Staged(flush.Disk(tmp_path))
    records.add(tmp_path / "record", b"{}")
    assert opened[0] == str(tmp_path) and len(opened) == 2
    records.publish()
    assert len(opened) == 2 and (tmp_path / "record").exists()


def test_without_syncfs_each_file_is_flushed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    no_syncfs(monkeypatch, errno.ENOSYS)
    flushed = []
    monkeypatch.setattr(os, "fsync", lambda handle: flushed.append(os.readlink(f"/proc/self/fd/{handle}")))
    written = tmp_path / "written"
    written.write_bytes(b"x")
    flush.Disk(tmp_path).flush([written])
    assert flushed == [str(written)]


def test_an_error_of_the_disk_is_no_missing_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    no_syncfs(monkeypatch, errno.EIO)
    with pytest.raises(OSError, match="Input/output error"):
        flush.Disk(tmp_path).flush()


def test_a_file_system_without_locks_is_told_and_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", refuse)
    os.close(locks.hold_run(tmp_path, "now"))
    assert "has no locks" in capsys.readouterr().err
    assert locks.holder(tmp_path) == ""
    locks.wait_for_orphans(tmp_path)
    with locks.job(tmp_path):
        pass


def test_no_new_key_where_records_tell_of_a_lost_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DICOMZARR_KEY", raising=False)
    with pytest.raises(pseudonyms.KeyProblem, match="is missing"):
        pseudonyms.establish(tmp_path, set(), begun=True)
    assert not (tmp_path / "key").exists()


WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
NUMBERS = st.one_of(st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False, allow_infinity=False), st.booleans())


@given(st.dictionaries(WORDS, st.one_of(WORDS, NUMBERS, st.none(), st.lists(st.one_of(WORDS, NUMBERS), max_size=6))))
def test_a_json_line_is_ascii_sorted_and_says_the_same(value: dict[str, object]) -> None:
    line = json_files.json_line(value)
    assert line.isascii() and "\n" not in line
    assert list(json.loads(line)) == sorted(value)
    assert repr(json.loads(line)) == repr({key: value[key] for key in sorted(value)})
    assert repr(orjson.loads(line)) == repr(json.loads(line))
