"""A static web server on loopback that answers ranges of bytes, notes every request, and fails when asked to."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

Request = tuple[str, str, str]  # method, path without the first slash, range or ""


@dataclass
class Served:
    """What a server did, and what it is to do."""

    url: str
    requests: list[Request] = field(default_factory=list)
    failures: list[int | str] = field(default_factory=list)  # of the next requests: a status, "cut" or "drop"
    ranges: bool = True

    def taken(self) -> list[Request]:
        """Return the requests since the last call."""
        requests, self.requests[:] = list(self.requests), []
        return requests


def _handler(folder: Path, served: Served) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            path, wanted = unquote(self.path.lstrip("/")), self.headers.get("Range", "")
            served.requests.append((self.command, path, wanted))
            failure = served.failures.pop(0) if served.failures else 0
            if failure == "drop":
                self.close_connection = True
                return
            if isinstance(failure, int) and failure:
                self._answer(failure, b"", {})
            elif not (folder / path).is_file():
                self._answer(404, b"", {})
            else:
                self._send((folder / path).read_bytes(), wanted, cut=failure == "cut")

        def _send(self, data: bytes, wanted: str, cut: bool) -> None:
            headers = {"ETag": f'"{hashlib.md5(data).hexdigest()}"', "Last-Modified": "Fri, 27 Nov 2026 00:00:00 GMT"}
            status = 200
            if self.headers.get("If-Match", headers["ETag"]) != headers["ETag"]:
                status, data = 412, b""
            elif served.ranges and (match := re.fullmatch(r"bytes=(\d*)-(\d*)", wanted)):
                first, last = match.groups()
                start = int(first) if first else max(len(data) - int(last), 0)
                end = min(int(last) + 1, len(data)) if first and last else len(data)
                headers["Content-Range"] = f"bytes {start}-{end - 1}/{len(data)}"
                status, data = 206, data[start:end]
            self._answer(status, data, headers, len(data) // 2 if cut else len(data))

        def _answer(self, status: int, data: bytes, headers: dict[str, str], sent: int | None = None) -> None:
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(data))}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(data[:sent])
            if sent is not None and sent < len(data):
                self.close_connection = True

    return Handler


@contextmanager
def serve(folder: Path) -> Iterator[Served]:
    """Serve a folder on a free port of 127.0.0.1 until the end of the block."""
    served = Served("")
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(folder, served))
    served.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
