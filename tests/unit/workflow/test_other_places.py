"""Paths that another workflow gives the rules of this one, and several readings of the Snakefile."""

from __future__ import annotations

import errno
import types
from pathlib import Path

import pytest

from dicomzarr.vocabulary.errors import UserError
from dicomzarr.workflow.main_process import _refuse_other_places, errors_in_one_line
from dicomzarr.workflow.snakemake_quirks import module_readings


@pytest.mark.parametrize("output", ["/data/out/private/headers.jsonl", "pre/out/private/headers.jsonl"])
def test_results_in_two_places_are_refused(output: str) -> None:
    rules = types.SimpleNamespace(index_headers=types.SimpleNamespace(output=["out/private/headers.jsonl"]))
    _refuse_other_places("out", rules, Path.cwd())
    rules.index_headers.output.append(output)
    with pytest.raises(UserError, match=f"the configuration says 'out', and a rule writes '{output}'"):
        _refuse_other_places("out", rules, Path.cwd())


def test_a_working_directory_that_comes_later_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="workdir: comes after"):
        _refuse_other_places("out", types.SimpleNamespace(), tmp_path)


def test_of_several_readings_the_last_one_prepares(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(module_readings, "_waiting", {})
    done: list[str] = []
    workflow = types.SimpleNamespace(_prepare_dag=lambda: done.append("DAG"))
    for results, given, name in (("one", 1, "a"), ("two", 2, "b"), ("one", 1, "c")):
        module_readings.prepare_after_reading(workflow, tmp_path / results, given, lambda name=name: done.append(name))
    with pytest.raises(UserError, match="two modules have the same folder"):
        module_readings.prepare_after_reading(workflow, tmp_path / "one", 2, lambda: None)
    workflow._prepare_dag()
    assert done == ["c", "b", "DAG"]


def test_without_the_method_of_snakemake_each_reading_prepares(tmp_path: Path) -> None:
    done: list[int] = []
    module_readings.prepare_after_reading(types.SimpleNamespace(), tmp_path, 1, lambda: done.append(1))
    assert done == [1]


def test_a_full_disk_is_no_fault_of_the_program(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit), errors_in_one_line():
        raise OSError(errno.ENOSPC, "text", "/archive/patient-beta")
    shown = capsys.readouterr().err
    assert "No space left on device" in shown and "issue" not in shown and "patient" not in shown
