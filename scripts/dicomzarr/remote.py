"""Files below a URL, read as `dataset.py` reads those of a folder: ``https://…``, ``http://…`` and ``s3://bucket/prefix``.

Copy this file too if you copied `dataset.py` and want to read URLs. It needs urllib3, which `requests` installs.

A connection belongs to one process and one thread, so that workers may be forked. Objects in a bucket are read with the
credentials in `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and `AWS_SESSION_TOKEN`, without them anonymously;
`AWS_REGION` and `AWS_ENDPOINT_URL` say where the bucket is. They are read from the environment when a request is made:
no credential is in a dataset, or in what is pickled for workers.
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import hmac
import json
import os
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

SCHEMES = ("http", "https", "s3")
POINTER = "latest.json"  # names the folder of the published version that is whole: docs/publishing.md
ATTEMPTS = 5  # of each request
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 10.0  # s; each pause is twice the one before
_TRY_AGAIN = (408, 429, 500, 502, 503, 504)
_NOT_FOUND, _REFUSED = (404, 410), (401, 403)
_EMPTY = hashlib.sha256(b"").hexdigest()
_BLOCK = 1 << 20
_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")
_REDIRECTS = 5
_pools: dict[int, Any] = {}


def is_url(text: object) -> bool:
    """Return whether a text is a URL of a form that can be read."""
    return isinstance(text, str) and "://" in text and text.split("://")[0].lower() in SCHEMES


class ServerError(OSError):
    """The server did not send what was asked for, after all attempts."""


@dataclass(frozen=True, slots=True)
class RemotePath:
    """A file or folder below a URL, with those methods of `pathlib.Path` that the reader uses.

    Attributes
    ----------
    url : str
        Without a slash at its end.
    """

    url: str

    def __truediv__(self, part: str) -> RemotePath:
        return RemotePath(f"{self.url}/{part.strip('/')}")

    def joinpath(self, *parts: str) -> RemotePath:
        """Return the path of a file below."""
        return self / "/".join(parts)

    def __str__(self) -> str:
        return self.url

    @property
    def name(self) -> str:
        """The last part."""
        return self.url.rpartition("/")[2]

    def read_bytes(self) -> bytes:
        """Return the content of a file.

        Raises
        ------
        OSError
            `FileNotFoundError` if there is none, `PermissionError` if the server refuses, else `ServerError`.
        """
        return _request("GET", self.url).data

    def blocks(self) -> Iterator[bytes]:
        """Yield the content of a file in blocks, which are not kept; a request that fails on the way is an error."""
        response = _open("GET", self.url, {})
        import urllib3

        try:
            yield from response.stream(_BLOCK, decode_content=False)
        except urllib3.exceptions.HTTPError:
            raise ServerError(f"{self.url}: the connection broke off") from None
        finally:
            response.release_conn()

    def is_file(self) -> bool:
        """Return whether there is a file; one that the server does not show counts as none."""
        try:
            _request("HEAD", self.url)
        except (FileNotFoundError, PermissionError):
            return False
        return True


class RemoteFile:
    """A file that is read by ranges of bytes.

    Parameters
    ----------
    path : RemotePath
    """

    longest_run = 16 << 20  # bytes of adjacent chunks that are read at once

    def __init__(self, path: RemotePath) -> None:
        self._url = path.url
        self._unchanged: dict[str, str] = {}  # condition under which later ranges are of the same bytes

    def tail(self, length: int) -> bytes:
        """Return the last bytes of the file."""
        answer = _request("GET", self._url, {"Range": f"bytes=-{length}"})
        etag = answer.headers.get("ETag", "")
        if etag.startswith('"'):  # a weak one compares no bytes
            self._unchanged = {"If-Match": etag}
        place = _RANGE.fullmatch(answer.headers.get("Content-Range", ""))
        if place and int(place[2]) + 1 != int(place[3]):  # a server that counts from the beginning all the same
            return self.read(length, max(int(place[3]) - length, 0))
        return self._of_range(answer, length)

    def read(self, length: int, offset: int) -> bytes:
        """Return bytes from an offset.

        Raises
        ------
        ValueError
            If the file was replaced since its tail was read.
        """
        if not length:
            return b""
        wanted = {"Range": f"bytes={offset}-{offset + length - 1}", **self._unchanged}
        return self._of_range(_request("GET", self._url, wanted), length)

    def _of_range(self, answer: _Answer, length: int) -> bytes:
        if len(answer.data) != length:
            raise ServerError(f"{self._url}: found {len(answer.data)} bytes, needed are {length}; the file is cut off")
        return answer.data


def published(url: str, sought: str = "volumes.csv") -> RemotePath:
    """Return the dataset at a URL: that folder, the version that its pointer names, or its folder `dataset`.

    Parameters
    ----------
    url : str
    sought : str
        A file of each dataset.

    Raises
    ------
    ValueError
        If the URL has a user name, a query or another scheme.
    OSError
        If there is no dataset, or it cannot be read.
    """
    parts = urlsplit(url)
    if not is_url(url) or not parts.netloc:
        raise ValueError(f"a URL begins with {', '.join(f'{scheme}://' for scheme in SCHEMES)} and a name")
    if "@" in parts.netloc:
        raise ValueError("a URL holds no user name and no password: they would be in logs and pickles")
    if parts.query or parts.fragment:
        raise ValueError("a URL of a dataset names a folder, and ends before any ? and #")
    path = RemotePath(f"{parts.scheme.lower()}://{parts.netloc}{parts.path.rstrip('/')}")
    refusal: PermissionError | None = None  # also the answer to what does not exist, where nothing may be listed
    for folder in (path, None, path / "dataset"):
        try:
            dataset = _existing(folder, sought) if folder else _by_pointer(path)
        except PermissionError as error:
            refusal, dataset = error, None
        if dataset is not None:
            return dataset
    raise refusal or FileNotFoundError(
        f"{path}: no dataset: it has neither {sought} nor {POINTER}. Give the folder with {sought}, or the one that "
        "./run publish wrote to"
    )


def _existing(folder: RemotePath, sought: str) -> RemotePath | None:
    try:
        _request("HEAD", (folder / sought).url)
    except FileNotFoundError:
        return None
    return folder


def _by_pointer(folder: RemotePath) -> RemotePath | None:
    try:
        pointer = (folder / POINTER).read_bytes()
    except FileNotFoundError:
        return None
    return folder / version_in(pointer)


def version_in(pointer: bytes) -> str:
    """Return the folder that the content of a pointer names.

    Raises
    ------
    ValueError
        If it is no pointer, or names a folder elsewhere.
    """
    try:
        folder = json.loads(pointer)["path"]
        if not folder or {"", ".", ".."} & {*folder.split("/")}:
            raise ValueError
        return str(folder)
    except (ValueError, LookupError, TypeError, AttributeError):
        raise ValueError(f"{POINTER} names no version of a dataset") from None


def pointed_to(folder: Path) -> Path | None:
    """Return the version that the pointer in a folder names; None if it has no pointer."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        return folder / version_in((folder / POINTER).read_bytes())
    return None


# ---- Requests


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    headers: Mapping[str, str]
    data: bytes


def _request(method: str, url: str, headers: Mapping[str, str] | None = None) -> _Answer:
    """Return a whole answer with a status of success; some failures are tried again."""
    import urllib3

    pause = _FIRST_PAUSE
    for attempt in range(1, ATTEMPTS + 1):
        try:
            response = _open(method, url, headers or {}, attempt)
            data = response.read(decode_content=False)
            response.release_conn()
            return _Answer(response.status, response.headers, data)
        except _TryAgain as again:
            wait = max(pause, again.seconds)
        except urllib3.exceptions.HTTPError:  # the connection broke off
            if attempt == ATTEMPTS:
                raise ServerError(f"{url}: the connection broke off, {ATTEMPTS} times") from None
            wait = pause
        time.sleep(min(wait, _LONGEST_PAUSE))
        pause *= 2
    raise AssertionError  # the last attempt returns or raises


class _TryAgain(Exception):
    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds


def _open(method: str, url: str, headers: Mapping[str, str], attempt: int = ATTEMPTS) -> Any:
    """Return a response with a status of success, its body not yet read; the last attempt raises what is wrong."""
    import urllib3

    address, signed = _address(url, method)
    wanted = {"Accept-Encoding": "identity", **headers, **signed}
    retries = urllib3.Retry(connect=0, read=0, status=0, other=0, redirect=_REDIRECTS, raise_on_redirect=True)
    try:
        response = _pool(address).request(
            method, address, headers=wanted, preload_content=False, retries=retries, redirect=not signed
        )
    except urllib3.exceptions.MaxRetryError as error:
        if isinstance(error.reason, urllib3.exceptions.ResponseError):
            raise ServerError(f"{url}: more than {_REDIRECTS} redirections") from None
        if attempt < ATTEMPTS:
            raise _TryAgain(0) from None
        advice = ""
        if url.startswith("s3://") and not _endpoint():
            advice = "; for storage that is not Amazon's, set AWS_ENDPOINT_URL"
        raise ServerError(f"{url}: no connection to the server ({type(error.reason).__name__}){advice}") from None
    status = response.status
    if status == (206 if "Range" in headers else 200):
        return response
    if status == 200:
        response.close()  # without reading all of it
        raise ServerError(f"{url}: the server sends whole files only, no ranges of bytes: use another one")
    response.drain_conn()
    response.release_conn()
    if status in _TRY_AGAIN and attempt < ATTEMPTS:
        after = response.headers.get("Retry-After", "")
        raise _TryAgain(float(after) if after.isdigit() else 0)
    if status in _NOT_FOUND:
        raise FileNotFoundError(2, "No such file", url)
    if status in _REFUSED:
        advice = "is AWS_ACCESS_KEY_ID the right one?" if signed else "it may need credentials: docs/reading.md"
        raise PermissionError(13, f"the server refuses access (status {status}); {advice}", url)
    if status == 412:
        raise ValueError(f"{url}: the file was replaced while it was read: open the dataset again")
    if status == 416:
        raise ServerError(f"{url}: the file is shorter than it should be; it is damaged, or of another version")
    if status in (301, 307, 308):
        raise ServerError(f"{url}: the bucket is elsewhere (status {status}): set AWS_REGION or AWS_ENDPOINT_URL")
    raise ServerError(f"{url}: the server answers with status {status}")


def _pool(address: str) -> Any:
    """Return the connections of this process, made after a fork; through a proxy if the environment names one."""
    import urllib3

    scheme, host = urlsplit(address).scheme, urlsplit(address).hostname or ""
    proxy = "" if proxy_bypass(host) else getproxies().get(scheme, "")
    pools = _pools.get(os.getpid())
    if pools is None:
        _pools.clear()  # of the parent: its connections must not be used here
        pools = _pools[os.getpid()] = {}
    if proxy not in pools:
        timeout = urllib3.Timeout(connect=20, read=60)
        options: dict[str, Any] = {"timeout": timeout, "maxsize": 32, "num_pools": 8}
        pools[proxy] = urllib3.ProxyManager(proxy, **options) if proxy else urllib3.PoolManager(**options)
    return pools[proxy]


# ---- Objects in a bucket


def _address(url: str, method: str) -> tuple[str, dict[str, str]]:
    """Return the HTTP address of a URL, and the headers with its signature if there are credentials."""
    parts = urlsplit(url)
    path = quote(unquote(parts.path) if parts.scheme != "s3" else parts.path, safe="/~!$&'()*+,;=:@")
    if parts.scheme != "s3":
        return f"{parts.scheme}://{parts.netloc}{path}", {}
    bucket, key = parts.netloc, quote(url.split("://", 1)[1].partition("/")[2], safe="/~")
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"
    endpoint = _endpoint()
    if endpoint:
        address = f"{endpoint.rstrip('/')}/{bucket}/{key}"
    elif "." in bucket:  # no certificate covers it as a host
        address = f"https://s3.{region}.amazonaws.com/{bucket}/{key}"
    else:
        address = f"https://{bucket}.s3.{region}.amazonaws.com/{key}"
    return address, signature(method, address, region, os.environ)


def _endpoint() -> str:
    return os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL", "")


def signature(method: str, address: str, region: str, variables: Mapping[str, str]) -> dict[str, str]:
    """Return the headers that sign a request without a body (AWS Signature Version 4); empty without credentials.

    Parameters
    ----------
    method, address, region : str
    variables : mapping of str to str
        With ``AWS_ACCESS_KEY_ID``, ``AWS_SECRET_ACCESS_KEY`` and, for temporary ones, ``AWS_SESSION_TOKEN``.

    Returns
    -------
    dict of str to str
    """
    key, secret = variables.get("AWS_ACCESS_KEY_ID"), variables.get("AWS_SECRET_ACCESS_KEY")
    if not key or not secret:
        return {}
    parts = urlsplit(address)
    now = datetime.datetime.now(datetime.UTC).strftime("%Y%m%dT%H%M%SZ")
    headers = {"host": parts.netloc, "x-amz-content-sha256": _EMPTY, "x-amz-date": now}
    if token := variables.get("AWS_SESSION_TOKEN"):
        headers["x-amz-security-token"] = token
    names = ";".join(sorted(headers))
    lines = [f"{name}:{headers[name]}" for name in sorted(headers)]
    canonical = "\n".join([method, parts.path, parts.query, *lines, "", names, _EMPTY])
    scope = f"{now[:8]}/{region}/s3/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{now}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    derived = f"AWS4{secret}".encode()
    for step in (*scope.split("/"), text):
        derived = hmac.new(derived, step.encode(), hashlib.sha256).digest()
    credential = f"Credential={key}/{scope}, SignedHeaders={names}, Signature={derived.hex()}"
    return {
        **{name: value for name, value in headers.items() if name != "host"},
        "Authorization": f"AWS4-HMAC-SHA256 {credential}",
    }
