"""`--json` prints one object, also where a command fails before it has one of its own."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest
from launched_project import Project

from dicomzarr.commands import __main__ as commands
from dicomzarr.commands import verify
from dicomzarr.commands.launcher import json_output
from dicomzarr.commands.launcher.command_table import COMMANDS, JSON
from dicomzarr.commands.launcher.processes import Stopped

WITH_JSON = [command.name for command in COMMANDS if JSON.name in [option.name for option in command.options]]


@pytest.mark.snakemake
@pytest.mark.parametrize("command", ["", *WITH_JSON])
@pytest.mark.parametrize("mistake", [["--nope"], ["--configfile", "nowhere.yaml"], ["--results"]])
def test_a_mistake_in_the_arguments_is_an_object_too(
    command: str,
    mistake: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    status = commands.main([*filter(None, [command]), JSON.name, *mistake])
    printed, said = capsys.readouterr()
    answer = json.loads(printed)
    assert status and answer.pop("status") == status and f"run: {answer.pop('error')}\n" in said and not answer
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["files"], 1),
        (["audit"], 1),
        (["audit", "--needles", "nowhere.txt"], 2),
        (["review", "--list"], 1),
        (["explain", "12"], 1),
        (["explain"], 2),
        (["diff", "one", "two"], 2),
        (["verify", "--dataset", "nowhere"], 1),
    ],
)
def test_results_that_are_not_there_are_an_object_too(
    arguments: list[str],
    status: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert commands.main([*arguments, JSON.name]) == status
    printed, said = capsys.readouterr()
    answer = json.loads(printed)
    assert answer["status"] == status and said.splitlines()[-1].endswith(answer["error"])
    assert commands.main(arguments) == status and not capsys.readouterr().out


@pytest.mark.parametrize("command", ["files", "audit", "review", "explain", "report"])
def test_a_file_and_a_dataset_in_place_of_results_are_named(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    Path("dataset").mkdir()
    Path("dataset/volumes.csv").touch()
    array = ["12"] if command == "explain" else []
    for place, words in (
        ("file", "'file' is a file; needed is a results folder"),
        ("dataset", "'dataset' is a dataset folder; needed is the results folder around it, which has private/ too"),
    ):
        assert commands.main([command, *array, "--results", place]) == 1
        assert capsys.readouterr().err == f"run: {words}\n"


def test_a_signal_leaves_an_object(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def stop(_: list[str]) -> int:
        raise Stopped(signal.SIGTERM)

    monkeypatch.setattr(verify, "run_verify", stop)
    assert commands.main(["verify", JSON.name]) == 143
    assert json.loads(capsys.readouterr().out) == {"status": 143, "error": "ended by SIGTERM"}


@pytest.mark.parametrize(
    ("arguments", "asked"),
    [
        (["status", "--json"], True),
        (["--json"], True),
        (["statsu", "--json"], True),
        (["status"], False),
        (["report", "--json"], False),  # it has no such option
        (["explain", "--", "--json"], False),
        ([], False),
    ],
)
def test_who_asks_for_an_object(arguments: list[str], asked: bool) -> None:
    assert json_output.is_asked(arguments) == asked


def test_the_launcher_prints_it_without_an_environment(tmp_path: Path) -> None:
    project = Project(tmp_path)
    done = project.run("statsu", "--json")
    assert done.returncode == 2 and json.loads(done.stdout)["error"].startswith("there is no command or rule 'statsu'")
    assert not project.venv.exists()


def test_a_repair_is_part_of_the_object(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The table of the run that repairs would stand behind the object."""
    verdict = {"good": False, "findings": [["damaged", "x"]], "unfinished": "", "lines": ["damaged x"]}

    def snakemake(_: list[str], __: Path, **changes: str) -> int:
        Path(changes["DICOMZARR_VERDICT"]).write_text(json.dumps(verdict))
        return 0

    def run(arguments: list[str], *, show: object) -> int:
        assert arguments == [JSON.name] and callable(show)
        show({"status": 0})
        return 0

    monkeypatch.setattr(verify, "call_snakemake", snakemake)
    monkeypatch.setattr(verify, "run_snakemake", run)
    assert commands.main(["verify", "--repair", JSON.name]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer == {"good": False, "findings": [["damaged", "x"]], "unfinished": "", "repair": {"status": 0}}
