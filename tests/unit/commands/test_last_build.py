"""The copy of the last build: what changed since, and a kill at any point of its replacement."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dicomzarr.commands import diff
from dicomzarr.commands.run import last_build
from dicomzarr.system.results_folder import Results

EVENTS = ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.scandir")


def build(results: Results, seal: str, *arrays: str) -> None:
    """Write the tables of a sealed dataset with these arrays."""
    results.dataset.mkdir(parents=True, exist_ok=True)
    sealed = {"digest": seal, "seal": seal, "key_check": "k", "counts": {}, "config": {}, "software": {}}
    results.sealed.write_text(json.dumps(sealed))
    rows = "".join(f"{array},{seal},1\n" for array in arrays)
    (results.dataset / "volumes.csv").write_text("array,pixel_digest,frames\n" + rows)
    (results.dataset / "masks.csv").write_text("array,mask,pixel_digest\n")


def keep(results: Results) -> dict[str, Any] | None:
    differences = last_build.compared(results)
    last_build.replace(results, differences, {"arrays": 1})
    return differences


def test_a_copy_is_compared_and_then_replaced(tmp_path: Path) -> None:
    results = Results(tmp_path)
    build(results, "one", "a/1")
    assert not last_build.is_current(results)
    assert keep(results) is None and not last_build.changes_file(results).exists()
    assert last_build.is_current(results) and last_build.facts(results) == {"arrays": 1}
    build(results, "two", "a/1", "b/1")
    assert not last_build.is_current(results)
    keep(results)
    changes = json.loads(last_build.changes_file(results).read_bytes())
    assert changes["volumes"]["added"] == ["b/1"] and list(changes["volumes"]["changed"]) == ["a/1"]
    assert diff.compare(diff.read(results.private / "last_build"), diff.read(results.dataset))["same_seal"]


def test_damaged_facts_are_none_and_are_kept_again(tmp_path: Path) -> None:
    results = Results(tmp_path)
    build(results, "one", "a/1")
    keep(results)
    path = results.private / "last_build" / last_build.FACTS
    for damaged in (path.read_bytes().replace(b"1", b"2", 1), path.read_bytes()[:-9], b"{}", b""):
        path.write_bytes(damaged)
        assert last_build.facts(results) == {}
        last_build.keep_facts(results, {"arrays": 1})
        assert last_build.facts(results) == {"arrays": 1}
    path.unlink()
    path.mkdir()
    assert last_build.facts(results) == {}
    last_build.keep_facts(results, {"arrays": 1})
    assert last_build.facts(results) == {"arrays": 1} and path.stat().st_mode & 0o777 == 0o600


def test_an_unsealed_dataset_is_never_the_last_build(tmp_path: Path) -> None:
    results = Results(tmp_path)
    build(results, "one", "a/1")
    results.sealed.unlink()
    assert not last_build.is_current(results)
    with pytest.raises(diff.NoDataset):
        last_build.compared(results)


def killed_at(number: int, work: Callable[[], object]) -> bool:
    """Do some work in a child that is killed at its nth call of the file system; return whether it was."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -9
    calls = 0

    def count(event: str, _: object) -> None:
        nonlocal calls
        if event in EVENTS:
            calls += 1
            if calls == number:
                os.kill(os.getpid(), 9)

    sys.addaudithook(count)
    try:
        work()
    finally:
        os._exit(0)


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_kill_at_any_point_loses_neither_copy_nor_differences(tmp_path: Path) -> None:
    number, was_killed = 0, True
    while was_killed:
        number += 1
        results = Results(tmp_path / str(number))
        build(results, "one", "a/1")
        keep(results)
        build(results, "two", "a/1", "b/1")
        was_killed = killed_at(number, lambda results=results: keep(results))  # type: ignore[misc]
        if not last_build.is_current(results):
            differences = keep(results)
            assert differences is not None and differences["volumes"]["added"] == ["b/1"], number
        changes = json.loads(last_build.changes_file(results).read_bytes())
        assert changes["volumes"]["added"] == ["b/1"], number
        assert last_build.facts(results) == {"arrays": 1}
        build(results, "three", "b/1")
        assert (keep(results) or {})["volumes"]["retired"] == ["a/1"], number
        left = {path.name for path in results.private.iterdir() if not path.name.endswith(".partial")}
        assert left == {"changes.json", "last_build"}  # the next run deletes partial files
    assert number > 20
