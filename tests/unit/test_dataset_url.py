"""The reader over HTTP: what it asks for, how often, and what it does when a server fails."""

from __future__ import annotations

import pickle
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import botocore.auth
import botocore.awsrequest
import botocore.credentials
import numpy as np
import pytest
import zarr
from conftest import ROOT
from epochs import digest, epoch
from made_up_volumes import MadeUp, write
from range_server import Served, serve
from zarr.storage import ObjectStore

from dicomzarr import dataset as reading
from dicomzarr import remote
from dicomzarr.dataset import DicomZarrDataset, Volume, open_dataset

RANDOM = np.random.default_rng(11)
VOXELS = RANDOM.integers(-1000, 3000, (40, 64, 64)).astype("<i2")  # chunks of one slice, one behind the other
COLOUR = RANDOM.integers(0, 256, (3, 20, 13)).astype("|u1")
CT = "images.zarr/0000000000000000/00000000"
SHARD = f"{CT}/0/c/0/0/0"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rescale = np.array([[1.0, float(i)] for i in range(40)])
    ct = MadeUp("zyx", VOXELS, {"rescale": {"array": "rescale"}}, beside={"rescale": rescale})
    return write(tmp_path_factory.mktemp("served"), [ct, MadeUp("cyx", COLOUR, {"photometric": "RGB"})])


@pytest.fixture
def served(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    monkeypatch.setattr(remote, "_FIRST_PAUSE", 0.001)
    with serve(folder) as server:
        yield server


def test_samples_of_a_url_equal_those_of_the_folder(folder: Path, served: Served) -> None:
    for options in ({}, {"sample": "slice"}, {"sample": "patch", "patch": {"y": 8, "x": 8}, "patches_per_volume": 5}):
        near, far = DicomZarrDataset(folder, **options), open_dataset(served.url, **options)
        assert far.rows == near.rows and len(far) == len(near) > 1
        assert [digest(sample) for sample in far] == [digest(sample) for sample in near]
    assert reading.volumes(served.url).equals(reading.volumes(folder))
    assert reading.volumes(far.folder).equals(reading.volumes(near.folder))  # `folder` is a place, too
    images = reading.load_images(served.url)
    assert len(images) == 41 and np.array_equal(images[0], VOXELS[0])


def test_one_request_for_the_index_and_one_for_each_run_of_chunks(served: Served) -> None:
    dataset = DicomZarrDataset(served.url, sample="slice")
    opened = [("HEAD", "volumes.csv", ""), ("GET", "volumes.csv", ""), ("GET", "dataset.json", "")]
    assert served.taken() == opened
    assert np.array_equal(dataset[7]["image"], VOXELS[7])
    requests = served.taken()
    index = 16 * len(VOXELS) + 4
    assert [path for _, path, _ in requests[:-1]] == [
        f"{CT}/0/zarr.json", f"{CT}/zarr.json", f"{CT}/rescale/zarr.json", f"{CT}/rescale/c/0/0", SHARD,
    ]  # fmt: skip
    assert requests[-2][2] == f"bytes=-{index}" and requests[-1][1] == SHARD
    assert np.array_equal(dataset[8]["image"], VOXELS[8])
    assert [path for _, path, _ in served.taken()] == [SHARD]  # the chunk alone
    assert np.array_equal(dataset.volume(0).read((slice(3, 30), slice(5, 9), slice(0, 64))), VOXELS[3:30, 5:9])
    assert len(served.taken()) == 1  # 27 chunks
    assert np.array_equal(DicomZarrDataset(served.url)[0]["image"], VOXELS)


def test_a_long_run_is_read_in_parts(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    volume = Volume(remote.RemotePath(f"{served.url}/{CT}"))
    served.taken()
    monkeypatch.setattr(remote.RemoteFile, "longest_run", 50_000)
    assert np.array_equal(volume.read(), VOXELS)
    requests = served.taken()
    assert 4 < len(requests) < len(VOXELS) // 4  # 8 kB before compression, each


@pytest.mark.parametrize("failure", [503, 500, 429, "cut", "drop"])
def test_a_passing_failure_is_not_noticed(served: Served, failure: int | str) -> None:
    dataset = DicomZarrDataset(served.url)
    served.failures += [failure] * 3
    assert np.array_equal(dataset[0]["image"], VOXELS) and not served.failures


def test_a_lasting_failure_ends(served: Served) -> None:
    dataset = DicomZarrDataset(served.url)
    served.taken()
    served.failures += [503] * 100
    with pytest.raises(OSError, match="status 503"):
        dataset[0]
    assert len(served.taken()) == remote.ATTEMPTS
    served.failures[:] = [403]
    with pytest.raises(PermissionError, match="credentials"):
        dataset[0]
    assert len(served.taken()) == 1
    with pytest.raises(OSError, match="no connection"):
        DicomZarrDataset("http://127.0.0.1:9")


def test_damage_and_loss_are_errors_as_in_a_folder(served: Served, folder: Path, tmp_path: Path) -> None:
    copied = Path(shutil.copytree(folder, tmp_path / "copy"))
    with serve(copied) as other:
        dataset = DicomZarrDataset(other.url, sample="slice")
        assert np.array_equal(dataset[0]["image"], VOXELS[0])
        data = bytearray((copied / SHARD).read_bytes())
        data[5] ^= 1
        (copied / SHARD).write_bytes(data)
        with pytest.raises(ValueError, match="replaced while it was read"):
            dataset[1]
        with pytest.raises(ValueError, match="damaged"):
            DicomZarrDataset(other.url, sample="slice")[0]
        (copied / SHARD).unlink()
        with pytest.raises(FileNotFoundError, match="or a file was lost"):
            DicomZarrDataset(other.url, sample="slice")[0]
        (copied / "volumes.csv").unlink()
        with pytest.raises(FileNotFoundError, match="neither volumes.csv nor latest.json"):
            DicomZarrDataset(other.url)
    served.ranges = False
    with pytest.raises(OSError, match="whole files only"):
        DicomZarrDataset(served.url)[0]
    for url in ("https://someone:secret@example.org/x", "https://example.org/x?token=secret", "ftp://example.org/x"):
        with pytest.raises(ValueError, match="URL") as refused:
            DicomZarrDataset(url)
        assert "secret" not in str(refused.value)


@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_workers_read_a_url(served: Served, folder: Path, method: str) -> None:
    far, near = (DicomZarrDataset(place, sample="slice") for place in (served.url, folder))
    alone = epoch(near, 0, method)
    assert digest(far[0]) == alone[0]  # a connection of the parent, before workers start
    assert epoch(far, 2, method) == alone
    assert b"AWS" not in pickle.dumps(far)


def test_zarr_reads_the_same_url(served: Served) -> None:
    from obstore.store import HTTPStore

    store = HTTPStore.from_url(f"{served.url}/images.zarr", client_options={"allow_http": True})
    array = zarr.open_array(ObjectStore(store, read_only=True), path=CT.removeprefix("images.zarr/") + "/0", mode="r")
    assert np.array_equal(array[7], VOXELS[7])


def test_two_copied_files_read_a_url_without_the_project(served: Served, tmp_path: Path) -> None:
    for name in ("dataset.py", "remote.py"):
        shutil.copy(ROOT / "scripts" / "dicomzarr" / name, tmp_path / name)
    code = f"from dataset import open_dataset; print(open_dataset({served.url!r})[1]['image'].sum())"
    command = [sys.executable, "-P", "-c", f"import sys; sys.path.insert(0, '.'); {code}"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert int(done.stdout) == COLOUR.sum(dtype=int)
    (tmp_path / "remote.py").unlink()
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "copy it too" in done.stderr


@pytest.mark.parametrize("token", ["", "a/session+token="])
def test_signatures_are_those_of_botocore(token: str) -> None:
    variables = {"AWS_ACCESS_KEY_ID": "AKEXAMPLE", "AWS_SECRET_ACCESS_KEY": "s3cr3t/+", "AWS_SESSION_TOKEN": token}
    address = "https://bucket.s3.eu-west-1.amazonaws.com/pre%20fix/images.zarr/0/c/0"
    ours = remote.signature("GET", address, "eu-west-1", variables)
    request = botocore.awsrequest.AWSRequest("GET", address, {"x-amz-content-sha256": ours["x-amz-content-sha256"]})
    credentials = botocore.credentials.Credentials("AKEXAMPLE", "s3cr3t/+", token or None)
    signer = botocore.auth.S3SigV4Auth(credentials, "s3", "eu-west-1")
    request.context["timestamp"] = ours["x-amz-date"]
    request.headers["X-Amz-Date"] = ours["x-amz-date"]
    if token:
        request.headers["X-Amz-Security-Token"] = token
    signed = signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request)
    assert ours["Authorization"].endswith(f"Signature={signed}")
    assert remote.signature("GET", address, "eu-west-1", {}) == {}
