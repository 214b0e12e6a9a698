"""Files that are whole or not there, also where the system has less than Linux usually has."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
from pathlib import Path
from typing import Any

import pytest

from dicomzarr import identity, locks, storage


def test_a_record_tells_every_flip_and_cut(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    said = {"claims": {"a": [1, "x"]}, "schema_version": 1, "zz": "é"}
    data = storage.record_json(said)
    path.write_bytes(data)
    assert storage.read_record(path) == said
    damaged = [data[:at] for at in range(len(data))]
    damaged += [data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :] for at in range(len(data))]
    for wrong in [*damaged, data + b"\n", storage.canonical_json(said), b"[]", b"{}"]:
        path.write_bytes(wrong)
        with pytest.raises(storage.Damaged):
            storage.read_record(path)


def test_a_folder_in_the_place_of_a_file_makes_way(tmp_path: Path) -> None:
    place = tmp_path / "file"
    (place / "below").mkdir(parents=True)
    storage.write_if_changed(place, b"content")
    assert place.read_bytes() == b"content"


def no_syncfs(monkeypatch: pytest.MonkeyPatch, error: int) -> None:
    class Libc:
        def syncfs(self, handle: int) -> int:
            ctypes.set_errno(error)
            return -1

    monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: Libc())


def test_without_syncfs_each_file_is_flushed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    no_syncfs(monkeypatch, errno.ENOSYS)
    flushed = []
    monkeypatch.setattr(os, "fsync", lambda handle: flushed.append(os.readlink(f"/proc/self/fd/{handle}")))
    written = tmp_path / "written"
    written.write_bytes(b"x")
    storage.sync_filesystem(tmp_path, [written])
    assert flushed == [str(written)]


def test_an_error_of_the_disk_is_no_missing_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    no_syncfs(monkeypatch, errno.EIO)
    with pytest.raises(OSError, match="Input/output error"):
        storage.sync_filesystem(tmp_path)


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
    with pytest.raises(identity.KeyProblem, match="is gone"):
        identity.establish(tmp_path, set(), begun=True)
    assert not (tmp_path / "key").exists()
