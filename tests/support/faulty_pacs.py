"""A small DICOMweb server whose answers can be wrong in the ways that servers and proxies are known for."""

from __future__ import annotations

import io
import json
import re
import ssl
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from pydicom.dataset import Dataset

from dicomzarr.retrieval.server import Patience

HASTY = Patience(repeats=2, seconds=0.001, most=0.01)
BOUNDARY = "the-boundary"
NAMED = (
    *("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"),
    *("Modality", "StudyDate", "PatientID", "AccessionNumber"),
)


def as_file(dataset: Dataset) -> bytes:
    """Return a data set as the bytes of a file."""
    stream = io.BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


@dataclass
class Reply:
    """An answer: its status, headers and content; without a length, as servers send it that make it on the way.

    `trickles`: its content comes byte by byte, with so many seconds before each.
    """

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    content: bytes = b""
    trickles: float = 0.0


def multipart(files: Sequence[bytes], headers: str = "Content-Type: application/dicom") -> Reply:
    """Return files as a multipart message."""
    parts = [b"--%s\r\n%s\r\n\r\n%s\r\n" % (BOUNDARY.encode(), headers.encode(), data) for data in files]
    content = b"".join(parts) + b"--%s--\r\n" % BOUNDARY.encode()
    return Reply(200, {"Content-Type": f'multipart/related; type="application/dicom"; boundary={BOUNDARY}'}, content)


HTML = Reply(200, {"Content-Type": "text/html"}, b"<html>Session expired for Wolf^Anna</html>")


class FaultyPacs:
    """A server of these data sets.

    Attributes
    ----------
    wrong : dict of str to list of Reply or None
        By kind of request, the answers to the next ones; None is the right answer.
    always : dict of str to Reply
        By SOP Instance UID, the answer to each request for this instance alone.
    refused : dict of str to int
        By a part of an address, the status of the answer to each query with this part.
    requests : list of str
        Kind of each request: query, series or alone.
    """

    def __init__(self, datasets: Sequence[Dataset]) -> None:
        self.datasets = [*datasets]
        self.wrong: dict[str, list[Reply | None]] = defaultdict(list)
        self.always: dict[str, Reply] = {}
        self.refused: dict[str, int] = {}
        self.requests: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.page = 0  # the most items of an answer to a query; 0: no limit
        self.ignores_offset = self.ignores_filters = False
        self.url = ""

    def of(self, *uids: str) -> list[Dataset]:
        names = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
        return [d for d in self.datasets if all(d[n].value == u for n, u in zip(names, uids, strict=False))]

    def answer(self, path: str) -> Reply:
        address = urlsplit(path)
        uids = re.findall(r"/(?:studies|series|instances)/([^/]+)", address.path)
        level = address.path.rsplit("/", 1)[1]
        is_query = level in ("studies", "series", "instances")
        kind = "query" if is_query else "alone" if len(uids) == 3 else "series"
        self.requests.append(kind)
        if self.wrong[kind] and (reply := self.wrong[kind].pop(0)) is not None:
            return reply
        if is_query and (status := next((self.refused[part] for part in self.refused if part in path), 0)):
            return Reply(status)
        if is_query:
            query = {name: unquote(values[0]) for name, values in parse_qs(address.query).items()}
            return self.listed(level, uids, query)
        if kind == "alone" and uids[2] in self.always:
            return self.always[uids[2]]
        found = [as_file(dataset) for dataset in self.of(*uids)]
        return multipart(found) if found else Reply(404)

    def listed(self, level: str, uids: list[str], query: dict[str, str]) -> Reply:
        key = {"studies": "StudyInstanceUID", "series": "SeriesInstanceUID", "instances": "SOPInstanceUID"}[level]
        filters = {name: value for name, value in query.items() if name not in ("offset", "limit", "includefield")}
        counts = Counter(d.SeriesInstanceUID for d in self.datasets)
        items: dict[str, dict[str, Any]] = {}
        for dataset in self.of(*uids):
            if self.ignores_filters or all(str(dataset.get(n, "")) == v for n, v in filters.items()):
                names = (
                    "StudyInstanceUID",
                    "SeriesInstanceUID",
                    "SOPInstanceUID",
                    "Modality",
                    "StudyDate",
                    "PatientID",
                )
                elements = {n: dataset.get(n) for n in (*names, "AccessionNumber")}
                item = {f"{dataset[n].tag:08X}": {"vr": dataset[n].VR, "Value": [v]} for n, v in elements.items() if v}
                item["00201209"] = {"vr": "IS", "Value": [counts[dataset.SeriesInstanceUID]]}
                items.setdefault(dataset[key].value, item)
        start = 0 if self.ignores_offset else int(query.get("offset", 0))
        shown = [*items.values()][start:]
        shown = shown[: self.page] if self.page else shown
        return Reply(200, {"Content-Type": "application/dicom+json"}, json.dumps(shown).encode())


@contextmanager
def serving(pacs: FaultyPacs, tls: ssl.SSLContext | None = None) -> Iterator[FaultyPacs]:
    """Serve on a free port of this machine within the block."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            pacs.headers.append(dict(self.headers))
            reply = pacs.answer(self.path)
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.end_headers()
            for piece in [bytes([byte]) for byte in reply.content] if reply.trickles else [reply.content]:
                time.sleep(reply.trickles)
                with suppress(ConnectionError):
                    self.wfile.write(piece)
                    continue
                return

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    pacs.url = f"http{'s' if tls else ''}://127.0.0.1:{server.server_address[1]}/dicom-web"
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("NO_PROXY", "127.0.0.1")
            yield pacs
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
