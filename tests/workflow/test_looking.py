"""verify, status and diff look and change nothing; a source that lost its files is not read as empty."""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import FULL, ROOT, Launch, Run, Workflow, in_ci
from dicoms import ct_slice, save, save_series
from forks import Forks
from ordinary import read_only
from revocations import revoked

from dicomzarr.commands.launcher.json_forms import FORMS
from dicomzarr.stages import verify_dataset
from dicomzarr.system import json_files
from dicomzarr.system.results_folder import Results

BATCH = {"series": 2, "megabytes": 512}
SERIES = 5
DAMAGES = 200


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, warm: Forks | None) -> Workflow:
    """A finished dataset, not to be changed."""
    workflow = Workflow(tmp_path_factory.mktemp("made"), {"batch": BATCH}, {"DICOMZARR_KEY": "k" * 32}, forks=warm)
    for number in range(SERIES):
        save_series(workflow.source / f"folder {number}", f"series-{number}", 3)
    workflow.run()
    return workflow


@pytest.fixture
def mine(made: Workflow, tmp_path: Path) -> Workflow:
    """A copy of it, with its times and inodes known to nobody."""
    shutil.copytree(made.folder, tmp_path / "mine", symlinks=True)
    return Workflow(tmp_path / "mine", made.config, made.environment, forks=made.forks)


def snapshot(folder: Path) -> dict[str, tuple[int, int, str]]:
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.parent.name not in ("logs",) and path.name != "run.lock":
            status = path.stat()
            found[str(path)] = (status.st_ino, status.st_mtime_ns, hashlib.sha256(path.read_bytes()).hexdigest())
    return found


# ---- verify


def damage(path: Path, how: str, generator: random.Random) -> Callable[[], None]:
    """Damage a file and return what undoes it."""
    data = path.read_bytes()
    if how == "delete" or not data:
        path.unlink()
    elif how == "cut":
        path.write_bytes(data[: generator.randrange(len(data))])
    else:
        changed = bytearray(data)
        changed[generator.randrange(len(data))] ^= 1 << generator.randrange(8)
        path.write_bytes(changed)
    return lambda: (path.write_bytes(data), None)[1]


def test_every_bit_flip_cut_and_deletion_is_found(mine: Workflow) -> None:
    results, generator = Results(mine.results), random.Random(4)
    files = sorted(path for path in results.dataset.rglob("*") if path.is_file())
    assert verify_dataset.verify(results, 2).good
    for number in range(DAMAGES):
        path, how = generator.choice(files), ("flip", "cut", "delete")[number % 3]
        undo = damage(path, how, generator)
        kind = verify_dataset.DAMAGED if path.exists() else verify_dataset.MISSING
        found = verify_dataset.verify(results, 2)
        assert found.findings == [(kind, str(path.relative_to(results.dataset)))], (how, found)
        undo()
    assert verify_dataset.verify(results).good


def test_verify_lists_and_repairs_exactly_the_damaged_files(mine: Workflow, launch: Launch) -> None:
    good = launch(mine, "verify", "--json")
    assert "profile" not in good.stderr  # a note of Snakemake
    assert good.returncode == 0 and json.loads(good.stdout)["good"], good.stderr
    assert {*json.loads(good.stdout)} == {name.removesuffix("[]") for name, _ in FORMS["verify"]} - {"repair"}
    dataset = mine.results / "dataset"
    before = json.loads((dataset / "dataset.json").read_text())
    images = sorted(dataset.glob("images.zarr/*/*/0/c/0/0/0"))
    changed = bytearray(images[0].read_bytes())
    changed[30] ^= 4
    images[0].write_bytes(changed)
    images[1].unlink()
    (dataset / "dataset.json").write_bytes((dataset / "dataset.json").read_bytes().replace(b"slice", b"brick"))
    (dataset / "images.zarr" / images[2].parts[-7] / "stray").write_text("x")
    kept = {path: path.stat().st_ino for path in images[2:]}
    stale = snapshot(mine.results)
    bad = launch(mine, "verify")
    assert bad.returncode == 1
    for kind, path in (("damaged", images[0]), ("missing", images[1]), ("damaged", dataset / "dataset.json")):
        assert f"{kind:<8} {path.relative_to(dataset)}\n" in bad.stdout
    assert "surplus  images.zarr/" in bad.stdout and "2 damaged, 1 missing, 1 surplus" in bad.stdout
    after = snapshot(mine.results)
    assert {key for key in after if stale.get(key) != after[key]} <= {str(mine.results / "logs/verify_dataset.log")}
    repaired = launch(mine, "verify", "--repair")
    assert repaired.returncode == 0, repaired.stderr
    assert "repair" in {why for _, _, why in revoked(mine.results)}
    assert launch(mine, "verify").returncode == 0
    assert json.loads((dataset / "dataset.json").read_text()) == before
    assert {path: path.stat().st_ino for path in images[2:]} == kept  # only what was damaged was rebuilt
    assert len(list((mine.results / "private/surplus").rglob("stray"))) == 1


def test_verify_reads_the_private_files_that_the_next_run_uses(mine: Workflow) -> None:
    mine.run()  # a copy: every inode is another one
    before, results = mine.sealed(), Results(mine.results)
    wanted = (
        "headers.jsonl", "manifest.csv", "frames.csv", "plans/*-*.json", "plans/contents.json",
        "records/extract_batch/*/*.json", "records/check_batch/*/*.json",
    )  # fmt: skip
    damaged = [min(results.private.glob(one)) for one in wanted]
    for path in damaged:
        flip(path)
    found = verify_dataset.verify(results, 2)
    assert found.findings == sorted((verify_dataset.DAMAGED, str(path.relative_to(mine.results))) for path in damaged)
    verify_dataset.schedule_repair(results, found)
    assert mine.run().sealed == before
    assert verify_dataset.verify(results).good and mine.run().nothing_to_do
    flip(results.records / "seal_dataset.json")
    assert verify_dataset.verify(results).unfinished == "a record of the run is damaged"
    assert mine.run().sealed == before


def test_each_job_that_reads_a_damaged_table_says_so(mine: Workflow) -> None:
    """The first one deletes the record that tells; the second one finds none."""
    before, sizes = mine.sealed(), mine.results / "dataset/reports/size.csv"
    sizes.write_bytes(sizes.read_bytes().replace(b",", b";"))
    run = mine.run(cores=1, ok=False)
    for rule in ("render_report", "write_cards"):
        assert f"{rule}: a file that an earlier step wrote is damaged" in run.output
    assert mine.run().sealed == before


def damage_or_replace(path: Path, how: str, generator: random.Random) -> None:
    """Damage a file as `damage` does, or put in its place a folder, or a link to a copy."""
    if how not in ("folder", "link"):
        damage(path, how, generator)
        return
    data = path.read_bytes()
    path.unlink()
    if how == "folder":
        path.mkdir()
        (path / "inner").write_bytes(data)
    else:
        path.with_name("aside").write_bytes(data)
        path.symlink_to("aside")


@pytest.mark.parametrize("how", ["flip", "cut", "delete", "link", "folder"] if FULL else ["folder"])
def test_one_repair_restores_every_kind_of_file_at_once(mine: Workflow, how: str) -> None:
    """One file of each kind; not logs, locks and notes, on which nothing rests, and not both marks of the key."""
    before, results, kinds = mine.sealed(), Results(mine.results), dict[str, Path]()
    for path in sorted([*results.dataset.rglob("*"), *results.private.rglob("*")]):
        name = re.sub(r"[0-9a-f]{3,}", "x", str(path.relative_to(mine.results)))
        if path.is_file() and path.suffix != ".lock" and not {"progress", "attempts"} & {*path.parts}:
            kinds.setdefault(name, path)
    assert len(kinds) > 40
    for number, path in enumerate(kinds.values()):
        if path.name != "key_check.json":
            damage_or_replace(path, how, random.Random(number))
    verify_dataset.schedule_repair(results, verify_dataset.verify(results))
    assert mine.run().sealed == before
    assert verify_dataset.verify(results).good and mine.run().nothing_to_do


def test_repair_includes_arrays_whose_batch_record_is_damaged(mine: Workflow) -> None:
    before, results = mine.sealed(), Results(mine.results)
    array = min(results.images.glob("*/*/0/c/0/0/0"))
    batch = next(p for p in (results.records / "extract_batch").glob("*.json") if array.parts[-7] in p.read_text())
    flip(array)
    damaged, said = (verify_dataset.DAMAGED, str(array.relative_to(results.dataset))), batch.read_bytes()
    batch.unlink()
    assert damaged in verify_dataset.verify(results).findings
    batch.write_bytes(said)
    flip(batch)
    found = verify_dataset.verify(results)
    assert found.findings == [damaged] and found.unfinished == "a record of the run is damaged"
    verify_dataset.schedule_repair(results, found)
    assert mine.run().sealed == before
    assert verify_dataset.verify(results).good


@pytest.mark.parametrize("place", ["dataset/dataset.json", *(["private/key_check.json"] if FULL else [])])
def test_a_damaged_key_check_does_not_refuse_the_correct_key(mine: Workflow, place: str) -> None:
    before = mine.sealed()
    path = mine.results / place
    path.write_bytes(path.read_bytes().replace(before["key_check"].encode(), before["key_check"][::-1].encode()))
    verify_dataset.schedule_repair(Results(mine.results), verify_dataset.verify(Results(mine.results)))
    assert mine.run().sealed == before
    mine.environment = {"DICOMZARR_KEY": "another key" * 4}
    assert "the pseudonym key is not the key of this dataset" in mine.run(ok=False).output


@pytest.mark.parametrize("name", ["private/headers.jsonl", "private/plans/*-*.json"])
def test_a_job_refuses_a_damaged_input_and_the_next_run_rebuilds_it(mine: Workflow, name: str) -> None:
    mine.run()
    before, path = mine.sealed(), min(mine.results.glob(name))
    flip(path, whole=True)
    run = mine.run(ok=False)
    assert run.process.returncode == 1 and "is damaged; its record was deleted" in run.output
    assert "internal error" not in run.output and not (mine.results / "dataset/dataset.json").exists()
    assert mine.run().sealed == before
    assert verify_dataset.verify(Results(mine.results)).good


def test_an_incomplete_run_leaves_no_seal(mine: Workflow) -> None:
    mine.run()
    before = mine.sealed()
    mine.run("--until", "index_headers")
    assert mine.sealed() == before  # nothing to do, nothing unsealed
    save(ct_slice("series-0", 3), mine.source / "folder 0" / "late.dcm")
    mine.run("--until", "plan_batches")
    assert not (mine.results / "dataset/dataset.json").exists()
    assert verify_dataset.verify(Results(mine.results)).unfinished == "the dataset is not sealed"
    assert mine.run().sealed != before


def flip(path: Path, *, whole: bool = False) -> None:
    """Flip a bit of a file, or one of each byte; its size stays."""
    data = bytearray(path.read_bytes())
    for at in range(len(data)) if whole else (len(data) // 2,):
        data[at] ^= 0x10
    path.write_bytes(data)


def test_verify_distinguishes_an_unfinished_dataset_from_a_damaged_one(mine: Workflow) -> None:
    results = Results(mine.results)
    (results.records / "seal_dataset.json").unlink()
    found = verify_dataset.verify(results)
    assert found.unfinished and not found.findings and not found.good


def test_verify_needs_no_source_and_results(made: Workflow, tmp_path: Path, launch: Launch) -> None:
    other = Workflow(tmp_path / "other", {}, made.environment, forks=made.forks)
    other.write_config()
    done = launch(other, "verify")
    assert done.returncode == 1 and "holds no results yet" in done.stderr
    other.write_config(results=str(made.results))
    assert launch(other, "verify").returncode == 0


# ---- status


def test_status_lists_the_work_of_the_next_run_and_changes_nothing(mine: Workflow, launch: Launch) -> None:
    assert launch(mine, "status").returncode == 2  # a copy: every inode is another one
    mine.run()
    before = snapshot(mine.results)
    idle = launch(mine, "status")
    assert (idle.returncode, idle.stdout) == (0, "Nothing to do\n")
    save_series(mine.source / "new", "new", 3)
    shutil.rmtree(mine.source / "folder 1")
    os.utime(next((mine.source / "folder 2").iterdir()))
    lost = next((mine.results / "dataset/images.zarr").glob("*/*/0/c/0/0/0"))
    data = lost.read_bytes()
    lost.unlink()
    done = launch(mine, "status", "--json")
    assert done.returncode == 2
    said = {(one["reason"], one.get("rule", "")): one["count"] for one in json.loads(done.stdout)["reasons"]}
    assert said[("source_new", "")] == said[("source_gone", "")] == 3
    assert (said[("source_changed", "")], said[("lost", "extract_batch")]) == (1, 1)
    lost.write_bytes(data)
    after = {key: value[2] for key, value in snapshot(mine.results).items()}
    assert after == {key: value[2] for key, value in before.items()}
    mine.run()
    mine.write_config(compression="fast")
    done = launch(mine, "status")
    assert done.returncode == 2 and "Extracting the pixels" in done.stdout and "configuration" in done.stdout


def test_status_before_the_first_run_creates_no_folder(workflow: Workflow, launch: Launch) -> None:
    save_series(workflow.source, "alpha", 3)
    workflow.write_config()
    done = launch(workflow, "status")
    assert (done.returncode, done.stdout) == (2, "first run: 3 entries in the source\n")
    assert not workflow.results.exists()


def test_status_reports_an_active_run(mine: Workflow, launch: Launch) -> None:
    code = "import sys, time; sys.path.insert(0, sys.argv[1]); from pathlib import Path; "
    code += "from dicomzarr.system import locks; locks.lock_run(Path(sys.argv[2]), 'noon'); "
    code += "print('held', flush=True); time.sleep(60)"
    command = [sys.executable, "-c", code, str(ROOT / "scripts"), str(mine.results / "private")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout and holder.stdout.readline() == "held\n"
        for word in ("status", "verify"):
            done = launch(mine, word)
            assert done.returncode == 1 and f"process {holder.pid} since noon" in done.stderr
        holder.send_signal(signal.SIGKILL)


# ---- a folder that cannot be written


@pytest.fixture
def held(mine: Workflow, request: pytest.FixtureRequest) -> Iterator[list[str]]:
    mine.run()
    with read_only(mine.results, request.param) as held_to_it:
        yield held_to_it


@pytest.mark.parametrize("held", in_ci(1, ["mount", "permissions"]), indirect=True)
def test_status_verify_and_diff_need_no_write_permission(mine: Workflow, launch: Launch, held: list[str]) -> None:
    before, seen = {"before": held}, snapshot(mine.results)
    status, good = launch(mine, "status", **before), launch(mine, "verify", **before)
    assert (status.returncode, status.stdout) == (0, "Nothing to do\n"), status.stderr
    assert good.returncode == 0 and "0 damaged, 0 missing, 0 surplus" in good.stdout, good.stderr
    assert launch(mine, "diff", "results", "results/dataset", config=False, **before).returncode == 0
    for word in ("files", "report"):
        assert launch(mine, word, *(["--no-open"] if word == "report" else []), **before).returncode == 0
    refused = launch(mine, "verify", "--repair", **before)
    assert refused.returncode == 1 and "config key 'results': the folder cannot be repaired" in refused.stderr
    shutil.rmtree(mine.source / "folder 1")
    mine.write_config(compression="fast")
    pending = launch(mine, "status", **before)
    assert pending.returncode == 2 and "source: 3 entries are gone" in pending.stdout, pending.stderr
    assert "results: not writable from here" in pending.stdout
    assert snapshot(mine.results) == seen


# ---- diff


def test_diff_lists_added_grown_changed_and_removed_volumes(mine: Workflow, launch: Launch, tmp_path: Path) -> None:
    shutil.copytree(mine.results / "dataset", tmp_path / "old")
    save_series(mine.source / "new", "new", 3)
    save(ct_slice("series-0", 3), mine.source / "folder 0" / "late.dcm")
    save(ct_slice("series-1", 1, RescaleSlope=2), sorted((mine.source / "folder 1").iterdir())[-1])
    shutil.rmtree(mine.source / "folder 2")
    run = mine.run(compression="fast")
    done = launch(mine, "diff", str(tmp_path / "old"), "--json", config=False)
    assert done.returncode == 1, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    assert {kind: len(found["volumes"][kind]) for kind in ("added", "grown", "retired")} == {
        "added": 1, "grown": 1, "retired": 1,
    }  # fmt: skip
    assert found["config"]["compression"] == ["balanced", "fast"]
    assert found["counts"]["frames"] == [15, 16] and found["same_key"] and not found["same_data"]
    table = launch(mine, "diff", str(tmp_path / "old" / "dataset.json"), str(run.results), config=False)
    assert "retired  " in table.stdout and "1 added, 1 grown" in table.stdout
    shutil.copy(tmp_path / "old" / "dataset.json", tmp_path / "old.json")
    bare = launch(mine, "diff", str(tmp_path / "old.json"), config=False)
    assert "not compared" in bare.stdout and "counts   frames: 15 -> 16" in bare.stdout
    assert launch(mine, "diff", "results", "results/dataset", config=False).returncode == 0
    assert launch(mine, "diff", "nowhere", config=False).returncode == 2


def test_diff_reports_that_only_the_counts_of_source_files_differ(
    mine: Workflow, launch: Launch, tmp_path: Path
) -> None:
    shutil.copytree(mine.results / "dataset", tmp_path / "old")
    first = min((mine.source / "folder 0").iterdir())
    shutil.copy(first, mine.source / "folder 0" / "a copy.dcm")
    mine.run()
    done = launch(mine, "diff", str(tmp_path / "old"), config=False)
    assert done.returncode == 1 and "counts   skipped: 0 -> 1" in done.stdout
    assert done.stdout.endswith("the same volumes, but different tables, pictures or cards; another seal\n")
    (mine.source / "folder 0" / "a copy.dcm").unlink()
    assert launch(mine, "status").stdout.startswith("source: 1 entry is gone\njobs: ")


# ---- The source


def test_a_source_that_lost_its_files_is_refused_until_confirmed(mine: Workflow) -> None:
    mine.run()
    before = snapshot(mine.results)
    aside = mine.folder / "aside"
    aside.mkdir()
    for number in range(3):
        (mine.source / f"folder {number}").rename(aside / f"folder {number}")
    refused = mine.run(ok=False)
    assert refused.process.returncode == 1
    assert "files of the last run are missing, 9 of 15; nothing was changed" in refused.output
    assert snapshot(mine.results) == before
    for path in list(mine.source.iterdir()):
        path.rename(aside / path.name)
    assert "files of the last run are missing, 15 of 15" in mine.run(ok=False, largest_drop=1.0).output
    for path in list(aside.iterdir())[3:]:
        path.rename(mine.source / path.name)
    run = mine.run("--config", "confirm_drop=true", "keep_removed=true")
    assert len(run.table("dataset/volumes.csv")) == SERIES - 3
    assert ("extract_batch", "series", "removed") in revoked(mine.results)
    retired = sorted(path.stem for path in (mine.results / "private/retired").iterdir())
    assert sorted(path.name for path in (mine.results / "private/removed").iterdir()) == retired and len(retired) == 3
    assert mine.run().nothing_to_do  # the switches change no result
    (aside / "folder 0").exists() and (aside / "folder 0").rename(mine.source / "folder 0")


def test_one_of_several_sources_that_is_empty_now_is_refused(workflow: Workflow) -> None:
    save_series(workflow.folder / "large", "alpha", 9)
    save_series(workflow.folder / "small", "beta", 1)
    workflow.config = {"source": {"large": "large", "small": "small"}}
    workflow.run()
    shutil.rmtree(workflow.folder / "small")
    assert "does not exist" in workflow.run(ok=False).output
    (workflow.folder / "small").mkdir()
    refused = workflow.run(ok=False)
    assert (
        refused.process.returncode == 1
        and "'source.small': files of the last run are missing, 1 of 1;" in refused.output
    )
    run = workflow.run(source={"large": "large"})  # taken out of the configuration: said on purpose
    assert len(run.table("dataset/volumes.csv")) == 1


def counts_of(run: Run) -> tuple[int, int, int]:
    records = run.results / "private" / "records"
    batches = [json_files.read_json(path)["counts"] for path in (records / "extract_batch").glob("*.json")]
    read = json_files.read_json(records / "index_headers.json")["work"]["read"]
    return read, sum(one["hashed"] for one in batches), sum(one["extracted"] for one in batches)


def test_paranoid_reads_every_file_again_and_extracts_nothing(mine: Workflow) -> None:
    mine.run()
    run = mine.run(paranoid=True)
    assert counts_of(run) == (3 * SERIES, 3 * SERIES, 0)
    assert mine.run().nothing_to_do
