"""What the main process does not load, and who still finds it."""

from __future__ import annotations

import sys
import types
from pathlib import Path

import pytest
from conftest import ROOT

from dicomzarr.workflow.snakemake_quirks import leave_out_pandas


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
