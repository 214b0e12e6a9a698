"""A program that waits until it is told to begin: it runs once, or ends without a word."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

from dicomzarr.commands.run.early_program import EarlyProgram

# Notes each start; notes what it was told, and ends with its length, unless that is nothing.
PROGRAM = """
import os, sys
with open("starts", "a") as starts:
    print(os.getpid(), file=starts, flush=True)
text = sys.stdin.buffer.read()
if text:
    open("told", "ab").write(text)
sys.exit(len(text))
"""
# Starts a program that waits, then waits itself.
PREPARES = """
import pathlib, sys, time
from dicomzarr.commands.run.early_program import EarlyProgram
with EarlyProgram([sys.executable, "-c", sys.argv[1]], pathlib.Path.cwd()) as program:
    program.start()
    time.sleep(60)
"""
# Starts a program that waits while SIGTERM is pending.
INTERRUPTED = """
import os, pathlib, signal, sys
from dicomzarr.commands.run.early_program import EarlyProgram
from dicomzarr.commands.launcher.processes import Stopped
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
os.kill(os.getpid(), signal.SIGTERM)
try:
    with EarlyProgram([sys.executable, "-c", sys.argv[1]], pathlib.Path.cwd()) as program:
        program.start()
except Stopped as stopped:
    print(stopped.status)
"""


def prepared(folder: Path) -> EarlyProgram:
    return EarlyProgram([sys.executable, "-c", PROGRAM], folder)


def starts(folder: Path) -> list[int]:
    return [int(line) for line in (folder / "starts").read_text().split()]


def wait_for_start(folder: Path) -> int:
    while not (folder / "starts").exists() or not starts(folder):
        os.sched_yield()
    return starts(folder)[0]


def is_alive(process: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("is_started", [True, False])
def test_it_runs_once_when_it_is_told(tmp_path: Path, is_started: bool) -> None:
    work: list[str] = []
    with prepared(tmp_path) as program:
        if is_started:
            program.start()
        assert program.finish(b"abc", lambda: work.append("meanwhile")) == 3
    assert (tmp_path / "told").read_bytes() == b"abc" and len(starts(tmp_path)) == 1 and work == ["meanwhile"]


def test_it_ends_where_it_is_not_told(tmp_path: Path) -> None:
    with prepared(tmp_path) as program:
        program.start()
        process = wait_for_start(tmp_path)
    assert not is_alive(process) and not (tmp_path / "told").exists()


def test_it_is_started_again_if_a_signal_to_all_processes_ended_it(tmp_path: Path) -> None:
    with prepared(tmp_path) as program:
        program.start()
        first = wait_for_start(tmp_path)
        os.kill(first, signal.SIGTERM)
        os.waitid(os.P_PID, first, os.WEXITED | os.WNOWAIT)
        assert program.finish(b"abc", lambda: None) == 3
    assert len(starts(tmp_path)) == 2 and (tmp_path / "told").read_bytes() == b"abc"


def test_it_ends_with_the_process_that_would_tell_it(tmp_path: Path) -> None:
    launcher = subprocess.Popen(
        [sys.executable, "-c", PREPARES, PROGRAM], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT / "scripts")}
    )
    process = wait_for_start(tmp_path)
    launcher.kill()
    launcher.wait()
    while is_alive(process):
        os.sched_yield()
    assert not (tmp_path / "told").exists()


def test_a_signal_that_is_pending_at_its_start_stops(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, PROGRAM],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT / "scripts")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr, done.returncode) == ("143\n", "", 0)
    assert not (tmp_path / "starts").exists()
