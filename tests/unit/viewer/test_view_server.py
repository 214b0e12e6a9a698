"""`./run view` gives out what the viewer needs: this machine alone, one dataset, read only, in byte ranges."""

from __future__ import annotations

import dataclasses
import http.client
import json
import os
import re
import shutil
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_up_results import array_of
from viewed_dataset import CT, KINDS, Viewer, start, viewing, write_viewed
from waiting import HANG

from dicomzarr.commands.view import run_view
from dicomzarr.system import locks
from dicomzarr.viewer import files, index_page
from dicomzarr.viewer.catalogue import Image, Tables
from dicomzarr.vocabulary.errors import UserError

HEADING = "array,modality,axes,shape,dtype,photometric,spacing_mm,flags\n"
SHARD = f"images.zarr/{CT}/0/c/0/0/0"


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_viewed(tmp_path_factory.mktemp("viewed")).parent


@pytest.fixture(scope="module")
def viewer(results: Path) -> Iterator[Viewer]:
    with viewing("--dataset", "dataset", "--no-open", folder=results) as viewer:
        yield viewer


def answer(
    viewer: Viewer, path: str, method: str = "GET", token: bool = True, **headers: str
) -> tuple[http.client.HTTPResponse, bytes]:
    """Return the answer to a request whose path is sent as it is."""
    connection = http.client.HTTPConnection("127.0.0.1", viewer.port, timeout=HANG)
    try:
        connection.request(method, (viewer.path if token else "") + path, headers=headers)
        response = connection.getresponse()
        return response, response.read()
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("asked", "status", "part"),
    [
        (None, 200, slice(None)),
        ("bytes=0-0", 206, slice(0, 1)),
        ("bytes=100-299", 206, slice(100, 300)),
        ("bytes=100-", 206, slice(100, None)),
        ("bytes=-324", 206, slice(-324, None)),
        ("bytes=-99999999999", 206, slice(None)),
        ("bytes=10-99999999999", 206, slice(10, None)),
        ("bytes=99999999999-", 416, None),
        ("bytes=-0", 416, None),
        ("bytes=9-3", 200, slice(None)),  # invalid: ignored (RFC 9110, 14.2)
        ("lines=0-1", 200, slice(None)),
        ("bytes=" + ",".join(f"{first}-{first}" for first in range(99)), 416, None),
        ("bytes=0-,0-,0-", 416, None),
    ],
)
def test_byte_ranges_are_answered(
    viewer: Viewer, results: Path, asked: str | None, status: int, part: slice | None
) -> None:
    content = (results / "dataset" / SHARD).read_bytes()
    headers = {"Range": asked} if asked else {}
    for method in ("GET", "HEAD"):
        response, body = answer(viewer, f"/{SHARD}", method, **headers)
        assert response.status == status
        if part is None:
            assert (response.headers["Content-Range"], body) == (f"bytes */{len(content)}", b"")
            continue
        expected = content[part]
        assert body == (expected if method == "GET" else b"")
        assert int(response.headers["Content-Length"]) == len(expected)
        assert response.headers["Content-Type"] == "application/octet-stream"
        if status == 206:
            first = len(content) - len(content[part.start :]) if part.start else 0
            assert response.headers["Content-Range"] == f"bytes {first}-{first + len(expected) - 1}/{len(content)}"


def test_several_ranges_are_one_answer_of_several_parts(viewer: Viewer, results: Path) -> None:
    content = (results / "dataset" / SHARD).read_bytes()
    response, body = answer(viewer, f"/{SHARD}", Range="bytes=0-3, 10-14, -4")
    assert response.status == 206
    mark = re.fullmatch("multipart/byteranges; boundary=(.+)", response.headers["Content-Type"])[1].encode()
    parts = [part.partition(b"\r\n\r\n")[2][:-2] for part in body.split(b"--" + mark)[1:-1]]
    assert parts == [content[:4], content[10:15], content[-4:]]


def test_nothing_outside_of_the_arrays_is_given_out(viewer: Viewer, results: Path) -> None:
    """Also not by encoded dots or slashes, links that somebody planted, dotfiles, lists of folders."""
    (results / "private").mkdir(exist_ok=True)
    secret = results / "private" / "key"
    secret.write_text("secret")
    images = results / "dataset" / "images.zarr"
    (images / ".hidden").write_text("secret")
    (images / "planted.json").symlink_to(secret)
    (images / "planted").symlink_to(secret.parent)
    os.mkfifo(images / "pipe")
    up = ["..", "%2e%2e", ".%2E", "%252e%252e", "..%00", "..;", "%c0%ae%c0%ae"]
    slashes = ["/", "%2f", "%5c", "\\", "//"]
    paths = [f"images.zarr/{dots}{slash}{dots}{slash}private/key" for dots in up for slash in slashes]
    paths += [f"v/client/{dots}{slash}main_python.py" for dots in up for slash in slashes]
    paths += ["images.zarr/.hidden", "images.zarr/planted.json", "images.zarr/planted/key", "images.zarr/pipe"]
    paths += ["images.zarr", "images.zarr/", f"images.zarr/{CT}", f"images.zarr/{CT}/", "images.zarr//etc/passwd"]
    paths += ["dataset.json", "volumes.csv", "private/key", "state/../../key.json", "v/client/static/__init__.py"]
    paths += [f"converted/{CT}/0/c/9/9/9", f"converted/{CT}/0/c/0", "state/abc/def.json", "view/abc/def"]
    for path in paths:
        response, body = answer(viewer, f"/{path}")
        assert response.status in (400, 404), path
        assert b"secret" not in body and b"root:" not in body and len(body) < 100, path
    assert answer(viewer, f"/images.zarr/{CT}/zarr.json")[0].headers["Content-Type"] == "application/json"


def test_requests_of_others_are_refused(viewer: Viewer) -> None:
    """Without the token, for another host (DNS rebinding), or to change something."""
    for path in ("/", "/images.zarr/zarr.json", f"/wrong{viewer.path}/images.zarr/zarr.json", "/v/client/"):
        response, text = answer(viewer, path, token=False)
        assert response.status == 404 and b"until ./run view ends" in text  # the tab of an earlier start
    for host in ("evil.example", f"evil.example:{viewer.port}", "127.0.0.1.evil.example", "0.0.0.0", "[::1]"):
        assert answer(viewer, "/", Host=host)[0].status == 403
    assert answer(viewer, "/", Host="localhost:9000")[0].status == 200  # a tunnel of ssh
    for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
        response, _ = answer(viewer, "/images.zarr/zarr.json", method)
        assert response.status == 405


def test_every_answer_forbids_other_hosts(viewer: Viewer) -> None:
    for path in ("/", "/v/client/", "/v/client/none", f"/{SHARD}", f"/state/{CT}.json", "/page/index.js"):
        headers = answer(viewer, path)[0].headers
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy and "http" not in policy and "*" not in policy, path
        assert headers["Referrer-Policy"] == "no-referrer" and headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert not [name for name in headers if name.startswith("Access-Control")]
        is_client = path.startswith("/v/client/")  # the same for every dataset
        assert headers["Cache-Control"] == ("no-cache" if is_client else "no-store"), path
    for path in ("/", "/v/client/"):  # only the worker of the decoder may make functions of texts
        assert "'unsafe-eval'" not in answer(viewer, path)[0].headers["Content-Security-Policy"]


def test_it_listens_on_this_machine_alone(viewer: Viewer) -> None:
    """Read from /proc: local address 127.0.0.1 (little-endian), state LISTEN (0A), of sockets of the process."""
    folder = Path("/proc") / str(viewer.process.pid)
    inodes = {os.readlink(each) for each in (folder / "fd").iterdir() if each.is_symlink()}
    listening = []
    for table in ("tcp", "tcp6"):
        for line in (folder / "net" / table).read_text().splitlines()[1:]:
            cells = line.split()
            if cells[3] == "0A" and f"socket:[{cells[9]}]" in inodes:
                listening.append(cells[1])
    assert listening == [f"0100007F:{viewer.port:04X}"]


def test_a_reader_of_zarr_opens_the_address(viewer: Viewer, results: Path) -> None:
    """Tensorstore reads arrays over HTTP, by ranges, as from the disk; int64 also as float32, chunk by chunk."""
    tensorstore = pytest.importorskip("tensorstore")

    def read(store: str) -> np.ndarray[Any, Any]:
        return tensorstore.open({"driver": "zarr3", "kvstore": store}).result().read().result()

    address, disk = f"http://127.0.0.1:{viewer.port}{viewer.path}", f"file://{results}/dataset/images.zarr"
    values = read(f"{address}/images.zarr/{CT}/0/")
    assert sorted(set(values.ravel().tolist())) == [1024, 2024]
    assert (values == read(f"{disk}/{CT}/0/")).all()
    int64 = array_of(10 + [kind[0] for kind in KINDS].index("int64"))
    converted, stored = read(f"{address}/converted/{int64}/0/"), read(f"{disk}/{int64}/0/")
    assert (converted.dtype, stored.dtype) == ("float32", "int64")
    assert (converted == stored).all() and len(set(stored.ravel().tolist())) == 4


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_it_quietly(results: Path, number: int, status: int) -> None:
    """Also while the stream of events of a page is open."""
    viewer = start("view", "--configfile", "my.yaml", "--no-open", folder=configured(results))
    with socket.create_connection(("127.0.0.1", viewer.port)) as page:
        page.sendall(f"GET {viewer.path}/events/client HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        assert b"text/event-stream" in page.recv(4096)
        viewer.process.send_signal(number)
        output, errors = viewer.process.communicate(timeout=HANG)
    assert (viewer.process.returncode, output, errors) == (status, "", "")


def configured(results: Path) -> Path:
    """Write a configuration file whose results are a path relative to the folder of the command."""
    (results.parent / "my.yaml").write_text(f"results: {results.name}\n")
    return results.parent


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["abc00000000000", "--dataset", "."], "'abc00000000000' names 17 arrays: abc0000000000001/2d957981"),
        (["abc0000000000002/2d957981", "--dataset", "."], f"the nearest is {CT}"),
        (["--configfile", "none.yaml"], "the configuration file 'none.yaml' does not exist in "),
        (["--configfile", "bad.yaml"], "bad.yaml, line 2, column 1: the file ends within brackets"),
        (["--prot", "1"], "unknown option '--prot'; the closest is '--port'. See ./run view --help"),
        (["--port", "99999"], "a number from 0 to 65535, not '99999'"),
        (["--port", "{port}", "--dataset", "."], "port {port} cannot be used (Address already in use)"),
    ],
)
def test_a_mistake_is_explained(
    viewer: Viewer, results: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    (results / "bad.yaml").write_text("results: [\n")
    monkeypatch.chdir(results)
    with pytest.raises(UserError) as error:
        run_view(["--no-open", *(word.format(port=viewer.port) for word in arguments)])
    assert message.format(port=viewer.port) in str(error.value)


def test_without_a_dataset_it_fails_as_the_other_words_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_view(["--no-open", "--dataset", "missing"]) == 1
    assert "no finished dataset in 'missing'" in capsys.readouterr().err
    assert run_view(["--no-open", "--results", "missing"]) == 1
    assert "no folder 'missing' yet, and so no finished dataset; run the workflow first" in capsys.readouterr().err
    (tmp_path / "results" / "private").mkdir(parents=True)
    lock = locks.lock_run(tmp_path / "results" / "private", "now")
    assert run_view(["--no-open", "--results", "results"]) == 1
    os.close(lock)
    assert f"yet: a run is going (process {os.getpid()} since now) and writes it" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "harm"),
    [
        ("volumes.csv", lambda content: content[:-9]),
        ("volumes.csv", lambda content: b""),
        ("volumes.csv", lambda content: b"other\n1\n"),
        ("volumes.csv", lambda content: content + b"\xff\n"),
        ("masks.csv", lambda content: content[: content.rindex(b",")]),
    ],
)
def test_a_damaged_table_is_named(results: Path, tmp_path: Path, name: str, harm: Callable[[bytes], bytes]) -> None:
    """Instead of a traceback, or of a list without images."""
    (tmp_path / "images.zarr").mkdir()
    for table in ("volumes.csv", "masks.csv"):
        shutil.copy(results / "dataset" / table, tmp_path)
    (tmp_path / name).write_bytes(harm((tmp_path / name).read_bytes()))
    with pytest.raises(UserError, match=rf"{name}' is damaged\. ./run verify"):
        run_view(["--no-open", "--dataset", str(tmp_path)])


def test_an_array_is_found_by_the_beginning_of_its_id_in_a_copy_of_the_dataset(results: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").symlink_to(results / "dataset")
    with viewing(CT[:16], "--dataset", "elsewhere", "--no-open", folder=tmp_path) as viewer:
        assert viewer.address.endswith(f"/view/{CT}")
        token = viewer.address.split("/")[3]
        response, _ = answer(viewer, f"/{token}/view/{CT}", token=False)
        place = f"http://127.0.0.1:{viewer.port}/{token}"
        assert response.headers["Location"] == f"{place}/v/client/#!{place}/state/{CT}.json"
        state = json.loads(answer(viewer, f"/{token}/state/{CT}.json", token=False)[1])
        assert [layer["name"] for layer in state["layers"] if layer.get("visible", True)] == [
            "CT: window of the header", "liver", "likely", "elsewhere",
        ]  # fmt: skip
        planted = results / "dataset" / "images.zarr" / CT / "labels" / "liver" / "0" / "zarr.json"
        kept = planted.rename(planted.with_name("kept.json"))
        planted.symlink_to(kept)
        try:
            assert answer(viewer, f"/{token}/state/{CT}.json", token=False)[0].status == 404
            told = viewer.process.stderr.readline()
            assert told.startswith("view: an array cannot be read (OSError): ./run verify")
        finally:
            kept.rename(planted)


def test_a_page_that_is_loaded_again_has_the_images_of_a_later_run(tmp_path: Path) -> None:
    (tmp_path / "volumes.csv").write_text(HEADING + "a/b,MR,yx,2x2,uint16,MONOCHROME2,1x1,\n")
    tables = Tables(tmp_path)
    assert list(tables.images()) == ["a/b"]
    (tmp_path / "volumes.csv").unlink()  # while a run is at work
    assert list(tables.images()) == ["a/b"]
    (tmp_path / "new").write_text(HEADING + "c/d,MR,yx,2x2,uint16,MONOCHROME2,1x1,\n")
    (tmp_path / "new").rename(tmp_path / "volumes.csv")
    (tmp_path / "masks.csv").write_text("array,mask,voxels,bounding_box,flags\nc/d,liver,1,0:1 0:1,\n")
    assert [mask.name for mask in tables.images()["c/d"].masks] == ["liver"]


def test_the_dataset_may_not_be_a_link_further_down(tmp_path: Path) -> None:
    (tmp_path / "0").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "0")
    (tmp_path / "0" / "file").write_bytes(b"")
    assert files.is_below(tmp_path, "0/file")
    assert not files.is_below(tmp_path, "link/file") and not files.is_below(tmp_path, "0")


def test_the_list_shows_a_spacing_as_people_read_it() -> None:
    image = Image("a/b", "MR", "yx", "2x2", "uint16", "MONOCHROME2", "2.4000000953674x0.48828125", (), ())
    assert "<td>2.4x0.4883</td>" in index_page.render([image])
    assert "<td>–x0.49</td>" in index_page.render([dataclasses.replace(image, spacing="x0.49")])  # one is not known


def test_the_list_has_pages_and_is_searched_by_the_server() -> None:
    """A browser takes seconds to lay out thousands of rows; pages and search need no script."""
    images = [Image(f"{number:04x}/0", "CT" if number % 2 else "MR", *[""] * 5, (), ()) for number in range(450)]

    def shown(words: str = "", first: int = 0) -> tuple[list[str], list[str], str]:
        page = index_page.render(images, words, first)
        links = [link.replace("&amp;", "&") for link in re.findall(r'rel="(?:prev|next)" href="([^"]+)"', page)]
        return re.findall(r'href="view/([^"]+)"', page), links, page

    every = [image.array for image in images]
    assert shown()[:2] == (every[:200], ["?first=200"]) and "1–200 of 450" in shown()[2]
    assert shown(first=200)[:2] == (every[200:400], ["?first=0", "?first=400"])
    for first in (400, 449, 10**9):
        assert shown(first=first)[:2] == (every[400:], ["?first=200"])
    assert shown("ct")[:2] == (every[1::2][:200], ["?words=ct&first=200"])
    assert shown("ct", 200)[0] == every[1::2][200:]
    assert shown("CT 00f")[:2] == ([every[0x0F], *every[0xF1:0x100:2]], []) and "9 found" in shown("CT 00f")[2]
    assert shown("nothing")[:2] == ([], []) and "0 found" in shown("nothing")[2]
    assert '"&lt;b&gt;&#34;' in shown('<b>"')[2] and "<b>" not in shown('<b>"')[2]


def test_the_address_of_a_page_of_the_list(viewer: Viewer) -> None:
    assert CT.encode() in answer(viewer, "/?words=liver+CT&first=0")[1]
    assert CT.encode() not in answer(viewer, "/?words=nothing")[1]
    for query in ("first=-1", "first=x", "first=" + "9" * 99, "words=%00"):
        assert answer(viewer, f"/?{query}")[0].status == 200
