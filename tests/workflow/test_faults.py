"""Errors of the disk and kills at named instants: nothing looks whole that is not, and the same command heals all."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from conftest import FULL, ROOT, Run, Workflow, leftovers
from dicoms import save_series
from edits import ids_of
from forks import Forks
from from_scratch import dataset_digest, options
from project_copy import copy_of_the_project, edit

from dicomzarr.privacy import pseudonyms
from dicomzarr.records import rule_record
from dicomzarr.records.series_record import SeriesRecord
from dicomzarr.stages import verify_dataset
from dicomzarr.stages.extract_batch import batch as extract
from dicomzarr.system import files, json_files
from dicomzarr.system.results_folder import Results
from dicomzarr.vocabulary.errors import SourceChanged

CALLS = ("write", "fsync", "rename", "open", "read")  # read: to open a file to read it
ERRORS = {"ENOSPC": 28, "EIO": 5, "EDQUOT": 122, "EACCES": 13}
LASTING = ("ENOSPC", "EDQUOT")  # a full disk stays full; the others come once
# One of each call and each error in CI; where all is asked for, each at each of the first 40 calls, and later ones of
# a whole run at steps that meet every job.
SOME = [
    ("write", "ENOSPC", 3), ("write", "EIO", 31), ("fsync", "EIO", 9), ("rename", "EDQUOT", 17), ("open", "EACCES", 22),
    ("open", "EIO", 12), ("read", "EIO", 40),
]  # fmt: skip
COUNTS = [*range(1, 41), *range(43, 600, 6)]
FAULTS = [(call, error, count) for call in CALLS for error in ERRORS for count in COUNTS] if FULL else SOME
# Before (1) and after (2) the Nth fsync and rename of a run: each point of publication, to the last.
KILLS = [(call, how, n) for call in ("fsync", "rename") for how in "12" for n in range(1, 201)]
KILLS = KILLS if FULL else [("fsync", "1", 14), ("fsync", "2", 25), ("rename", "1", 12), ("rename", "2", 23)]
# Opening the Nth file of the source, or all from then on: for their headers first, then for their pixels.
OPENINGS = [(error, count, always) for error in ("EIO", "EACCES") for count in range(1, 41) for always in (False, True)]
OPENINGS = OPENINGS if FULL else [("EIO", 14, True)]
SECRET = "Made^Up"

_calls: dict[str, int] = {}  # how many calls of a kind a whole run has, once that is known


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, forks: Forks | None) -> tuple[Path, str]:
    workflow = Workflow(tmp_path_factory.mktemp("undisturbed"), {}, {"DICOMZARR_KEY": "k" * 32}, forks=forks)
    for number in range(3):
        save_series(workflow.source / str(number), f"series-{number}", 3)
    return workflow.source, workflow.run().sealed["digest"]


@pytest.fixture
def victim(workflow: Workflow, undisturbed: tuple[Path, str], forks: Forks | None) -> Iterator[Workflow]:
    """A workflow on that source whose results lie where the shim looks; where there are thousands, none is kept."""
    workflow.config = {"source": str(undisturbed[0]), "results": str(workflow.results)}
    workflow.forks = forks
    yield workflow
    if FULL:
        shutil.rmtree(workflow.folder)


def disturbed(workflow: Workflow, shim: Path, call: str, count: int, **faults: str) -> Run:
    """Run once with faults; skipped where a whole run has fewer such calls."""
    if count > _calls.get(call, count):
        pytest.skip("a whole run has fewer such calls")
    done = strained(workflow, shim, FAULT_CALL=call, FAULT_AT=str(count), **faults)
    seen = int.from_bytes((workflow.folder / "count").read_bytes(), "little")
    if seen < count:
        assert FULL and done.process.returncode == 0, "the run has fewer such calls: nothing was tested"
        _calls[call] = seen
        pytest.skip("a whole run has fewer such calls")
    return done


def strained(workflow: Workflow, shim: Path, **faults: str) -> Run:
    """Run once with faults; the shim kills the whole group of the run."""
    workflow.write_config()
    counter = workflow.folder / "count"
    counter.write_bytes(bytes(8))
    below = {"FAULT_COUNT": str(counter), "FAULT_BELOW": str(workflow.results.resolve()), "LD_PRELOAD": str(shim)}
    return Run(workflow.snakemake("--cores", "2", **{**below, **faults}), workflow.results)


def false_records(results: Results) -> list[str]:
    """Return the files that a record of any kind speaks for and that are not as it says."""
    found = []
    for record in results.records.glob("extract_batch/*/*.json"):
        for name, (size, digest) in SeriesRecord.load(record).claimed_files().items():
            path = results.images / name
            if not path.exists() or path.stat().st_size != size or files.sha256_of(path) != digest:
                found.append(name)
    for record in [*results.records.glob("*.json"), *results.records.glob("*_batch/*.json")]:
        for name, (size, digest) in rule_record.load_common(record).claims.items():
            path = results.root / name
            if not path.exists() or path.stat().st_size != size or digest not in ("", files.sha256_of(path)):
                found.append(name)
    return found


def looks_whole_only_if_it_is(results: Results, digest: str) -> None:
    """Nothing has a record or a seal that is not as it says."""
    assert not false_records(results)
    if verify_dataset.verify(results).good or results.sealed.exists():
        assert dataset_digest(results.dataset) == digest
        assert json_files.read_json(results.sealed)["digest"] == digest


def heals(workflow: Workflow, digest: str) -> None:
    assert workflow.run().sealed["digest"] == digest
    assert dataset_digest(workflow.results / "dataset") == digest
    assert verify_dataset.verify(Results(workflow.results)).good
    assert not false_records(Results(workflow.results))
    assert not leftovers(workflow.results)


@pytest.mark.parametrize(("call", "error", "count"), FAULTS)
def test_an_error_of_the_disk_fails_the_run_and_the_next_one_heals(
    victim: Workflow, shim: Path, undisturbed: tuple[Path, str], call: str, error: str, count: int
) -> None:
    always = {"FAULT_ALWAYS": "1"} if error in LASTING else {}
    done = disturbed(victim, shim, call, count, FAULT_ERRNO=str(ERRORS[error]), **always)
    assert SECRET not in done.output
    looks_whole_only_if_it_is(Results(victim.results), undisturbed[1])
    if done.process.returncode == 0:  # a benchmark, a log or a note of progress; the dataset must be whole
        assert verify_dataset.verify(Results(victim.results)).good
    heals(victim, undisturbed[1])


@pytest.mark.parametrize(("error", "count", "always"), OPENINGS)
def test_a_source_that_cannot_be_opened_is_read_by_the_next_run(
    victim: Workflow, shim: Path, undisturbed: tuple[Path, str], error: str, count: int, *, always: bool
) -> None:
    lasts = {"FAULT_ALWAYS": "1"} if always else {}
    done = disturbed(
        victim, shim, "read", count, FAULT_BELOW=str(undisturbed[0]), FAULT_ERRNO=str(ERRORS[error]), **lasts
    )
    assert SECRET not in done.output and not false_records(Results(victim.results))
    if done.process.returncode == 0:
        ends = [reason for _, reason in done.outcome().values()]
        assert len(ends) == 9 and set(ends) <= {"", "unreadable_file"}
        assert (done.sealed["digest"] == undisturbed[1]) == (set(ends) == {""})
        assert error == "EACCES" or always or set(ends) == {""}  # asked for once more
    heals(victim, undisturbed[1])
    assert victim.run().nothing_to_do


@pytest.mark.parametrize(("call", "how", "count"), KILLS)
def test_a_kill_at_a_point_of_publication_loses_nothing(
    victim: Workflow, shim: Path, undisturbed: tuple[Path, str], call: str, how: str, count: int
) -> None:
    done = disturbed(victim, shim, call, count, FAULT_KILL=how)
    assert done.process.returncode == -9
    looks_whole_only_if_it_is(Results(victim.results), undisturbed[1])
    heals(victim, undisturbed[1])


def test_a_series_that_kills_its_process_is_tried_alone_then_set_aside(
    victim: Workflow, shim: Path, undisturbed: tuple[Path, str]
) -> None:
    workflow, deadly = victim, ids_of({"series-1"}).pop()
    first = strained(workflow, shim, FAULT_DIE=f"/{deadly}/")
    assert first.process.returncode == 1 and not (workflow.results / "dataset/dataset.json").exists()
    second = strained(workflow, shim, FAULT_DIE=f"/{deadly}/")
    assert second.process.returncode == 0, second.output
    table = workflow.run()
    assert table.nothing_to_do
    ends = [(row["outcome"], row["reason"], row["series_id"]) for row in table.table("private/files.csv")]
    assert ends.count(("quarantined", "decoder_died", deadly)) == 3
    assert sum(outcome == "extracted" for outcome, _, _ in ends) == 6
    assert not list((workflow.results / "private/attempts").iterdir())
    assert workflow.run(paranoid=True).sealed["digest"] == undisturbed[1]  # with more memory: tried again


def test_a_series_that_met_a_fault_of_ours_is_tried_again_when_its_batch_has_work(
    workflow: Workflow, tmp_path: Path
) -> None:
    workflow.project = copy_of_the_project(tmp_path / "project")
    bug = 'if os.environ.get("BUG") and plan.series_id == os.environ["BUG"]: 1 / 0\n            '
    edit(
        workflow.project / "scripts/dicomzarr/stages/extract_batch/batch.py", "return extract(", bug + "return extract("
    )
    unlucky = ids_of({"series-1"}).pop()
    for number in range(2):
        save_series(workflow.source / str(number), f"series-{number}", 3)
    workflow.environment["BUG"] = unlucky
    ends = workflow.run().outcome()
    assert [ends[path] for path in sorted(ends)] == [("extracted", "")] * 3 + [("quarantined", "internal_error")] * 3
    log = next((workflow.results / "logs/extract_batch").iterdir()).read_text()
    assert f"series {unlucky}: internal_error, ZeroDivisionError at batch:" in log and SECRET not in log
    del workflow.environment["BUG"]
    assert workflow.run().nothing_to_do
    save_series(workflow.source / "2", "series-2", 3)
    run = workflow.run()
    assert set(run.outcome().values()) == {("extracted", "")} and run.extracted_series() == 2


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")
@pytest.mark.parametrize("kilobytes", range(24, 400, 8) if FULL else [32, 64])  # the log of a job, an array
def test_a_full_disk_fails_the_run_by_its_name_and_room_heals_it(
    victim: Workflow, undisturbed: tuple[Path, str], kilobytes: int
) -> None:
    workflow = victim
    workflow.results.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(workflow.results)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        full = workflow.run(ok=False)
        looks_whole_only_if_it_is(Results(workflow.results), undisturbed[1])
        if full.process.returncode == 0 and FULL:
            pytest.skip("a whole run has room enough")
        assert full.process.returncode != 0 and "No space left on device" in full.output
        assert "Traceback" not in full.output
        assert SECRET not in full.output
        subprocess.run(["mount", "-o", "remount,size=64m", str(workflow.results)], check=True)
        heals(workflow, undisturbed[1])
    finally:
        subprocess.run(["umount", "-l", str(workflow.results)], check=True)


@pytest.mark.parametrize(("first", "lost"), [(12, 1), (9, 4), (7, 0)])
def test_a_file_whose_stat_the_disk_does_not_give_has_a_row_and_most_of_them_stop_the_run(
    victim: Workflow, undisturbed: tuple[Path, str], shim: Path, first: int, lost: int
) -> None:
    """Three folders are asked for first, then nine files; an error that does not come again is none."""
    source = {"FAULT_BELOW": str(undisturbed[0].resolve()), "FAULT_ERRNO": "5", "FAULT_CALL": "stat"}
    run = strained(victim, shim, FAULT_AT=str(first), FAULT_ALWAYS="1", **source)
    if not lost:  # more than `largest_drop` of all entries
        assert run.process.returncode == 1 and "6 of 9 entries the disk does not say" in run.output
        assert not (victim.results / "dataset").exists() and "Traceback" not in run.output
    else:
        assert run.process.returncode == 0, run.output
        outcomes = run.outcome()
        assert len(outcomes) == 9
        assert [end for end in outcomes.values() if end != ("extracted", "")] == [
            ("quarantined", "unreadable_file")
        ] * lost
    heals(victim, undisturbed[1])
    run = strained(victim, shim, FAULT_AT="5", **source)
    assert run.nothing_to_do


def test_a_file_that_changes_during_the_run_costs_its_series_alone(
    workflow: Workflow, undisturbed: tuple[Path, str]
) -> None:
    shutil.copytree(undisturbed[0], workflow.source)
    workflow.run("--until", "plan_batches")
    os.utime(next((workflow.source / "1").iterdir()))
    # A new run would see the change in its scan: the core alone is as one that had begun before.
    batch = next((workflow.results / "private/plans").glob("*-*.json"))
    results = Results(workflow.results)
    said = options(yaml.safe_load((ROOT / "config.yaml").read_text()) | {"burned_in": "keep"})
    with pytest.raises(SourceChanged, match="1 series of the source"):
        extract.extract_batch(batch, results.inventory, results, pseudonyms.Pseudonyms(b"k" * 32), said)
    assert len(list((results.records / "extract_batch").glob("*/*.json"))) == 2  # the others are published
    assert workflow.run().sealed["digest"] == undisturbed[1]


def test_a_file_that_never_rests_costs_itself_alone(workflow: Workflow, undisturbed: tuple[Path, str]) -> None:
    shutil.copytree(undisturbed[0], workflow.source)
    path, stop = next((workflow.source / "1").iterdir()), threading.Event()

    def touch() -> None:
        while not stop.wait(0.001):
            os.utime(path)

    busy = threading.Thread(target=touch)
    busy.start()
    try:
        run = workflow.run(ok=False)
    finally:
        stop.set()
        busy.join()
    assert run.process.returncode == 1 and "changed_while_reading: 1 file of the source" in run.output
    assert len(list((workflow.results / "private/records/check_batch").glob("*/*.json"))) == 3  # all are published
    assert not (workflow.results / "dataset/dataset.json").exists()
    assert workflow.run().sealed["digest"] == undisturbed[1]


def test_a_file_that_the_disk_does_not_give_costs_itself_alone(
    workflow: Workflow, undisturbed: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(undisturbed[0], workflow.source)
    workflow.run("--until", "plan_batches")
    bad, real = next((workflow.source / "1").iterdir()), os.pread

    def fail(handle: int, size: int, offset: int) -> bytes:
        if os.readlink(f"/proc/self/fd/{handle}") == str(bad):
            raise OSError(5, "Input/output error")
        return real(handle, size, offset)

    monkeypatch.setattr(os, "pread", fail)
    batch = next((workflow.results / "private/plans").glob("*-*.json"))
    results = Results(workflow.results)
    said = options(yaml.safe_load((ROOT / "config.yaml").read_text()) | {"burned_in": "keep"})
    done = extract.extract_batch(batch, results.inventory, results, pseudonyms.Pseudonyms(b"k" * 32), said)
    assert done.counts["extracted"] == 3
    records = [SeriesRecord.load(path) for path in results.records.glob("extract_batch/*/*.json")]
    lost = [(file.path, file.outcome, file.reason) for one in records for file in one.files if file.reason]
    assert lost == [(f"1/{bad.name}", "quarantined", "unreadable_file")]
    monkeypatch.undo()
    assert workflow.run().sealed["digest"] == undisturbed[1]
