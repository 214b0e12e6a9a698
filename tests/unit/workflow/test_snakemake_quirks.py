"""What leans on the inside of Snakemake, against the one that is installed."""

from __future__ import annotations

import sys
import types
from pathlib import Path

import pytest
from conftest import ROOT

from dicomzarr.workflow.snakemake_quirks import (
    all_options,
    cause_of,
    common_options,
    leave_out_pandas,
    planned_jobs,
)


def is_left_out() -> bool:
    return "pandas" in sys.modules and sys.modules["pandas"] is None


@pytest.fixture(autouse=True)
def nothing_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "pandas"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "pandas", types.ModuleType("pandas"))  # so that it is put back afterwards
    del sys.modules["pandas"]


def test_our_own_workflow_goes_without() -> None:
    leave_out_pandas(ROOT / "Snakefile")
    assert is_left_out()
    with pytest.raises(ModuleNotFoundError):
        import pandas  # noqa: F401


def test_a_plugin_or_another_workflow_finds_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    leave_out_pandas(tmp_path / "Snakefile")
    assert not is_left_out()
    monkeypatch.setitem(sys.modules, "snakemake_executor_plugin_slurm", types.ModuleType("a plugin"))
    leave_out_pandas(ROOT / "Snakefile")
    assert not is_left_out()


def test_what_is_loaded_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("pandas")
    monkeypatch.setitem(sys.modules, "pandas", module)
    leave_out_pandas(ROOT / "Snakefile")
    assert sys.modules["pandas"] is module


# ---- Which jobs a dry run would start


@pytest.mark.snakemake
def test_the_cause_of_a_job_is_told_by_snakemakes_own_reason() -> None:
    from snakemake import jobs

    due = jobs.Reason()
    assert cause_of(due) == ""  # due, for what is not known here
    due.updated_input_run.add("a")
    due.updated_input.add("a")
    assert cause_of(due) is None  # another job is the cause
    due.params_changed = True
    assert cause_of(due) == "params_changed"
    due.updated_input.add("b")
    assert cause_of(due) == "input_updated"
    due.missing_output.add("c")
    assert cause_of(due) == "output_missing"
    due.forced = True
    assert cause_of(due) == "forced"


@pytest.mark.parametrize(("dag", "reasons"), [(None, []), (object(), [{"reason": "jobs_unknown"}])])
def test_a_dag_that_ended_early_or_is_of_another_version(dag: object, reasons: list[object]) -> None:
    assert planned_jobs(types.SimpleNamespace(dag=dag)) == reasons


@pytest.mark.snakemake
def test_the_options_of_snakemake_are_those_of_its_parser() -> None:
    options = set(all_options())
    assert {"--cores", "--configfile", "--dry-run", "-c", "--cluster-generic-submit-cmd"} <= options
    assert common_options() - {"--"} <= options and len(common_options()) > 100
