"""The server of `./run view`: this machine alone, read only, one dataset and the viewer's own files.

Every path begins with a token that only the printed address has, so that other users of this machine cannot read the
dataset past its permissions. A request for another host is refused, so that no web page can reach the server by a name
that it points here (DNS rebinding). Nothing is logged.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import secrets
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from http.client import responses
from pathlib import Path
from types import TracebackType
from typing import Any

import tornado.httpserver
import tornado.web
from tornado.iostream import StreamClosedError

from dicomzarr.viewer import converted, files, index_page, state
from dicomzarr.viewer.catalogue import IMAGES, Image

HOST = "127.0.0.1"
HOSTS = frozenset({HOST, "localhost"})
PAGE = Path(__file__).with_name("page")
BLOCK = 1 << 20  # bytes that are read and sent at once
# No request to another host: not by scripts, styles, images, fonts, forms, frames or workers. The client compiles the
# decoders of chunks (WebAssembly) and makes workers and pictures of its own (blob:, data:).
POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self' 'unsafe-inline'; connect-src 'self'; "
    "img-src 'self' data: blob:; font-src 'self' data:; worker-src 'self' blob:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
# The decoder of Blosc writes small functions of its own. It runs in a worker, whose policy is that of its script.
POLICY_OF_WORKERS = POLICY.replace("'wasm-unsafe-eval'", "'wasm-unsafe-eval' 'unsafe-eval'")
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-cache",
}


@dataclass(frozen=True, slots=True)
class Served:
    """What the server gives out.

    Attributes
    ----------
    dataset : Path
        The dataset folder.
    images : dict of str to Image
        By their id.
    client : Path
        Folder with the files of the client.
    token : str
        First part of every path.
    """

    dataset: Path
    images: dict[str, Image]
    client: Path
    token: str


class Handler(tornado.web.RequestHandler):
    """What all answers have in common."""

    SUPPORTED_METHODS = ("GET", "HEAD")

    def initialize(self, served: Served) -> None:
        """Keep what the server gives out."""
        self.served = served

    def set_default_headers(self) -> None:
        """Set the headers that every answer has."""
        self.clear_header("Server")
        for name, value in HEADERS.items():
            self.set_header(name, value)

    def prepare(self) -> None:
        """Refuse a request that was meant for another host."""
        if self.request.host.rpartition(":")[0] not in HOSTS and self.request.host not in HOSTS:
            raise tornado.web.HTTPError(403)

    def compute_etag(self) -> None:
        """Return no tag: files are read again each time."""

    def write_error(self, status_code: int, **_: Any) -> None:
        """Answer with the status alone: no path, no traceback."""
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.finish(f"{status_code} {responses.get(status_code, '')}\n")

    def log_exception(
        self,
        typ: type[BaseException] | None,
        value: BaseException | None,
        _: TracebackType | None,
    ) -> None:
        """Print the kind of an unexpected error, without its text, which may hold paths."""
        if not isinstance(value, tornado.web.HTTPError | StreamClosedError) and typ:
            print(f"view: an answer failed: {typ.__name__}", file=sys.stderr, flush=True)

    def head(self, *arguments: str) -> Any:
        """Answer as GET does; tornado and `send_file` leave the content out."""
        return self.get(*arguments)

    def image(self, array: str) -> Image:
        """Return an image by its id."""
        if array not in self.served.images:
            raise tornado.web.HTTPError(404)
        return self.served.images[array]

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


class Missing(Handler):
    """Every other path."""

    def get(self, *_: str) -> None:
        """Answer that there is no such thing."""
        raise tornado.web.HTTPError(404)


class Icon(Handler):
    """The icon that browsers ask for: there is none, which is no error."""

    def get(self) -> None:
        """Answer without content."""
        self.set_status(204)


class ImageFiles(Handler):
    """Files below `images.zarr`."""

    async def get(self, path: str) -> None:
        """Answer with the file."""
        await self.send_file(self.served.dataset / IMAGES, path)


class ClientFiles(Handler):
    """Files of neuroglancer's client."""

    async def get(self, path: str) -> None:
        """Answer with the file; the address of the folder is that of its page."""
        if path.endswith(".js"):
            self.set_header("Content-Security-Policy", POLICY_OF_WORKERS)
        await self.send_file(self.served.client, path or "index.html")


class PageFiles(Handler):
    """Script and style of the list of images."""

    async def get(self, path: str) -> None:
        """Answer with the file."""
        await self.send_file(PAGE, path)


class List(Handler):
    """The list of images."""

    def get(self) -> None:
        """Answer with the page."""
        self.set_header("Content-Type", "text/html; charset=utf-8")
        self.finish(index_page.render(list(self.served.images.values())))


class View(Handler):
    """The address of an image: leads to the client with the address of its state."""

    def get(self, array: str) -> None:
        """Redirect to the client."""
        place = f"http://{self.request.host}/{self.served.token}"
        self.redirect(f"{place}/v/client/#!{place}/state/{self.image(array).array}.json")


class State(Handler):
    """The state of an image."""

    async def get(self, array: str) -> None:
        """Answer with JSON; whoever started the server is told of an image that cannot be read."""
        image, place = self.image(array), f"http://{self.request.host}/{self.served.token}"
        try:
            self.send_json(await asyncio.to_thread(state.state_of, self.served.dataset, image, place))
        except (OSError, ValueError, KeyError) as error:
            text = f"an array cannot be read ({type(error).__name__}): ./run verify lists missing and damaged files"
            print(f"view: {text}", file=sys.stderr, flush=True)
            raise tornado.web.HTTPError(404) from error


class Converted(Handler):
    """Arrays whose type the client cannot read, as float32."""

    async def get(self, array: str, path: str) -> None:
        """Answer with metadata, or with a chunk."""
        self.image(array)
        images = self.served.dataset / IMAGES
        try:
            if path in ("zarr.json", "0/zarr.json"):
                stored = json.loads(state.read_below(images, f"{array}/{path}"))
                self.send_json(converted.group(stored) if path == "zarr.json" else converted.metadata(stored))
                return
            place = [int(number) for number in path.removeprefix("0/c/").split("/")]
            state.open_array(self.served.dataset, array)  # refuses links
            content = await asyncio.to_thread(converted.chunk, images / array, place)
        except (OSError, ValueError, KeyError) as error:
            raise tornado.web.HTTPError(404) from error
        if content is None:
            raise tornado.web.HTTPError(404)
        self.set_header("Content-Type", "application/octet-stream")
        self.finish(content)


class Events(Handler):
    """The stream of events that the client waits for: open, and empty, while the server lives."""

    async def get(self) -> None:
        """Answer with a stream that ends when the client or the server does."""
        self.set_header("Content-Type", "text/event-stream")
        if self.request.method == "HEAD":
            return
        self.write(": connected\n\n")
        try:
            await self.flush()
            while True:
                await asyncio.sleep(15)
                self.write(": \n\n")
                await self.flush()
        except StreamClosedError:
            raise tornado.web.Finish from None


def application(served: Served) -> tornado.web.Application:
    """Return the application: which path is answered by what."""
    ids = r"([0-9a-f]+/[0-9a-f]+)"
    routes = [
        (r"/", List),
        (rf"/view/{ids}", View),
        (rf"/state/{ids}\.json", State),
        (rf"/{IMAGES}/(.+)", ImageFiles),
        (rf"/converted/{ids}/(zarr\.json|0/zarr\.json|0/c(?:/[0-9]{{1,9}})+)", Converted),
        (r"/page/(.+)", PageFiles),
        (r"/v/client/(.*)", ClientFiles),
        (r"/events/client", Events),
    ]
    arguments = {"served": served}
    return tornado.web.Application(
        [
            (r"/favicon\.ico", Icon, arguments),
            *((f"/{served.token}{path}", handler, arguments) for path, handler in routes),
        ],
        default_handler_class=Missing,
        default_handler_args=arguments,
        log_function=lambda _: None,
    )


def start(served: Served, port: int) -> tuple[tornado.httpserver.HTTPServer, int]:
    """Start to listen on this machine alone, within a running event loop.

    Parameters
    ----------
    served : Served
    port : int
        0 for any free one.

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
    server = tornado.httpserver.HTTPServer(application(served), max_body_size=1024)
    server.add_socket(listening)
    return server, int(listening.getsockname()[1])
