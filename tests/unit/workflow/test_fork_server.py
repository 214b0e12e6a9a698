"""Jobs that are forks of one process, as the main process sees them."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from waiting import wait_until

from dicomzarr.workflow import fork_server
from dicomzarr.workflow.snakemake_quirks import forked_jobs

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="jobs are forked on Linux alone")
PREFIX = "set -euo pipefail; trap '' INT;  "


@pytest.fixture
def server() -> Iterator[forked_jobs._Server]:
    server = forked_jobs._Server()
    yield server
    server.end()


def script(folder: Path, text: str, rule: str = "plan_batches") -> Path:
    path = folder / ".snakemake" / "scripts" / f"tmpab_c1.{rule}.py"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def started(server: forked_jobs._Server, path: Path, **changes: str) -> Any:
    """Start a job as Snakemake does."""
    command = f"{PREFIX}{sys.executable} {path}"
    popen = forked_jobs._Subprocess(server).Popen
    return popen(command, shell=True, executable="/bin/bash", stdout=None, env={**os.environ, **changes})


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def has_ended(pid: int) -> bool:
    return not is_alive(pid)


def wait_for(path: Path) -> None:
    wait_until(lambda: path.exists() and path.read_text().endswith("\n"), explain=lambda: f"no {path.name}")


STATE = """
import json, os, signal, sys, threading
import numpy
with open({out!r}, "w") as stream:
    json.dump(dict(
        parent=os.getppid(), folder=os.getcwd(), arguments=sys.argv, path=sys.path, name=__name__, file=__file__,
        environment=dict(os.environ), interrupt=signal.getsignal(signal.SIGINT) == signal.SIG_IGN,
        child=signal.getsignal(signal.SIGCHLD) == signal.SIG_DFL, threads=threading.active_count(),
        descriptors=sorted(map(int, os.listdir("/proc/self/fd"))),
    ), stream)
"""


def test_a_job_finds_what_a_process_of_its_own_would(
    server: forked_jobs._Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = script(tmp_path, STATE.format(out=str(tmp_path / "forked")))
    job = started(server, path, TMPDIR="/somewhere", OPENBLAS_NUM_THREADS="8", RUST_BACKTRACE="1")
    assert isinstance(job, forked_jobs._ForkedJob) and job.wait() == 0
    forked = json.loads((tmp_path / "forked").read_text())
    assert server._process and forked["parent"] == server._process.pid
    script(tmp_path, STATE.format(out=str(tmp_path / "plain")))
    environment = {**os.environ, "TMPDIR": "/somewhere", "OPENBLAS_NUM_THREADS": "1", "RUST_BACKTRACE": "0"}
    subprocess.run(["bash", "-c", f"{PREFIX}{sys.executable} {path}"], env=environment, check=True)
    plain = json.loads((tmp_path / "plain").read_text())
    for state in (forked, plain):
        state.pop("parent")
        for name in ("_", "SHLVL", "PWD", "OLDPWD"):  # of bash
            state["environment"].pop(name, None)
    assert len(forked.pop("descriptors")) <= len(plain.pop("descriptors"))
    assert forked == plain


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", 0),
        ("raise SystemExit", 0),
        ("import sys; sys.exit(3)", 3),
        ("import sys; sys.exit('a sentence')", 1),
        ("1 / 0", 1),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", 137),
        ("import os; os.abort()", 134),
        ("import os; os._exit(7)", 7),
    ],
)
def test_the_status_is_the_one_that_bash_states(
    server: forked_jobs._Server, tmp_path: Path, text: str, expected: int
) -> None:
    assert started(server, script(tmp_path, text)).wait() == expected
    command = ["bash", "-c", f"{sys.executable} {script(tmp_path, text)}; exit $?"]
    assert subprocess.run(command, check=False).returncode == expected


def test_threads_and_exit_functions_end_before_the_job(server: forked_jobs._Server, tmp_path: Path) -> None:
    text = f"""
import atexit, threading, time
from pathlib import Path
folder = Path({str(tmp_path)!r})
atexit.register(lambda: (folder / "exit").write_text("done"))
threading.Thread(target=lambda: (time.sleep(0.2), (folder / "thread").write_text("done"))).start()
"""
    assert started(server, script(tmp_path, text)).wait() == 0
    assert (tmp_path / "exit").read_text() == (tmp_path / "thread").read_text() == "done"


def test_many_jobs_run_at_once_each_with_its_status(server: forked_jobs._Server, tmp_path: Path) -> None:
    jobs = []
    for number in range(12):
        folder = tmp_path / str(number)
        jobs.append(started(server, script(folder, f"import time; time.sleep(0.3); raise SystemExit({number})")))
    assert [job.wait() for job in jobs] == list(range(12))


def test_the_id_of_a_job_is_its_own_until_its_status_was_read(server: forked_jobs._Server, tmp_path: Path) -> None:
    job = started(server, script(tmp_path, ""))
    wait_until(lambda: has_ended(job.pid))
    assert Path(f"/proc/{job.pid}").exists()  # a zombie: Snakemake's benchmark looks at it
    job.terminate()
    assert job.wait() == 0


def test_if_the_server_is_killed_its_jobs_die_and_the_next_ones_start_without_it(
    server: forked_jobs._Server, tmp_path: Path
) -> None:
    began = tmp_path / "began"
    job = started(server, script(tmp_path, f"open({str(began)!r}, 'w').write('x\\n'); import time; time.sleep(600)"))
    wait_for(began)
    assert server._process
    server._process.kill()
    assert job.wait() == 137
    wait_until(lambda: has_ended(job.pid))
    later = started(server, script(tmp_path, "raise SystemExit(5)"))
    assert isinstance(later, subprocess.Popen) and later.wait() == 5


KILLED = """
import os, sys, time
sys.path.insert(0, {scripts!r})
from pathlib import Path
from dicomzarr.workflow.snakemake_quirks import forked_jobs
server = forked_jobs._Server()
command = "set -euo pipefail; trap '' INT; " + sys.executable + " {script}"
job = forked_jobs._Subprocess(server).Popen(command, env=dict(os.environ))
print(server._process.pid, flush=True)
time.sleep(600)
"""


def test_jobs_of_a_killed_main_process_run_to_their_end_and_the_server_ends_after_them(tmp_path: Path) -> None:
    """The next run waits for them: `locks.wait_for_orphans`."""
    began, go_on, ended = (tmp_path / name for name in ("began", "go_on", "ended"))
    text = (
        f"import os, time; open({str(began)!r}, 'w').write('x\\n')\n"
        f"while not os.path.exists({str(go_on)!r}): time.sleep(0.01)\n"
        f"open({str(ended)!r}, 'w').write('x\\n')"
    )
    scripts = str(Path(fork_server.__file__).parents[2])
    program = KILLED.format(scripts=scripts, script=script(tmp_path, text))
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        server = int(process.stdout.readline())
        wait_for(began)
        process.kill()
    assert is_alive(server)
    go_on.touch()
    wait_for(ended)
    wait_until(lambda: has_ended(server))


def test_a_job_that_the_main_process_never_sent_does_not_run(server: forked_jobs._Server) -> None:
    forked = server.fork()
    assert forked
    link, pid = forked
    assert is_alive(pid)
    link.close()
    wait_until(lambda: has_ended(pid))


def test_a_process_with_threads_forks_no_job(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lock that another thread holds would stay locked in the fork."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    wakeup, handler = signal.set_wakeup_fd(-1), signal.getsignal(signal.SIGCHLD)
    try:
        server = fork_server._Server(theirs, [])
        monkeypatch.setattr(fork_server, "_threads", lambda: 2)
        link, other = socket.socketpair()
        with ours, theirs, link:
            socket.send_fds(ours, [b"\0"], [other.fileno()])
            other.close()
            server.serve(until_end=False)
            assert link.recv(1) == b""
    finally:
        signal.set_wakeup_fd(wakeup)
        signal.signal(signal.SIGCHLD, handler)


def test_the_modules_that_are_imported_beforehand_exist_and_start_no_thread() -> None:
    folder = str(Path(fork_server.__file__).parents[2])
    program = (
        f"import importlib, sys; sys.path.append({folder!r}); from dicomzarr.workflow import fork_server as server\n"
        "for name in server._imports(): importlib.import_module(name)\n"
        "sys.exit(server._threads())"
    )
    environment = {**os.environ, **fork_server._ENVIRONMENT}
    assert subprocess.run([sys.executable, "-c", program], check=False, env=environment).returncode == 1


@pytest.mark.parametrize(
    "command",
    [
        f"{PREFIX}python /a/.snakemake/scripts/tmpx.plan_batches.py",  # of a container or a conda environment
        f"{PREFIX}{sys.executable} /a/.snakemake/scripts/tmpx.plan_batches.py --more",
        f"{PREFIX}{sys.executable} /a/.snakemake/scripts/tmpx.other_rule.py",
        f"{PREFIX}{sys.executable} /a/plan_batches.py",
        f"source activate 'x'; {PREFIX}{sys.executable} /a/.snakemake/scripts/tmpx.plan_batches.py",
        ["python", "plan_batches.py"],
    ],
)
def test_other_commands_are_left_to_snakemake(command: Any) -> None:
    assert forked_jobs._script_of(command) == ""


def test_a_path_with_spaces_is_understood() -> None:
    path = "/a folder/.snakemake/scripts/tmpx.plan_batches.py"
    assert forked_jobs._script_of(f"{PREFIX}{sys.executable} '{path}'") == path
