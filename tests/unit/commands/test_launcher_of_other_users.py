"""A checkout that several users share: the launcher as a user runs it who may not write there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from launched_project import Project

from dicomzarr.commands.launcher.environment import DEV, MINORS, PLAIN, stamp_of

NOBODY = 65534


def is_executable_by_nobody(python: str) -> bool:
    try:
        done = subprocess.run([python, "-c", ""], user=NOBODY, group=NOBODY, extra_groups=[], check=False)
    except OSError:
        return False
    return done.returncode == 0


@pytest.fixture
def shared() -> Iterator[Project]:
    """A project of root that all users can read, with a Python that all users can start."""
    if os.geteuid():
        pytest.skip("only root may start a command as another user")
    pythons = filter(is_executable_by_nobody, [sys.executable, *(f"/usr/bin/python3.{minor}" for minor in MINORS)])
    python = next(pythons, None)
    if python is None:
        pytest.skip("no Python that another user may start")
    with tempfile.TemporaryDirectory() as folder:
        project = Project(Path(folder), python=python).with_environment()
        project.calls.touch()
        for path, mode in ((Path(folder), 0o755), (project.calls, 0o666), (project.elsewhere, 0o777)):
            path.chmod(mode)
        yield project


def test_another_user_uses_a_current_environment(shared: Project) -> None:
    before = sorted((path, path.stat().st_mtime_ns) for path in shared.root.rglob("*"))
    done = shared.run("--cores", "1", cwd=shared.elsewhere, user=NOBODY)
    assert done.returncode == 0, done.stderr
    assert len(shared.called("snakemake")) == 1
    assert sorted((path, path.stat().st_mtime_ns) for path in shared.root.rglob("*")) == before


def test_another_user_may_have_another_supported_python(shared: Project) -> None:
    for lock in (PLAIN, DEV):
        minor = 12 if sys.version_info[1] != 12 else 13
        (shared.venv / f"{lock.name}.stamp").write_text(stamp_of(lock, minor))
    assert shared.run("--cores", "1", cwd=shared.elsewhere, user=NOBODY).returncode == 0
    assert not shared.called("uv")


def test_another_user_gets_a_demo_in_the_current_folder_if_it_is_free(shared: Project) -> None:
    """So does the user of an image, whose clone belongs to root."""
    theirs = shared.elsewhere / "demo" / "source"
    theirs.mkdir(parents=True)
    refused = shared.run("demo", cwd=shared.elsewhere, user=NOBODY)
    assert refused.returncode == 2 and refused.stderr.endswith(
        "demo was not made by this demo: move it away, or start from another folder\n"
    )
    assert [*shared.elsewhere.rglob("*")] == [theirs.parent, theirs]
    nowhere = shared.run("demo", cwd=shared.root, user=NOBODY)
    assert (nowhere.returncode, nowhere.stderr.count("\n")) == (2, 1) and "start from another folder" in nowhere.stderr
    shutil.rmtree(theirs.parent)
    for _ in range(2):
        done = shared.run("demo", cwd=shared.elsewhere, user=NOBODY)
        assert done.returncode == 0, done.stderr
    assert len(shared.called("python")) == 1 and not (shared.root / "demo").exists()
    (shared.elsewhere / "demo" / "source.stamp").unlink()  # interrupted, or of another version
    shutil.rmtree(shared.elsewhere / "demo" / "source")
    assert shared.run("demo", cwd=shared.elsewhere, user=NOBODY).returncode == 0
    assert {call["cwd"] for call in shared.called("snakemake")} == {str(shared.elsewhere)}


@pytest.mark.parametrize("lost", ["requirements.lock.stamp", ".dicomzarr", ""])
def test_another_user_gets_instructions_if_it_is_not_current(shared: Project, lost: str) -> None:
    if lost:
        (shared.venv / lost).unlink()
    else:
        shutil.rmtree(shared.venv)
    done = shared.run("--cores", "1", cwd=shared.elsewhere, user=NOBODY)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert "set DICOMZARR_VENV to a folder of your own" in done.stderr or "was not made by ./run" in done.stderr
    own = shared.elsewhere / "environment"
    assert shared.run("--cores", "1", cwd=shared.elsewhere, user=NOBODY, DICOMZARR_VENV=str(own)).returncode == 0
    assert (own / "requirements.lock.stamp").exists()
