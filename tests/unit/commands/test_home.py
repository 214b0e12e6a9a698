"""Snakemake starts for users without name and home, and where the home is full or cannot be written."""

from __future__ import annotations

import os
import resource
import tempfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from conftest import Launch, Workflow

from dicomzarr.commands.launcher import home
from dicomzarr.vocabulary.errors import UserError

NOBODY = 2**31 - 17  # a user id without a line in the list of users


@pytest.mark.parametrize(
    ("variables", "added"),
    [
        ({}, {"USER": f"uid{NOBODY}", "HOME": "/"}),
        ({"HOME": "", "USER": ""}, {"USER": f"uid{NOBODY}", "HOME": "/"}),
        ({"HOME": "/home/x"}, {"USER": f"uid{NOBODY}"}),
        ({"HOME": "here", "LOGNAME": "x"}, {"HOME": "/"}),
        ({"HOME": "/home/x", "USER": "x"}, {}),
    ],
)
def test_a_user_whom_the_system_does_not_know_gets_a_name_and_a_home(
    variables: Mapping[str, str], added: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert home.of_a_nameless_user(variables) == {}
    monkeypatch.setattr(os, "getuid", lambda: NOBODY)
    assert home.of_a_nameless_user(variables) == added


def test_a_cache_that_cannot_be_written_is_replaced_for_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with home.writable_cache({"XDG_CACHE_HOME": str(tmp_path)}) as added:
        assert added == {}
    with home.writable_cache({"XDG_CACHE_HOME": os.devnull}) as added:
        (folder,) = added.values()
        assert os.path.isdir(folder) and [*added] == ["XDG_CACHE_HOME"]
    assert not os.path.exists(folder)
    monkeypatch.setattr(home, "_can_be_written", lambda folder: False)
    nowhere = pytest.raises(UserError, match=f"neither {tmp_path} nor {tempfile.gettempdir()} can be")
    with nowhere, home.writable_cache({"XDG_CACHE_HOME": str(tmp_path)}):
        pass


def test_a_limit_on_the_size_of_files_is_named_as_such(tmp_path: Path) -> None:
    """`ulimit -f`: the disk is not full, and another folder does not help."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 10, before[1]))
    try:
        with pytest.raises(UserError, match="raise ulimit -f"), home.writable_cache({"XDG_CACHE_HOME": str(tmp_path)}):
            pass
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize(("words", "status"), [(["status"], 2), (["", "-n"], 0)])
def test_commands_work_with_a_home_that_cannot_be_written(
    words: list[str], status: int, workflow: Workflow, launch: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    workflow.source.mkdir(exist_ok=True)
    (workflow.source / "notes.txt").write_text("no image")
    workflow.write_config()
    monkeypatch.setenv("HOME", os.devnull)
    done = launch(workflow, *words)
    assert done.returncode == status, done.stderr
