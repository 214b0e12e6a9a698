"""`./run publish` and `./run verify --dataset` with the real workflow: what is where, and what nobody may find."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import Launch, Workflow
from dicoms import save_series, slice_pixels
from folders import files_of
from s3_servers import BUCKET, S3, VARIABLES, moto
from sealed_dataset import seal

from dicomzarr.commands.launcher.json_forms import FORMS
from dicomzarr.dataset import open_dataset
from dicomzarr.system.results_folder import Results

PREFIX = "quagga/study"
SECRET = "Zq9Kestrel/Secret+7"


@pytest.fixture(scope="module")
def s3() -> Iterator[S3]:
    with moto() as served:
        yield served


def work_of(workflow: Workflow) -> dict[str, int]:
    """Return what the last publication did."""
    work: dict[str, int] = json.loads((workflow.results / "private/records/publish.json").read_text())["work"]
    return work


def test_a_run_publishes_and_nothing_outside_of_private_names_the_bucket(
    workflow: Workflow, launch: Launch, s3: S3, tmp_path: Path
) -> None:
    workflow.environment |= VARIABLES | {"AWS_SECRET_ACCESS_KEY": SECRET}
    target = {"target": f"s3://{BUCKET}/{PREFIX}", "endpoint": s3.endpoint}
    save_series(workflow.source / "alpha", "alpha", 4)
    assert "config key 'publish' is empty" in workflow.run("publish", ok=False).output
    workflow.environment["AWS_SECRET_ACCESS_KEY"] = ""
    refused = workflow.run("publish", ok=False, publish=target)
    assert "no credentials in the environment" in refused.output and refused.jobs("discover_files") == 0
    workflow.environment["AWS_SECRET_ACCESS_KEY"] = SECRET
    for folder, words in ((workflow.results / "copy", "it lies in"), (tmp_path / "none" / "copy", "does not exist")):
        refused = workflow.run("publish", ok=False, publish={"target": str(folder)})
        assert words in refused.output and refused.jobs("discover_files") == 0
    # As after a kill, scripts stay in .snakemake/: they hold the configuration of jobs.
    output = workflow.run("publish", "--skip-script-cleanup", publish=target).output
    assert [*workflow.folder.glob(".snakemake/scripts/*.publish.py")]
    output += (again := workflow.run("publish", publish=target)).output
    assert work_of(workflow)["uploaded"] == work_of(workflow)["copied"] == 0 and again.jobs("publish") == 1
    assert again.output.count("(Rule: ") == 1
    old = {key for key in s3.objects() if key.startswith(f"{PREFIX}/versions/")}
    assert len(old) == len(files_of(workflow.results / "dataset"))

    save_series(workflow.source / "beta", "beta", 3)
    output += workflow.run("publish", publish=target).output
    work = work_of(workflow)
    assert work["copied"] >= 4 and work["uploaded"] + work["copied"] == len(files_of(workflow.results / "dataset"))
    url = f"{s3.endpoint}/{BUCKET}/{PREFIX}"
    published = open_dataset(url, sample="slice")
    assert {key for key in s3.objects() if key in old} == old
    made = [slice_pixels(series, number) for series, count in (("alpha", 4), ("beta", 3)) for number in range(count)]
    assert sorted(sample["image"].tobytes() for sample in published) == sorted(image.tobytes() for image in made)

    assert launch(workflow, "verify", "--skip-script-cleanup").returncode == 0
    assert [*workflow.folder.glob(".snakemake/scripts/*.verify_dataset.py")]
    private = workflow.results / "private"
    read = [path for path in workflow.folder.rglob("*") if path.is_file() and private not in path.parents]
    read.remove(workflow.folder / "config.yaml")
    assert any(".snakemake" in path.parts for path in read)
    words = [BUCKET, "quagga", s3.endpoint.removeprefix("http://"), SECRET]
    for word in words:
        assert word not in output
        assert [path for path in read if word.encode() in path.read_bytes()] == []
    assert SECRET.encode() not in b"".join(path.read_bytes() for path in private.rglob("*") if path.is_file())

    good = launch(workflow, "verify", "--dataset", url, "--json", config=False)
    assert good.returncode == 0 and "not looked for" in good.stderr, good.stderr
    assert {*json.loads(good.stdout)} == {name.removesuffix("[]") for name, _ in FORMS["verify"]} - {"repair"}
    copy = Path(shutil.copytree(workflow.results / "dataset", tmp_path / "copy"))
    assert launch(workflow, "verify", "--dataset", str(copy), config=False).returncode == 0
    changed = copy / "volumes.csv"
    changed.write_bytes(changed.read_bytes()[::-1])
    shutil.rmtree(next(copy.glob("images.zarr/*/*/0/c")))
    (copy / "notes.txt").touch()
    bad = launch(workflow, "verify", "--dataset", str(copy), config=False)
    assert bad.returncode == 1 and "damaged  volumes.csv\n" in bad.stdout and "surplus  notes.txt\n" in bad.stdout
    assert "1 damaged, 1 missing, 1 surplus" in bad.stdout
    none = launch(workflow, "verify", "--dataset", str(workflow.source), config=False)
    assert none.returncode == 1 and "is no dataset: it has no dataset.json" in none.stderr


def test_a_seal_that_was_edited_is_noticed(workflow: Workflow, launch: Launch) -> None:
    results = Results(workflow.results)
    for folder in (results.dataset, results.private):
        folder.mkdir(parents=True)
    (results.dataset / "volumes.csv").write_text("array\n")
    stated = seal(results)
    assert launch(workflow, "verify", "--dataset", "results", config=False).returncode == 0
    lines = (results.dataset / "checksums").read_text()
    edits = {
        "`seal` in dataset.json is not": (results.sealed, results.sealed.read_text().replace(stated, stated[::-1])),
        "`digest` in dataset.json is not": (results.dataset / "checksums", lines.replace("volumes", "columns")),
        "checksums is damaged": (results.dataset / "checksums", "../outside" + lines.removeprefix("volumes.csv")),
        "dataset.json is damaged": (results.sealed, "{}"),
    }
    for message, (path, text) in edits.items():
        before = path.read_text()
        path.write_text(text)
        done = launch(workflow, "verify", "--dataset", "results", config=False)
        assert done.returncode == 1 and f"damaged  {message}" in done.stdout, done.stdout + done.stderr
        path.write_text(before)
    (results.dataset / "checksums").unlink()
    done = launch(workflow, "verify", "--dataset", "results", config=False)
    assert done.returncode == 1 and "an older version made this dataset" in done.stderr


@pytest.mark.parametrize("place", ["folder", "bucket"])
def test_what_was_lost_or_changed_in_a_target_is_sent_again_by_the_same_command(
    workflow: Workflow, s3: S3, tmp_path: Path, place: str
) -> None:
    workflow.environment |= VARIABLES
    save_series(workflow.source / "alpha", "alpha", 2)
    folder = tmp_path / "target"
    bucket = {"target": f"s3://{BUCKET}/lost", "endpoint": s3.endpoint}
    workflow.config["publish"] = {"target": str(folder)} if place == "folder" else bucket
    workflow.run("publish")

    def published() -> dict[str, bytes]:
        if place == "bucket":
            return {key.removeprefix("lost/"): content for key, content in s3.objects("lost/").items()}
        return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    whole = published()
    lost, changed = (next(name for name in whole if name.endswith(end)) for end in ("volumes.csv", "/c/0/0/0"))
    if place == "bucket":
        s3.client.delete_object(Bucket=BUCKET, Key=f"lost/{lost}")
        s3.client.put_object(Bucket=BUCKET, Key=f"lost/{changed}", Body=whole[changed][::-1])
    else:
        (folder / lost).unlink()
        (folder / changed).unlink()
        (folder / changed).write_bytes(whole[changed][::-1])
    assert published() != whole
    assert "publish" in workflow.run("publish", "-n").output and published() != whole
    workflow.run("publish")
    assert published() == whole and work_of(workflow)["uploaded"] == 2
    if place == "folder":  # as a disk that is not there: a folder without anything
        shutil.rmtree(folder)
    else:
        for name in whole:
            s3.client.delete_object(Bucket=BUCKET, Key=f"lost/{name}")
    workflow.run("publish")
    assert published() == whole
