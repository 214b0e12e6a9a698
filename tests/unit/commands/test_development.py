"""The commands for developers."""

from __future__ import annotations

from pathlib import Path

import pytest
from launched_project import Project

from dicomzarr.commands.development import NOT_QUICK

QUICK = ["-m", "pytest", "-m", NOT_QUICK]


@pytest.mark.parametrize(
    ("arguments", "passed"),
    [
        (["-k", "a or b", "-n0"], ["-m", "pytest", "-k", "a or b", "-n0"]),
        (["--quick"], [*QUICK, "tests/unit"]),
        (["--quick", "-x"], [*QUICK, "tests/unit", "-x"]),
        (["-x", "--quick", "scripts/dicomzarr"], [*QUICK, "-x", "scripts/dicomzarr"]),
    ],
)
def test_arguments_are_passed_to_pytest(tmp_path: Path, arguments: list[str], passed: list[str]) -> None:
    project = Project(tmp_path).with_environment()
    project.run("test", *arguments)
    (call,) = project.called("python")
    assert call["arguments"] == passed
    assert call["cwd"] == str(project.root)


def test_the_benchmark_has_the_project_on_its_path(tmp_path: Path) -> None:
    project = Project(tmp_path).with_environment()
    project.run("bench", "--only", "ct", cwd=project.elsewhere)
    (call,) = project.called("python")
    assert call["arguments"] == ["-m", "benchmarks.bench", "--only", "ct"]
    assert call["cwd"] == str(project.elsewhere)
    assert call["env"]["PYTHONPATH"] == f"{project.root}:{project.root / 'scripts'}"  # type: ignore[index]
