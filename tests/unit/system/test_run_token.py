"""The token of a run: jobs of a run that is over refuse to work."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

from dicomzarr.system import run_token


@pytest.fixture(autouse=True)
def no_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(run_token.VARIABLE, "")  # so that it is put back afterwards
    monkeypatch.delenv(run_token.VARIABLE)
    monkeypatch.setattr(run_token, "_begun", [])


def test_the_jobs_of_the_current_run_may_work(tmp_path: Path) -> None:
    token = run_token.begin(tmp_path)
    run_token.check(tmp_path)
    assert stat.S_IMODE((tmp_path / "run.json").stat().st_mode) == 0o600
    run_token.end(tmp_path, token)


@pytest.mark.parametrize("file", ['{"token": "another"}', "{}", "", None])
def test_the_jobs_of_another_run_may_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str | None) -> None:
    monkeypatch.setenv(run_token.VARIABLE, "mine")
    if file is not None:
        (tmp_path / "run.json").write_text(file)
    with pytest.raises(run_token.Superseded):
        run_token.check(tmp_path)


def test_a_job_waits_for_a_token_that_appears_late(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(run_token.VARIABLE, "mine")
    writes = "import sys, time; time.sleep(0.3); open(sys.argv[1], 'w').write('{\"token\": \"mine\"}')"
    with subprocess.Popen([sys.executable, "-c", writes, str(tmp_path / "run.json")]):
        run_token.check(tmp_path, latency=60)


def test_ending_a_run_keeps_the_token_of_a_newer_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    older = run_token.begin(tmp_path)
    monkeypatch.setattr(run_token, "_begun", [])  # as in another process
    newer = run_token.begin(tmp_path)
    assert newer != older
    run_token.end(tmp_path, older)
    assert run_token.current(tmp_path) == newer
    run_token.end(tmp_path, newer)
    assert not (tmp_path / "run.json").exists()


def test_a_process_that_is_not_killed_ends_its_run(tmp_path: Path) -> None:
    program = "import sys; from pathlib import Path; from dicomzarr.system import run_token\n"
    program += "print(run_token.begin(Path(sys.argv[1])), flush=True)"
    environment = os.environ | {"PYTHONPATH": str(ROOT / "scripts")}
    command = [sys.executable, "-c", program, str(tmp_path)]
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
    assert list(tmp_path.iterdir()) == []
    killed = command[:2] + [program + "; import os; os.kill(os.getpid(), 9)", str(tmp_path)]
    printed = subprocess.run(killed, env=environment, check=False, stdout=subprocess.PIPE, text=True).stdout
    assert json.loads((tmp_path / "run.json").read_text()) == {"token": printed.strip()}


def test_a_workflow_of_two_datasets_has_one_token(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    assert run_token.begin(tmp_path / "a") == run_token.begin(tmp_path / "b")
    for name in ("a", "b"):
        run_token.check(tmp_path / name)
        run_token.end(tmp_path / name, run_token.current(tmp_path / name))


def test_a_process_outside_of_any_run_may_work(tmp_path: Path) -> None:
    run_token.check(tmp_path)
