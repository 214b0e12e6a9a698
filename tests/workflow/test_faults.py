"""Errors of the disk and kills at named instants: nothing looks whole that is not, and the same command heals all."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from conftest import ROOT, Workflow
from dicoms import save_series
from edits import ids_of
from from_scratch import dataset_digest, options

from dicomzarr import extract, identity, verify
from dicomzarr.errors import SourceChanged
from dicomzarr.paths import Results

FULL = bool(os.environ.get("DICOMZARR_TEST_FULL"))
CALLS = ("write", "fsync", "rename", "open")
ERRORS = {"ENOSPC": 28, "EIO": 5, "EDQUOT": 122, "EACCES": 13}
COUNTS = range(1, 41)
# One of each call and each error in CI; all of them where all is asked for.
SOME = [
    ("write", "ENOSPC", 3), ("write", "EIO", 31), ("fsync", "EIO", 9), ("rename", "EDQUOT", 17), ("open", "EACCES", 22),
]  # fmt: skip
FAULTS = [(call, error, count) for call in CALLS for error in ERRORS for count in COUNTS] if FULL else SOME
# Before (1) and after (2) the Nth fsync and rename of a run: each point of publication.
KILLS = [(call, how, n) for call in ("fsync", "rename") for how in "12" for n in range(1, 61)]
KILLS = KILLS if FULL else [("fsync", "1", 14), ("fsync", "2", 25), ("rename", "1", 12), ("rename", "2", 23)]
SECRET = "Made^Up"


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not shutil.which("gcc"):
        pytest.skip("no gcc")
    library = tmp_path_factory.mktemp("shim") / "faults.so"
    command = ["gcc", "-shared", "-fPIC", "-O1", "-o", str(library), str(ROOT / "tests" / "faults.c"), "-ldl"]
    subprocess.run(command, check=True)
    return library


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    workflow = Workflow(tmp_path_factory.mktemp("undisturbed"), {}, {"DICOMZARR_KEY": "k" * 32})
    for number in range(3):
        save_series(workflow.source / str(number), f"series-{number}", 3)
    return workflow.source, workflow.run().sealed["digest"]


def disturbed(workflow: Workflow, shim: Path, **faults: str) -> subprocess.CompletedProcess[str]:
    """Run once with faults; return what was printed."""
    workflow.write_config()
    counter = workflow.folder / "count"
    counter.write_bytes(bytes(8))
    below = {"FAULT_COUNT": str(counter), "FAULT_BELOW": str(workflow.results.resolve())}
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")]
    return subprocess.run(
        [*command, "--cores", "2", "--configfile", "config.yaml"],
        cwd=workflow.folder,
        env={**os.environ, **workflow.environment, **below, **faults, "LD_PRELOAD": str(shim)},
        capture_output=True,
        text=True,
        check=False,
        start_new_session=True,  # the shim kills its whole group
        timeout=300,
    )


def heals(workflow: Workflow, digest: str) -> None:
    assert workflow.run().sealed["digest"] == digest
    assert dataset_digest(workflow.results / "dataset") == digest
    assert verify.verify(Results(workflow.results)).good
    assert not [p for p in workflow.results.rglob("*") if p.name.endswith(".partial") or "temporary" in p.parts[:-1]]


@pytest.mark.parametrize(("call", "error", "count"), FAULTS)
def test_an_error_of_the_disk_fails_the_run_and_the_next_one_heals(
    workflow: Workflow, shim: Path, undisturbed: tuple[Path, str], call: str, error: str, count: int
) -> None:
    workflow.config = {"source": str(undisturbed[0]), "results": str(workflow.results)}
    always = {"FAULT_ALWAYS": "1"} if error in ("ENOSPC", "EDQUOT") else {}
    faults = {"FAULT_CALL": call, "FAULT_ERRNO": str(ERRORS[error]), "FAULT_AT": str(count), **always}
    done = disturbed(workflow, shim, **faults)
    hit = int.from_bytes((workflow.folder / "count").read_bytes(), "little") >= count
    if not hit and FULL:
        pytest.skip("the run has fewer such calls")
    assert hit, "the run has fewer such calls: nothing was tested"
    assert SECRET not in done.stdout + done.stderr
    if done.returncode == 0:  # a benchmark or a log of Snakemake's own; the dataset must be whole
        assert dataset_digest(workflow.results / "dataset") == undisturbed[1]
        assert verify.verify(Results(workflow.results)).good
    else:
        assert not verify.verify(Results(workflow.results)).good or call in ("open", "write")
    heals(workflow, undisturbed[1])


@pytest.mark.parametrize(("call", "how", "count"), KILLS)
def test_a_kill_at_a_point_of_publication_loses_nothing(
    workflow: Workflow, shim: Path, undisturbed: tuple[Path, str], call: str, how: str, count: int
) -> None:
    workflow.config = {"source": str(undisturbed[0]), "results": str(workflow.results)}
    done = disturbed(workflow, shim, FAULT_CALL=call, FAULT_AT=str(count), FAULT_KILL=how)
    if done.returncode == 0 and FULL:
        pytest.skip("the run has fewer such calls")
    assert done.returncode == -9
    heals(workflow, undisturbed[1])


def test_a_series_that_kills_its_process_is_tried_alone_then_set_aside(
    workflow: Workflow, shim: Path, undisturbed: tuple[Path, str]
) -> None:
    workflow.config = {"source": str(undisturbed[0]), "results": str(workflow.results)}
    victim = ids_of({"series-1"}).pop()
    first = disturbed(workflow, shim, FAULT_DIE=f"/{victim}/")
    assert first.returncode == 1 and not (workflow.results / "dataset/dataset.json").exists()
    second = disturbed(workflow, shim, FAULT_DIE=f"/{victim}/")
    assert second.returncode == 0, second.stderr
    table = workflow.run()
    assert table.nothing_to_do
    ends = [(row["outcome"], row["reason"], row["series_id"]) for row in table.table("private/files.csv")]
    assert ends.count(("quarantined", "decoder_died", victim)) == 3
    assert sum(outcome == "extracted" for outcome, _, _ in ends) == 6
    assert not list((workflow.results / "private/attempts").iterdir())
    assert workflow.run(paranoid=True).sealed["digest"] == undisturbed[1]  # with more memory: tried again


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")
def test_a_full_disk_fails_the_run_by_its_name_and_room_heals_it(
    workflow: Workflow, undisturbed: tuple[Path, str]
) -> None:
    workflow.config = {"source": str(undisturbed[0]), "results": str(workflow.results)}
    workflow.results.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(workflow.results)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        full = workflow.run(ok=False)
        assert full.process.returncode != 0 and "No space left on device" in full.output
        assert "Traceback" not in full.output or "snakemake" in full.output
        assert SECRET not in full.output
        subprocess.run(["mount", "-o", "remount,size=64m", str(workflow.results)], check=True)
        heals(workflow, undisturbed[1])
    finally:
        subprocess.run(["umount", "-l", str(workflow.results)], check=True)


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
        extract.extract_batch(batch, results.inventory, results, identity.Pseudonyms(b"k" * 32), said)
    assert len(list((results.records / "extract_batch").glob("*/*.json"))) == 2  # the others are published
    assert workflow.run().sealed["digest"] == undisturbed[1]
