"""What the servers of `./run view` and `./run review` have in common: who is answered, and with which headers.

They listen on this machine alone. Every path begins with a token that the printed address has, and connections of other
users of this machine are refused, so that nobody can read past the permissions of files. A request for another host is
refused, so that no web page can reach the server by a name that it points here (DNS rebinding). Nothing is logged.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import secrets
import socket
import sys
import weakref
from collections.abc import Mapping, Sequence
from http.client import responses
from pathlib import Path
from types import TracebackType
from typing import Any

import tornado.httpserver
import tornado.web
from tornado.iostream import StreamClosedError

from dicomzarr.viewer import files, peers

HOST = "127.0.0.1"
HOSTS = frozenset({HOST, "localhost"})
BLOCK = 1 << 20  # bytes that are read and sent at once
HEADERS = {
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
# No request to another host: not by scripts, styles, images, fonts, forms, frames or workers.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

# Of connections that are open: whether they are refused. Each is looked at once.
_refused: weakref.WeakKeyDictionary[Any, bool] = weakref.WeakKeyDictionary()

Route = tuple[str, type["Guarded"]]  # of a path after the token, as a regular expression


class Guarded(tornado.web.RequestHandler):
    """What all answers have in common.

    Attributes
    ----------
    WORD : str
        The word of `./run` in messages.
    POLICY : str
        Content-Security-Policy.
    CACHE : str
        Cache-Control.
    """

    SUPPORTED_METHODS: tuple[str, ...] = ("GET", "HEAD")
    WORD = ""
    POLICY = POLICY
    CACHE = "no-store"

    def set_default_headers(self) -> None:
        """Set the headers that every answer has."""
        self.clear_header("Server")
        for name, value in HEADERS.items():
            self.set_header(name, value)
        self.set_header("Content-Security-Policy", self.POLICY)
        self.set_header("Cache-Control", self.CACHE)

    def prepare(self) -> None:
        """Refuse a request that was meant for another host, or that another user of this machine makes."""
        if self.request.host.rpartition(":")[0] not in HOSTS and self.request.host not in HOSTS:
            raise tornado.web.HTTPError(403)
        stream = getattr(self.request.connection, "stream", None)
        if stream is None:  # it has ended
            raise tornado.web.HTTPError(403)
        if stream not in _refused:
            _refused[stream] = peers.is_of_another_user(stream.socket)
        if _refused[stream]:
            raise tornado.web.HTTPError(403)

    def compute_etag(self) -> None:
        """Return no tag: files are read again each time."""

    def write_error(self, status_code: int, **_: Any) -> None:
        """Answer with the status, and for a wrong address with what may be wrong: no path, no traceback."""
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        hints = {
            403: f"Open the printed address in a browser of the user who started ./run {self.WORD}\n",
            404: f"An address is valid until ./run {self.WORD} ends: start it again\n",
        }
        self.finish(f"{status_code} {responses.get(status_code, '')}\n{hints.get(status_code, '')}")

    def log_exception(
        self,
        typ: type[BaseException] | None,
        value: BaseException | None,
        _: TracebackType | None,
    ) -> None:
        """Print the kind of an unexpected error, without its text, which may hold paths."""
        if not isinstance(value, tornado.web.HTTPError | StreamClosedError) and typ:
            print(f"{self.WORD}: an answer failed: {typ.__name__}", file=sys.stderr, flush=True)

    def head(self, *arguments: str) -> Any:
        """Answer as GET does; tornado and `send_file` leave the content out."""
        return self.get(*arguments)

    def send_json(self, content: Any) -> None:
        """Answer with JSON."""
        self.set_header("Content-Type", "application/json")
        self.finish(json.dumps(content))

    async def send_file(self, folder: Path, path: str) -> None:
        """Answer with a file, or the ranges of it that the request asks for."""
        try:
            handle, size = files.open_below(folder, path)
        except OSError:
            raise tornado.web.HTTPError(404) from None
        with open(handle, "rb"):
            kind = files.content_type(path)
            self.set_header("Content-Type", kind)
            self.set_header("Accept-Ranges", "bytes")
            ranges = files.ranges_of(self.request.headers.get("Range"), size)
            if ranges == []:
                self.set_status(416)
                self.set_header("Content-Range", f"bytes */{size}")
                self.finish()
                return
            if ranges is None:
                parts: list[tuple[bytes, int, int]] = [(b"", 0, size)]
            elif len(ranges) == 1:
                self.set_status(206)
                first, end = ranges[0]
                self.set_header("Content-Range", f"bytes {first}-{end - 1}/{size}")
                parts = [(b"", first, end)]
            else:
                self.set_status(206)
                mark = secrets.token_hex(12)
                self.set_header("Content-Type", f"multipart/byteranges; boundary={mark}")
                parts = [
                    (
                        f"\r\n--{mark}\r\nContent-Type: {kind}\r\n"
                        f"Content-Range: bytes {first}-{end - 1}/{size}\r\n\r\n".encode(),
                        first,
                        end,
                    )
                    for first, end in ranges
                ]
                parts.append((f"\r\n--{mark}--\r\n".encode(), 0, 0))
            self.set_header("Content-Length", str(sum(len(lead) + end - first for lead, first, end in parts)))
            if self.request.method != "HEAD":
                await self._send(handle, parts)

    async def _send(self, handle: int, parts: Sequence[tuple[bytes, int, int]]) -> None:
        """Send parts of a file, each after its lead; only a block is in memory at once."""
        for lead, first, end in parts:
            self.write(lead)
            while first < end:
                block = await asyncio.to_thread(os.pread, handle, min(BLOCK, end - first), first)
                if not block:  # the file has become shorter: the connection is closed, and the client notices
                    raise StreamClosedError
                self.write(block)
                await self.flush()
                first += len(block)


class Missing(Guarded):
    """Every other path."""

    def initialize(self, **_: Any) -> None:
        """Need nothing."""

    def get(self, *_: str) -> None:
        """Answer that there is no such thing."""
        raise tornado.web.HTTPError(404)


class Icon(Guarded):
    """The icon that browsers ask for: there is none, which is no error."""

    def initialize(self, **_: Any) -> None:
        """Need nothing."""

    def get(self) -> None:
        """Answer without content."""
        self.set_status(204)


def application(
    token: str, routes: Sequence[Route], arguments: Mapping[str, Any], base: type[Guarded]
) -> tornado.web.Application:
    """Return the application: which path is answered by what.

    Parameters
    ----------
    token : str
        First part of every path.
    routes : sequence of (str, type)
        Regular expression of the path after the token, and its handler.
    arguments : mapping of str to object
        What handlers are initialized with.
    base : type
        Word, policy and cache of the answers to all other paths are those of this handler.
    """
    own = {"WORD": base.WORD, "POLICY": base.POLICY, "CACHE": base.CACHE}
    return tornado.web.Application(
        [
            (r"/favicon\.ico", type("Icon", (Icon,), own)),
            *((f"/{token}{path}", handler, dict(arguments)) for path, handler in routes),
        ],
        default_handler_class=type("Missing", (Missing,), own),
        log_function=lambda _: None,
    )


def start(served: tornado.web.Application, port: int, most: int = 1024) -> tuple[tornado.httpserver.HTTPServer, int]:
    """Start to listen on this machine alone, within a running event loop.

    Parameters
    ----------
    served : Application
    port : int
        0 for any free one.
    most : int
        Bytes of the body of a request.

    Returns
    -------
    HTTPServer
    int
        The port.

    Raises
    ------
    OSError
        If the port is in use.
    """
    logger = logging.getLogger("tornado")  # its messages hold paths
    logger.addHandler(logging.NullHandler())
    logger.propagate = False
    listening = socket.create_server((HOST, port))
    listening.setblocking(False)
    server = tornado.httpserver.HTTPServer(served, max_body_size=most)
    server.add_socket(listening)
    return server, int(listening.getsockname()[1])
