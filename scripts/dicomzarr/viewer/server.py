"""The server of `./run view`: read only, one dataset and the viewer's own files. Who is answered: `local_server.py`."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path

import tornado.httpserver
import tornado.web
from tornado.iostream import StreamClosedError

from dicomzarr.viewer import converted, index_page, local_server, state
from dicomzarr.viewer.catalogue import IMAGES, Image, Tables

PAGE = Path(__file__).with_name("page")
CLIENT = "index.html"
OURS = '<link href="../../page/client.css" rel="stylesheet"><script defer src="../../page/orientation.js"></script>'
# No request to another host: not by scripts, styles, images, fonts, forms, frames or workers. The client compiles the
# decoders of chunks (WebAssembly) and makes workers and pictures of its own (blob:, data:).
POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self' 'unsafe-inline'; connect-src 'self'; "
    "img-src 'self' data: blob:; font-src 'self' data:; worker-src 'self' blob:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
# The decoder of Blosc writes small functions of its own. It runs in a worker, whose policy is that of its script.
POLICY_OF_WORKERS = POLICY.replace("'wasm-unsafe-eval'", "'wasm-unsafe-eval' 'unsafe-eval'")


@dataclass(frozen=True, slots=True)
class Served:
    """What the server gives out.

    Attributes
    ----------
    dataset : Path
        The dataset folder.
    tables : Tables
        Which images there are.
    client : Path
        Folder with the files of the client.
    token : str
        First part of every path.
    """

    dataset: Path
    tables: Tables
    client: Path
    token: str


class Handler(local_server.Guarded):
    """What all answers have in common."""

    WORD = "view"
    POLICY = POLICY

    def initialize(self, served: Served) -> None:
        """Keep what the server gives out."""
        self.served = served

    def image(self, array: str) -> Image:
        """Return an image by its id."""
        image = self.served.tables.images().get(array)
        if image is None:
            raise tornado.web.HTTPError(404)
        return image


class ImageFiles(Handler):
    """Files below `images.zarr`."""

    async def get(self, path: str) -> None:
        """Answer with the file."""
        await self.send_file(self.served.dataset / IMAGES, path)


class ClientFiles(Handler):
    """Files of neuroglancer's client: a browser may keep these, which say nothing of the dataset."""

    CACHE = "no-cache"

    async def get(self, path: str) -> None:
        """Answer with the file; the address of the folder is that of its page, which gets our style and script."""
        if path in ("", CLIENT):
            page = (self.served.client / CLIENT).read_text(encoding="utf-8")
            self.set_header("Content-Type", "text/html; charset=utf-8")
            self.finish(page.replace("</head>", f"{OURS}</head>", 1))
            return
        if path.endswith(".js"):
            self.set_header("Content-Security-Policy", POLICY_OF_WORKERS)
        await self.send_file(self.served.client, path)


class PageFiles(Handler):
    """Script and style of the list of images."""

    async def get(self, path: str) -> None:
        """Answer with the file."""
        await self.send_file(PAGE, path)


class List(Handler):
    """The list of images, which a form of its own searches."""

    POLICY = POLICY.replace("form-action 'none'", "form-action 'self'")

    def get(self) -> None:
        """Answer with the page that the query asks for."""
        words, first = self.get_query_argument("words", ""), self.get_query_argument("first", "0")
        self.set_header("Content-Type", "text/html; charset=utf-8")
        images = list(self.served.tables.images().values())
        self.finish(index_page.render(images, words, int(first) if re.fullmatch("[0-9]{1,9}", first) else 0))


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
            print(f"view: {text}. While a run is at work, wait for its end", file=sys.stderr, flush=True)
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


def start(served: Served, port: int) -> tuple[tornado.httpserver.HTTPServer, int]:
    """Start to listen within a running event loop; see `local_server.start`."""
    ids = r"([0-9a-f]+/[0-9a-f]+)"
    routes: list[local_server.Route] = [
        (r"/", List),
        (rf"/view/{ids}", View),
        (rf"/state/{ids}\.json", State),
        (rf"/{IMAGES}/(.+)", ImageFiles),
        (rf"/converted/{ids}/(zarr\.json|0/zarr\.json|0/c(?:/[0-9]{{1,9}})+)", Converted),
        (r"/page/(.+)", PageFiles),
        (r"/v/client/(.*)", ClientFiles),
        (r"/events/client", Events),
    ]
    return local_server.start(local_server.application(served.token, routes, {"served": served}, Handler), port)
