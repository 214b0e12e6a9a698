"""A server of object storage on loopback, and what lies between it and its clients: it counts, fails and is down."""

from __future__ import annotations

import contextlib
import http.client
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import quote, urlsplit

from waiting import HANG

CREDENTIALS = {"AWS_ACCESS_KEY_ID": "ROBINKEYID", "AWS_SECRET_ACCESS_KEY": "wrensecretaccess"}
_OWNER = {"Authorization": "AWS4-HMAC-SHA256 Credential=OWNER/20261127/us-east-1/s3/aws4_request"}  # is not checked
_HOP = {"connection", "transfer-encoding", "content-length", "server", "date"}


@dataclass(frozen=True)
class Request:
    """A request as the server received it, and how many bytes of content it answered with."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    status: int
    bytes: int

    @property
    def is_list(self) -> bool:
        return "list-type=2" in self.query

    @property
    def range(self) -> str:
        return self.headers.get("range", "")


@dataclass
class ObjectStorage:
    """A bucket of `moto` behind a proxy that the tests control.

    Attributes
    ----------
    endpoint : str
        URL of the proxy.
    requests : list of Request
        What passed the proxy.
    fail : callable or None
        Returns the status with which a request fails, None to pass it on; 0 to close the connection without an answer,
        -1 to close it in the middle of the answer.
    """

    endpoint: str
    bucket: str
    backend: tuple[str, int]
    requests: list[Request] = field(default_factory=list)
    fail: Callable[[str, str], int | None] | None = None

    def call(self, method: str, key: str = "", body: bytes = b"", **headers: str) -> bytes:
        """Send a request to the server itself, past the proxy."""
        connection = http.client.HTTPConnection(*self.backend, timeout=HANG)
        with contextlib.closing(connection):
            path = f"/{self.bucket}/{quote(key, safe='')}" if key else f"/{self.bucket}"
            connection.request(method, path, body, {**_OWNER, **headers})
            answer = connection.getresponse()
            content = answer.read()
        assert answer.status < 300, (method, answer.status, content)
        return content

    def put(self, key: str, content: bytes, *, acl: str = "private") -> None:
        self.call("PUT", key, content, **{"x-amz-acl": acl})

    def delete(self, key: str) -> None:
        self.call("DELETE", key)

    def gets(self) -> list[Request]:
        """Return the requests for objects."""
        return [request for request in self.requests if not request.is_list]

    def lists(self) -> list[Request]:
        return [request for request in self.requests if request.is_list]


def _handler(storage: ObjectStorage) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            status = storage.fail(parts.path, parts.query) if storage.fail else None
            headers = {name.lower(): value for name, value in self.headers.items()}
            breaks_off = status == -1
            if status is None or breaks_off:
                connection = http.client.HTTPConnection(*storage.backend, timeout=HANG)
                with contextlib.closing(connection):
                    connection.request(self.command, self.path, headers=dict(self.headers.items()))
                    answer = connection.getresponse()
                    body, status, fields = answer.read(), answer.status, answer.getheaders()
            elif status:
                body, fields = b"<Error><Code>SlowDown</Code></Error>", []
            else:
                self.close_connection = True
                return
            storage.requests.append(Request(self.command, parts.path, parts.query, headers, status, len(body)))
            self.send_response(status)
            for name, value in fields:
                if name.lower() not in _HOP:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: len(body) // 2] if breaks_off else body)
            self.close_connection = self.close_connection or breaks_off

        do_HEAD = do_PUT = do_GET

        def log_message(self, *_: Any) -> None:
            return None

    return Handler


class _Proxy(ThreadingHTTPServer):
    def handle_error(self, *_: Any) -> None:
        return None  # a client that was ended in the middle of an answer


@contextmanager
def serve(bucket: str) -> Iterator[ObjectStorage]:
    """Serve an empty bucket on loopback.

    Parameters
    ----------
    bucket : str
    """
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    storage = ObjectStorage("", bucket, server.get_host_and_port())
    proxy = _Proxy(("127.0.0.1", 0), _handler(storage))
    proxy.daemon_threads = True
    storage.endpoint = f"http://127.0.0.1:{proxy.server_address[1]}"
    thread = threading.Thread(target=proxy.serve_forever, daemon=True)
    thread.start()
    try:
        storage.call("PUT")
        yield storage
    finally:
        proxy.shutdown()
        thread.join()
        proxy.server_close()
        server.stop()


def next_second() -> None:
    """Wait until the clock shows another second: times of objects have no fractions."""
    time.sleep(1.01 - time.time() % 1)
