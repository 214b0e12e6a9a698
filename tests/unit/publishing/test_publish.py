"""Publishing over HTTP to two servers that speak S3, and to a folder: what is sent, and what readers see meanwhile."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import FULL, ROOT
from folders import files_of
from made_up_volumes import MadeUp, write
from s3_servers import BUCKET, REGION, S3, VARIABLES, moto, s3rver
from sealed_dataset import seal
from signing_keys import allowed, key_pair, signed_by_hand
from waiting import HANG

from dicomzarr.dataset import open_dataset
from dicomzarr.publishing import copies, stores, upload, verify_copy
from dicomzarr.source import object_store
from dicomzarr.stages.publish import publish
from dicomzarr.system.results_folder import Results
from dicomzarr.vocabulary.errors import UserError

RANDOM = np.random.default_rng(5)
PREFIX = "studies/liver"
SERIES = "images.zarr/0000000000000001"  # the one that changes


def voxels(number: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(number).integers(-1000, 3000, (6, 40, 40)).astype("<i2")


def remake(results: Results, changed: int = 0) -> str:
    """Write a dataset of three volumes, of which the second depends on `changed`, and seal it."""
    shutil.rmtree(results.dataset / "images.zarr", ignore_errors=True)
    write(results.dataset, [MadeUp("zyx", voxels(number + changed * (number == 1))) for number in range(3)])
    (results.dataset / "reports").mkdir(exist_ok=True)
    (results.dataset / "reports" / "report.html").write_text(f"<p>{changed}</p>")
    return seal(results)


@pytest.fixture
def results(tmp_path: Path) -> Results:
    folders = Results(tmp_path / "results")
    for folder in (folders.private, folders.dataset):
        folder.mkdir(parents=True)
    remake(folders)
    return folders


@pytest.fixture(autouse=True)
def variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    for name, value in VARIABLES.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="module")
def server() -> Iterator[S3]:
    with moto() as served:
        yield served


@pytest.fixture
def s3(server: S3, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3]:
    """A bucket without objects."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.endpoint)
    server.taken()
    yield server
    server.before = None
    while contents := server.client.list_objects_v2(Bucket=BUCKET).get("Contents"):
        server.client.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": item["Key"]} for item in contents]})


def config(s3: S3, **others: Any) -> dict[str, Any]:
    return {"target": f"s3://{BUCKET}/{PREFIX}", "endpoint": s3.endpoint, "region": REGION, **others}


def versions(s3: S3) -> dict[str, dict[str, bytes]]:
    """Return the objects of each version."""
    found: dict[str, dict[str, bytes]] = {}
    for key, content in s3.objects(f"{PREFIX}/versions/").items():
        version, _, path = key.removeprefix(f"{PREFIX}/versions/").partition("/")
        found.setdefault(version, {})[path] = content
    return found


def check(s3: S3, results: Results) -> None:
    """Check that readers see the dataset on disk, whole: with another library, with ours, and by its checksums."""
    version = json.loads(results.sealed.read_bytes())["seal"][:16]
    pointer = json.loads(s3.client.get_object(Bucket=BUCKET, Key=f"{PREFIX}/latest.json")["Body"].read())
    assert pointer["version"] == pointer["versions"][0] == version and pointer["path"] == f"versions/{version}"
    assert versions(s3)[version] == files_of(results.dataset)
    for url in (f"s3://{BUCKET}/{PREFIX}", f"{s3.endpoint}/{BUCKET}/{PREFIX}"):
        far, near = open_dataset(url), open_dataset(results.dataset)
        assert far.rows == near.rows
        assert all(np.array_equal(far[number]["image"], near[number]["image"]) for number in range(3))
    verdict = verify_copy.verify(copies.find(f"s3://{BUCKET}/{PREFIX}"), 8)
    assert verdict.good and verdict.is_listed and verdict.files == len(files_of(results.dataset))


def flow(s3: S3, results: Results) -> None:
    """Publish, publish again, change one series, publish: only its objects and the metadata are sent."""
    first = publish(results, config(s3))
    everything = files_of(results.dataset)
    assert first.work["uploaded"] == first.counts["objects"] == len(everything) and first.work["copied"] == 0
    assert first.work["proven"] == len(everything) - 1  # dataset.json is sent after the check
    check(s3, results)
    again = publish(results, config(s3))
    assert (again.work["uploaded"], again.work["bytes"], again.work["unchanged"]) == (0, 0, len(everything))
    remake(results, changed=10)
    changed = {path for path, content in files_of(results.dataset).items() if everything[path] != content}
    second = publish(results, config(s3))
    assert second.work["uploaded"] == len(changed) and second.work["copied"] == len(everything) - len(changed)
    assert {"dataset.json", "checksums", "volumes.csv", "reports/report.html"} >= {
        path for path in changed if not path.startswith(SERIES)
    } and any(path.startswith(SERIES) for path in changed)
    check(s3, results)
    assert len(versions(s3)) == 2


def test_a_changed_series_alone_is_sent_to_moto(s3: S3, results: Results) -> None:
    flow(s3, results)
    sent = [key for method, key in s3.taken() if method == "PUT"]
    assert not [key for key in sent if not key.startswith(f"{PREFIX}/")]
    first = [key.partition("/versions/")[2].partition("/")[2] for key in sent[: sent.index(f"{PREFIX}/latest.json")]]
    assert first[-2:] == ["checksums", "dataset.json"]
    phases = [upload.phase_of(path) for path in first[:-2]]
    assert phases == sorted(phases) and {*phases} == {0, 1, 2}  # voxels, tables, metadata


def test_a_changed_series_alone_is_sent_to_s3rver(
    results: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with s3rver(tmp_path / "buckets") as served:
        monkeypatch.setenv("AWS_ENDPOINT_URL", served.endpoint)
        flow(served, results)


CHILD = f"""
import json, sys
from pathlib import Path
sys.path.insert(0, {str(ROOT / "scripts")!r})
from dicomzarr.stages.publish import publish
from dicomzarr.system.results_folder import Results
publish(Results(Path(sys.argv[1])), json.loads(sys.argv[2]))
"""


PLACES = ("first", "voxels", "metadata", "dataset.json", "latest.json", *(("table", "checksums") if FULL else ()))


@pytest.mark.parametrize("place", PLACES)
def test_readers_see_the_old_version_until_the_new_one_is_whole(s3: S3, results: Results, place: str) -> None:
    publish(results, config(s3))
    before, rows = s3.objects(), open_dataset(f"s3://{BUCKET}/{PREFIX}").rows
    remake(results, changed=20)
    child: list[subprocess.Popen[bytes]] = []
    at = {"first": "", "voxels": f"{SERIES}/00000001/0/c/", "table": "volumes.csv", "metadata": "zarr.json"}

    def kill(method: str, key: str) -> None:
        if child and method in ("PUT", "COPY") and at.get(place, place) in key:
            child[0].send_signal(signal.SIGKILL)
            child[0].wait()
            raise RuntimeError("the client is gone")

    s3.before = kill
    child.append(subprocess.Popen([sys.executable, "-c", CHILD, str(results.root), json.dumps(config(s3))]))
    assert child[0].wait(HANG) == -signal.SIGKILL
    s3.before = None
    during = s3.objects()
    assert {key: during[key] for key in before} == before  # nothing that readers see was touched
    assert open_dataset(f"s3://{BUCKET}/{PREFIX}").rows == rows
    assert verify_copy.verify(copies.find(f"s3://{BUCKET}/{PREFIX}"), 8).good
    repeated = publish(results, config(s3))
    assert repeated.work["unchanged"] == sum(f"{PREFIX}/versions/" in key for key in during) - sum(
        f"{PREFIX}/versions/" in key for key in before
    )
    check(s3, results)


def test_objects_are_known_without_the_notes_of_what_was_sent(s3: S3, results: Results) -> None:
    publish(results, config(s3))
    (results.private / "published.jsonl").unlink()
    assert publish(results, config(s3)).work["uploaded"] == 0
    (results.private / "published.jsonl").unlink()
    version = remake(results, changed=30)[:16]
    assert publish(results, config(s3)).work["copied"] > 5
    key = f"{PREFIX}/versions/{version}/{SERIES}/00000001/zarr.json"
    content = s3.objects(key)[key]
    s3.client.put_object(Bucket=BUCKET, Key=key, Body=b"x" * len(content))  # the same size
    verdict = verify_copy.verify(copies.find(f"s3://{BUCKET}/{PREFIX}"), 8)
    assert verdict.findings == [("damaged", f"{SERIES}/00000001/zarr.json")]
    assert publish(results, config(s3)).work["uploaded"] == 1
    check(s3, results)


def test_large_objects_go_in_parts(s3: S3, results: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upload, "PART", 5 << 20)
    large = results.dataset / "images.zarr" / "large"
    large.write_bytes(RANDOM.bytes(12 << 20))
    seal(results)
    first = publish(results, config(s3))
    assert first.work["proven"] == first.counts["objects"] - 1  # also the tag of an object of several parts
    check(s3, results)
    large.write_bytes(large.read_bytes()[:-1] + b"!")  # after the seal, of the same size
    before = s3.objects()
    s3.client.delete_object(Bucket=BUCKET, Key=next(key for key in before if key.endswith("images.zarr/large")))
    with pytest.raises(UserError, match="differs from its record"):
        publish(results, config(s3))
    assert not [key for key in s3.objects() if key.endswith("images.zarr/large")]


def test_a_signature_is_published_and_goes_with_its_file(s3: S3, results: Results) -> None:
    publish(results, config(s3))
    (results.dataset / "dataset.json.sig").write_text("a signature")
    signed = publish(results, config(s3))
    assert signed.work["uploaded"] == 1 and signed.counts["objects"] == len(files_of(results.dataset))
    check_signature = next(key for key in s3.objects() if key.endswith("dataset.json.sig"))
    (results.dataset / "dataset.json.sig").unlink()
    publish(results, config(s3))
    assert check_signature not in s3.objects()


def test_the_signature_of_a_copy_is_checked(s3: S3, results: Results, tmp_path: Path) -> None:
    curator, signers = key_pair(tmp_path, "curator"), tmp_path / "signers"
    signers.write_text(allowed(curator, "curator"))

    def state() -> tuple[str, bool]:
        verdict = verify_copy.verify(copies.find(f"s3://{BUCKET}/{PREFIX}"), 8, signers)
        return verdict.signature.state, verdict.good

    publish(results, config(s3))
    assert state() == ("none", False)
    signed_by_hand(results.sealed, curator)
    publish(results, config(s3))
    assert state() == ("good", True)
    signers.write_text(allowed(key_pair(tmp_path, "stranger"), "curator"))
    assert state() == ("bad", False)
    assert verify_copy.verify(copies.find(f"s3://{BUCKET}/{PREFIX}"), 8).good


def test_old_versions_are_deleted_on_request(s3: S3, results: Results) -> None:
    seals = []
    for changed in (0, 40, 50):
        seals.append(remake(results, changed)[:16])
        publish(results, config(s3))
    s3.client.put_object(Bucket=BUCKET, Key=f"{PREFIX}/versions/{'5e' * 8}/volumes.csv", Body=b"interrupted")
    others = {f"{PREFIX}/versions/v1/model.bin", f"{PREFIX}/versions/notes.txt", "studies/liver2/other"}
    for key in others:
        s3.client.put_object(Bucket=BUCKET, Key=key, Body=b"of somebody else")
    assert publish(results, config(s3, keep=2)).work["removed"] == len(versions(s3)[seals[2]]) + 1
    assert others <= {*s3.objects()}
    for key in others:
        s3.client.delete_object(Bucket=BUCKET, Key=key)
    assert {*versions(s3)} == {*seals[1:]}
    check(s3, results)


def test_an_object_that_was_changed_in_the_target_is_not_copied_to_the_next_version(s3: S3, results: Results) -> None:
    first = remake(results)[:16]
    publish(results, config(s3))
    key = next(key for key in s3.objects() if f"/{first}/images.zarr/0000000000000000/" in key and "/c/" in key)
    content = s3.objects()[key]
    s3.client.put_object(Bucket=BUCKET, Key=key, Body=content[::-1])
    second = remake(results, 70)[:16]
    publish(results, config(s3))
    assert s3.objects()[key.replace(first, second)] == content != content[::-1]


def test_what_cannot_be_published_is_refused(s3: S3, results: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(match: str, **others: Any) -> None:
        with pytest.raises(UserError, match=match) as error:
            publish(results, config(s3, **others))
        assert BUCKET not in str(error.value) and s3.endpoint not in str(error.value)

    s3.client.put_object(Bucket=BUCKET, Key="taken/latest.json", Body=b"[]")
    refused("did not write", target=f"s3://{BUCKET}/taken")
    refused("does not exist", target="s3://no-such-bucket-at-all/x")
    refused("lies in the results", target=str(results.dataset / "copy"))
    with monkeypatch.context() as patch:
        patch.delenv("AWS_SECRET_ACCESS_KEY")
        refused("no credentials in the environment")
    version = json.loads(results.sealed.read_bytes())["seal"][:16]
    s3.client.put_object(Bucket=BUCKET, Key=f"{PREFIX}/versions/{version}/stray", Body=b"")
    refused("did not write: remove them")
    s3.client.delete_object(Bucket=BUCKET, Key=f"{PREFIX}/versions/{version}/stray")
    table = results.dataset / "volumes.csv"
    s3.client.delete_object(Bucket=BUCKET, Key=f"{PREFIX}/versions/{version}/volumes.csv")
    table.write_bytes(table.read_bytes().swapcase())
    refused("differs from its record")
    results.sealed.write_bytes(results.sealed.read_bytes() + b" ")
    refused("seal is damaged")
    results.sealed.unlink()
    refused("not sealed")
    assert not versions(s3) or not any("dataset.json" in objects for objects in versions(s3).values())
    assert f"{PREFIX}/latest.json" not in s3.objects()


@pytest.mark.parametrize(
    ("source", "target", "endpoint", "is_refused"),
    [
        ("ct/", "ct", "http://127.0.0.1:9/", True),
        ("ct/", "ct/out", "http://127.0.0.1:9", True),
        ("ct/raw/", "ct", "http://127.0.0.1:9", True),
        ("ct/", "", "http://127.0.0.1:9", True),
        ("", "out", "http://127.0.0.1:9", True),
        ("ct/", "ct-published", "http://127.0.0.1:9", False),
        ("ct/", "ct/out", "http://127.0.0.1:10", False),
        ("ct/", "ct/out", "", False),
    ],
)
def test_nothing_is_published_in_or_around_a_source_in_a_bucket(
    source: str, target: str, endpoint: str, is_refused: bool
) -> None:
    root = object_store.ObjectRoot(BUCKET, source, "http://127.0.0.1:9", "eu-central-1", False).to_bytes()
    folders, in_buckets = object_store.split_roots([root, b"/data"])
    assert folders == [Path("/data")]
    wanted = {"target": f"s3://{BUCKET}/{target}", "endpoint": endpoint}
    expected = pytest.raises(UserError, match="in the source, or around it") if is_refused else nullcontext()
    with expected:
        stores.check(wanted, VARIABLES, folders, in_buckets)


def test_a_folder_that_cannot_be_published_to_is_refused_before_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    stores.check({"target": str(tmp_path / "new")}, {}, [])
    for target, why in (
        ("file", "it is a file"),
        ("no/new", "the folder above it does not exist"),
        ("x" * 300, "it cannot be looked at: File name too long"),
    ):
        with pytest.raises(UserError, match=f"'publish.target': {why}"):
            stores.check({"target": str(tmp_path / target)}, {}, [])
    asked = []
    monkeypatch.setattr(os, "access", lambda path, _: asked.append(path))  # as on a share that is mounted read-only
    for target in (tmp_path, tmp_path / "new"):
        with pytest.raises(UserError, match="this user cannot write there"):
            stores.check({"target": str(target)}, {}, [])
    assert asked == [tmp_path.resolve()] * 2


def test_one_service_in_two_regions_has_the_same_buckets() -> None:
    in_bucket = ("https://s3.eu-central-1.amazonaws.com", BUCKET, "ct/")
    with pytest.raises(UserError, match="in the source, or around it"):
        stores.check({"target": f"s3://{BUCKET}/ct"}, VARIABLES, [], [in_bucket])


def test_the_reason_of_a_failure_is_told_without_an_address() -> None:
    from obstore.exceptions import GenericError

    for text, says in (
        ("Unable to write to /mnt/wolf/x: No space left on device (os error 28)", "No space left on device"),
        ("error sending request for url (http://wolf:1/b): Connection refused (os error 111)", "Connection refused"),
        ("Server returned non-2xx status code: 503 Slow Down: wolf", "status 503"),
    ):
        with pytest.raises(UserError, match=f"as it should .{says}.: check") as error, stores.errors("write"):
            raise GenericError(text)
        assert "wolf" not in str(error.value)


def test_a_folder_is_a_target_too(results: Results, tmp_path: Path) -> None:
    target = tmp_path / "share" / "study 1"
    target.parent.mkdir()
    url = target.as_uri()
    assert url.endswith("study%201")
    first = publish(results, {"target": str(target)})
    old = open_dataset(target).folder
    assert first.work["uploaded"] == len(files_of(results.dataset)) and files_of(old) == files_of(results.dataset)
    remake(results, changed=60)
    assert publish(results, {"target": url}).work["copied"] > 5
    assert open_dataset(url).folder == open_dataset(target).folder
    assert files_of(open_dataset(target).folder) == files_of(results.dataset)
    shard = "images.zarr/0000000000000000/00000000/0/c/0/0/0"
    assert (old / shard).stat().st_nlink == 2  # stored once
    assert publish(results, {"target": str(target)}).work["uploaded"] == 0
    assert verify_copy.verify(copies.find(str(target)), 2).good and verify_copy.verify(copies.find(url), 2).good
    (open_dataset(target).folder / "stray").touch()
    assert verify_copy.verify(copies.find(str(target)), 2).findings == [("surplus", "stray")]


def test_what_an_interrupted_write_left_in_a_folder_goes(results: Results, tmp_path: Path) -> None:
    target = tmp_path / "target"
    publish(results, {"target": str(target)})
    notes, pointer = results.private / "published.jsonl", target / "latest.json"
    before = {path: path.read_bytes() for path in (notes, pointer)}
    remake(results, changed=60)
    publish(results, {"target": str(target)})
    latest = open_dataset(target).folder
    old = next(folder for folder in latest.parent.iterdir() if folder != latest)
    left = [latest / "volumes.csv#0", latest / "images.zarr" / "zarr.json#12", target / "latest.json#3"]
    others = [target / "notes#1", latest.parent / "notes#x", latest.parent / "somebody's" / "notes#1"]
    others[-1].parent.mkdir()
    for path in (*left, *others, old / "zarr.json#1"):
        path.write_bytes(b"half")
    assert [path for _, path in verify_copy.verify(copies.find(str(target)), 2).findings] == [
        "images.zarr/zarr.json#12",
        "volumes.csv#0",
    ]
    publish(results, {"target": str(target)})
    assert verify_copy.verify(copies.find(str(target)), 2).good and not any(path.exists() for path in left)
    for path, content in before.items():  # as a kill leaves them: files are linked again onto links to the same files
        path.write_bytes(content)
    assert publish(results, {"target": str(target)}).work["copied"] > 5
    assert verify_copy.verify(copies.find(str(target)), 2).good
    publish(results, {"target": str(target), "keep": 1})
    assert not old.exists() and all(path.exists() for path in others)
