"""Object storage as a source, against a server on loopback: its list, its keys, requests by range, and failures."""

from __future__ import annotations

import contextlib
import errno
import os
import random
import string
from collections.abc import Iterator
from typing import Any

import pytest
from object_storage import CREDENTIALS, ObjectStorage, next_second, serve

from dicomzarr.source import listing, object_door, object_fetcher, object_listing
from dicomzarr.source.object_store import ObjectRoot, Unreachable, configured_root, stat_key
from dicomzarr.source.opener import Opener
from dicomzarr.stages.index_headers import read_chunk
from dicomzarr.system.path_text import decode_path
from dicomzarr.vocabulary.errors import ConfigProblem, UserError

BUCKET = "heronclinic"


@pytest.fixture(scope="module")
def server() -> Iterator[ObjectStorage]:
    with serve(BUCKET) as storage:
        yield storage


@pytest.fixture
def storage(server: ObjectStorage, monkeypatch: pytest.MonkeyPatch) -> Iterator[ObjectStorage]:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    server.fail = None
    for row in listing.list_sources({"": root_of(server, "")}):
        server.delete(decode_path(row[0]).decode())
    server.requests.clear()
    yield server
    object_door.stop()


def root_of(storage: ObjectStorage, prefix: str, **options: Any) -> bytes:
    url = f"s3://{storage.bucket}/{prefix}"
    return configured_root("source", url, {"endpoint": storage.endpoint, **options}, os.environ)


def rows_of(storage: ObjectStorage, prefix: str = "scans") -> dict[str, list[Any]]:
    return {row[0]: row[1:] for row in listing.list_sources({"": root_of(storage, prefix)})}


def content(opener: Opener, path: str) -> bytes:
    with contextlib.closing(opener.open(path)) as file, open(file.descriptor(), "rb", closefd=False) as stream:
        return stream.read()


# Names that a key may have, and that are easily changed on the way.
NAMES = [
    *(f"all {character} of ascii" for character in string.punctuation if character != "/"),
    "a/b/c.dcm",
    "a",  # and a folder of the same name
    "space at the end ",
    "%41%2F%zz",
    "u\u0308 is not \u00fc",
    "\u00fc",
    "\U0001f9b4",
    "\x85\x9f\u2028\ufeff\ufffe\xad",
    "...",
    "k" * 1000,
    ".hidden/..b/c..",
]
UNUSABLE = ["a//b", "x/../y", "./y", "tab\there", "ends/", "/begins"]


def test_every_key_is_read_or_has_a_row_with_a_reason(storage: ObjectStorage) -> None:
    for number, name in enumerate([*NAMES, *UNUSABLE]):
        storage.put(f"scans/{name}", b"%03d" % number)
    storage.put("scans/empty/", b"")  # a folder, as some programs store it
    storage.put("scans-of-others/1", b"x")
    rows = rows_of(storage)
    by_name = {decode_path(path).decode(): row for path, row in rows.items()}
    assert set(by_name) == {*NAMES, *UNUSABLE}
    assert {name for name, row in by_name.items() if row == ["object_name"]} == set(UNUSABLE)
    with Opener({"": root_of(storage, "scans/")}) as opener:
        for path, row in rows.items():
            name = decode_path(path).decode()
            if row[0] == "file":
                assert content(opener, path) == b"%03d" % NAMES.index(name)
            else:
                with pytest.raises(FileNotFoundError):
                    opener.open(path)


def test_the_list_comes_in_pages(storage: ObjectStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    names = {f"{number:02}+ /%" for number in range(7)}
    for name in names:
        storage.put(f"scans/{name}", b"x")
    monkeypatch.setattr(object_listing, "_PAGE", 2)
    storage.requests.clear()
    assert {decode_path(path).decode() for path in rows_of(storage)} == names
    assert len(storage.lists()) == 4 and not storage.gets()


def test_signature_of_the_list_is_that_of_botocore(storage: ObjectStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server of the tests checks no signature: this compares it with the one of another client."""
    import datetime
    from urllib.parse import parse_qsl, quote, urlencode, urlsplit

    from botocore import auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    monkeypatch.setenv("AWS_SESSION_TOKEN", "temporary/+=")
    storage.put("scans of+/a b", b"x")
    storage.requests.clear()
    assert list(rows_of(storage, "scans of+")) == ["a b"]
    (request,) = storage.requests
    assert "&prefix=scans%20of%2B%2F&" in request.query
    pairs = dict(parse_qsl(request.query, keep_blank_values=True))
    when = datetime.datetime.strptime(pairs["X-Amz-Date"], "%Y%m%dT%H%M%SZ")
    monkeypatch.setattr(auth, "get_current_datetime", lambda *_, **__: when)
    plain = {name: value for name, value in pairs.items() if not name.startswith("X-Amz-")}
    url = f"{storage.endpoint}{request.path}?{urlencode(plain, quote_via=quote)}"
    theirs = AWSRequest("GET", url)
    credentials = Credentials(*CREDENTIALS.values(), "temporary/+=")
    auth.S3SigV4QueryAuth(credentials, "s3", "us-east-1", expires=300).add_auth(theirs)
    expected = dict(parse_qsl(urlsplit(theirs.url).query))
    assert pairs["X-Amz-Signature"] == expected["X-Amz-Signature"]
    assert pairs["X-Amz-Security-Token"] == "temporary/+="


def test_a_public_bucket_is_read_without_signatures(storage: ObjectStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    storage.put("scans/1", b"public", acl="public-read")
    for name in CREDENTIALS:
        monkeypatch.delenv(name)
    with pytest.raises(ConfigProblem, match="no credentials"):
        root_of(storage, "scans")
    root = root_of(storage, "scans", anonymous=True)
    storage.requests.clear()
    assert [row[0] for row in listing.list_sources({"public": root})] == ["public/1"]
    with Opener({"public": root}) as opener:
        assert content(opener, "public/1") == b"public"
    for request in storage.requests:
        assert "signature" not in request.query.lower() and "authorization" not in request.headers


def test_headers_are_read_by_ranges_ahead_and_whole_objects_once(storage: ObjectStorage) -> None:
    large = random.Random(1).randbytes(3 << 20)
    for number in range(5):
        storage.put(f"scans/{number}", bytes([number]) + large)
    rows, root = rows_of(storage), {"": root_of(storage, "scans")}
    files = [(path, row[1]) for path, row in rows.items()]
    storage.requests.clear()
    with Opener(root, whole=False) as opener:
        opener.ahead(files)
        for path, _ in files:
            with contextlib.closing(opener.open(path)) as file:
                assert file.key() == tuple(rows[path][1:])
                assert file.read(4, 0) == bytes([int(path)]) + large[:3]
                assert file.read(16, 60_000) == large[59_999:60_015]
        assert [request.bytes for request in storage.gets()] == [object_fetcher.FIRST] * 5
        with contextlib.closing(opener.open("0")) as file:
            assert file.read(16, 1 << 20) == large[(1 << 20) - 1 : (1 << 20) + 15]
            assert file.read(99, len(large) - 1) == large[-2:] and file.read(9, len(large) + 1) == b""
            storage.requests.clear()
            assert file.read(16, len(large) - 10) == large[-11:][:16]
            assert [request.headers["if-match"] != "" for request in storage.gets()] == [True]
    storage.requests.clear()
    with Opener(root) as first, Opener(root) as second:
        first.ahead(files)
        for opener in (first, second):  # for the digest, then for the frames
            for path, _ in files:
                assert content(opener, path) == bytes([int(path)]) + large
    assert sorted(request.path[-1] for request in storage.gets()) == list("01234")


def test_an_object_that_is_overwritten_is_another_one(storage: ObjectStorage) -> None:
    storage.put("scans/1", b"a" * 300_000)
    (before,) = rows_of(storage).values()
    root = {"": root_of(storage, "scans")}
    with Opener(root, whole=False) as opener, contextlib.closing(opener.open("1")) as file:
        assert file.key() == tuple(before[1:])
        storage.put("scans/1", b"b" * 300_000)
        with pytest.raises(OSError) as stale:
            file.read(16, 200_000)
        assert stale.value.errno == errno.ESTALE and file.key() is None
        with contextlib.closing(opener.open("1")) as again:
            assert again.key() != tuple(before[1:]) and again.read(1, 0) == b"b"
        with contextlib.closing(opener.open("1")) as file:  # a copy of the whole is of the same content, too
            storage.put("scans/1", b"c" * 300_000)
            with pytest.raises(OSError) as stale:
                file.descriptor()
            assert stale.value.errno == errno.ESTALE and file.key() is None
        storage.put("scans/1", b"b" * 300_000)
    (changed,) = rows_of(storage).values()
    touched = changed
    for _ in range(3):  # the server's clock may lag behind
        if touched[2] == changed[2]:
            next_second()
            storage.put("scans/1", b"b" * 300_000)
            (touched,) = rows_of(storage).values()
    assert touched[2] > changed[2] and touched[4] == changed[4] != before[4]
    storage.delete("scans/1")
    with Opener(root) as opener, pytest.raises(FileNotFoundError):
        opener.open("1")


def test_an_empty_object_is_read(storage: ObjectStorage) -> None:
    storage.put("scans/1", b"")
    (row,) = rows_of(storage).values()
    for whole in (True, False):
        with contextlib.ExitStack() as stack:
            opener = stack.enter_context(Opener({"": root_of(storage, "scans")}, whole=whole))
            with contextlib.closing(opener.open("1")) as file:
                assert file.key() == tuple(row[1:]) and file.read(9, 0) == b""


def test_a_service_that_is_busy_is_asked_again(storage: ObjectStorage) -> None:
    storage.put("scans/1", b"patience" * 9999)
    failures = iter([503, -1, 500])
    storage.fail = lambda *_: next(failures, None)
    assert list(rows_of(storage)) == ["1"]
    for whole in (True, False):
        failures = iter([503, -1, 0])
        with Opener({"": root_of(storage, "scans")}, whole=whole) as opener:
            assert content(opener, "1") == b"patience" * 9999


def test_a_network_that_is_down_deletes_nothing(storage: ObjectStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        storage.put(f"scans/{number}", b"x")
    monkeypatch.setattr(object_listing.time, "sleep", lambda _: None)
    monkeypatch.setattr(object_listing, "_PAGE", 2)
    answered = len(storage.requests)
    storage.fail = lambda *_: 0 if len(storage.requests) > answered else None  # the second page fails
    with pytest.raises(UserError, match="does not answer, in 6 attempts; nothing was changed") as down:
        rows_of(storage)
    assert BUCKET not in str(down.value) and "scans" not in str(down.value)
    storage.fail = None
    with Opener({"": root_of(storage, "scans")}) as opener:
        attempts = []
        storage.fail = lambda *_: attempts.append(1) or 0  # type: ignore[func-returns-value]
        for path in ("0", "1", "2"):  # only the first is tried again and again
            with pytest.raises(Unreachable):
                opener.open(path)
        assert len(attempts) == 6


@pytest.mark.parametrize("end", ["", "<NextContinuationToken>again</NextContinuationToken>"])
def test_a_list_without_an_end_is_no_list(storage: ObjectStorage, monkeypatch: pytest.MonkeyPatch, end: str) -> None:
    page = f"<ListBucketResult><IsTruncated>true</IsTruncated>{end}</ListBucketResult>"
    monkeypatch.setattr(object_listing, "_page", lambda *_: object_listing.ElementTree.fromstring(page))
    with pytest.raises(UserError, match="no list of objects"):
        rows_of(storage)


def test_a_list_of_other_keys_than_those_asked_for_is_no_list(
    storage: ObjectStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage.put("another/secret.dcm", b"x")
    page = object_listing._page
    everything = configured_root("source", f"s3://{BUCKET}", {"endpoint": storage.endpoint}, os.environ)
    asked = ObjectRoot.parse(everything)
    monkeypatch.setattr(object_listing, "_page", lambda _, *others: page(asked, *others))  # it ignores the prefix
    with pytest.raises(UserError, match="no list of objects"):
        rows_of(storage)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (403, "refuses access"),
        (404, "the bucket does not exist"),
        (301, "another region"),
        (400, "cannot be listed"),
        (503, "status 503, SlowDown, in 6 attempts"),
    ],
)
def test_a_refusal_is_one_line_without_names(
    storage: ObjectStorage, monkeypatch: pytest.MonkeyPatch, status: int, expected: str
) -> None:
    monkeypatch.setattr(object_listing.time, "sleep", lambda _: None)
    storage.fail = lambda *_: status
    with pytest.raises(UserError, match=expected) as refused:
        rows_of(storage)
    assert "config key 'source'" in str(refused.value) and "\n" not in str(refused.value)
    for secret in (BUCKET, "scans", "127.0.0.1", *CREDENTIALS.values()):
        assert secret not in str(refused.value)


def test_a_refused_object_is_unreadable_and_refused_credentials_are_not(storage: ObjectStorage) -> None:
    class Answer(PermissionError):
        pass

    denied = Answer("403 <Error><Code>AccessDenied</Code></Error>")
    expired = Answer("403 <Error><Code>ExpiredToken</Code></Error>")
    assert object_fetcher._number_of(denied) == errno.EACCES
    assert object_fetcher._number_of(expired) == object_fetcher.UNREACHABLE
    storage.put("scans/1", b"x")
    root = {"": root_of(storage, "scans")}
    storage.fail = lambda *_: 403  # with a code that concerns no object
    with Opener(root) as opener, pytest.raises(Unreachable):
        opener.open("1")


def test_a_job_without_credentials_asks_nobody_for_them(
    storage: ObjectStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client would ask the address where a virtual machine has its role, and wait for an answer."""
    storage.put("scans/1", b"x")
    root = {"": root_of(storage, "scans")}
    for name in CREDENTIALS:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", storage.endpoint)
    with Opener(root) as opener, pytest.raises(Unreachable):
        opener.open("1")
    assert not storage.requests


def test_an_empty_prefix_is_refused_unless_confirmed(storage: ObjectStorage) -> None:
    root = {"": root_of(storage, "scanz")}
    with pytest.raises(UserError, match="no object of the bucket has this prefix"):
        listing.list_sources(root, largest_loss=0.5)
    assert listing.list_sources(root, largest_loss=1.0) == []


@pytest.mark.parametrize(
    ("url", "options", "expected"),
    [
        ("gs://bucket/x", {}, "begins with gs://"),
        ("s3://", {}, "no valid name of a bucket"),
        ("s3://ROBINKEYID:wrensecret@bucket/x", {}, "more than a bucket"),
        ("s3://bucket/a//b", {}, "the prefix has an empty part"),
        ("s3://bucket/x", {"endpoint": "ftp://host"}, "URL of a service"),
        ("s3://bucket/x", {"endpoint": "https://ROBINKEYID:wrensecret@host"}, "a user or a password"),
        ("s3://bucket/x", {"endpoint": "https://host:port"}, "URL of a service"),
        ("s3://bucket/x", {"region": "x y"}, "name of a region"),
    ],
)
def test_an_unusable_url_is_refused_without_its_values(url: str, options: dict[str, Any], expected: str) -> None:
    with pytest.raises(ConfigProblem, match=expected) as refused:
        configured_root("source", url, options, CREDENTIALS)
    assert "wrensecret" not in str(refused.value)


def test_a_root_holds_no_credentials_and_is_parsed_as_it_was() -> None:
    environment = {**CREDENTIALS, "AWS_SESSION_TOKEN": "starling", "AWS_REGION": "eu-west-1"}
    root = configured_root("source", "s3://bucket/a b?c#d%/\u00fc/", {}, environment)
    assert ObjectRoot.parse(root) == ObjectRoot(
        "bucket", "a b?c#d%/\u00fc/", "https://s3.eu-west-1.amazonaws.com", "eu-west-1", anonymous=False
    )
    assert not any(value.encode() in root for value in [*CREDENTIALS.values(), "starling"])


def test_words_of_bucket_and_prefix_are_identifiers() -> None:
    roots = {"cloud": configured_root("source", f"s3://{BUCKET}/wagtail-ward", {}, CREDENTIALS).decode()}
    assert read_chunk.below_source(roots, "cloud/Siskin%0AAnna/1.dcm") == b"heronclinic/wagtail-ward/Siskin\nAnna/1.dcm"
    assert read_chunk.below_source({"": "/data"}, "a/1.dcm") == b"a/1.dcm"
    assert read_chunk.below_source({"disk": "/data"}, "disk/a/1.dcm") == b"a/1.dcm"


def test_a_time_with_a_fraction_is_the_time_without() -> None:
    import datetime

    listed = datetime.datetime.fromisoformat("2026-11-27T06:21:36.789Z")
    answered = datetime.datetime.fromisoformat("2026-11-27T06:21:36Z")
    assert stat_key(5, listed, '"abc"') == stat_key(5, answered, "abc") != stat_key(5, answered, "abd")
    assert stat_key(5, listed, "")[1] == 1_795_760_496 * 10**9
