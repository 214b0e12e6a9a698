"""Disk errors and kills at chosen instants: no record is false, and the next run of the same command completes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml
from conftest import FULL, ROOT, SNAKEMAKE, Run, Workflow, leftovers
from dicoms import ct_slice, save, save_series
from edits import ids_of, mask_of
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

CALLS = ("write", "fsync", "rename", "open", "read")  # read: opening a file for reading
ERRORS = {"ENOSPC": 28, "EIO": 5, "EDQUOT": 122, "EACCES": 13}
PERSISTENT = ("ENOSPC", "EDQUOT")  # a full disk stays full; other errors occur once
# Short form: each call and each error once. Full form: each error at each of the first 40 calls, then at every sixth
# call, so that every job is hit.
SOME = [
    ("write", "ENOSPC", 3), ("fsync", "EIO", 9), ("rename", "EDQUOT", 17), ("open", "EACCES", 22), ("read", "EIO", 40),
]  # fmt: skip
COUNTS = [*range(1, 41), *range(43, 600, 6)]
FAULTS = [(call, error, count) for call in CALLS for error in ERRORS for count in COUNTS] if FULL else SOME
# Before (1) and after (2) the Nth fsync or rename of a run: every step of a commit.
KILLS = [(call, when, n) for call in ("fsync", "rename") for when in "12" for n in range(1, 201)]
KILLS = KILLS if FULL else [("fsync", "2", 25), ("rename", "1", 12)]
# Opening the Nth file of the source, or all from then on; files are opened for headers first, then for pixels.
OPENINGS = [(error, count, always) for error in ("EIO", "EACCES") for count in range(1, 41) for always in (False, True)]
OPENINGS = OPENINGS if FULL else [("EIO", 14, True)]
# MiB of memory, below and above what each stage needs: `ulimit -d` and `ulimit -v`.
SCARCE = [("DATA", size) for size in range(70, 260, 10)] + [("AS", size) for size in range(300, 1000, 50)]
SCARCE = SCARCE if FULL else [("DATA", 100)]
SECRET = "Made^Up"

_calls: dict[str, int] = {}  # number of calls of each kind in a run, once known


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, warm: Forks | None) -> tuple[Path, str]:
    workflow = Workflow(tmp_path_factory.mktemp("undisturbed"), {}, {"DICOMZARR_KEY": "k" * 32}, forks=warm)
    for number in range(3):
        save_series(workflow.source / str(number), f"series-{number}", 3)
    (workflow.source / "1" / "mask").write_bytes(mask_of("series-1"))
    return workflow.source, workflow.run().sealed["digest"]


@pytest.fixture
def victim(workflow: Workflow, undisturbed: tuple[Path, str]) -> Iterator[Workflow]:
    """A workflow on that source; in the full form, with thousands of tests, its folder is deleted afterwards."""
    workflow.config = {"source": str(undisturbed[0]), "results": str(workflow.results)}
    yield workflow
    if FULL:
        shutil.rmtree(workflow.folder)


def run_with_counted_fault(workflow: Workflow, shim: Path, call: str, count: int, **faults: str) -> Run:
    """Run once with a fault at the given call; skip the test if a run has fewer such calls."""
    if count > _calls.get(call, count):
        pytest.skip("a whole run has fewer such calls")
    done = run_with_faults(workflow, shim, FAULT_CALL=call, FAULT_AT=str(count), **faults)
    calls = int.from_bytes((workflow.folder / "count").read_bytes(), "little")
    if calls < count:
        assert FULL and done.process.returncode == 0, "the run has fewer such calls: nothing was tested"
        _calls[call] = calls
        pytest.skip("a whole run has fewer such calls")
    return done


def run_with_faults(workflow: Workflow, shim: Path, **faults: str) -> Run:
    """Run once with faults that the preloaded library injects; in the short form in processes of its own."""
    workflow.write_config()
    counter = workflow.folder / "count"
    counter.write_bytes(bytes(8))
    below = {"FAULT_COUNT": str(counter), "FAULT_BELOW": str(workflow.results.resolve()), "LD_PRELOAD": str(shim)}
    warm, workflow.forks = workflow.forks, workflow.forks if FULL else None
    try:
        return Run(workflow.snakemake("--cores", "2", **{**below, **faults}), workflow.results)
    finally:
        workflow.forks = warm


def false_records(results: Results) -> list[str]:
    """Return the files that differ from the claim of a record."""
    false_files = []
    for record in results.records.glob("extract_batch/*/*.json"):
        for name, (size, digest) in SeriesRecord.load(record).claimed_files().items():
            path = results.images / name
            if not path.exists() or path.stat().st_size != size or files.sha256_of(path) != digest:
                false_files.append(name)
    for record in [*results.records.glob("*.json"), *results.records.glob("*_batch/*.json")]:
        for name, (size, digest) in rule_record.load_common(record).claims.items():
            path = results.root / name
            if not path.exists() or path.stat().st_size != size or digest not in ("", files.sha256_of(path)):
                false_files.append(name)
    return false_files


def assert_records_and_seal_are_true(results: Results, digest: str) -> None:
    """Check that every claim of a record is true, and the seal if there is one."""
    assert not false_records(results)
    if verify_dataset.verify(results).good or results.sealed.exists():
        assert dataset_digest(results.dataset) == digest
        assert json_files.read_json(results.sealed)["digest"] == digest


def assert_next_run_completes(workflow: Workflow, digest: str) -> None:
    """Check that the next run builds the dataset with this digest."""
    assert workflow.run().sealed["digest"] == digest
    assert dataset_digest(workflow.results / "dataset") == digest
    assert verify_dataset.verify(Results(workflow.results)).good
    assert not false_records(Results(workflow.results))
    assert not leftovers(workflow.results)


@pytest.mark.parametrize(("call", "error", "count"), FAULTS)
def test_a_disk_error_fails_the_run_and_the_next_run_completes_the_dataset(
    victim: Workflow, shim: Path, undisturbed: tuple[Path, str], call: str, error: str, count: int
) -> None:
    always = {"FAULT_ALWAYS": "1"} if error in PERSISTENT else {}
    done = run_with_counted_fault(victim, shim, call, count, FAULT_ERRNO=str(ERRORS[error]), **always)
    assert SECRET not in done.output
    assert_records_and_seal_are_true(Results(victim.results), undisturbed[1])
    if (
        done.process.returncode == 0
    ):  # the fault hit a benchmark, a log or a note of progress: the dataset must be complete
        assert verify_dataset.verify(Results(victim.results)).good
    assert_next_run_completes(victim, undisturbed[1])


@pytest.mark.parametrize(("error", "count", "always"), OPENINGS)
def test_source_files_that_cannot_be_opened_are_read_by_the_next_run(
    victim: Workflow, shim: Path, undisturbed: tuple[Path, str], error: str, count: int, *, always: bool
) -> None:
    always_options = {"FAULT_ALWAYS": "1"} if always else {}
    done = run_with_counted_fault(
        victim, shim, "read", count, FAULT_BELOW=str(undisturbed[0]), FAULT_ERRNO=str(ERRORS[error]), **always_options
    )
    assert SECRET not in done.output and not false_records(Results(victim.results))
    if done.process.returncode == 0:
        outcomes = [reason for _, reason in done.outcome().values()]
        unread = {"unreadable_file", "mask_unreadable", "mask_without_image"}
        assert len(outcomes) == 10 and set(outcomes) <= {"", "structure_set", *unread}
        assert (done.sealed["digest"] == undisturbed[1]) == (set(outcomes) == {"", "structure_set"})
        assert error == "EACCES" or always or set(outcomes) == {"", "structure_set"}  # retried
    assert_next_run_completes(victim, undisturbed[1])
    assert victim.run().nothing_to_do


@pytest.mark.parametrize(("limit", "megabytes"), SCARCE)
def test_memory_that_the_system_withholds_costs_no_file_and_no_array(
    workflow: Workflow, limit: str, megabytes: int
) -> None:
    """As `ulimit -d` and `ulimit -v`: wherever the memory ends, the next run with enough of it completes."""
    for index in range(3):
        pixels = np.random.default_rng(index).integers(0, 4000, (1024, 1024))
        save(ct_slice("series", index, pixels=pixels), workflow.source / f"{index}.dcm")
    (workflow.source / "mask").write_bytes(mask_of("series"))
    workflow.write_config()
    most = f"import os, resource, sys; resource.setrlimit(resource.RLIMIT_{limit}, 2 * ({megabytes} << 20,)); "
    command = [sys.executable, "-c", most + "os.execv(sys.executable, sys.argv[1:])", sys.executable, "-P"]
    command += [str(ROOT / SNAKEMAKE), "--snakefile", str(ROOT / "Snakefile"), "--configfile", "config.yaml"]
    environment = os.environ | workflow.environment
    done = subprocess.run(
        [*command, "--cores", "2"], cwd=workflow.folder, env=environment, capture_output=True, text=True, check=False
    )
    assert SECRET not in done.stdout + done.stderr
    run = workflow.run()
    assert sorted(run.outcome().values()) == [("extracted", "")] * 3 + [("skipped", "structure_set")]
    assert {row["verdict"] for row in run.table("dataset/reports/depth.csv")} == {"pass"}
    assert len(run.table("dataset/masks.csv")) == 1


@pytest.mark.parametrize(("call", "when", "count"), KILLS)
def test_a_kill_at_a_point_of_a_commit_loses_nothing(
    victim: Workflow, shim: Path, undisturbed: tuple[Path, str], call: str, when: str, count: int
) -> None:
    done = run_with_counted_fault(victim, shim, call, count, FAULT_KILL=when)
    assert done.process.returncode == -9
    assert_records_and_seal_are_true(Results(victim.results), undisturbed[1])
    assert_next_run_completes(victim, undisturbed[1])


def test_a_series_that_kills_its_process_is_retried_by_itself_then_quarantined(
    victim: Workflow, shim: Path, undisturbed: tuple[Path, str]
) -> None:
    workflow, series_id = victim, ids_of({"series-1"}).pop()
    first = run_with_faults(workflow, shim, FAULT_DIE=f"/{series_id}/")
    assert first.process.returncode == 1 and not (workflow.results / "dataset/dataset.json").exists()
    second = run_with_faults(workflow, shim, FAULT_DIE=f"/{series_id}/")
    assert second.process.returncode == 0, second.output
    run = workflow.run()
    assert run.nothing_to_do
    outcomes = [(row["outcome"], row["reason"], row["series_id"]) for row in run.table("private/files.csv")]
    assert outcomes.count(("quarantined", "decoder_died", series_id)) == 3
    assert sum(outcome == "extracted" for outcome, _, _ in outcomes) == 6
    assert not list((workflow.results / "private/attempts").iterdir())
    assert workflow.run(paranoid=True).sealed["digest"] == undisturbed[1]  # retried, as by a user who adds memory


def test_a_series_with_an_internal_error_is_retried_when_its_batch_runs_again(
    workflow: Workflow, tmp_path: Path
) -> None:
    workflow.project = copy_of_the_project(tmp_path / "project")
    bug = 'if os.environ.get("BUG") and plan.series_id == os.environ["BUG"]: 1 / 0\n            '
    for call in ("return extract(", "new = extract_in_one_pass("):
        edit(workflow.project / "scripts/dicomzarr/stages/extract_batch/batch.py", call, bug + call)
    series_id = ids_of({"series-1"}).pop()
    for number in range(2):
        save_series(workflow.source / str(number), f"series-{number}", 3)
    workflow.environment["BUG"] = series_id
    outcomes = workflow.run().outcome()
    assert [outcomes[path] for path in sorted(outcomes)] == [("extracted", "")] * 3 + [
        ("quarantined", "internal_error")
    ] * 3
    log = next((workflow.results / "logs/extract_batch").iterdir()).read_text()
    assert f"series {series_id}: internal_error, ZeroDivisionError at batch:" in log and SECRET not in log
    del workflow.environment["BUG"]
    assert workflow.run().nothing_to_do
    save_series(workflow.source / "2", "series-2", 3)
    run = workflow.run()
    assert set(run.outcome().values()) == {("extracted", "")} and run.extracted_series() == 2


def test_an_array_that_is_damaged_before_it_is_read_back_is_extracted_again(
    victim: Workflow, undisturbed: tuple[Path, str]
) -> None:
    victim.run()
    series_id, results = ids_of({"series-1"}).pop(), Results(victim.results)
    shard = next(path for path in (results.images / series_id).glob("*/0/c/**/*") if path.is_file())
    shard.write_bytes(bytes(shard.stat().st_size))
    for record in (results.records / "check_batch").rglob("*.json"):
        if record.stem == series_id or record.parent.name == "check_batch":
            record.unlink()
    run = victim.run(ok=False)
    assert run.process.returncode == 1
    assert "check_batch: a file that an earlier step wrote is damaged; its record was deleted" in run.output
    assert not results.sealed.exists()
    run = victim.run()
    assert run.sealed["digest"] == undisturbed[1] and run.extracted_series() == 1
    assert {row["read_back"] for row in run.table("dataset/reports/depth.csv")} == {"exact"}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")
@pytest.mark.parametrize("kilobytes", range(24, 400, 8) if FULL else [64])  # an array
def test_a_full_disk_fails_the_run_with_its_message_and_space_lets_it_continue(
    victim: Workflow, undisturbed: tuple[Path, str], kilobytes: int
) -> None:
    workflow = victim
    workflow.results.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(workflow.results)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        full = workflow.run(ok=False)
        assert_records_and_seal_are_true(Results(workflow.results), undisturbed[1])
        if full.process.returncode == 0 and FULL:
            pytest.skip("a whole run has room enough")
        assert full.process.returncode != 0 and "No space left on device" in full.output
        assert "Traceback" not in full.output
        assert SECRET not in full.output
        subprocess.run(["mount", "-o", "remount,size=64m", str(workflow.results)], check=True)
        assert_next_run_completes(workflow, undisturbed[1])
    finally:
        subprocess.run(["umount", "-l", str(workflow.results)], check=True)


@pytest.mark.parametrize(("first", "lost"), [*([(13, 1)] if FULL else []), (10, 4), (8, 0)])
def test_files_without_a_stat_are_quarantined_and_too_many_stop_the_run(
    victim: Workflow, undisturbed: tuple[Path, str], shim: Path, first: int, lost: int
) -> None:
    """The stat of three folders is read first, then of ten files; an error that occurs once is retried."""
    source = {"FAULT_BELOW": str(undisturbed[0].resolve()), "FAULT_ERRNO": "5", "FAULT_CALL": "stat"}
    run = run_with_faults(victim, shim, FAULT_AT=str(first), FAULT_ALWAYS="1", **source)
    if not lost:  # more than `largest_drop` of all entries
        assert run.process.returncode == 1 and "failed to return the type of 6 of 10 entries" in run.output
        assert not (victim.results / "dataset").exists() and "Traceback" not in run.output
    else:
        assert run.process.returncode == 0, run.output
        outcomes = run.outcome()
        assert len(outcomes) == 10
        good = {("extracted", ""), ("skipped", "structure_set")}
        assert [end for end in outcomes.values() if end not in good] == [("quarantined", "unreadable_file")] * lost
    assert_next_run_completes(victim, undisturbed[1])
    run = run_with_faults(victim, shim, FAULT_AT="5", **source)
    assert run.nothing_to_do


def test_a_file_that_changes_during_the_run_affects_only_its_series(
    workflow: Workflow, undisturbed: tuple[Path, str]
) -> None:
    shutil.copytree(undisturbed[0], workflow.source)
    workflow.run("--until", "plan_batches")
    os.utime(next((workflow.source / "1").iterdir()))
    # A new run would see the change in its scan: the stage by itself acts like a run that started before the change.
    batch = next((workflow.results / "private/plans").glob("*-*.json"))
    results = Results(workflow.results)
    extract_options = options(yaml.safe_load((ROOT / "config.yaml").read_text()) | {"burned_in": "keep"})
    with pytest.raises(SourceChanged, match="1 series of the source"):
        extract.extract_batch(batch, results.inventory, results, pseudonyms.Pseudonyms(b"k" * 32), extract_options)
    assert len(list((results.records / "extract_batch").glob("*/*.json"))) == 2  # the other series are committed
    assert workflow.run().sealed["digest"] == undisturbed[1]


def test_a_file_that_changes_all_the_time_affects_only_itself(
    workflow: Workflow, undisturbed: tuple[Path, str]
) -> None:
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
    assert (
        len(list((workflow.results / "private/records/check_batch").glob("*/*.json"))) == 3
    )  # all series are committed
    assert not (workflow.results / "dataset/dataset.json").exists()
    assert workflow.run().sealed["digest"] == undisturbed[1]


def test_a_file_that_the_disk_cannot_read_affects_only_itself(
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
    extract_options = options(yaml.safe_load((ROOT / "config.yaml").read_text()) | {"burned_in": "keep"})
    done = extract.extract_batch(batch, results.inventory, results, pseudonyms.Pseudonyms(b"k" * 32), extract_options)
    assert done.counts["extracted"] == 3
    records = [SeriesRecord.load(path) for path in results.records.glob("extract_batch/*/*.json")]
    lost = [(file.path, file.outcome, file.reason) for record in records for file in record.files if file.reason]
    assert lost == [(f"1/{bad.name}", "quarantined", "unreadable_file")]
    monkeypatch.undo()
    assert workflow.run().sealed["digest"] == undisturbed[1]
