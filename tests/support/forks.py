"""Runs of the real Snakemake whose processes are forks of one that has imported all they need: a fifth of the work.

The full forms of the tests of recovery start a workflow thousands of times, and nearly all of the time goes into
imports. Here the main process and each job are forked from a warm process instead; Snakemake, the rules and the
scripts are the real ones. The small forms, in CI, start what is to be killed or to fail as a user does.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import functools
import gc
import importlib
import json
import os
import runpy
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

SUPPORT = Path(__file__).resolve().parent
ROOT = SUPPORT.parents[1]
PYTHON = sys.executable
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36  # prctl(2)
_MODULES = "FORKS_MODULES"  # names a file that receives what a process has imported


def compiled(source: Path, target: Path, *options: str) -> Path:
    """Compile a C file and return what came of it."""
    subprocess.run(["gcc", "-O1", "-o", str(target), str(source), *options], check=True)
    return target


class Forks:
    """The warm process, as seen from the tests; use it as a context.

    Parameters
    ----------
    folder : Path
        For what it needs on disk.
    preload : Path or None
        A library for all processes (`faults.c`).
    """

    def __init__(self, folder: Path, preload: Path | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        client = compiled(SUPPORT / "forks.c", folder / "python")
        environment = {**os.environ, "FORKS_CLIENT": str(client)}
        if preload:
            environment["LD_PRELOAD"] = str(preload)
        self._server = subprocess.Popen(
            [PYTHON, __file__], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        assert self._answer() == "ready"

    def _answer(self) -> str:
        assert self._server.stdout
        line = self._server.stdout.readline()
        assert line, "the process that forks is gone"
        return line.strip()

    def __enter__(self) -> Forks:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._server.stdin and self._server.stdout
        self._server.stdin.close()
        # A child that a test of this process forked, such as a sandbox, may hold the pipe open: then no end is seen.
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._server.wait(timeout=2)
        self._server.kill()
        self._server.wait()
        self._server.stdout.close()

    def start(self, arguments: Sequence[str], folder: Path, environment: Mapping[str, str], output: Path) -> int:
        """Start `snakemake` in a session of its own and return the id of its process, which is that of its group."""
        request = {"arguments": list(arguments), "folder": str(folder), "environment": dict(environment)}
        assert self._server.stdin
        self._server.stdin.write(json.dumps({**request, "output": str(output)}) + "\n")
        return int(self._answer())

    def wait(self) -> int:
        """Return the exit status of what was started, negative for a signal, when all its processes are gone."""
        return int(self._answer())


# ---- In the warm process


def _status(code: int) -> int:
    return os.waitstatus_to_exitcode(code)


def _end(work: Callable[[], object]) -> NoReturn:
    """Do the work as the main program of this process would, and end it."""
    status = 1
    try:
        work()
        status = 0
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else int(error.code is not None)
        if isinstance(error.code, str):
            print(error.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
    with contextlib.suppress(BaseException):
        atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()
    if _MODULES in os.environ:
        with open(os.environ[_MODULES], "a") as modules:
            modules.write("\n".join(sys.modules) + "\n")
    os._exit(status)


def _become(folder: str, environment: Mapping[str, str], streams: Sequence[int]) -> None:
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    for target, stream in enumerate(streams):
        os.dup2(stream, target)
    for name, target, mode in (("stdin", 0, "r"), ("stdout", 1, "w"), ("stderr", 2, "w")):
        setattr(sys, name, open(target, mode, buffering=1, closefd=False))  # noqa: SIM115 (for the process's life)


def _run(request: Mapping[str, Any], folder: str) -> NoReturn:
    """Become a main process; `folder` is for its socket."""
    os.setsid()
    null, output = (
        os.open(os.devnull, os.O_RDONLY),
        os.open(request["output"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600),
    )
    # Jobs are forked by this process, as processes of their own would be started, not by `workflow/fork_server.py`.
    environment = {**request["environment"], "FORKS_SOCKET": f"{folder}/socket", "DICOMZARR_PLAIN_JOBS": "1"}
    client = os.environ["FORKS_CLIENT"]
    _become(request["folder"], environment, (null, output, output))
    jobs = socket.socket(socket.AF_UNIX)
    jobs.bind(f"{folder}/socket")
    jobs.listen()
    parent = os.getpid()
    if os.fork() == 0:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() == parent:
            _serve_jobs(jobs)
        os._exit(0)
    jobs.close()
    sys.executable = client  # with this Snakemake starts a script
    sys.argv = ["snakemake", *request["arguments"]]
    from snakemake.cli import main

    _end(lambda: main(request["arguments"]))


def _serve_jobs(jobs: socket.socket) -> None:
    """Fork a process for each script that the main process starts."""
    waiting: dict[int, socket.socket] = {}
    jobs.settimeout(0.005)
    while True:
        with contextlib.suppress(ChildProcessError):
            while (child := os.waitpid(-1, os.WNOHANG))[0]:
                with contextlib.suppress(OSError), waiting.pop(child[0]) as link:
                    link.sendall(struct.pack("i", _status(child[1])))
        with contextlib.suppress(TimeoutError):
            link, _ = jobs.accept()
            link.settimeout(None)
            data, streams, _, _ = socket.recv_fds(link, 1 << 20, 3)
            while len(data) < struct.unpack("I", data[:4])[0]:
                data += link.recv(1 << 20)
            folder, count, *rest = data[4:-1].decode("utf-8", "surrogateescape").split("\0")
            pid = os.fork()
            if pid == 0:
                jobs.close()
                _become(folder, dict(setting.split("=", 1) for setting in rest[int(count) :]), streams)
                sys.executable, sys.argv = PYTHON, rest[: int(count)]
                _end(lambda: runpy.run_path(sys.argv[0], run_name="__main__"))
            for stream in streams:
                os.close(stream)
            waiting[pid] = link


def _warm() -> None:
    """Import what a first run imports, and read the code whose digests it asks for."""
    sys.path[:0] = [str(SUPPORT), str(ROOT / "scripts")]
    from dicoms import save_series

    from dicomzarr.workflow.code_digest import code_digest

    folder = tempfile.mkdtemp()  # no TemporaryDirectory: a fork that ends would remove it
    save_series(Path(folder, "source"), "alpha", 2)
    Path(folder, "config.yaml").write_text("source: source\nresults: results\n")
    modules = Path(folder, "modules")
    arguments = ["--snakefile", str(ROOT / "Snakefile"), "--cores", "1", "--configfile", "config.yaml"]
    environment = {**os.environ, "DICOMZARR_KEY": "k" * 32, _MODULES: str(modules)}
    request = {"arguments": arguments, "folder": folder, "environment": environment, "output": f"{folder}/out"}
    child = os.fork()
    if child == 0:
        _end(functools.partial(_run, request, folder))
    assert _reaped(child) == 0, Path(folder, "out").read_text()
    names = modules.read_text().split("\n")
    shutil.rmtree(folder)
    for name in dict.fromkeys(names):
        if name and name != "__main__" and not name.startswith("snakemake_plugin_"):
            with contextlib.suppress(Exception):
                importlib.import_module(name)
    for script in (ROOT / "scripts").glob("*.py"):
        code_digest(script.name)
    from snakemake.cli import get_argument_parser

    get_argument_parser()
    gc.collect()
    gc.freeze()


def _reaped(child: int) -> int:
    """Return how a child ended, when all that it left is gone too."""
    status = 1
    while True:
        try:
            pid, code = os.waitpid(-1, 0)
        except ChildProcessError:
            return status
        status = _status(code) if pid == child else status


def _serve() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    _warm()
    answers.write("ready\n")
    for line in sys.stdin:
        folder = tempfile.mkdtemp()
        child = os.fork()
        if child == 0:
            _end(functools.partial(_run, json.loads(line), folder))
        answers.write(f"{child}\n")
        status = _reaped(child)
        shutil.rmtree(folder)
        answers.write(f"{status}\n")


if __name__ == "__main__":
    _serve()
