"""Servers that speak S3, on loopback: moto within this process, which notes requests, and s3rver of npm."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import DomainDispatcherApplication, create_backend_app
from ports import free_ports
from waiting import HANG, wait_until
from werkzeug.serving import WSGIRequestHandler, make_server

# s3rver takes this pair alone; moto takes any.
VARIABLES = {"AWS_ACCESS_KEY_ID": "S3RVER", "AWS_SECRET_ACCESS_KEY": "S3RVER", "AWS_EC2_METADATA_DISABLED": "true"}
REGION = "us-east-1"
BUCKET = "zephyr-quokka-study"  # found nowhere else
S3RVER = os.environ.get("DICOMZARR_S3RVER") or shutil.which("s3rver") or ""


@dataclass
class S3:
    """A server with one bucket.

    Attributes
    ----------
    requests : list of (str, str)
        Method (``COPY`` for a copy within the bucket) and key of each request, where they are noted.
    before : callable, optional
        Called with method and key before a request is carried out; it may raise.
    """

    endpoint: str
    requests: list[tuple[str, str]] = field(default_factory=list)
    before: Callable[[str, str], None] | None = None

    @property
    def client(self) -> Any:
        """A client of another library."""
        return boto3.client(
            "s3", endpoint_url=self.endpoint, region_name=REGION, aws_access_key_id="S3RVER",
            aws_secret_access_key="S3RVER",
        )  # fmt: skip

    def objects(self, prefix: str = "") -> dict[str, bytes]:
        """Return the content of all objects, by key."""
        client = self.client
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
        keys = [item["Key"] for page in pages for item in page.get("Contents", [])]
        return {key: client.get_object(Bucket=BUCKET, Key=key)["Body"].read() for key in keys}

    def taken(self) -> list[tuple[str, str]]:
        """Return the requests since the last call."""
        requests, self.requests[:] = list(self.requests), []
        return requests


class _Quiet(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log(self, *_: Any, **__: Any) -> None:
        pass


@contextmanager
def moto() -> Iterator[S3]:
    """Serve S3 by moto until the end of the block; its bucket may be read by everybody."""
    served = S3("")
    app = DomainDispatcherApplication(create_backend_app)

    def noting(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        copied = environ.get("HTTP_X_AMZ_COPY_SOURCE")
        method, key = "COPY" if copied else environ["REQUEST_METHOD"], environ["PATH_INFO"].removeprefix(f"/{BUCKET}/")
        served.requests.append((method, key))
        if served.before:
            served.before(method, key)
        answer: Iterable[bytes] = app(environ, start_response)
        return answer

    server = make_server("127.0.0.1", 0, noting, threaded=True, request_handler=_Quiet)
    served.endpoint = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        served.client.create_bucket(Bucket=BUCKET, ACL="public-read")
        yield served
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def s3rver(folder: Path) -> Iterator[S3]:
    """Serve S3 by s3rver until the end of the block; skips the test without it."""
    if not S3RVER:
        pytest.skip("no s3rver: npm install s3rver, and name its program in DICOMZARR_S3RVER or put it on PATH")
    (port,) = free_ports(1)
    command = [S3RVER, "--directory", str(folder), "--address", "127.0.0.1", "--port", str(port), "--silent"]
    process = subprocess.Popen([*command, "--configure-bucket", BUCKET])
    try:
        served = S3(f"http://127.0.0.1:{port}")

        def answers() -> bool:
            try:
                urllib.request.urlopen(served.endpoint, timeout=HANG).close()
            except urllib.error.HTTPError:
                pass
            except OSError:
                assert process.poll() is None, "s3rver ended"
                return False
            return True

        wait_until(answers)
        yield served
    finally:
        process.terminate()
        process.wait()
