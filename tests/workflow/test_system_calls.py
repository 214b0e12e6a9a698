"""System calls of a run: the source is only read, and not through links; no other folder is written; no network.

strace lists the calls, so the tests include Snakemake and every library.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import Workflow
from dicoms import save_series
from good_traps import good_files
from traps import Traps

CALL = re.compile(r"^\d+\s+(\w+)\((.*)\)\s+= (-?\d+|\?)(?:<(.*?)>)?")
WRITING = re.compile(r"O_WRONLY|O_RDWR|O_CREAT|O_TRUNC")
READ_CALLS = {
    "openat",
    "newfstatat",
    "stat",
    "lstat",
    "statx",
    "readlink",
    "readlinkat",
    "access",
    "faccessat2",
    "getcwd",
}
READ_CALLS |= {"open", "chdir", "statfs"}


@pytest.fixture(scope="module")
def calls(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workflow, list[tuple[str, str, str]]]:
    """Return a run, and the calls that succeeded: name, arguments, path of the descriptor returned."""
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("strace is not installed")
    folder = tmp_path_factory.mktemp("calls")
    workflow = Workflow(folder)
    save_series(workflow.source / "deep" / "er", "alpha", 3)
    good_files(Traps(workflow.source))
    (workflow.source / "link").symlink_to("deep")
    workflow.write_config()
    for name in ("home", "temporary"):
        (folder / name).mkdir()
    environment = os.environ | {"HOME": str(folder / "home"), "TMPDIR": str(folder / "temporary")}
    environment |= {"DICOMZARR_KEY": "k" * 32, "PYTHONDONTWRITEBYTECODE": "1"}
    trace = [strace, "-f", "-qq", "-y", "-s", "4096", "--seccomp-bpf", "-e", "trace=%file,%network", "-o", "trace"]
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(workflow.project / "Snakefile"), "--cores", "2"]
    run = subprocess.run(
        [*trace, *command, "--configfile", "config.yaml"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if "PTRACE" in run.stderr and not workflow.results.exists():
        pytest.skip("strace may not trace here")
    assert run.returncode == 0, run.stderr[-3000:]
    lines = (folder / "trace").read_text("utf-8", "replace").splitlines()
    parsed = [match.groups() for line in lines if (match := CALL.match(line))]
    succeeded = [
        (name, arguments, path or "") for name, arguments, result, path in parsed if not result.startswith("-")
    ]
    assert len(succeeded) > 10_000
    return workflow, succeeded


def within(path: str, folder: Path) -> bool:
    return path == str(folder) or path.startswith(f"{folder}/")


def test_the_source_is_only_read(calls: tuple[Workflow, list[tuple[str, str, str]]]) -> None:
    workflow, succeeded = calls
    source = str(workflow.source)
    on_source = [
        (name, arguments, path)
        for name, arguments, path in succeeded
        if source in arguments or within(path, workflow.source)
    ]
    assert {name for name, _, _ in on_source} <= READ_CALLS
    opened = [arguments for name, arguments, path in on_source if name == "openat"]
    assert len(opened) > 30
    assert not [arguments for arguments in opened if WRITING.search(arguments)]
    below = [arguments for name, arguments, path in on_source if name == "openat" and path.startswith(f"{source}/")]
    assert below and not [arguments for arguments in below if "O_NOFOLLOW" not in arguments]


def test_nothing_is_written_elsewhere(calls: tuple[Workflow, list[tuple[str, str, str]]]) -> None:
    """Except that Snakemake copies rules and scripts into a cache, and Python probes the temporary folder."""
    workflow, succeeded = calls
    written = {path for name, arguments, path in succeeded if name in ("open", "openat") and WRITING.search(arguments)}
    allowed = (workflow.results, workflow.folder / ".snakemake", Path("/dev"), Path("/proc"))
    elsewhere = {path for path in written if not any(within(path, folder) for folder in allowed)}
    cache, probe = workflow.folder / "home/.cache/snakemake", f"{workflow.folder}/temporary/[a-z0-9_]{{8}}"
    assert not {path for path in elsewhere if not within(path, cache) and not re.fullmatch(probe, path)}
    assert any(within(path, workflow.results) for path in written)
    assert not [
        path for name in ("home", "temporary") for path in (workflow.folder / name).rglob("*") if path.is_file()
    ]


def test_there_is_no_network(calls: tuple[Workflow, list[tuple[str, str, str]]]) -> None:
    network_calls = [arguments for name, arguments, _ in calls[1] if name in ("connect", "sendto", "sendmsg", "listen")]
    assert not [arguments for arguments in network_calls if "sa_family=AF_INET" in arguments]
