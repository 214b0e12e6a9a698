"""Read-only commands of Snakemake: they change no file of the results, and a dry run lists the jobs of a run."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import FULL, REASON, Workflow, in_ci
from dicoms import save_series
from folders import state_of
from forks import Forks
from ordinary import WITHOUT_CAPABILITIES, read_only

SERIES = 4
LABELS = {"file": "labels.csv", "by": "folder", "key": "folder", "columns": {"finding": {"values": ["yes", "no"]}}}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, warm: Forks | None) -> Workflow:
    """A finished dataset in several batches, not to be changed."""
    workflow = Workflow(
        tmp_path_factory.mktemp("made"),
        {"batch": {"series": 1, "megabytes": 512}},
        {"DICOMZARR_KEY": "k" * 32},
        forks=warm,
    )
    for number in range(SERIES):
        save_series(workflow.source / f"folder-{number}", f"series-{number}", 2)
    workflow.run()
    return workflow


@pytest.fixture
def mine(made: Workflow, tmp_path: Path) -> Workflow:
    """A copy of that dataset, up to date."""
    shutil.copytree(made.folder, tmp_path / "mine", symlinks=True)
    workflow = Workflow(tmp_path / "mine", dict(made.config), dict(made.environment), forks=made.forks)
    workflow.run()
    assert workflow.run().nothing_to_do
    return workflow


def jobs(done: subprocess.CompletedProcess[str]) -> dict[str, int]:
    """Return how many jobs of each rule a dry run lists in its table."""
    return {rule: int(count) for rule, count in re.findall(r"^(\w+) +(\d+)$", done.stdout + done.stderr, re.M)}


READ_ONLY = [
    *(
        "-n",
        "--dry-run --quiet",
        "--executor dryrun",
        "--dag",
        "--rulegraph",
        "--filegraph",
        "--d3dag",
        "--summary",
        "-D",
    ),
    *("--list", "-l", "--list-ru", "--list-target-rules", "--lt", "--lint", "--report ../report.html"),
    *("--list-changes params", "--list-input-changes", "--list-params-changes"),
]


def test_read_only_commands_change_no_file_of_a_finished_dataset(mine: Workflow) -> None:
    before = state_of(mine.results)
    for command_line in READ_ONLY:
        done = mine.snakemake("--cores", "1", *command_line.split())
        expected = 1 if command_line == "--lint" and "Lints" in done.stderr else 0
        assert done.returncode == expected, (command_line, done.stderr)
        assert "Traceback" not in done.stderr, command_line
        assert state_of(mine.results) == before, command_line
    # Snakemake would list what lies below the working folder and belongs to no job: the files of the source.
    listed = mine.snakemake("--cores", "1", "--list-untracked")
    assert listed.returncode == 1 and "would print the name of every file of the source" in listed.stderr
    assert not [path for path in mine.source.rglob("*.dcm") if path.name in listed.stdout + listed.stderr]
    overview = (mine.folder.parent / "report.html").read_text()
    page = (mine.results / "dataset/reports/report.html").read_bytes()
    assert base64.b64encode(page).decode() in overview  # the page itself is a result of `--report`
    assert "The report of the dataset: one page that needs no network" in overview and '"Accounts"' in overview
    assert mine.run().nothing_to_do


@pytest.mark.parametrize("command_line", ["-n", "--summary", "--dag", "--list", "--report page.html"])
def test_read_only_commands_create_no_results_folder(workflow: Workflow, command_line: str) -> None:
    save_series(workflow.source / "alpha", "series", 2)
    workflow.write_config()
    del workflow.environment["DICOMZARR_KEY"]
    done = workflow.snakemake("--cores", "1", *command_line.split())
    assert not workflow.results.exists(), done.stderr
    if command_line == "-n":
        assert done.returncode == 0 and jobs(done)["index_headers"] == 1
    if "--report" in command_line:
        assert done.returncode != 0 and "no finished dataset of this configuration in" in done.stderr
        assert "MissingInput" not in done.stderr and "private" not in done.stderr


@pytest.mark.parametrize("option", ["--touch", "--executor touch"])
def test_nothing_is_touched_where_there_are_no_results(workflow: Workflow, option: str) -> None:
    save_series(workflow.source / "alpha", "series", 2)
    workflow.write_config()
    done = workflow.snakemake("--cores", "1", *option.split())
    assert done.returncode == 1 and "there is nothing to touch; start a run" in done.stderr
    assert "Traceback" not in done.stdout + done.stderr and not workflow.results.exists()


def test_a_report_of_labels_that_no_run_has_read_is_refused_in_words(mine: Workflow) -> None:
    mine.config["splits"] = {"fractions": {"train": 1}, "fixed": {"test": "test.csv"}}
    (mine.folder / "test.csv").write_text("PatientID\npatient-series-0\n")
    mine.write_config()
    done = mine.snakemake("--cores", "1", "--report", "page.html")
    assert done.returncode != 0 and "start a run, then this command again" in done.stderr
    assert "MissingInput" not in done.stderr and not (mine.folder / "page.html").exists()


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


def add_labels(mine: Workflow) -> None:
    (mine.folder / "labels.csv").write_text("folder,finding\nfolder-1,yes\n")
    mine.config["labels"] = [LABELS]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        *([(lose_an_array, {"extract_batch": 1, "check_batch": 1})] if FULL else []),
        (cut_an_array, {"extract_batch": 1, "check_batch": 1}),
        (lose_a_record, {"extract_batch": 1, "check_batch": 1}),
        (damage_the_contents_of_plans, {"plan_batches": 1}),
        (add_a_folder, {"discover_files": 1, "index_headers": 1, "plan_batches": 1}),
        (remove_a_folder, {"discover_files": 1, "index_headers": 1, "plan_batches": 1}),
        (change_params, {"extract_batch": SERIES, "check_batch": SERIES}),
        (add_labels, {"join_labels": 1, "extract_batch": 0}),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_a_dry_run_lists_the_jobs_of_a_run(
    mine: Workflow, change: Callable[[Workflow], None], expected: dict[str, int]
) -> None:
    change(mine)
    mine.write_config()
    before = state_of(mine.results)
    done = mine.snakemake("--cores", "2", "-n")
    assert done.returncode == 0, done.stderr
    assert {rule: jobs(done).get(rule, 0) for rule in expected} == expected
    assert state_of(mine.results) == before
    # The run does what the dry run listed, and then nothing is left to do.
    run = mine.run()
    assert {rule: run.jobs(rule) >= count for rule, count in expected.items()} == dict.fromkeys(expected, True)
    assert mine.run().nothing_to_do


def test_a_dry_run_with_other_params_leaves_the_dataset_sealed(mine: Workflow) -> None:
    before = state_of(mine.results)
    done = mine.snakemake("--cores", "1", "-n", "--config", "compression=fast")
    assert done.returncode == 0 and jobs(done)["extract_batch"] == SERIES
    assert state_of(mine.results) == before and mine.run().nothing_to_do


def test_a_dry_run_refuses_the_same_as_a_run(mine: Workflow) -> None:
    before = state_of(mine.results)
    lost = mine.snakemake("--cores", "1", "-n", DICOMZARR_KEY="another key of some length, 32 or more")
    assert lost.returncode == 1 and "the pseudonym key is not the key of this dataset" in lost.stderr
    for folder in list(mine.source.iterdir())[1:]:
        shutil.rmtree(folder)
    dropped = mine.snakemake("--cores", "1", "-n")
    assert dropped.returncode == 1 and "are missing, 6 of 8; nothing was changed" in dropped.stderr
    assert state_of(mine.results) == before


def test_a_read_only_command_does_not_block_a_run(mine: Workflow) -> None:
    """A command that is stopped before its end holds no lock."""
    add_a_folder(mine)
    mine.write_config()
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(mine.project / "Snakefile")]
    with subprocess.Popen(
        [*command, "--configfile", "config.yaml", "--cores", "1", "--summary"],
        cwd=mine.folder,
        env=os.environ | mine.environment,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        process.stdout.readline()  # the table has begun; the rest of the pipe is not read
        assert mine.run().process.returncode == 0
        process.kill()


@pytest.fixture(params=in_ci(1, ["permissions", "mount"]))
def unwritable(mine: Workflow, request: pytest.FixtureRequest) -> Iterator[list[str]]:
    with read_only(mine.results, request.param) as held_to_it:
        yield held_to_it


def test_read_only_commands_need_no_write_permission(mine: Workflow, unwritable: list[str]) -> None:
    add_a_folder(mine)
    mine.write_config(compression="fast")
    before = state_of(mine.results)
    command = [*unwritable, sys.executable, "-m", "snakemake", "--snakefile", str(mine.project / "Snakefile")]
    for command_line in ("-n", "--summary", "--dag", "--list"):
        done = subprocess.run(
            [*command, "--configfile", "config.yaml", "--cores", "1", command_line],
            cwd=mine.folder,
            env=os.environ | mine.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, (command_line, done.stderr)
        if command_line == "-n":
            assert jobs(done)["discover_files"] == 1
    assert state_of(mine.results) == before


def test_a_dry_run_works_in_a_folder_that_cannot_be_written(mine: Workflow, tmp_path: Path) -> None:
    """Snakemake keeps notes in the current folder; a dry run goes without."""
    folder = tmp_path / "read only"
    folder.mkdir()
    whole = {"source": str(mine.source), "results": str(mine.results), "burned_in": "keep", "burned_in_reason": REASON}
    (folder / "config.yaml").write_text(json.dumps(whole | mine.config))
    add_a_folder(mine)
    folder.chmod(0o500)
    before = state_of(mine.results)
    command = [] if os.geteuid() else [sys.executable, "-c", WITHOUT_CAPABILITIES]
    command += [sys.executable, "-m", "snakemake", "--snakefile", str(mine.project / "Snakefile"), "-n", "--cores", "1"]
    done = subprocess.run(
        [*command, "--configfile", "config.yaml"],
        cwd=folder,
        env=os.environ | mine.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    folder.chmod(0o700)
    assert done.returncode == 0, done.stderr
    assert jobs(done)["discover_files"] == 1 and jobs(done).get("extract_batch", 0) == 0
    assert [path.name for path in folder.iterdir()] == ["config.yaml"] and state_of(mine.results) == before
