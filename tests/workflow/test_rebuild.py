"""Rebuilding: equal inputs give equal bytes, and only changed series are processed.

That each edit of the source gives the dataset of a run from scratch is in test_edits.py.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from conftest import FULL, Launch, Run, Workflow
from dicoms import ct_slice, save, save_series
from folders import state_of_arrays
from forks import Forks
from project_copy import copy_of_the_project, edit
from revocations import revoked

from dicomzarr.stages import verify_dataset
from dicomzarr.system.results_folder import Results

MANY = 12  # series
SMALL_BATCHES = {"batch": {"series": 4, "megabytes": 512}}


def many_series(source: Path) -> None:
    for number in range(MANY):
        save_series(source / f"folder {number}", f"series-{number}", 3)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, warm: Forks | None) -> Workflow:
    """A dataset whose source each test edits in another place."""
    folder = tmp_path_factory.mktemp("shared")
    workflow = Workflow(folder, dict(SMALL_BATCHES), {"DICOMZARR_KEY": "k" * 32}, forks=warm)
    many_series(workflow.source)
    workflow.run()
    return workflow


@pytest.fixture
def built(shared: Workflow) -> Workflow:
    """That dataset, without the revocations of tests before."""
    (shared.results / "private/revoked.jsonl").unlink(missing_ok=True)
    return shared


def from_scratch(workflow: Workflow, folder: Path) -> Run:
    """Run on one core, on a copy of the source with other modification times, into an empty results folder."""
    shutil.copytree(workflow.source, folder / "source", copy_function=shutil.copy, symlinks=True)
    other = Workflow(folder, dict(workflow.config), workflow.environment, forks=workflow.forks)
    return other.run(cores=1)


def test_the_digest_does_not_depend_on_folder_or_number_of_cores(built: Workflow, tmp_path: Path) -> None:
    first = json.loads((built.results / "dataset/dataset.json").read_text())
    other = from_scratch(built, tmp_path / "elsewhere").sealed
    assert (other["digest"], other["seal"]) == (first["digest"], first["seal"])


def test_a_new_folder_reruns_its_batch_and_extracts_its_series(built: Workflow) -> None:
    before = extractions(built)
    save_series(built.source / "new folder", "new series", 3)
    run = built.run()
    assert run.jobs("extract_batch") == run.jobs("check_batch") == 1
    rerun = [counts for batch, counts in extractions(built).items() if counts != before[batch]]
    assert [counts["extracted"] for counts in rerun] == [1]
    assert built.run().nothing_to_do


def extractions(workflow: Workflow) -> dict[str, dict[str, int]]:
    """Return the counts of the last job of each batch."""
    records = (workflow.results / "private/records/extract_batch").glob("*.json")
    return {path.stem: json.loads(path.read_text())["counts"] for path in records}


def test_a_late_slice_extracts_only_its_series(built: Workflow) -> None:
    before = state_of_arrays(built.results)
    save(ct_slice("series-3", 3), built.source / "late" / "slice.dcm")
    run = built.run()
    assert run.jobs("extract_batch") == 1
    after = state_of_arrays(built.results)
    assert sum(after[series] != before[series] for series in before) == 1 and after.keys() == before.keys()
    assert {("extract_batch", "series", "superseded"), ("seal_dataset", "dataset", "seal_broken")} <= revoked(
        run.results
    )


def test_touch_and_rename_extract_nothing(built: Workflow) -> None:
    before = json.loads((built.results / "dataset/dataset.json").read_text())["digest"]
    stamps = {p: p.stat().st_mtime_ns for p in (built.results / "dataset/images.zarr").rglob("c/*/*/*")}
    for path in (built.source / "folder 0").iterdir():
        os.utime(path)
    (built.source / "folder 1").rename(built.source / "renamed")
    run = built.run()
    assert run.sealed["digest"] == before
    assert stamps == {p: p.stat().st_mtime_ns for p in (built.results / "dataset/images.zarr").rglob("c/*/*/*")}
    assert any(row["path"].startswith("renamed/") for row in run.table("private/frames.csv"))
    assert not any(row["path"].startswith("folder 1/") for row in run.table("private/files.csv"))


def test_a_deleted_series_is_removed(built: Workflow) -> None:
    dataset, patterns = built.results / "dataset", ("images.zarr/*/*/0", "reports/pictures/*")
    before = [len([*dataset.glob(pattern)]) for pattern in patterns]
    shutil.rmtree(built.source / "folder 5")
    run = built.run()
    assert [len([*dataset.glob(pattern)]) for pattern in patterns] == [count - 1 for count in before]
    assert {("extract_batch", "series", "removed"), ("check_batch", "series", "removed")} <= revoked(run.results)


def test_more_series_may_double_the_batches_without_extracting_again(built: Workflow, tmp_path: Path) -> None:
    stamps = {p: p.stat().st_mtime_ns for p in (built.results / "dataset/images.zarr").rglob("c/*/*/*")}
    for number in range(MANY, 2 * MANY):
        save_series(built.source / f"folder {number}", f"series-{number}", 3)
    run = built.run()
    assert all(path.stat().st_mtime_ns == mtime for path, mtime in stamps.items())
    names = {path.stem for path in (run.results / "private/plans").glob("*-*.json")}
    assert {name[:4] for name in names} == {"0008"} and len(names) == 8
    assert {("extract_batch", "batch", "renumbered"), ("check_batch", "batch", "renumbered")} <= revoked(run.results)
    assert run.sealed["digest"] == from_scratch(built, tmp_path / "scratch").sealed["digest"]


@pytest.fixture(scope="module")
def restorable(tmp_path_factory: pytest.TempPathFactory, warm: Forks | None) -> tuple[Workflow, dict[str, str]]:
    """A dataset that each test damages and restores, and its original seal."""
    folder = tmp_path_factory.mktemp("restorable")
    workflow = Workflow(folder, dict(SMALL_BATCHES), {"DICOMZARR_KEY": "k" * 32}, forks=warm)
    many_series(workflow.source)
    return workflow, workflow.run().sealed


@pytest.mark.parametrize(
    "damage",
    [
        "dataset/images.zarr/*/*/0/c/0/0/0",
        "dataset/images.zarr/*/zarr.json",
        "dataset/images.zarr/*",
        "dataset/volumes.csv",
        "dataset/reports/report.html",
        "dataset/reports/pictures/*/*.jpg",
        "dataset/provenance/extract_batch/*.jsonl",
        "private/plans/*-*.json",
        "private/records/extract_batch/*.json",
        "private/records/extract_batch/*/*.json",
        "private/records/check_batch/*.json",
        "private/headers.jsonl",
        "private/inventory.jsonl",
        "private/batches.json",
        "private/cache",
    ],
)
def test_deleted_files_are_rebuilt(restorable: tuple[Workflow, dict[str, str]], damage: str) -> None:
    workflow, before = restorable
    path = sorted(workflow.results.glob(damage))[0]
    read_before = read_by_checks(workflow)
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
    run = workflow.run()
    assert (run.sealed["digest"], run.sealed["seal"]) == (before["digest"], before["seal"])
    if damage not in ("private/batches.json", "private/cache"):
        assert path.exists()
    if path.suffix == ".jpg":  # its series alone is read again
        assert run.jobs("extract_batch") == 0 and run.jobs("check_batch") == 1
        after = read_by_checks(workflow)
        assert [count for batch, (count, when) in after.items() if (count, when) != read_before[batch]] == [1]


def read_by_checks(workflow: Workflow) -> dict[str, tuple[int, int]]:
    """Return how many arrays the last check of each batch read, and when."""
    records = (workflow.results / "private/records/check_batch").glob("*.json")
    return {path.stem: (json.loads(path.read_text())["counts"]["read"], path.stat().st_mtime_ns) for path in records}


PLACES = [
    [".snakemake/metadata", "results/private/plans", "results/private/cache", "results/dataset/images.zarr",
     "results/dataset/reports/pictures"],
    [".snakemake", "results/private/records", "results/dataset/reports", "results/logs"],
    ["results/private/records/extract_batch", "results/dataset/provenance/extract_batch"], ["results/dataset"],
]  # fmt: skip


@pytest.mark.parametrize("names", PLACES if FULL else PLACES[:1])
def test_a_file_in_place_of_a_folder_is_replaced(restorable: tuple[Workflow, dict[str, str]], names: list[str]) -> None:
    workflow, before = restorable
    for path in (workflow.folder / name for name in names):
        shutil.rmtree(path)
        path.write_text("no folder")
    run = workflow.run()
    assert run.output.count("a file in the place of a folder was removed") == len(names)
    assert run.sealed["seal"] == before["seal"]
    assert verify_dataset.verify(Results(workflow.results)).good and workflow.run().nothing_to_do


PIPES = [
    "results/dataset/dataset.json", "results/dataset/provenance/check_batch/*.jsonl", "results/private/inventory.jsonl",
    "results/private/records/plan_batches.json", "results/private/records/extract_batch/*/*.json",
    "results/private/partitions/*.json", "results/benchmarks/*.tsv", ".snakemake/metadata/*",
]  # fmt: skip


def test_pipes_in_place_of_files_stop_no_run(restorable: tuple[Workflow, dict[str, str]]) -> None:
    workflow, before = restorable
    for pattern in PIPES:
        path = sorted(path for path in workflow.folder.glob(pattern) if path.is_file())[0]
        path.unlink()
        os.mkfifo(path)
    assert workflow.run().sealed["seal"] == before["seal"]
    assert verify_dataset.verify(Results(workflow.results)).good and workflow.run().nothing_to_do


@pytest.mark.parametrize(("name", "arguments"), [("key", ()), ("decisions.csv", ()), ("inventory.jsonl", ("-n",))])
def test_a_pipe_that_no_run_may_remove_is_named_and_stays(
    restorable: tuple[Workflow, dict[str, str]], name: str, arguments: tuple[str, ...]
) -> None:
    """No run makes again what somebody keeps there, and a dry run removes nothing."""
    workflow, _ = restorable
    path, aside = workflow.results / "private" / name, workflow.folder / "aside"
    existed = path.exists()
    if existed:
        path.rename(aside)
    os.mkfifo(path)
    run = workflow.run(*arguments, ok=False)
    assert path.is_fifo()
    path.unlink()
    if existed:
        aside.rename(path)
    assert run.process.returncode == 1 and f"private/{name} in the results is no file but a FIFO" in run.output


def test_a_lost_snakemake_folder_extracts_nothing(restorable: tuple[Workflow, dict[str, str]]) -> None:
    workflow, before = restorable
    stamps = {p: p.stat().st_mtime_ns for p in (workflow.results / "dataset/images.zarr").rglob("c/*/*/*")}
    shutil.rmtree(workflow.folder / ".snakemake")
    assert workflow.run().sealed["seal"] == before["seal"]
    assert all(path.stat().st_mtime_ns == mtime for path, mtime in stamps.items())
    assert workflow.run().nothing_to_do


def test_a_changed_configuration_is_detected_without_the_snakemake_folder(workflow: Workflow, launch: Launch) -> None:
    save_series(workflow.source, "alpha", 3)
    workflow.run()
    shutil.rmtree(workflow.folder / ".snakemake")  # as when the command is run in another folder
    assert launch(workflow, "status").returncode == 0
    workflow.write_config(compression="none")
    shutil.rmtree(workflow.folder / ".snakemake")
    done = launch(workflow, "status")
    assert done.returncode == 2 and "extract_batch was made with another configuration or code (1)" in done.stdout
    run = workflow.run(compression="none")
    assert run.extracted_series() == 1 and run.sealed["config"]["compression"] == "none"
    without = {"compression": "none", "report": {"pictures": False}}
    run = workflow.run(**without)
    assert run.jobs("extract_batch") == 0 and run.sealed["config"]["pictures"] is False
    assert [row["trouble"] for row in run.table("dataset/reports/pictures.csv")] == ["not drawn"]
    assert not (run.results / "dataset/reports/pictures").exists()
    assert verify_dataset.verify(Results(run.results)).good and workflow.run(**without).nothing_to_do


def test_an_edit_of_code_reruns_exactly_the_rules_that_use_it(workflow: Workflow, tmp_path: Path) -> None:
    workflow.project = copy_of_the_project(tmp_path / "project")
    core = workflow.project / "scripts" / "dicomzarr"
    save_series(workflow.source, "alpha", 3)
    workflow.run()
    edit(
        core / "stages/check_batch/read_back.py", '"""Read every voxel back', '"""Prose changed; read every voxel back'
    )
    with (core / "stages/check_batch/read_back.py").open("a") as stream:
        stream.write("# a comment changes no behaviour\n")
    assert workflow.run().nothing_to_do
    edit(core / "stages/check_batch/verdicts.py", '"constant"', '"flat"')
    run = workflow.run()
    ran = {rule: run.jobs(rule) for rule in ("index_headers", "plan_batches", "extract_batch", "check_batch")}
    assert ran == {"index_headers": 0, "plan_batches": 0, "extract_batch": 0, "check_batch": 1}
    edit(core / "system/csv_tables.py", '"\\r\\n").writerow(', '"\\r\\n", quoting=csv.QUOTE_MINIMAL).writerow(')
    run = workflow.run()
    assert (run.jobs("discover_files"), run.jobs("consolidate_dataset"), run.jobs("extract_batch")) == (1, 1, 0)


def test_another_compression_rewrites_the_arrays_and_keeps_the_pixels(workflow: Workflow) -> None:
    save_series(workflow.source, "alpha", 3)
    before = workflow.run().table("dataset/volumes.csv")[0]
    for changed in ({"compression": "none"}, {"compression": "small", "layout": "brick"}):
        run = workflow.run(**changed)
        after = run.table("dataset/volumes.csv")[0]
        assert run.extracted_series() == 1
        assert after["pixel_digest"] == before["pixel_digest"]
        assert run.table("dataset/reports/depth.csv")[0]["read_back"] == "exact"
