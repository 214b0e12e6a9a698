"""Signals at every stage of a start: no traceback, no process left over, and the exit status in the README."""

from __future__ import annotations

import contextlib
import io
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import ROOT
from launched_project import Project
from waiting import HANG, wait_until

from dicomzarr.commands.launcher.processes import accept_any_text
from dicomzarr.commands.run import snakemake_process

# Starts a program with the terminal of its standard input as its controlling terminal.
ON_TERMINAL = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"
)
# Starts a program with a pending SIGINT.
INTERRUPTED = """
import os, signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
os.kill(os.getpid(), signal.SIGINT)
os.execv(sys.argv[1], sys.argv[1:])
"""
# Runs a child whose exit status shows the signal that ended it. It waits for signals: a handler of a signal that comes
# just before `time.sleep` begins to wait would run after the sleep.
CALL = """
import pathlib, signal, sys
from dicomzarr.commands.launcher.processes import Interrupt, Stopped, call, stopped_by_signals
child = "import signal, sys; signal.pthread_sigmask(signal.SIG_BLOCK, {2, 15}); open('started', 'w');"
child += "sys.exit({15: 5, 2: 6}[signal.sigwait({2, 15})])"
try:
    with stopped_by_signals():
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        call([sys.executable, "-c", child], pathlib.Path.cwd())
except Stopped as stopped:
    print(stopped.status)
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


@contextlib.contextmanager
def on_a_terminal(project: Project, *arguments: str, **more: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Start the launcher on a new terminal; yield the process and the other end of the terminal."""
    keyboard, terminal = os.openpty()
    running = subprocess.Popen(
        [sys.executable, "-c", ON_TERMINAL, *project.command(*arguments)],
        cwd=project.root,
        env=project.environment(**more),
        stdin=terminal,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        yield running, keyboard
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(running.pid, signal.SIGKILL)
        running.wait()
        if running.stdout:
            running.stdout.close()
        os.close(keyboard)
        os.close(terminal)


def ended(running: subprocess.Popen[bytes]) -> tuple[int, str]:
    output = running.communicate(timeout=HANG)[0].decode()
    assert "Traceback" not in output and "KeyboardInterrupt" not in output, output
    return running.returncode, output


def test_ctrl_c_while_snakemake_runs(project: Project) -> None:
    project.with_environment()
    with on_a_terminal(project, "demo", SNAKEMAKE_WAITS="1") as (running, keyboard):
        wait_until((project.root / "started").exists)
        os.write(keyboard, b"\x03")
        assert ended(running)[0] == 130
    assert (project.root / "sigint").exists()  # it ended by itself, not by our SIGTERM


def test_ctrl_c_while_the_demo_files_are_written(project: Project) -> None:
    project.with_environment()
    with on_a_terminal(project, "demo", PYTHON_WAITS_FOR="never") as (running, keyboard):
        wait_until(lambda: project.called("python"))
        os.write(keyboard, b"\x03")
        assert ended(running)[0] == 130
    assert not project.called("snakemake")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_the_environment_is_made_ends_its_processes(project: Project, number: signal.Signals) -> None:
    project.with_uv()
    with on_a_terminal(project, "--version", UV_WAITS_FOR="never") as (running, keyboard):
        wait_until(lambda: project.called("uv"))
        os.write(keyboard, b"\x03") if number == signal.SIGINT else running.terminate()
        assert ended(running)[0] == 128 + number
    done = project.run("--version")
    assert done.returncode == 0
    assert "Waiting" not in done.stderr, "uv still runs"


def test_ctrl_c_while_another_process_makes_the_environment(project: Project) -> None:
    project.with_uv()
    go_on = project.elsewhere / "go on"
    with on_a_terminal(project, "--version", UV_WAITS_FOR=str(go_on)) as (first, _):
        wait_until(lambda: project.called("uv"))
        with on_a_terminal(project, "--version") as (second, keyboard):
            assert second.stdout and b"Waiting for" in second.stdout.readline()
            os.write(keyboard, b"\x03")
            assert ended(second)[0] == 130
        assert first.poll() is None
        go_on.touch()
        assert ended(first)[0] == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_sent_by_a_process_reaches_snakemake_as_sigterm(project: Project, number: signal.Signals) -> None:
    project.with_environment()
    with on_a_terminal(project, "demo", SNAKEMAKE_WAITS="1") as (running, _):
        wait_until((project.root / "started").exists)
        running.send_signal(number)
        assert ended(running)[0] == (5 if number == signal.SIGTERM else 128 + number)  # 5: the stand-in's answer
    assert not (project.root / "sigint").exists()


@pytest.mark.parametrize(
    "program",
    [
        [str(ROOT / "run"), "help"],
        ["-P", "-m", "dicomzarr.commands", "diff", "nowhere"],
        ["-P", str(ROOT / "scripts/dicomzarr/commands/run/snakemake_process.py"), "--version"],
    ],
    ids=["run", "commands", "snakemake"],
)
def test_a_signal_that_is_pending_at_the_start(program: list[str], tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, sys.executable, *program],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT / "scripts")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_a_word_writes_no_core_and_gives_no_memory(tmp_path: Path) -> None:
    program = "import sys; from pathlib import Path; from dicomzarr.commands.__main__ import main; main(sys.argv[1:])\n"
    program += "for name in ('limits', 'coredump_filter'): print(Path('/proc/self', name).read_text().strip())"
    done = subprocess.run(
        ["sh", "-c", 'ulimit -c "$(ulimit -H -c)"; exec "$@"', "sh", sys.executable, "-c", program, "diff", "nowhere"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT / "scripts")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert re.search(r"^Max core file size +0 +0 ", done.stdout, re.MULTILINE)
    assert int(done.stdout.split()[-1], 16) == 0


def test_after_a_signal_no_child_is_started(tmp_path: Path) -> None:
    program = CALL.replace("signal.pthread_sigmask", "signal.raise_signal(signal.SIGINT) or signal.pthread_sigmask")
    done = started(program, tmp_path)
    assert (done.communicate(timeout=HANG)[0], (tmp_path / "started").exists()) == ("130\n", False)


@pytest.mark.parametrize(
    ("number", "status"),
    [(signal.SIGINT, "130\n"), (signal.SIGTERM, "5\n"), (signal.SIGHUP, "129\n"), (signal.SIGQUIT, "131\n")],
)
def test_a_signal_to_the_launcher_only_ends_the_child(tmp_path: Path, number: signal.Signals, status: str) -> None:
    done = started(CALL, tmp_path)
    wait_until((tmp_path / "started").exists)
    done.send_signal(number)
    assert done.communicate(timeout=HANG)[0] == status


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT])
def test_a_signal_that_is_ignored_stops_nothing(tmp_path: Path, number: signal.Signals) -> None:
    """As SIGHUP after `nohup`, and SIGINT in a program that a script starts with `&`: waiting would receive it."""
    child = f"import os, sys; os.kill(os.getppid(), {int(number)}); sys.exit(7)"
    program = f"""
import pathlib, signal, sys
from dicomzarr.commands.launcher.processes import call, stopped_by_signals
signal.signal({int(number)}, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_UNBLOCK, {{signal.SIGINT}})
with stopped_by_signals():
    print(call([sys.executable, "-c", {child!r}], pathlib.Path.cwd()))
"""
    assert started(program, tmp_path).communicate(timeout=HANG)[0] == "7\n"


def test_signals_at_many_instants_of_a_call_are_never_lost(tmp_path: Path) -> None:
    program = "import signal; signal.pthread_sigmask(signal.SIG_BLOCK, {2}); print(flush=True)\n" + CALL
    for number in range(10):
        done = started(program, tmp_path)
        assert done.stdout and done.stdout.readline() == "\n"
        time.sleep(number / 50)
        done.send_signal(signal.SIGINT)
        assert done.communicate(timeout=HANG)[0] == "130\n"


def started(program: str, folder: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "scripts")}
    return subprocess.Popen(
        [sys.executable, "-c", program], cwd=folder, env=environment, stdout=subprocess.PIPE, text=True
    )


@pytest.mark.parametrize(
    ("encoding", "written"), [("utf-8", b"M\xfcller \xce\xb1"), ("latin-1", b"M\\udcfcller \\u03b1")]
)
def test_every_path_can_be_printed(encoding: str, written: bytes) -> None:
    """One with a byte that is no UTF-8, and with a letter that Latin-1 lacks."""
    stored = io.BytesIO()
    out = io.TextIOWrapper(stored, encoding=encoding)
    accept_any_text(out)
    print(os.fsdecode(b"M\xfcller"), "\u03b1", end="", file=out, flush=True)
    assert stored.getvalue() == written


def test_a_thread_of_snakemake_that_ends_has_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails() -> None:
        raise RuntimeError("/data/SMITH^JOHN")

    monkeypatch.setattr(threading, "excepthook", snakemake_process.end_thread_in_one_line)
    thread = threading.Thread(target=fails)
    thread.start()
    thread.join()
    note = "note: a thread of Snakemake ended: RuntimeError; are ulimit -u and ulimit -v large enough?\n"
    assert capsys.readouterr().err == note
