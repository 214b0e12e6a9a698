"""Object storage as a source: its URL, its endpoint, and the key by which changes of an object are detected.

A root is ``s3://bucket/prefix``; what else is needed to reach it (endpoint, region, whether requests are signed) stands
behind a question mark, so that a root is all that a job needs. Credentials are in no root: each process takes them from
its environment.
"""

from __future__ import annotations

import datetime
import errno
import hashlib
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from dicomzarr.source.row import StatKey
from dicomzarr.vocabulary.errors import ConfigProblem

SCHEME = "s3://"
UNREACHABLE = errno.ENETDOWN
DEFAULT_REGION = "us-east-1"
_63_BITS = 2**63 - 1
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}")
_REGION = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,63}")
_OTHER_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
# Any of these means that the environment has credentials, or tells the place of temporary ones.
_CREDENTIALS = (
    "AWS_ACCESS_KEY_ID",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)
# A part of a key that the client cannot request as it is: empty, `.` or `..`, or with a control character.
_NO_NAME = re.compile(r"(?:\A|/)\.{0,2}(?:/|\Z)|[\x00-\x1f\x7f]")


class Unreachable(OSError):
    """Object storage does not answer, or no longer accepts the credentials: its error number is `UNREACHABLE`."""


@dataclass(frozen=True, slots=True)
class ObjectRoot:
    """The objects of a bucket whose keys begin with a prefix.

    Attributes
    ----------
    bucket : str
    prefix : str
        Empty, or with a slash at its end.
    endpoint : str
        URL of the service, without a slash at its end.
    region : str
    anonymous : bool
        Requests are not signed.
    """

    bucket: str
    prefix: str
    endpoint: str
    region: str
    anonymous: bool

    @classmethod
    def parse(cls, root: bytes) -> ObjectRoot:
        """Return the root that `to_bytes` wrote."""
        location, _, options = root.decode("ascii").partition("?")
        bucket, _, prefix = location.removeprefix(SCHEME).partition("/")
        option = dict(parse_qsl(options))
        return cls(bucket, unquote(prefix), option["endpoint"], option["region"], option.get("anonymous") == "true")

    def to_bytes(self) -> bytes:
        """Return the root as one URL: equal roots give equal bytes."""
        options = {"endpoint": self.endpoint, "region": self.region}
        options |= {"anonymous": "true"} if self.anonymous else {}
        return f"{SCHEME}{self.bucket}/{quote(self.prefix)}?{urlencode(options)}".encode("ascii")

    @property
    def location(self) -> bytes:
        """Bucket and prefix, as a path."""
        return f"{self.bucket}/{self.prefix}".encode()

    def store(self, endpoint: str = "", *, hosted: bool = False) -> Any:
        """Return the store of `obstore` for this bucket; credentials come from the environment.

        Parameters
        ----------
        endpoint : str
            Another endpoint than that of the root.
        hosted : bool
            The endpoint contains the bucket.

        Returns
        -------
        obstore.store.S3Store
        """
        from obstore.store import S3Store

        endpoint = endpoint or self.endpoint
        return S3Store(
            self.bucket,
            endpoint=endpoint,
            aws_endpoint_url_s3=endpoint,  # a variable of the environment would take precedence over `endpoint`
            region=self.region,
            skip_signature=self.anonymous,
            virtual_hosted_style_request=hosted,
            client_options={
                "allow_http": self.endpoint.startswith("http://"),
                "connect_timeout": datetime.timedelta(seconds=10),
                "read_timeout": datetime.timedelta(seconds=60),
                "timeout": datetime.timedelta(hours=12),  # of a whole object, however large
            },
            retry_config={
                "max_retries": RETRIES,
                "retry_timeout": datetime.timedelta(seconds=120),
                "backoff": {
                    "init_backoff": datetime.timedelta(milliseconds=200),
                    "max_backoff": datetime.timedelta(seconds=5),
                    "base": 2,
                },
            },
        )


NOT_REACHED = (
    "config key 'source': the object storage cannot be read: it does not answer, does not accept the credentials in "
    "the environment of the job (AWS_…), or there is no room for a private copy of an object (TMPDIR). No object was "
    "taken for deleted or damaged: check this, then run the same command again"
)
RETRIES = 5  # of a request that failed on its way, or that the service could not serve


def has_credentials(environment: Mapping[str, str]) -> bool:
    """Return whether an environment has credentials; without any, the client would look for those of a machine."""
    return any(environment.get(name) for name in _CREDENTIALS)


def is_object_store(root: bytes) -> bool:
    """Return whether a root is object storage, not a folder."""
    return root.startswith(SCHEME.encode())


def split_roots(roots: Iterable[bytes]) -> tuple[list[Path], list[tuple[str, str, str]]]:
    """Return the folders among the roots of a source, and endpoint, bucket and prefix of the others.

    Parameters
    ----------
    roots : iterable of bytes
        As `Settings.sources` and the inventory have them.
    """
    roots = list(roots)
    folders = [Path(os.fsdecode(root)) for root in roots if not is_object_store(root)]
    objects = [ObjectRoot.parse(root) for root in roots if is_object_store(root)]
    return folders, [(root.endpoint, root.bucket, root.prefix) for root in objects]


def can_be_requested(key: str) -> bool:
    """Return whether the client can request this key as it is, without changing it into another one."""
    return _NO_NAME.search(key) is None


def stat_key(size: int, modified: datetime.datetime, etag: str) -> StatKey:
    """Return the key by which changes of an object are detected.

    Parameters
    ----------
    size : int
        In bytes.
    modified : datetime
        Last-Modified. Its fraction of a second is dropped: a listing has it and the answer to a request does not.
    etag : str
        As a listing or an answer has it; quotes and the mark of a weak one make no difference.

    Returns
    -------
    StatKey
        Size, time in ns, 0, and 63 bits of the hash of the etag.
    """
    return stat_key_of_seconds(size, int(modified.timestamp()), etag)


def stat_key_of_seconds(size: int, modified: int, etag: str) -> StatKey:
    """Return the key of an object as `stat_key` does, from a time in seconds.

    Parameters
    ----------
    size, modified : int
        In bytes, and in seconds since 1970.
    etag : str

    Returns
    -------
    StatKey
    """
    digest = hashlib.blake2b(etag.removeprefix("W/").strip('"').encode(), digest_size=8).digest()
    return size, modified * 10**9 & _63_BITS, 0, int.from_bytes(digest, "big") & _63_BITS


def configured_root(key: str, text: str, options: Mapping[str, Any], environment: Mapping[str, str]) -> bytes:
    """Return the root of a configured URL.

    Parameters
    ----------
    key : str
        The config key, for messages.
    text : str
        The URL: ``s3://bucket`` or ``s3://bucket/prefix``. The prefix is a folder, with or without a slash at its end.
    options : mapping
        The config key `object_store`.
    environment : mapping of str to str
        Variables of the environment.

    Raises
    ------
    ConfigProblem
        If the URL, the endpoint or the region cannot be used, or there are no credentials. No message has a value that
        could be a credential.
    """
    scheme = _OTHER_SCHEME.match(text)
    if scheme is None or scheme[1].lower() != "s3":
        name = scheme[1] if scheme else ""
        raise ConfigProblem(
            f"config key {key!r}: found a URL that begins with {name}://, allowed are a folder and s3://bucket/prefix "
            "(any S3-compatible service: see object_store)"
        )
    bucket, _, prefix = text[len(scheme[0]) :].partition("/")
    if "@" in bucket or ":" in bucket:
        raise ConfigProblem(
            f"config key {key!r}: the URL holds more than a bucket before its first slash; write s3://bucket/prefix, "
            "give credentials in the environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY), and remove them from here"
        )
    if not _BUCKET.fullmatch(bucket):
        raise ConfigProblem(f"config key {key!r}: the URL has no valid name of a bucket; needed is s3://bucket/prefix")
    prefix = prefix.rstrip("/") + "/" if prefix.rstrip("/") else ""
    if prefix and not can_be_requested(prefix[:-1]):
        raise ConfigProblem(
            f"config key {key!r}: the prefix has an empty part, . or .., or a control character; needed is a prefix as "
            "the keys of the bucket have it"
        )
    anonymous = bool(options.get("anonymous"))
    if not anonymous and not has_credentials(environment):
        raise ConfigProblem(
            f"config key {key!r}: the environment has no credentials for object storage; set AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY (and AWS_SESSION_TOKEN for temporary ones), or, for a public bucket, "
            "object_store: {anonymous: true}"
        )
    if not anonymous and environment.get("AWS_ACCESS_KEY_ID") and not environment.get("AWS_SECRET_ACCESS_KEY"):
        raise ConfigProblem(f"config key {key!r}: AWS_ACCESS_KEY_ID is set, but AWS_SECRET_ACCESS_KEY is not")
    region = _region(options, environment)
    return ObjectRoot(bucket, prefix, _endpoint(options, environment, region), region, anonymous).to_bytes()


def _region(options: Mapping[str, Any], environment: Mapping[str, str]) -> str:
    region = options.get("region") or environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION")
    region = str(region or DEFAULT_REGION)
    if not _REGION.fullmatch(region):
        raise ConfigProblem("config key 'object_store.region': needed is the name of a region, such as eu-central-1")
    return region


def _endpoint(options: Mapping[str, Any], environment: Mapping[str, str], region: str) -> str:
    endpoint = str(
        options.get("endpoint")
        or environment.get("AWS_ENDPOINT_URL_S3")
        or environment.get("AWS_ENDPOINT_URL")
        or f"https://s3.{region}.amazonaws.com"
    ).rstrip("/")
    try:
        parts = urlsplit(endpoint)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if parts.username is not None or parts.password is not None:
        raise ConfigProblem(
            "config key 'object_store.endpoint': the URL holds a user or a password; give credentials in the "
            "environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY), and remove them from here"
        )
    is_usable = parts.scheme in ("http", "https") and parts.hostname and port != 0 and endpoint.isascii()
    if not is_usable or parts.query or parts.fragment or not endpoint.isprintable() or " " in endpoint:
        raise ConfigProblem(
            "config key 'object_store.endpoint': needed is the URL of a service, such as https://s3.example.org or "
            "http://127.0.0.1:9000, without a bucket"
        )
    return endpoint
