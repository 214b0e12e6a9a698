"""The whole workflow on object storage: the digest of a run on the same files in a folder, and no name of a bucket."""

from __future__ import annotations

import io
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from conftest import Workflow
from dicoms import ct_slice, save, save_series
from object_storage import CREDENTIALS, ObjectStorage, next_second, serve
from scans_with_masks import ScanWithMasks

BUCKET, PREFIX, FOLDER = "heronclinic-exports", "wagtailward", "Siskin Anna"
NAMES = ("heronclinic", "wagtail", "siskin", *(value.lower() for value in CREDENTIALS.values()))
SERIES = ("added", "overwritten", "shortened", "touched")


@pytest.fixture
def storage() -> Iterator[ObjectStorage]:
    with serve(BUCKET) as storage:
        yield storage


def write_source(folder: Path) -> None:
    """Write four series, a scan with masks, an image of 2 MB, an archive and a file that is not DICOM."""
    for name in SERIES:
        save_series(folder / FOLDER / name, name, 3)
    ScanWithMasks("masked").save(folder / FOLDER / "masked")
    pixels = np.arange(1024 * 1024, dtype="<u4").astype("<i2").reshape(1024, 1024)
    save(ct_slice("large", 0, pixels=pixels), folder / FOLDER / "large.dcm")
    (folder / "notes.txt").write_text("no image")
    with zipfile.ZipFile(folder / FOLDER / "export.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for index in range(3):
            packed = io.BytesIO()
            ct_slice("packed", index).save_as(packed, enforce_file_format=True)
            archive.writestr(f"{index}.dcm", packed.getvalue())


def upload(storage: ObjectStorage, folder: Path) -> None:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            storage.put(f"{PREFIX}/{path.relative_to(folder)}", path.read_bytes())


def places_of_names(workflow: Workflow, endpoint: str) -> set[str]:
    """Return the files with a name of the source in their path or their bytes, but those of `results/private/`."""
    found, names = set(), (*NAMES, endpoint.removeprefix("http://"))
    for path in sorted(workflow.folder.rglob("*")):
        name = str(path.relative_to(workflow.folder))
        if not path.is_file() or name.startswith(("source/", "remote/private/", "local/", "config.yaml")):
            continue
        content = path.read_bytes().lower()
        if any(text in name.lower() or text.encode() in content for text in names):
            found.add(name)
    return found


def test_a_bucket_gives_what_a_folder_gives(workflow: Workflow, storage: ObjectStorage) -> None:
    workflow.environment |= CREDENTIALS
    write_source(workflow.source / "cloud")
    save_series(workflow.source / "disk" / "one", "on disk", 2)
    upload(storage, workflow.source / "cloud")
    folders = {"cloud": "source/cloud", "disk": "source/disk"}
    sources = {**folders, "cloud": f"s3://{BUCKET}/{PREFIX}"}
    settings = {"source": sources, "results": "remote", "object_store": {"endpoint": storage.endpoint}}
    files = sum(path.is_file() for path in (workflow.source / "cloud").rglob("*"))

    def run_locally(results: str) -> str:
        return str(workflow.run(source=folders, results=results).sealed["digest"])

    # The service goes down while headers are read, then while objects are extracted: nothing is lost, nothing stays.
    budget = [0]  # objects that the service still returns
    lock = threading.Lock()

    def after_some(path: str, query: str) -> int | None:
        with lock:
            budget[0] -= "list-type" not in query
            return 0 if budget[0] < 0 else None

    storage.fail = after_some
    for objects, rule in ((0, "discover_files"), (files // 2, "index_headers"), (files + 16, "extract_batch")):
        budget[0] = objects
        failed = workflow.run(ok=False, **settings)
        assert failed.process.returncode == 1 and "Traceback" not in failed.output
        assert f"{rule}: config key 'source': the object storage cannot be read" in failed.output
        assert not any(name in failed.output.lower() for name in NAMES)
        assert not (failed.results / "dataset" / "dataset.json").exists()
    storage.fail = None
    # Each header by one range, whatever the size of the object; then each object once.
    large = [(request.range, request.bytes) for request in storage.gets() if request.path.endswith("large.dcm")]
    assert ("bytes=0-65535", 65536) in large
    run = workflow.run(**settings)
    digest = run.sealed["digest"]
    assert digest == run_locally("local")
    for table in ("files.csv", "manifest.csv"):
        private = [workflow.folder / results / "private" / table for results in ("remote", "local")]
        assert private[0].read_bytes() == private[1].read_bytes()
    assert places_of_names(workflow, storage.endpoint) == set()
    answered = [request for request in storage.gets() if request.status < 300]
    # Beside a header and a whole object: what failed jobs had read, contours of masks, members of the archive.
    assert len(answered) <= 2 * files + (files // 2 + 16) + 4 + 12

    # Nothing changed: one list and no object.
    storage.requests.clear()
    assert workflow.run(**settings).nothing_to_do
    assert [request.is_list for request in storage.requests] == [True]

    # An object that was written again with the same bytes is read again, no more.
    next_second()
    for path in (workflow.source / "cloud" / FOLDER / "touched").iterdir():
        storage.put(f"{PREFIX}/{path.relative_to(workflow.source / 'cloud')}", path.read_bytes())
    storage.requests.clear()
    touched = workflow.run(**settings)
    assert touched.extracted_series() == 0 and touched.jobs("extract_batch") == 1
    assert touched.sealed["digest"] == digest and len(storage.gets()) == 6

    # Added, overwritten and deleted objects: their series alone.
    cloud = workflow.source / "cloud" / FOLDER
    save(ct_slice("added", 3), cloud / "added" / "new.dcm")
    overwritten = sorted((cloud / "overwritten").iterdir())[0]
    save(ct_slice("overwritten", 0, pixels=np.ones((4, 4), "<i2")), overwritten)
    deleted = sorted((cloud / "shortened").iterdir())[-1]
    deleted.unlink()
    for path in (cloud / "added" / "new.dcm", overwritten):
        storage.put(f"{PREFIX}/{path.relative_to(workflow.source / 'cloud')}", path.read_bytes())
    storage.delete(f"{PREFIX}/{deleted.relative_to(workflow.source / 'cloud')}")
    edited = workflow.run(**settings)
    assert edited.extracted_series() == 3
    digest_of_edited = edited.sealed["digest"]
    assert digest_of_edited == run_locally("local") != digest
    assert places_of_names(workflow, storage.endpoint) == set()

    # Too many objects are missing: nothing is deleted.
    for name in [path.relative_to(workflow.source / "cloud") for path in cloud.rglob("*.dcm")]:
        storage.delete(f"{PREFIX}/{name}")
    refused = workflow.run(ok=False, **settings)
    assert refused.process.returncode == 1 and "files of the last run are missing, " in refused.output
    assert not any(name in refused.output.lower() for name in NAMES)
    assert refused.sealed["digest"] == digest_of_edited
