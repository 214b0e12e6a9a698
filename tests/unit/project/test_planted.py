"""Mutation tests: each bug planted in a copy of the code makes its test fail; the short form plants every seventh."""

from __future__ import annotations

import compileall
import os
import py_compile
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import FULL, ROOT
from planted_bugs import BUGS, Bug


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the code and its unit tests."""
    project = tmp_path_factory.mktemp("planted") / "project"
    for name in ("scripts", "schemas", "tests"):
        shutil.copytree(ROOT / name, project / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "config.yaml"):
        shutil.copy(ROOT / name, project / name)
    # Bytecode that is valid for these bytes only: a planted bug may be as long as the code, and of the same second.
    compileall.compile_dir(project, quiet=1, invalidation_mode=py_compile.PycInvalidationMode.CHECKED_HASH)
    return project


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_a_bug_can_be_planted(bug: Bug) -> None:
    assert (ROOT / bug.file).read_text("utf-8").count(bug.was) == 1, "the code has changed: update the text of this bug"
    assert (ROOT / "tests/unit" / bug.test.split("::")[0]).is_file()


@pytest.mark.parametrize("bug", BUGS if FULL else BUGS[::7], ids=lambda bug: bug.name)
def test_a_planted_bug_is_caught(project: Path, bug: Bug) -> None:
    path = project / bug.file
    original = path.read_text("utf-8")
    broken = original.replace(bug.was, bug.becomes)
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1", "DICOMZARR_PLANTED": "1"}
    environment.pop("PYTEST_XDIST_WORKER", None)
    command = [sys.executable, "-m", "pytest", "-n0", "-q", "-x", "-p", "no:cacheprovider", f"tests/unit/{bug.test}"]
    path.write_text(broken, "utf-8")
    try:
        run = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)
    finally:
        path.write_text(original, "utf-8")
    assert run.returncode == 1 and "1 failed" in run.stdout, run.stdout[-2000:]
