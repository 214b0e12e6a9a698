"""A run of another host is noticed although its file lock is not visible here; a dead one holds nobody up for long."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT
from waiting import HANG

from dicomzarr.system import locks, other_hosts

RUN = (
    "import sys, time; sys.path.insert(0, sys.argv[1]); from pathlib import Path\n"
    "from dicomzarr.system import locks, other_hosts\n"
    "other_hosts.EVERY = 0.05; other_hosts.boot_id = lambda: sys.argv[3]\n"
    "locks.lock_run_until_exit(Path(sys.argv[2]), 'noon'); print('held', flush=True); sys.stdin.read()"
)


@pytest.fixture(autouse=True)
def long(monkeypatch: pytest.MonkeyPatch) -> None:
    """A living run is seen as soon as it touches its lock; a note says that a dead one is waited for."""
    monkeypatch.setattr(other_hosts, "WATCHED", HANG)


def start(private: Path, boot: str) -> subprocess.Popen[str]:
    """Start a process that takes the run lock of a folder, on a host with this boot id."""
    command = [sys.executable, "-c", RUN, str(ROOT / "scripts"), str(private), boot]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout and process.stdout.readline() == "held\n"
    return process


def hide_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let locks of other processes be invisible, as with local locks on NFS."""
    monkeypatch.setattr(fcntl, "flock", lambda *_: None)


def state(private: Path) -> list[tuple[str, bytes, int]]:
    return [(path.name, path.read_bytes(), path.stat().st_mtime_ns) for path in sorted(private.iterdir())]


def test_a_run_of_another_host_is_refused_and_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    process = start(tmp_path, "boot of another host")
    hide_locks(monkeypatch)
    name = f"process {process.pid} of host {os.uname().nodename} since noon"
    for shared in (False, True):
        with pytest.raises(locks.Locked, match=f"{name}, whose lock this host does not see"):
            locks.lock_run(tmp_path, "later", shared=shared)
    assert locks.holder(tmp_path) == name
    assert json.loads((tmp_path / "run.lock").read_text())["since"] == "noon"  # nothing was overwritten
    process.communicate("")
    assert "waiting" in capsys.readouterr().err
    assert locks.holder(tmp_path) == ""  # it ended: nobody waits
    os.close(locks.lock_run(tmp_path, "later"))
    assert capsys.readouterr().err == ""


def test_a_run_that_was_killed_on_another_host_costs_a_bounded_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    process = start(tmp_path, "boot of another host")
    process.send_signal(signal.SIGKILL)
    process.communicate()
    before = state(tmp_path)
    monkeypatch.setattr(other_hosts, "WATCHED", 1.0)
    began = time.monotonic()
    assert locks.holder(tmp_path) == "" and state(tmp_path) == before  # a dry run: it waits too, and changes nothing
    assert time.monotonic() - began >= 1.0
    assert f"note: this folder was used by process {process.pid}" in capsys.readouterr().err
    os.utime(tmp_path / "run.lock", (0, 0))  # and long ago
    os.close(locks.lock_run(tmp_path, "later"))
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("has_locks", [True, False])
def test_a_run_that_was_killed_on_this_host_costs_no_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], has_locks: bool
) -> None:
    process = start(tmp_path, other_hosts.boot_id())
    process.send_signal(signal.SIGKILL)
    process.communicate()
    if not has_locks:
        without_locks(monkeypatch)
    os.close(locks.lock_run(tmp_path, "later"))
    assert "waiting" not in capsys.readouterr().err


def without_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)


def test_without_any_locks_a_living_run_of_this_host_is_noticed_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = start(tmp_path, other_hosts.boot_id())
    without_locks(monkeypatch)
    with pytest.raises(locks.Locked, match=f"process {process.pid} of host"):
        locks.lock_run(tmp_path, "later")
    process.communicate("")
    os.close(locks.lock_run(tmp_path, "later"))


def test_readers_on_two_hosts_do_not_exclude_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = tmp_path / "run.lock"
    monkeypatch.setattr(other_hosts, "boot_id", lambda: "boot of another host")
    os.close(locks.lock_run(tmp_path, "noon", shared=True))
    monkeypatch.undo()
    monkeypatch.setattr(other_hosts, "WATCHED", HANG)
    is_over = threading.Event()

    def touch() -> None:
        while not is_over.wait(0.05):
            os.utime(lock)

    touching = threading.Thread(target=touch)
    touching.start()
    try:
        os.close(locks.lock_run(tmp_path, "later", shared=True))
        monkeypatch.setattr(other_hosts, "boot_id", lambda: "boot of a third host")
        with pytest.raises(locks.Locked):
            locks.lock_run(tmp_path, "later")
    finally:
        is_over.set()
        touching.join()
