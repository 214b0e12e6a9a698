"""The server of `./run review`: this machine alone, by its address alone, only images that are listed."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from reviewed_results import CT, SECRET, US, content, everything, reviewing, write_results
from viewed_dataset import Viewer
from waiting import HANG

from dicomzarr.records import decisions
from dicomzarr.system.results_folder import Results

JSON = {"Content-Type": "application/json"}


@pytest.fixture
def results(tmp_path: Path) -> Results:
    return write_results(tmp_path)


@pytest.fixture
def page(results: Results) -> Iterator[Viewer]:
    with reviewing(results) as page:
        yield page


def answer(
    page: Viewer, path: str, method: str = "GET", body: object = None, token: bool = True, **headers: str
) -> tuple[http.client.HTTPResponse, bytes]:
    """Return the answer to a request whose path is sent as it is."""
    connection = http.client.HTTPConnection("127.0.0.1", page.port, timeout=HANG)
    data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
    try:
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, (page.path if token else "") + path, data, names)
        response = connection.getresponse()
        return response, response.read()
    finally:
        connection.close()


def post(page: Viewer, changes: object, token: bool = True, **headers: str) -> tuple[int, bytes]:
    response, body = answer(page, "/decisions", "POST", {"decisions": changes}, token, **{**JSON, **headers})
    return response.status, body


def table(results: Results) -> dict[str, str]:
    return decisions.read(results.private / "decisions.csv")


def test_decisions_are_written_at_once(page: Viewer, results: Results) -> None:
    status, body = post(page, {content(1): "keep", content(2): "set_aside"})
    assert (status, json.loads(body)) == (
        200,
        {"decisions": {content(1): "keep", content(2): "set_aside"}, "undecided": 1},
    )
    assert table(results) == {content(1): "keep", content(2): "set_aside"}
    decisions.change(results.private / "decisions.csv", {content(2): "keep"})  # another process
    status, body = post(page, {content(1): ""}, Origin=f"http://127.0.0.1:{page.port}", Sec_Fetch_Site="same-origin")
    assert (status, table(results)) == (200, {content(2): "keep"})
    html = answer(page, "/")[1].decode()
    assert f'data-content="{content(2)}" data-modality="CT" data-decision="keep"' in html
    assert "2 of 3 undecided" in html and SECRET not in html


def test_what_another_decided_meanwhile_is_not_overwritten(page: Viewer, results: Results) -> None:
    """Somebody who sets an image aside must not be overruled by a page that has not shown it."""
    decisions.change(results.private / "decisions.csv", {content(1): "set_aside", content(2): "keep"})
    changes = {content(1): "keep", content(2): "keep", content(3): "keep"}
    body = {"decisions": changes, "seen": dict.fromkeys(changes, "")}
    response, text = answer(page, "/decisions", "POST", body, **JSON)
    assert (response.status, json.loads(text)["decisions"]) == (200, {**changes, content(1): "set_aside"})
    assert table(results) == {**changes, content(1): "set_aside"}
    body["seen"][content(1)] = "set_aside"  # the page has shown it
    assert answer(page, "/decisions", "POST", body, **JSON)[0].status == 200
    assert table(results) == changes
    for seen in ([], {content(1): 1}, {content(1): "maybe"}, "x"):
        assert answer(page, "/decisions", "POST", {"decisions": changes, "seen": seen}, **JSON)[0].status == 400


def test_looking_changes_nothing(page: Viewer, results: Results) -> None:
    before = everything(results.root)
    for path in ("/", "/page/review.js", "/page/review.css", f"/picture/{content(1)}.jpg"):
        for method in ("GET", "HEAD"):
            assert answer(page, path, method)[0].status == 200
    assert answer(page, "/favicon.ico", token=False)[0].status == 204
    picture = answer(page, f"/picture/{content(1)}.jpg")
    assert picture[0].headers["Content-Type"] == "image/jpeg"
    assert picture[1] == (results.private / "text" / CT / f"{content(1)}.jpg").read_bytes()
    assert everything(results.root) == before


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 403),  # a name that points here (DNS rebinding)
        ({"Host": "127.0.0.1.evil.example"}, 403),
        ({"Host": "0.0.0.0"}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://127.0.0.1:1"}, 403),  # another server of this machine
        ({"Origin": "https://127.0.0.1"}, 403),
        ({"Sec_Fetch_Site": "cross-site"}, 403),
        ({"Sec_Fetch_Site": "same-site"}, 403),
        ({"Content-Type": "text/plain"}, 415),  # what a form can send
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415),
        ({"Content-Type": ""}, 415),
    ],
)
def test_another_page_cannot_decide(page: Viewer, results: Results, headers: dict[str, str], status: int) -> None:
    before = everything(results.root)
    assert post(page, {content(1): "keep"}, **headers)[0] == status
    assert everything(results.root) == before


def test_without_the_token_there_is_nothing(page: Viewer, results: Results) -> None:
    before = everything(results.root)
    wrong = "/" + "A" * (len(page.path) - 1)
    for start in ("", wrong, page.path[:-1], f"{page.path}A", page.path.swapcase()):
        for path in ("/", f"/picture/{content(1)}.jpg", "/page/review.js"):
            assert answer(page, start + path, token=False)[0].status == 404
        response, _ = answer(page, f"{start}/decisions", "POST", {"decisions": {content(1): "keep"}}, False, **JSON)
        assert response.status in (404, 405)
    for host in ("evil.example", f"evil.example:{page.port}", "127.0.0.1.evil.example", "[::1]"):
        assert answer(page, "/", Host=host)[0].status == 403
        assert answer(page, f"/picture/{content(1)}.jpg", Host=host)[0].status == 403
    assert answer(page, "/", Host="localhost:9000")[0].status == 200  # a tunnel of ssh
    assert everything(results.root) == before


def test_nothing_but_pictures_of_listed_images_is_given_out(page: Viewer, results: Results) -> None:
    (results.private / "key").write_text(SECRET)
    planted = content(4)
    for name in (planted, content(9)):  # not listed, though the file exists
        (results.private / "text" / US / f"{name}.jpg").write_text(SECRET)
    (results.private / "text" / CT / f"{content(2)}.jpg").symlink_to(results.private / "key")  # listed, but a link
    up = ["..", "%2e%2e", ".%2E", "%252e%252e", "..%00", "..;", "%c0%ae%c0%ae"]
    paths = [f"{folder}/{dots}{slash}{dots}{slash}key" for folder in ("picture", "page") for dots in up
             for slash in ("/", "%2f", "%5c", "//")]  # fmt: skip
    paths += [f"picture/{name}.jpg" for name in (planted, content(9), content(2), "0" * 64, content(1)[:8])]
    paths += [f"picture/{CT}/{content(1)}.jpg", f"picture/{content(1)}.JPG", f"picture/{content(1)}.jpg/", "picture/"]
    paths += ["page/review.html", "page/", "page/../server.py", "decisions.csv", "private/decisions.csv", "text/", "/"]
    for path in paths:
        response, body = answer(page, f"/{path}")
        assert response.status in (400, 404), path
        assert SECRET.encode() not in body and len(body) < 100, path


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({content(4): "keep"}, 404),  # not listed
        ({content(9): "keep"}, 404),  # extracted
        ({content(1): "keep", content(4): "keep"}, 404),
        ({"../../key": "keep"}, 404),
        ({f"{content(1)}\n": "keep"}, 404),
        ({content(1): "maybe"}, 400),
        ({content(1): None}, 400),
        ({content(1): ["keep"]}, 400),
        ({content(1): "keep\nevil,keep"}, 400),
        ({}, 400),
        ([], 400),
        (None, 400),
        ([content(1)], 400),
        ({f"{number:064x}": "keep" for number in range(5001)}, 400),
    ],
)
def test_a_wrong_decision_writes_nothing(page: Viewer, results: Results, changes: object, status: int) -> None:
    before = everything(results.root)
    assert post(page, changes)[0] == status
    assert everything(results.root) == before


def test_a_body_that_is_no_decision_is_refused(page: Viewer, results: Results) -> None:
    before = everything(results.root)
    for body in (b"", b"{", b"[]", b"null", b"1", b"\xff", b'{"decisions":', b"[" * 100_000, b'{"decisions": NaN}'):
        assert answer(page, "/decisions", "POST", body, **JSON)[0].status == 400
    assert answer(page, "/decisions", "GET")[0].status == 405
    for method in ("PUT", "DELETE", "PATCH", "OPTIONS"):
        assert answer(page, "/decisions", method, {"decisions": {content(1): "keep"}}, **JSON)[0].status == 405
        assert answer(page, "/", method)[0].status == 405
    assert everything(results.root) == before
    assert post(page, {content(1): "keep"})[0] == 200  # and it still answers


def test_a_request_that_is_too_large_ends_its_connection_alone(page: Viewer, results: Results) -> None:
    with contextlib.suppress(ConnectionError, http.client.HTTPException):
        assert answer(page, "/decisions", "POST", b" " * (2 << 20), **JSON)[0].status in (400, 413)
    assert table(results) == {} and answer(page, "/")[0].status == 200


def test_a_damaged_table_is_named_and_kept(page: Viewer, results: Results) -> None:
    path = results.private / "decisions.csv"
    path.write_text(f"content,decision\n{content(1)},{SECRET}\n")
    status, body = post(page, {content(1): "keep"})
    problem = json.loads(body)["problem"]
    assert status == 409 and problem.startswith("private/decisions.csv, line 2, column decision")
    response, body = answer(page, "/")
    assert response.status == 409 and b"line 2" in body and SECRET.encode() not in body
    assert SECRET in path.read_text()


def test_every_answer_forbids_other_hosts_and_is_not_stored(page: Viewer) -> None:
    for path in ("/", "/none", f"/picture/{content(1)}.jpg", "/page/review.js"):
        headers = answer(page, path)[0].headers
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy and "http" not in policy and "*" not in policy and "unsafe" not in policy
        assert headers["Cache-Control"] == "no-store"  # pictures may show a name
        assert headers["Referrer-Policy"] == "no-referrer" and headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin" and headers["X-Frame-Options"] == "DENY"
        assert not [name for name in headers if name.startswith("Access-Control")]


def test_it_listens_on_this_machine_alone(page: Viewer) -> None:
    """Read from /proc: local address 127.0.0.1 (little-endian), state LISTEN (0A), of sockets of the process."""
    folder = Path("/proc") / str(page.process.pid)
    inodes = {os.readlink(each) for each in (folder / "fd").iterdir() if each.is_symlink()}
    listening = []
    for name in ("tcp", "tcp6"):
        for line in (folder / "net" / name).read_text().splitlines()[1:]:
            cells = line.split()
            if cells[3] == "0A" and f"socket:[{cells[9]}]" in inodes:
                listening.append(cells[1])
    assert listening == [f"0100007F:{page.port:04X}"]


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_at_its_end_it_says_what_comes_next(page: Viewer, number: int, status: int) -> None:
    post(page, {content(1): "keep"})
    page.process.send_signal(number)
    output, errors = page.process.communicate(timeout=HANG)
    assert (page.process.returncode, output) == (status, "")
    assert errors == "1 decision changed, 2 undecided; the next run applies it: ./run\n"
