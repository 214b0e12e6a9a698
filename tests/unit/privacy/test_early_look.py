"""What was looked at while the run began is not looked at again, unless the run has written it since."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from waiting import HANG

from dicomzarr.privacy import early_look, series_groups
from dicomzarr.privacy.identifiers import IDENTIFIERS, IdentifierFile, identifiers_of
from dicomzarr.records.batch_record import (
    CHECK,
    EXTRACT,
    BatchRecord,
    CheckBatchRecord,
    batch_record_path,
    load_extracted,
)
from dicomzarr.stages import check_privacy
from dicomzarr.system import files, locks
from dicomzarr.system.project import SCRIPTS
from dicomzarr.system.results_folder import Results

SERIES = [f"{first}000000000000000" for first in "0123"]  # of a group each, two in each of the batches
BATCHES = {"0002-0000": SERIES[:2], "0002-0001": SERIES[2:]}


def begin_run(results: Results) -> None:
    (results.private / locks.RUN).write_text(f'{{"pid": {time.monotonic_ns()}, "since": "now"}}')


def write_records(results: Results, batch: str, rules: tuple[str, ...] = (EXTRACT, CHECK)) -> None:
    """Write the records of a batch, as its jobs do after they have written arrays and pictures."""
    for rule in rules:
        record = (
            BatchRecord(series=dict.fromkeys(BATCHES[batch], "x"), records_digest="y")
            if rule == EXTRACT
            else CheckBatchRecord(depth=(), size=())
        )
        files.write_atomically(batch_record_path(results, rule, batch), record.to_bytes().data, private=True)


@pytest.fixture
def results(tmp_path: Path) -> Results:
    """Return results that were searched in an earlier run; another run has begun."""
    folders = Results(tmp_path / "results")
    identifiers = IdentifierFile(files.make_private(folders.private / "cache") / IDENTIFIERS, "code")
    identifiers.add([*identifiers_of("PN", b"Zyxwolf^Canaria")])
    identifiers.save()
    for series in SERIES:
        for folder in (folders.images, folders.pictures):
            (folder / series).mkdir(parents=True)
            (folder / series / "note.json").write_text('{"kind": "ponyhof"}')
    for batch in BATCHES:
        write_records(folders, batch)
    begin_run(folders)
    search(folders)
    begin_run(folders)
    return folders


def search(results: Results) -> int:
    return check_privacy.check_privacy(results, results.root.parent, "standard", "code")


def looked_at(results: Results) -> Mapping[str, str]:
    return early_look.looked_at(results, lambda batch: load_extracted(results, batch).series)


def leak(folder: Path) -> None:
    (folder / "note.json").write_text('{"kind": "zyxwolf"}')


@pytest.fixture
def stats(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the list of the paths whose stats are asked for."""
    asked: list[str] = []
    lstat = os.lstat

    def noted(path: str | Path, **options: int) -> os.stat_result:
        asked.append(os.fspath(path))
        return lstat(path, **options)

    monkeypatch.setattr(series_groups.os, "lstat", noted)
    return asked


def among_series(paths: list[str]) -> list[str]:
    return [path for path in paths if any(series in path for series in SERIES)]


def test_no_stat_is_asked_for_twice(results: Results, stats: list[str]) -> None:
    early_look.look(results)
    assert len(among_series(stats)) == 2 * 2 * len(SERIES)  # images and pictures, folder and file
    stats.clear()
    assert search(results) == 0
    assert among_series(stats) == []
    begin_run(results)
    assert search(results) == 0
    assert len(among_series(stats)) == 2 * 2 * len(SERIES)


@pytest.mark.parametrize("rule", [EXTRACT, CHECK])
@pytest.mark.parametrize("place", ["images", "pictures"])
def test_what_the_run_writes_after_the_look_is_searched(results: Results, rule: str, place: str) -> None:
    early_look.look(results)
    leak(getattr(results, place) / SERIES[2])
    write_records(results, "0002-0001", (rule,))
    assert {name[-3:] for name in looked_at(results)} == {"000", "100"}
    with pytest.raises(check_privacy.PrivacyProblem, match=rf"value_in_file in .*{SERIES[2]}/note.json"):
        search(results)


@pytest.mark.parametrize("place", ["images", "pictures"])
def test_what_changed_before_the_look_is_searched(results: Results, place: str) -> None:
    leak(getattr(results, place) / SERIES[3])
    early_look.look(results)
    with pytest.raises(check_privacy.PrivacyProblem, match=rf"value_in_file in .*{SERIES[3]}/note.json"):
        search(results)


def test_series_that_come_after_the_look_are_searched(results: Results) -> None:
    early_look.look(results)
    for series in ("0001000000000000", "f000000000000000"):
        (results.images / series).mkdir()
        leak(results.images / series)
        with pytest.raises(check_privacy.PrivacyProblem, match=rf"value_in_file in .*{series}/note.json"):
            search(results)
        (results.images / series / "note.json").unlink()


def damage(results: Results) -> None:
    path = results.private / "cache" / early_look.LOOK
    path.write_bytes(path.read_bytes().replace(b'"boot"', b'"Boot"'))


def remove_a_record_of_its_series(results: Results) -> None:
    """Leave a batch whose series cannot be known: its extraction was not recorded, its check was repeated."""
    batch_record_path(results, EXTRACT, "0002-0001").unlink()
    write_records(results, "0002-0001", (CHECK,))


WORTHLESS: dict[str, Callable[[Results], object]] = {
    "of another run": begin_run,
    "damaged": damage,
    "missing": lambda results: (results.private / "cache" / early_look.LOOK).unlink(),
    "a record is missing": remove_a_record_of_its_series,
}


@pytest.mark.parametrize("case", WORTHLESS)
def test_a_look_that_says_nothing_is_not_used(results: Results, case: str) -> None:
    early_look.look(results)
    WORTHLESS[case](results)
    assert looked_at(results) == {}
    leak(results.images / SERIES[0])
    with pytest.raises(check_privacy.PrivacyProblem, match="note.json"):
        search(results)


@pytest.mark.parametrize("seconds", [-1.0, early_look.MAX_AGE + 1])
def test_an_old_look_is_not_used(results: Results, seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    early_look.look(results)
    now = time.monotonic()
    monkeypatch.setattr(early_look.time, "monotonic", lambda: now + seconds)
    assert looked_at(results) == {}


def test_the_look_is_a_process_that_ends_with_its_parent(results: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    early_look.begin(results)
    assert not early_look._begun  # four series are not worth a process
    monkeypatch.setattr(early_look, "_WORTH", 1)
    early_look.begin(results)
    assert early_look._begun.pop().wait(HANG) == 0
    assert len(looked_at(results)) == 2 * len(SERIES)
    command = [sys.executable, "-P", "-m", early_look.__name__, str(results.root), "1"]
    (results.private / "cache" / early_look.LOOK).unlink()
    ended = subprocess.run(command, env={**os.environ, "PYTHONPATH": str(SCRIPTS)}, timeout=HANG, check=False)
    assert ended.returncode == 1  # the process that wanted it is another one, or dead
    assert looked_at(results) == {}
