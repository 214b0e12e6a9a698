"""Let local jobs be forks of a process that has imported what they need: `workflow/fork_server.py`.

Purpose: a run has a dozen small jobs, and most of the time of each goes into the start of Python and its imports.

Tested with 9.27.1, which starts the script of a job with `snakemake.shell.sp.Popen`. Under another version, inside
another workflow, with conda or containers, on other nodes and on other systems than Linux, jobs start as Snakemake
starts them. So they do where the server cannot be started or has died.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from dicomzarr.system import files
from dicomzarr.vocabulary.rules import RULES
from dicomzarr.workflow import fork_server
from dicomzarr.workflow.snakemake_quirks.tested_versions import is_tested

PLAIN = "DICOMZARR_PLAIN_JOBS"  # an environment variable: not empty, each job is a Python of its own
_ENDS_WITHIN = 0.5  # s, for the server, once its last job has ended; it may be importing
# What Snakemake runs for a script: see `ending.end_on_signals` for its beginning.
_COMMAND = re.compile(rf"set -euo pipefail; trap '' INT; +{re.escape(sys.executable)} (.*)")
_SCRIPT = re.compile(rf".*\.snakemake/scripts/tmp\w+\.({'|'.join(rule.name for rule in RULES)})\.py", re.DOTALL)


class _Server:
    """The server as seen from the main process; started once, when it is first needed."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._lock = threading.Lock()

    def start(self) -> None:
        """Start the server; at most once."""
        with self._lock:
            if self._process or self._control:
                return
            self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with theirs:
                # SIGINT is ignored from the first instruction on, as in other jobs: `ending.end_on_signals`.
                command = ["sh", "-c", 'trap \'\' INT; exec "$0" "$@"', sys.executable, "-P", fork_server.__file__]
                with contextlib.suppress(OSError):
                    self._process = subprocess.Popen(
                        [*command, str(theirs.fileno())],
                        stdin=subprocess.DEVNULL,
                        pass_fds=(theirs.fileno(),),
                        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
                    )

    def fork(self) -> tuple[socket.socket, int] | None:
        """Return the socket and the id of a new process that waits for its job; None if the server cannot fork."""
        self.start()
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                assert self._control
                socket.send_fds(self._control, [b"\0"], [theirs.fileno()])
            answer = _line(ours)
        except OSError:
            answer = b""
        if not answer:
            ours.close()
            return None
        return ours, int(answer)

    def end(self) -> None:
        """End the server, so that its time and that of its jobs are counted as those of children of this process."""
        with self._lock:
            if self._control:
                self._control.close()
            if self._process:
                try:
                    self._process.wait(_ENDS_WITHIN)
                except subprocess.TimeoutExpired:
                    self._process.kill()
                    self._process.wait()


def _line(link: socket.socket) -> bytes:
    """Return a line without its end; empty if the other side was closed before."""
    received = b""
    while not received.endswith(b"\n"):
        more = link.recv(64)
        if not more:
            return b""
        received += more
    return received[:-1]


class _ForkedJob:
    """The part of `subprocess.Popen` that Snakemake uses, for a job of the server."""

    stdout = None

    def __init__(self, link: socket.socket, pid: int, job: bytes) -> None:
        self._link, self.pid = link, pid
        self.returncode: int | None = None
        with contextlib.suppress(OSError):  # the job was killed: its status follows
            link.sendall(job)

    def wait(self) -> int:
        """Return the exit status of the job; that of SIGKILL if the server died, and the job with it."""
        if self.returncode is None:
            with self._link:
                try:
                    status = int(_line(self._link) or -9)
                except OSError:
                    status = -9
            self.returncode = status if status >= 0 else 128 - status  # as bash states it
        return self.returncode

    def terminate(self) -> None:
        """End the job."""
        self._signal(15)

    def kill(self) -> None:
        """Kill the job."""
        self._signal(9)

    def _signal(self, number: int) -> None:
        if self.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)


class _Subprocess:
    """The module `subprocess`, in which commands that are scripts of this workflow become forks."""

    def __init__(self, server: _Server) -> None:
        self._server = server

    def __getattr__(self, name: str) -> Any:
        return getattr(subprocess, name)

    def Popen(self, command: Any, *arguments: Any, **options: Any) -> Any:
        script = _script_of(command)
        if script and not arguments and _writes_to_this_process(options.get("stdout")) and "env" in options:
            forked = self._server.fork()
            if forked:
                job = {"folder": os.getcwd(), "script": script, "environment": options["env"]}
                return _ForkedJob(*forked, json.dumps(job).encode() + b"\n")
        return subprocess.Popen(command, *arguments, **options)


def _script_of(command: Any) -> str:
    """Return the path of the script that a command of Snakemake runs, if it is one of this workflow and no more."""
    found = _COMMAND.fullmatch(command) if isinstance(command, str) else None
    words = shlex.split(found[1]) if found else []
    return words[0] if len(words) == 1 and _SCRIPT.fullmatch(words[0]) else ""


def _writes_to_this_process(stdout: Any) -> bool:
    """Return whether the standard output of a job is that of this process, which is also that of the server."""
    try:
        return stdout is None or bool(stdout.fileno() == 1)
    except (AttributeError, OSError, ValueError):
        return False


_servers: list[_Server] = []


def fork_jobs(workflow: Any) -> None:
    """From now on, start local jobs as forks, where that is possible.

    Parameters
    ----------
    workflow : snakemake.workflow.Workflow
    """
    if _servers or sys.platform != "linux" or os.environ.get(PLAIN) or not is_tested() or not workflow.local_exec:
        return
    module = sys.modules.get("snakemake.shell")  # as an attribute of the package, it is the class in it
    if not files.is_dir(Path("/proc/self/task")) or getattr(module, "sp", None) is not subprocess:
        return
    _servers.append(_Server())
    module.sp = _Subprocess(_servers[0])  # type: ignore[union-attr]


def expect_jobs() -> None:
    """Let the server import what jobs need, while Snakemake builds its DAG: there will be jobs."""
    for server in _servers:
        server.start()


def end() -> None:
    """End the server, after the last job."""
    for server in _servers:
        server.end()
