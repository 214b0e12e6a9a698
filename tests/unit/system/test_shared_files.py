"""What a network file system gets wrong for a moment is tried again, for a bounded time; nothing else is."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dicomzarr.source import listing
from dicomzarr.source.opener import Opener
from dicomzarr.system import json_files, shared_files


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_files, "DELAYS", (0.01, 0.1, 0.3))
    monkeypatch.delenv(shared_files.VARIABLE, raising=False)


def failing(times: int, number: int, then: Callable[..., Any]) -> tuple[Callable[..., Any], list[int]]:
    """Return a function that raises an error some times before it calls `then`, and the list of its calls."""
    calls: list[int] = []

    def call(*arguments: Any, **options: Any) -> Any:
        calls.append(number)
        if len(calls) <= times:
            raise OSError(number, os.strerror(number))
        return then(*arguments, **options)

    return call, calls


def test_a_stale_handle_is_tried_again_with_a_bound(tmp_path: Path) -> None:
    read, calls = failing(2, errno.ESTALE, lambda: "content")
    assert shared_files.again(read, tmp_path) == "content" and len(calls) == 3
    read, calls = failing(99, errno.ESTALE, lambda: "content")
    with pytest.raises(OSError, match=os.strerror(errno.ESTALE)):
        shared_files.again(read, tmp_path)
    assert len(calls) == 4


@pytest.mark.parametrize("number", [errno.EIO, errno.EACCES, errno.ENOENT])
def test_no_other_error_is_tried_again(tmp_path: Path, number: int) -> None:
    read, calls = failing(1, number, lambda: "content")
    with pytest.raises(OSError, match=os.strerror(number)):
        shared_files.again(read, tmp_path, must_exist=True)
    assert len(calls) == 1


def test_a_file_of_another_node_is_waited_for_only_if_it_must_exist(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(shared_files.VARIABLE, "")
    shared_files.expect_other_nodes()
    path = tmp_path / "record"
    waits: list[float] = []
    monkeypatch.setattr(shared_files.time, "sleep", waits.append)
    with pytest.raises(FileNotFoundError):
        json_files.read_json(path)
    assert not waits

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 2:
            path.write_bytes(b"{}")

    monkeypatch.setattr(shared_files.time, "sleep", sleep)
    shared_files.await_files(lambda: [path])
    assert waits == [0.01, 0.1]
    assert shared_files.read_bytes(path, must_exist=True) == b"{}" and len(waits) == 2
    shared_files.await_files(lambda: [path, tmp_path / "none"])  # ends
    assert waits == [0.01, 0.1, 0.01, 0.1, 0.3]
    with pytest.raises(FileNotFoundError):
        shared_files.read_bytes(tmp_path / "none", must_exist=True)


def test_the_source_is_listed_and_opened_although_a_folder_was_replaced_on_the_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").mkdir()
    for name in "xy":
        (tmp_path / "a" / name).write_bytes(name.encode())
    root = {"": os.fsencode(tmp_path)}
    rows = listing.list_sources(root)
    with Opener(root) as opener:
        opener.open("a/x").close()
        stale, calls = failing(1, errno.ESTALE, os.open)
        monkeypatch.setattr(os, "open", stale)
        file = opener.open("a/y")
        assert file.read(9, 0) == b"y" and len(calls) == 4  # the stale one; root, folder and file
        file.close()
        stale, calls = failing(2, errno.ESTALE, os.open)
        monkeypatch.setattr(os, "open", stale)
        assert listing.list_sources(root) == rows
        monkeypatch.setattr(os, "open", failing(99, errno.ESTALE, os.open)[0])
        with pytest.raises(OSError, match=os.strerror(errno.ESTALE)):
            opener.open("a/x")


def test_a_pipe_in_place_of_a_file_is_an_error_and_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "record.json")
    with pytest.raises(OSError, match="not a regular file"):
        shared_files.read_bytes(tmp_path / "record.json")
