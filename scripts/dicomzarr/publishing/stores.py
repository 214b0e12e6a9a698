"""The store that a dataset is published to: S3 and what speaks its protocol, or a folder; by `obstore`.

No message holds an address: it may stand in a log. Credentials come from the environment alone, and only `obstore`
reads them.
"""

from __future__ import annotations

import datetime
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from dicomzarr.system import files
from dicomzarr.vocabulary.errors import UserError

ATTEMPTS = 6  # of a request
_LONGEST = datetime.timedelta(seconds=120)  # of a request with all its attempts
_S3 = re.compile(r"s3://([a-zA-Z0-9][a-zA-Z0-9._-]{1,61}[a-zA-Z0-9])(?:/(.*))?")
# Ways to state credentials in the environment: each needs all of its variables.
CREDENTIALS = (
    ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
    ("AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN"),
    ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",),
    ("AWS_CONTAINER_CREDENTIALS_FULL_URI",),
)
PROBLEM = "config key 'publish.target'"


@dataclass(frozen=True, slots=True)
class Target:
    """Where to publish.

    Attributes
    ----------
    bucket : str
        Empty for a folder.
    prefix : str
        Below the bucket, without slashes at its ends; or the absolute path of the folder.
    endpoint, region : str
        Empty if they are not given.
    """

    bucket: str
    prefix: str
    endpoint: str = ""
    region: str = ""

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Target:
        """Return the target that the config key `publish` names.

        Raises
        ------
        UserError
            If there is none, or it has another form.
        """
        text = str(config.get("target", ""))
        endpoint, region = str(config.get("endpoint", "")), str(config.get("region", ""))
        if not text:
            raise UserError(
                f"{PROBLEM} is missing; needed is s3://bucket/prefix, or an absolute folder: see config.yaml"
            )
        if match := _S3.fullmatch(text):
            parts = [part for part in (match[2] or "").split("/") if part]
            if {".", ".."} & {*parts}:
                raise UserError(f"{PROBLEM}: its prefix has a part . or ..; needed are names")
            return cls(match[1], "/".join(parts), endpoint, region)
        folder = unquote(text.removeprefix("file://")) if text.startswith("file://") else text
        if "://" in folder or not folder.startswith("/"):
            raise UserError(f"{PROBLEM} is neither s3://bucket/prefix nor an absolute folder such as /mnt/share/study")
        return cls("", folder)


def has_credentials(variables: Mapping[str, str]) -> bool:
    """Return whether the environment states credentials."""
    return any(all(variables.get(name) for name in names) for names in CREDENTIALS)


def check(
    config: Mapping[str, Any],
    variables: Mapping[str, str],
    own: Iterable[Path],
    objects: Iterable[tuple[str, str, str]] = (),
) -> Target:
    """Check what a publication needs before the run that precedes it, without asking a bucket; return the target.

    Parameters
    ----------
    config : mapping
        The config key `publish`.
    variables : mapping of str to str
        The environment.
    own : iterable of Path
        The folders of results and source, in and around which nothing is published.
    objects : iterable of (str, str, str)
        Endpoint, bucket and prefix of each source in object storage; the same holds for them.

    Raises
    ------
    UserError
        If the target has another form, there are no credentials for it, or it is a folder that cannot be one.
    """
    target = Target.of(config)
    if not target.bucket:
        _check_folder(Path(target.prefix), own)
    elif not has_credentials(variables):
        raise UserError(
            "no credentials in the environment for publish: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and "
            'AWS_SESSION_TOKEN for temporary ones). Of a profile or a role: eval "$(aws configure export-credentials '
            '--format env)"'
        )
    else:
        _check_bucket(target, _endpoint(target, variables), objects)
    return target


def _check_folder(folder: Path, own: Iterable[Path]) -> None:
    place = folder.resolve()
    for other in (path.resolve() for path in own):
        if place == other or place in other.parents or other in place.parents:
            raise UserError(f"{PROBLEM}: it lies in the results or the source, or around them; choose another")
    try:
        is_there = files.exists(place)
        if is_there and not files.is_dir(place):
            raise UserError(f"{PROBLEM}: it is a file; choose a folder")
        if not files.is_dir(folder.parent):
            raise UserError(f"{PROBLEM}: the folder above it does not exist; mount its disk, or create it")
    except OSError as error:
        raise UserError(f"{PROBLEM}: it cannot be looked at: {error.strerror}; check its permissions") from None
    if not os.access(place if is_there else place.parent, os.W_OK | os.X_OK):
        raise UserError(f"{PROBLEM}: this user cannot write there; check permissions, and how its disk is mounted")


def _check_bucket(target: Target, endpoint: str, objects: Iterable[tuple[str, str, str]]) -> None:
    place = f"{target.prefix}/".lstrip("/")
    for other, bucket, prefix in objects:
        is_same = bucket == target.bucket and _service(other) == _service(endpoint)
        if is_same and (place.startswith(prefix) or prefix.startswith(place)):
            raise UserError(
                f"{PROBLEM}: it lies in the source, or around it: the next run would read the published files as its "
                "source, and rights to read them could open the source; choose another prefix beside it, or a bucket "
                "of its own"
            )


def _service(endpoint: str) -> str:
    """Return what distinguishes services: the host and port of an endpoint, or nothing for Amazon S3 in any region."""
    host = urlsplit(endpoint).netloc.lower()
    return "" if host.endswith(".amazonaws.com") else host


def _endpoint(target: Target, variables: Mapping[str, str]) -> str:
    return target.endpoint or variables.get("AWS_ENDPOINT_URL_S3") or variables.get("AWS_ENDPOINT_URL") or ""


def open_store(target: Target, variables: Mapping[str, str]) -> Any:
    """Return the store of a target.

    Parameters
    ----------
    target : Target
    variables : mapping of str to str
        The environment, which may hold credentials, a region and an endpoint. Without credentials, requests are
        anonymous.

    Returns
    -------
    obstore.store.S3Store or obstore.store.LocalStore

    Raises
    ------
    UserError
        If the target cannot be opened.
    """
    from obstore.store import LocalStore, S3Store

    if not target.bucket:
        with errors("open the target"):
            return LocalStore(target.prefix, automatic_cleanup=True, mkdir=True)
    is_known = has_credentials(variables)
    endpoint = _endpoint(target, variables)
    config: Any = {"checksum_algorithm": "SHA256"}
    config["region"] = target.region or variables.get("AWS_REGION") or variables.get("AWS_DEFAULT_REGION", "us-east-1")
    config |= {"endpoint": endpoint} if endpoint else {}
    config |= {} if is_known else {"skip_signature": True}
    with errors("open the target"):
        return S3Store(
            target.bucket,
            prefix=target.prefix or None,
            config=config,
            client_options={"allow_http": endpoint.startswith("http://"), "timeout": _LONGEST},
            retry_config={"max_retries": ATTEMPTS - 1, "retry_timeout": _LONGEST},
        )


@contextmanager
def errors(doing: str) -> Iterator[None]:
    """Replace an error of the store by one that says what to do, without an address.

    Parameters
    ----------
    doing : str
        What failed, after "could not".
    """
    from obstore import exceptions

    try:
        yield
    except (exceptions.PermissionDeniedError, exceptions.UnauthenticatedError):
        raise UserError(
            f"could not {doing}: the credentials in the environment do not allow it; publishing needs to list, read, "
            "write and, with `keep`, delete objects"
        ) from None
    except exceptions.BaseError as error:
        system = re.search(r"\(os error (\d+)\)", str(error))
        status = re.search(r"(?:status|HTTP)\D{0,20}([45]\d\d)\b", str(error))
        kind = f"status {status[1]}" if status else type(error).__name__
        if isinstance(error, exceptions.NotFoundError) or kind == "status 404":
            raise UserError(
                f"could not {doing}: the bucket, or an object in it, does not exist: check publish.target"
            ) from None
        if system:
            kind = os.strerror(int(system[1]))  # the disk is full, the connection is refused
        raise UserError(
            f"could not {doing}: the target does not answer as it should ({kind}): check publish.target and its "
            "endpoint, the network or the disk, then run the same command again to continue"
        ) from None


@dataclass(frozen=True, slots=True)
class Stored:
    """An object in a store: its size, and the tag that changes with its bytes (empty if the store has none)."""

    size: int
    etag: str


def listed(store: Any, prefix: str) -> dict[str, Stored]:
    """Return the objects below a prefix, by their paths from there.

    Parameters
    ----------
    store : obstore store
    prefix : str
        Empty, or ending with a slash.
    """
    import obstore

    found: dict[str, Stored] = {}
    with errors("list the target"):
        for page in obstore.list(store, prefix or None, chunk_size=1000):
            for item in page:
                found[item["path"].removeprefix(prefix)] = Stored(item["size"], plain(item["e_tag"]))
    return found


def plain(etag: str | None) -> str:
    """Return an ETag without its quotation marks."""
    return (etag or "").strip('"')


def read(store: Any, path: str) -> bytes | None:
    """Return the content of an object; None if there is none."""
    import obstore
    from obstore import exceptions

    with errors("read from the target"):
        try:
            return bytes(obstore.get(store, path).bytes())
        except (exceptions.NotFoundError, FileNotFoundError):
            return None


def has_attributes(store: Any) -> bool:
    """Return whether objects of a store have a content type and the like."""
    from obstore.store import S3Store

    return isinstance(store, S3Store)


def not_copied() -> tuple[type[Exception], ...]:
    """Return the errors of a copy within a store after which an object is sent: too large for it, or gone."""
    from obstore import exceptions

    return exceptions.NotFoundError, exceptions.GenericError, exceptions.NotSupportedError
