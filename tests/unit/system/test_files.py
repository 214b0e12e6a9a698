"""Atomic and durable files, locks and JSON, also on systems without syncfs or locks."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomzarr.privacy import pseudonyms
from dicomzarr.system import digested_json, files, flush, json_files, locks
from dicomzarr.vocabulary import errors


def test_every_flipped_bit_and_cut_of_a_record_is_detected(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    record = {"claims": {"a": [1, "x"]}, "schema_version": 1, "zz": "é"}
    data = digested_json.record_json(record)
    path.write_bytes(data)
    assert digested_json.read_record(path) == record
    damaged = [data[:at] for at in range(len(data))]
    damaged += [data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :] for at in range(len(data))]
    for content in [*damaged, data + b"\n", json_files.canonical_json(record), b"[]", b"{}"]:
        path.write_bytes(content)
        with pytest.raises(errors.Damaged):
            digested_json.read_record(path)


def test_a_folder_at_the_path_of_a_file_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "file"
    (path / "below").mkdir(parents=True)
    files.write_private_if_changed(path, b"content")
    assert path.read_bytes() == b"content"


def test_a_file_may_be_written_out_before_its_flush(tmp_path: Path) -> None:
    path = tmp_path / "shard"
    path.write_bytes(bytes(range(256)) * 8192)
    with open(path, "rb") as stream:
        flush.begin_to_write_out(stream.fileno())
    assert path.read_bytes() == bytes(range(256)) * 8192
    flush.begin_to_write_out(-1)  # errors are left to the flush


def identity(path: Path) -> tuple[int, ...]:
    """What a write changes and a read does not: reading may move the time of last access."""
    state = path.stat()
    return state.st_ino, state.st_size, state.st_mode, state.st_nlink, state.st_mtime_ns, state.st_ctime_ns


def test_shared_files_become_durable_together(tmp_path: Path) -> None:
    staged = flush.Staged(flush.Disk(tmp_path), private=False)
    old, new = tmp_path / "below/old", tmp_path / "below/new"
    files.write_atomically(old, b"unchanged")
    before = identity(old)
    staged.add_if_changed(old, b"unchanged")
    staged.add_if_changed(new, b"new")
    assert not new.exists() and len(staged) == 1
    staged.commit()
    assert new.read_bytes() == b"new" and identity(old) == before
    assert new.stat().st_mode == old.stat().st_mode  # both follow the umask
    assert sorted(path.name for path in old.parent.iterdir()) == ["new", "old"]


def no_syncfs(monkeypatch: pytest.MonkeyPatch, error: int) -> None:
    class Libc:
        def syncfs(self, handle: int) -> int:
            ctypes.set_errno(error)
            return -1

    monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: Libc())


def test_the_disk_is_opened_before_files_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Linux reports to a descriptor only write-back errors since it was opened, and those not reported before."""
    opened: list[str] = []
    real = os.open
    monkeypatch.setattr(
        os, "open", lambda path, *rest, **more: (opened.append(str(path)), real(path, *rest, **more))[1]
    )
    records = flush.Staged(flush.Disk(tmp_path))
    records.add(tmp_path / "record", b"{}")
    assert opened[0] == str(tmp_path) and len(opened) == 2
    records.commit()
    assert len(opened) == 2 and (tmp_path / "record").exists()


def test_without_syncfs_each_file_is_flushed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    no_syncfs(monkeypatch, errno.ENOSYS)
    flushed = []
    monkeypatch.setattr(os, "fsync", lambda handle: flushed.append(os.readlink(f"/proc/self/fd/{handle}")))
    written = tmp_path / "written"
    written.write_bytes(b"x")
    flush.Disk(tmp_path).flush([written])
    assert flushed == [str(written)]


def test_an_error_of_the_disk_is_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    no_syncfs(monkeypatch, errno.EIO)
    with pytest.raises(OSError, match="Input/output error"):
        flush.Disk(tmp_path).flush()


def test_a_file_system_without_locks_is_used_with_a_note(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", refuse)
    os.close(locks.lock_run(tmp_path, "now"))
    assert "has no locks" in capsys.readouterr().err
    assert locks.holder(tmp_path) == ""
    locks.wait_for_orphans(tmp_path)
    with locks.job(tmp_path):
        pass


def test_no_new_key_if_records_show_that_one_was_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DICOMZARR_KEY", raising=False)
    with pytest.raises(pseudonyms.KeyProblem, match="is missing"):
        pseudonyms.establish(tmp_path, set(), begun=True)
    assert not (tmp_path / "key").exists()


WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
NUMBERS = st.one_of(st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False, allow_infinity=False), st.booleans())


@given(st.dictionaries(WORDS, st.one_of(WORDS, NUMBERS, st.none(), st.lists(st.one_of(WORDS, NUMBERS), max_size=6))))
def test_a_json_line_is_ascii_sorted_and_equal_in_value(value: dict[str, object]) -> None:
    line = json_files.json_line(value)
    assert line.isascii() and "\n" not in line
    assert list(json.loads(line)) == sorted(value)
    assert repr(json.loads(line)) == repr({key: value[key] for key in sorted(value)})
    assert repr(orjson.loads(line)) == repr(json.loads(line))


@pytest.mark.parametrize("ask", [files.exists, files.is_file, files.is_dir, files.is_symlink])
def test_an_error_of_the_disk_is_no_absence(ask: Callable[[Path], bool], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to("loop")
    for absent in ("none", "file/below", "loop/below", "a\0b"):
        assert not ask(tmp_path / absent)
    with pytest.raises(OSError, match="File name too long"):  # as with EIO, ESTALE and EACCES; Python 3.14 says no
        ask(tmp_path / ("x" * 300))


def test_what_is_at_a_path(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "to_file").symlink_to("file")
    (tmp_path / "to_folder").symlink_to(".")
    found = {
        path.name: [ask(path) for ask in (files.exists, files.is_file, files.is_dir, files.is_symlink)]
        for path in sorted(tmp_path.iterdir())
    }
    assert found == {
        "file": [True, True, False, False],
        "to_file": [True, True, False, True],
        "to_folder": [True, False, True, True],
    }
