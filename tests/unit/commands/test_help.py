"""`./run` explains itself at once, without an environment and with an old Python; mistyped commands get the closest."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
from pathlib import Path

import pytest
from conftest import ROOT
from launched_project import Project

from dicomzarr.commands.launcher import command_table, help_texts
from dicomzarr.vocabulary.rules import RULES

COMMANDS = ROOT / "scripts" / "dicomzarr" / "commands"
OLDEST = sorted(Path.home().glob(".pyenv/versions/3.[6-9].*/bin/python"))[:1]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A checkout without an environment, and a PATH without anything."""
    return Project(tmp_path_factory.mktemp("help"))


def test_the_help_imports_little(project: Project) -> None:
    imported = project.imported(cwd=project.elsewhere)
    assert len(imported) < 100 and not {"subprocess", "shutil", "argparse", "json", "pathlib"} & {*imported}
    ours = {name for name in imported if name.startswith("dicomzarr.")}
    needed = ("", ".launcher", ".launcher.command_table", ".launcher.help_texts")
    assert ours == {f"dicomzarr.commands{name}" for name in needed}


def test_run_alone_explains_itself_in_one_screen(project: Project) -> None:
    done = project.run(cwd=project.elsewhere)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert len(lines) <= 24 and max(map(len, lines)) <= 60
    for command in command_table.COMMANDS:
        assert command.name.removeprefix("export_") in done.stdout.replace(",", "").split()
    assert not project.venv.exists() and not list(project.elsewhere.iterdir())
    for arguments in (("help",), ("--help",), ("-h",)):
        assert project.run(*arguments).stdout == done.stdout


@pytest.mark.parametrize("name", ["", *(command.name for command in command_table.COMMANDS)])
def test_the_help_of_a_command_is_one_screen_and_fits_narrow_ones(name: str) -> None:
    command = command_table.BY_NAME[name]
    for columns in (60, 80):
        lines = help_texts.help_of(command, columns).splitlines()
        assert max(len(line) for line in lines if not line.endswith(command.examples)) <= columns
        assert len(lines) <= 24 or columns < 80
    assert lines[0].startswith(f"./run {name}".strip())
    assert all(option.name in "\n".join(lines) for option in command.options)


def test_each_command_has_its_help_without_an_environment(project: Project) -> None:
    for arguments in (["status", "--configfile", "none.yaml", "--help"], ["help", "status"], ["status", "-h"]):
        done = project.run(*arguments, COLUMNS="60")
        assert (done.returncode, done.stdout) == (0, help_texts.help_of(command_table.BY_NAME["status"], 60))
    assert project.run("--cores", "2", "--help").stdout == help_texts.help_of(command_table.RUN, 80)
    assert not project.venv.exists()


def test_the_help_names_results_wherever_it_is_understood() -> None:
    understand = [each for each in (command_table.RUN, *command_table.COMMANDS) if each.passes_on == "Snakemake"]
    without = {each.name for each in understand if command_table.RESULTS not in each.options}
    assert without == {"demo", "snakemake"}  # the demo has its own; the other is Snakemake itself


def test_the_help_of_snakemake_is_its_own(tmp_path: Path) -> None:
    project = Project(tmp_path).with_environment()
    assert project.run("snakemake", "--help").returncode == 0
    assert project.called("snakemake")[0]["arguments"] == ["--help"]


def test_every_command_can_be_run() -> None:
    for command in command_table.COMMANDS:
        assert callable(getattr(importlib.import_module(f"dicomzarr.commands.{command.module}"), command.function))
    assert {rule.name for rule in RULES if rule.name.startswith("export_")} == {
        name for name, _, _ in command_table.EXPORTS
    }


def test_the_readme_has_the_same_exit_codes() -> None:
    (text,) = re.findall(r"^A run exits with .*?\n\n", (ROOT / "README.md").read_text(), re.M | re.S)
    codes = [code for code, _ in command_table.EXIT_CODES]
    assert [int(code) for code in re.findall(r"with (\d)\b", text)] == [code for code in codes if code < 128]
    assert "128 and the number of the signal" in text and "130 for Ctrl-C" in text


def test_a_reader_that_stops_early_is_no_error(project: Project) -> None:
    with subprocess.Popen(
        project.command(), env=project.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout and process.stderr
        process.stdout.close()
        assert process.stderr.read() == b""


# ---- Mistyped commands


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["repot"], "no command or rule 'repot'; the closest is 'report'"),
        (["repot", "--help"], "the closest is 'report'"),
        (["Status"], "the closest is 'status'"),
        (["export-png"], "the closest is 'export_png'"),
        (["export_niftii", "--cores", "2"], "the closest is 'export_nifti'"),
        (["index_header"], "the closest is 'index_headers'"),
        (["help", "verfy"], "no command 'verfy'; the closest is 'verify'"),
        (["export"], "'export_nnunet', 'export_npz', 'export_png'"),
        (["qwxyz"], "no command or rule 'qwxyz'. See ./run help"),
        (["run", "--cores", "2"], "a run needs no command: ./run --cores 8 --configfile my.yaml"),
    ],
)
def test_a_mistyped_command_gets_the_closest(project: Project, arguments: list[str], says: str) -> None:
    done = project.run(*arguments, cwd=project.elsewhere)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith("run: ") and says in done.stderr
    assert not project.venv.exists()


# ---- Old Pythons


LAUNCHER = ("command_table.py", "help_texts.py", "json_output.py", "__init__.py")
STARTING = tuple(f"commands/launcher/{name}" for name in LAUNCHER)


@pytest.mark.parametrize("path", [*STARTING, "commands/__init__.py", "__init__.py"])
def test_an_old_python_can_parse_the_help(path: str) -> None:
    ast.parse((COMMANDS.parent / path).read_text(encoding="utf-8"), feature_version=(3, 6))


@pytest.mark.parametrize("python", OLDEST or [Path()], ids=lambda path: path.parts[-3] if path.name else "none")
def test_an_old_python_prints_the_help(project: Project, python: Path) -> None:
    if not python.name:
        pytest.skip("no Python before 3.10 is installed by pyenv")
    environment = project.environment(LC_ALL="C")
    for arguments, status, says in (
        ([], 0, help_texts.overview()),
        (["files", "--help"], 0, help_texts.help_of(command_table.BY_NAME["files"], 80)),
        (["repot"], 2, "run: there is no command or rule 'repot'; the closest is 'report'. See ./run help\n"),
    ):
        command = [str(python), "-B", str(project.root / "run"), *arguments]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout + done.stderr) == (status, says)
