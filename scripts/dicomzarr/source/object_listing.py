"""List the objects of a bucket, page by page; in the main process.

`obstore` signs the request, so that every kind of credentials works here that works for reading, and the answer is read
here: the lists of `obstore` itself end at the first key that is no path, such as ``a//b``, and change others, such as
``a/``, so that one odd key would hide all objects, or another object would be requested.
"""

from __future__ import annotations

import datetime
import http.client
import random
import re
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import IO, Any
from urllib.parse import quote, unquote_plus, urlencode
from xml.etree import ElementTree

from dicomzarr.source.object_store import RETRIES, ObjectRoot, can_be_requested, stat_key
from dicomzarr.system.path_text import encode_path
from dicomzarr.vocabulary.errors import UserError

NO_NAME = "object_name"  # the kind of an object whose key cannot be requested as it is
_PAGE = 1000  # keys; services return no more
_SIGNED_FOR = datetime.timedelta(minutes=5)
_TIMEOUT = 60.0  # s without an answer
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 5.0  # s between attempts; each pause is twice the one before
_MAX_ANSWER = 64 << 20  # bytes; a page has some hundred kilobytes
_CODE = re.compile(r"<Code>([A-Za-z]{1,60})</Code>")
_CHECK = "nothing was changed: check object_store.endpoint, the network and the service, then repeat the command"


def entries(root: ObjectRoot, before: bytes, key: str) -> Iterator[list[Any]]:
    """Yield a row for every object of a bucket below a prefix.

    Parameters
    ----------
    root : ObjectRoot
    before : bytes
        Prefix of each path: the label of the source and a slash, or nothing.
    key : str
        The config key of the source, for messages.

    Yields
    ------
    list
        ``[path, "file", *stat key]``, or ``[path, "object_name"]`` for an object whose key cannot be requested as it
        is. An empty object whose key ends with a slash is how some programs store a folder, and has no row.

    Raises
    ------
    UserError
        If the bucket cannot be listed to its end: its objects must not count as deleted.
    """
    token = ""
    while True:
        page = _page(root, token, key)
        is_encoded = page.findtext("EncodingType") == "url"
        for item in page.iterfind("Contents"):
            try:
                name = item.findtext("Key") or ""
                name = unquote_plus(name, errors="strict") if is_encoded else name
                size = int(item.findtext("Size") or 0)
                modified = datetime.datetime.fromisoformat(item.findtext("LastModified") or "")
            except ValueError:
                raise _no_list(key) from None
            if not name.startswith(root.prefix):
                raise _no_list(key)
            if name.endswith("/") and not size:
                continue
            path = encode_path((before + name[len(root.prefix) :].encode("utf-8", "surrogatepass")) or b".")
            if can_be_requested(name):
                yield [path, "file", *stat_key(size, modified, item.findtext("ETag") or "")]
            else:
                yield [path, NO_NAME]
        if page.findtext("IsTruncated") != "true":
            return
        token, last = page.findtext("NextContinuationToken") or "", token
        if token in ("", last):  # such a list would never end, or miss objects
            raise _no_list(key)


def _page(root: ObjectRoot, token: str, key: str) -> ElementTree.Element:
    """Return the elements of one page, without their namespace."""
    pause, failure = _FIRST_PAUSE, ""
    for attempt in range(RETRIES + 1):
        if attempt:
            time.sleep(pause * random.uniform(0.5, 1.0))
            pause = min(2 * pause, _LONGEST_PAUSE)
        try:
            with _opener().open(_list_url(root, token, key), timeout=_TIMEOUT) as answer:
                return _parsed(answer, key)
        except urllib.error.HTTPError as error:
            with error:
                code = _CODE.search(error.read(1 << 16).decode("utf-8", "replace"))
            failure = f"it answers with status {error.code}" + (f", {code[1]}" if code else "")
            if error.code < 500 and error.code != 429:
                raise _refusal(key, error, code[1] if code else "") from None
        except ElementTree.ParseError:
            failure = "its answer is damaged"
        except (OSError, http.client.HTTPException):  # with URLError; its text holds the URL
            failure = "it does not answer"
    raise UserError(
        f"config key {key!r}: the object storage cannot be listed: {failure}, in {RETRIES + 1} attempts; {_CHECK}"
    )


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Follow no redirection: a signature holds for one host alone."""

    def redirect_request(self, *_: Any) -> None:
        return None


def _opener() -> urllib.request.OpenerDirector:
    return urllib.request.build_opener(_NoRedirect)


def _list_url(root: ObjectRoot, token: str, key: str) -> str:
    """Return the URL of a request for a page, signed if the root is not anonymous."""
    import obstore

    query = {"list-type": "2", "encoding-type": "url", "max-keys": str(_PAGE), "prefix": root.prefix}
    query |= {"continuation-token": token} if token else {}
    url = f"{root.endpoint}/{root.bucket}?{urlencode(query, quote_via=quote, safe='')}"
    if root.anonymous:
        return url
    # The client signs requests for an object. It appends a slash and the key, here none, to an endpoint that contains
    # the bucket: the slash becomes the value of a parameter, which services ignore.
    try:
        signed: str = obstore.sign(root.store(f"{url}&x-id=", hosted=True), "GET", "", _SIGNED_FOR)
    except Exception:  # its text may hold the URL of the service that gives credentials
        raise UserError(
            f"config key {key!r}: the credentials in the environment (AWS_…) cannot be used; nothing was changed"
        ) from None
    return signed


def _parsed(answer: IO[bytes], key: str) -> ElementTree.Element:
    body = answer.read(_MAX_ANSWER)
    if b"<!DOCTYPE" in body[:1000]:
        raise _no_list(key)
    page = ElementTree.fromstring(body)
    for element in page.iter():
        element.tag = element.tag.rpartition("}")[2]
    if page.tag != "ListBucketResult":
        raise _no_list(key)
    return page


def _refusal(key: str, error: urllib.error.HTTPError, code: str) -> UserError:
    """Return the error for an answer that another attempt would get again; it holds no name of a bucket."""
    shown = f"status {error.code}" + (f", {code}" if code else "")
    if error.code == 404:
        what = f"the bucket does not exist at this endpoint ({shown}): check its name and object_store.endpoint"
    elif error.code in (301, 307, 308) or code == "AuthorizationHeaderMalformed":
        what = f"the bucket is in another region ({shown}): set object_store.region"
    elif error.code in (401, 403):
        what = (
            f"the object storage refuses access ({shown}): check the credentials in the environment (AWS_…) and their "
            "permission to list the bucket; a public bucket needs object_store: {anonymous: true}"
        )
    else:
        what = f"the object storage cannot be listed ({shown}): check object_store"
    return UserError(f"config key {key!r}: {what}; nothing was changed")


def _no_list(key: str) -> UserError:
    return UserError(
        f"config key {key!r}: the answer is no list of objects that can be used; nothing was changed. Is "
        "object_store.endpoint the URL of an S3-compatible service?"
    )
