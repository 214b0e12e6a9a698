"""A dry run, a list or a report leaves every file below the results as it was, and tells what a run would do."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import Workflow
from dicoms import save_series
from ordinary import WITHOUT_CAPABILITIES

SERIES = 4
LOCKS = {"run.lock", "jobs.lock"}
LABELS = {"file": "labels.csv", "by": "folder", "key": "folder", "columns": {"finding": {"values": ["yes", "no"]}}}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Workflow:
    """A finished dataset in several batches, not to be changed."""
    workflow = Workflow(
        tmp_path_factory.mktemp("made"), {"batch": {"series": 1, "megabytes": 512}}, {"DICOMZARR_KEY": "k" * 32}
    )
    for number in range(SERIES):
        save_series(workflow.source / f"folder-{number}", f"series-{number}", 2)
    workflow.run()
    return workflow


@pytest.fixture
def mine(made: Workflow, tmp_path: Path) -> Workflow:
    """A copy of it that is up to date."""
    shutil.copytree(made.folder, tmp_path / "mine", symlinks=True)
    workflow = Workflow(tmp_path / "mine", dict(made.config), dict(made.environment))
    workflow.run()
    assert workflow.run().nothing_to_do
    return workflow


def snapshot(results: Path) -> dict[str, tuple[int, int, bytes]]:
    """Return inode, time and bytes of every file and folder, lock files aside."""
    found = {}
    for path in sorted([results, *results.rglob("*")]) if results.exists() else ():
        if path.name not in LOCKS:
            status = path.lstat()
            is_private = path.name == "private"  # a lock file that is made changes the time of its folder
            data = path.read_bytes() if path.is_file() else b""
            found[str(path)] = (status.st_ino, 0 if is_private else status.st_mtime_ns, data)
    return found


def jobs(done: subprocess.CompletedProcess[str]) -> dict[str, int]:
    """Return how many jobs of each rule a dry run lists in its table."""
    return {rule: int(count) for rule, count in re.findall(r"^(\w+) +(\d+)$", done.stdout + done.stderr, re.M)}


LOOKS = [
    *("-n", "--dry-run --quiet", "--dag", "--rulegraph", "--filegraph", "--d3dag", "--summary", "-D"),
    *("--list", "-l", "--list-ru", "--list-target-rules", "--lt", "--lint", "--report ../report.html"),
    *("--list-changes params", "--list-input-changes", "--list-params-changes", "--list-untracked"),
]


def test_no_look_changes_a_finished_dataset(mine: Workflow) -> None:
    before = snapshot(mine.results)
    for look in LOOKS:
        done = mine.snakemake("--cores", "1", *look.split())
        assert done.returncode == (1 if look == "--lint" and "Lints" in done.stderr else 0), (look, done.stderr)
        assert "Traceback" not in done.stderr, look
        assert snapshot(mine.results) == before, look
    assert mine.run().nothing_to_do


@pytest.mark.parametrize("look", ["-n", "--summary", "--dag", "--list", "--report page.html"])
def test_no_look_makes_a_results_folder(workflow: Workflow, look: str) -> None:
    save_series(workflow.source / "alpha", "series", 2)
    workflow.write_config()
    del workflow.environment["DICOMZARR_KEY"]
    done = workflow.snakemake("--cores", "1", *look.split())
    assert not workflow.results.exists(), done.stderr
    if look == "-n":
        assert done.returncode == 0 and jobs(done)["index_headers"] == 1


def lose_an_array(mine: Workflow) -> None:
    next((mine.results / "dataset/images.zarr").glob("*/*/0/c/0/0/0")).unlink()


def cut_an_array(mine: Workflow) -> None:
    path = next((mine.results / "dataset/images.zarr").glob("*/*/0/c/0/0/0"))
    path.write_bytes(path.read_bytes()[:-1])


def lose_a_record(mine: Workflow) -> None:
    next((mine.results / "private/records/extract_batch").glob("*.json")).unlink()


def damage_the_contents_of_plans(mine: Workflow) -> None:
    path = mine.results / "private/plans/contents.json"
    path.write_bytes(path.read_bytes().replace(b'"series":1', b'"series":2'))


def add_a_folder(mine: Workflow) -> None:
    save_series(mine.source / "new", "new", 2)


def remove_a_folder(mine: Workflow) -> None:
    shutil.rmtree(mine.source / "folder-1")


def change_params(mine: Workflow) -> None:
    mine.config["compression"] = "fast"


def ask_for_labels(mine: Workflow) -> None:
    (mine.folder / "labels.csv").write_text("folder,finding\nfolder-1,yes\n")
    mine.config["labels"] = [LABELS]


@pytest.mark.parametrize(
    ("change", "due"),
    [
        (lose_an_array, {"extract_batch": 1, "check_batch": 1}),
        (cut_an_array, {"extract_batch": 1, "check_batch": 1}),
        (lose_a_record, {"extract_batch": 1, "check_batch": 1}),
        (damage_the_contents_of_plans, {"plan_batches": 1}),
        (add_a_folder, {"discover_files": 1, "index_headers": 1, "plan_batches": 1}),
        (remove_a_folder, {"discover_files": 1, "index_headers": 1, "plan_batches": 1}),
        (change_params, {"extract_batch": SERIES, "check_batch": SERIES}),
        (ask_for_labels, {"join_labels": 1, "extract_batch": 0}),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_a_dry_run_tells_what_a_run_does(
    mine: Workflow, change: Callable[[Workflow], None], due: dict[str, int]
) -> None:
    change(mine)
    mine.write_config()
    before = snapshot(mine.results)
    done = mine.snakemake("--cores", "2", "-n")
    assert done.returncode == 0, done.stderr
    assert {rule: jobs(done).get(rule, 0) for rule in due} == due
    assert snapshot(mine.results) == before
    # What was seen by looking is done by the run, and nothing is left after it.
    run = mine.run()
    assert {rule: run.jobs(rule) >= count for rule, count in due.items()} == dict.fromkeys(due, True)
    assert mine.run().nothing_to_do


def test_a_dry_run_with_other_params_leaves_the_dataset_sealed(mine: Workflow) -> None:
    before = snapshot(mine.results)
    done = mine.snakemake("--cores", "1", "-n", "--config", "compression=fast")
    assert done.returncode == 0 and jobs(done)["extract_batch"] == SERIES
    assert snapshot(mine.results) == before and mine.run().nothing_to_do


def test_a_dry_run_refuses_what_a_run_refuses(mine: Workflow) -> None:
    before = snapshot(mine.results)
    lost = mine.snakemake("--cores", "1", "-n", DICOMZARR_KEY="another key of some length, 32 or more")
    assert lost.returncode == 1 and "the pseudonym key is not the key of this dataset" in lost.stderr
    for folder in list(mine.source.iterdir())[1:]:
        shutil.rmtree(folder)
    dropped = mine.snakemake("--cores", "1", "-n")
    assert dropped.returncode == 1 and "are missing; nothing was changed" in dropped.stderr
    assert snapshot(mine.results) == before


def test_a_look_does_not_keep_a_run_out(mine: Workflow) -> None:
    """A dry run that is stopped in its middle holds no lock."""
    add_a_folder(mine)
    mine.write_config()
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(mine.project / "Snakefile")]
    with subprocess.Popen(
        [*command, "--configfile", "config.yaml", "--cores", "1", "--summary"],
        cwd=mine.folder,
        env=os.environ | mine.environment,
        stdout=subprocess.PIPE,
        text=True,
    ) as look:
        assert look.stdout
        look.stdout.readline()  # its table has begun: the pipe is not read on
        assert mine.run().process.returncode == 0
        look.kill()


@pytest.fixture(params=["mount", "permissions"])
def unwritable(mine: Workflow, request: pytest.FixtureRequest) -> Iterator[list[str]]:
    """Let nothing be written to the results; yields what binds a command to that."""
    folders = [mine.results, *(path for path in mine.results.rglob("*") if path.is_dir())]
    if request.param == "permissions":
        for path in folders:
            path.chmod(0o500)
        yield [] if os.geteuid() else [sys.executable, "-c", WITHOUT_CAPABILITIES]
        for path in folders:
            path.chmod(0o700)
        return
    for how in (["--bind", str(mine.results)], ["-o", "remount,bind,ro"]):
        command = ["mount", *how, str(mine.results)]
        if os.geteuid() or subprocess.run(command, capture_output=True, check=False).returncode:
            pytest.skip("mounting is not allowed here")
    yield []
    subprocess.run(["umount", "-l", str(mine.results)], check=True)


def test_looks_need_no_right_to_write(mine: Workflow, unwritable: list[str]) -> None:
    add_a_folder(mine)
    mine.write_config(compression="fast")
    before = snapshot(mine.results)
    command = [*unwritable, sys.executable, "-m", "snakemake", "--snakefile", str(mine.project / "Snakefile")]
    for look in ("-n", "--summary", "--dag", "--list"):
        done = subprocess.run(
            [*command, "--configfile", "config.yaml", "--cores", "1", look],
            cwd=mine.folder,
            env=os.environ | mine.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, (look, done.stderr)
        if look == "-n":
            assert jobs(done)["discover_files"] == 1
    assert snapshot(mine.results) == before
