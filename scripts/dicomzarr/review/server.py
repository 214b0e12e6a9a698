"""The server of `./run review`: pictures of listed images, and decisions about them.

Who is answered: `viewer/local_server.py`. A decision is a POST of JSON from the page itself: a form of another page
cannot send JSON, and the browser names the page that sends it.
"""

from __future__ import annotations

import asyncio
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tornado.httpserver
import tornado.web

from dicomzarr.records import decisions
from dicomzarr.review import read_results, review_page
from dicomzarr.review.read_results import ReviewList
from dicomzarr.system.results_folder import Results
from dicomzarr.viewer import local_server
from dicomzarr.vocabulary.errors import UserError

PAGE = Path(__file__).with_name("page")
MOST_BYTES = 1 << 20  # of a request
MOST_DECISIONS = 5000  # in one request


@dataclass(frozen=True, slots=True)
class Served:
    """What the server gives out and takes.

    Attributes
    ----------
    results : Results
    listed : ReviewList
        What there was when it started; decisions are read again each time.
    token : str
        First part of every path.
    series : dict of str to str
        Series of the images that are listed, by content.
    """

    results: Results
    listed: ReviewList
    token: str
    series: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Index the images."""
        self.series.update({image.content: image.series_id for image in self.listed.images})


class Handler(local_server.Guarded):
    """What all answers have in common."""

    WORD = "review"

    def initialize(self, served: Served) -> None:
        """Keep what the server gives out."""
        self.served = served

    def send_problem(self, status: int, text: str) -> None:
        """Answer with an error that the page shows."""
        self.set_status(status)
        self.send_json({"problem": text})


class Page(Handler):
    """The page."""

    async def get(self) -> None:
        """Answer with the page, with the decisions as they are now."""
        try:
            decided = await asyncio.to_thread(decisions.read, decisions.path_in(self.served.results.private))
        except UserError as error:
            self.set_status(409)
            self.set_header("Content-Type", "text/plain; charset=utf-8")
            self.finish(f"{error}\n")
            return
        self.set_header("Content-Type", "text/html; charset=utf-8")
        images = [image._replace(decision=decided.get(image.content, "")) for image in self.served.listed.images]
        self.finish(review_page.render(images))


class PageFiles(Handler):
    """Script and style of the page."""

    async def get(self, path: str) -> None:
        """Answer with the file."""
        await self.send_file(PAGE, path)


class Pictures(Handler):
    """The picture of an image that is listed."""

    async def get(self, content: str) -> None:
        """Answer with the picture."""
        series_id = self.served.series.get(content)
        if series_id is None:
            raise tornado.web.HTTPError(404)
        await self.send_file(read_results.pictures_folder(self.served.results), f"{series_id}/{content}.jpg")


class Decisions(Handler):
    """Takes decisions."""

    SUPPORTED_METHODS = ("POST",)

    def prepare(self) -> None:
        """Refuse what another page may have sent."""
        super().prepare()
        if self.request.method != "POST":
            return
        origin = self.request.headers.get("Origin")
        site = self.request.headers.get("Sec-Fetch-Site", "same-origin")
        if origin not in (None, f"http://{self.request.host}") or site != "same-origin":
            raise tornado.web.HTTPError(403)
        if self.request.headers.get("Content-Type", "").partition(";")[0].strip() != "application/json":
            raise tornado.web.HTTPError(415)

    async def post(self) -> None:
        """Write decisions, each `keep`, `set_aside` or empty, by content; answer with those that these images have now.

        `seen` has the decisions that the page showed: where another one was written meanwhile, that stays.
        """
        changes, seen = self._changes()
        table = decisions.path_in(self.served.results.private)
        try:
            decided = await asyncio.to_thread(decisions.change, table, changes, seen)
        except UserError as error:
            self.send_problem(409, str(error))
            return
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno else type(error).__name__
            self.send_problem(500, f"private/decisions.csv could not be written ({reason})")
            return
        self.send_json(
            {
                "decisions": {content: decided.get(content, "") for content in changes},
                "undecided": sum(content not in decided for content in self.served.series),
            }
        )

    def _changes(self) -> tuple[dict[str, str], dict[str, str]]:
        """Return `decisions` and `seen` of the request; 400 for another form, 404 for a content that is not listed."""
        try:
            body: Any = json.loads(self.request.body)
            changes, seen = body["decisions"], body.get("seen", {})
            is_good = bool(changes) and all(map(_are_decisions, (changes, seen)))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            is_good = False
        if not is_good:
            raise tornado.web.HTTPError(400)
        if not changes.keys() <= self.served.series.keys():
            raise tornado.web.HTTPError(404)
        return dict(changes), {content: seen[content] for content in changes.keys() & seen.keys()}


def _are_decisions(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and len(value) <= MOST_DECISIONS
        and all(decision in ("", *decisions.DECISIONS) for decision in value.values())
    )


def start(served: Served, port: int) -> tuple[tornado.httpserver.HTTPServer, int]:
    """Start to listen within a running event loop; see `local_server.start`."""
    routes: list[local_server.Route] = [
        (r"/", Page),
        (r"/page/(review\.css|review\.js)", PageFiles),
        (r"/picture/([0-9a-f]{64})\.jpg", Pictures),
        (r"/decisions", Decisions),
    ]
    return local_server.start(
        local_server.application(served.token, routes, {"served": served}, Handler), port, MOST_BYTES
    )
