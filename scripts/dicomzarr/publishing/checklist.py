"""What a copy of a dataset says about itself: `dataset.json` and `checksums`, which must agree."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dicomzarr.records.digests import CHECKSUMS, SEALED, SIGNATURE, counts_as_data, digest_of
from dicomzarr.records.record_file import FileClaim
from dicomzarr.system import files

UNLISTED = (CHECKSUMS, SEALED, SIGNATURE)  # in no checksum: a signature may come later
_SHA256 = re.compile(r"[0-9a-f]{64}")


class NotSealed(ValueError):
    """`dataset.json` and `checksums` are not those of one finished dataset; the text says why."""


@dataclass(frozen=True, slots=True)
class Checklist:
    """The files of a dataset.

    Attributes
    ----------
    seal, digest : str
        As `dataset.json` states them; they match `claims`.
    claims : mapping of str to FileClaim
        Size and digest of every file, `checksums` and `dataset.json` included, by path below the dataset.
    """

    seal: str
    digest: str
    claims: Mapping[str, FileClaim]


def parse(checksums: bytes) -> dict[str, FileClaim]:
    """Return size and digest of each file in `checksums`, by path.

    Parameters
    ----------
    checksums : bytes
        The content of the file.

    Raises
    ------
    NotSealed
        If a line has another form, or names a file outside of the dataset.
    """
    claims: dict[str, FileClaim] = {}
    try:
        lines = checksums.decode("utf-8").split("\n")
        for line in lines[:-1]:
            path, size, digest = line.split("\0")
            is_below = not {"", ".", ".."} & {*path.split("/")}
            if not is_below or path in UNLISTED or path in claims or not _SHA256.fullmatch(digest):
                raise ValueError
            claims[path] = FileClaim(int(size), digest)
        if lines[-1]:  # no line end: it is cut off
            raise ValueError
    except ValueError:
        raise NotSealed(f"{CHECKSUMS} is damaged") from None
    return claims


def read(sealed: bytes, checksums: bytes) -> Checklist:
    """Return the files of a dataset, after recomputing its digest and its seal.

    Parameters
    ----------
    sealed, checksums : bytes
        The content of `dataset.json` and of `checksums`.

    Raises
    ------
    NotSealed
        If one is damaged, or they do not belong together.
    """
    try:
        stated: Any = json.loads(sealed)
        seal, digest = str(stated["seal"]), str(stated["digest"])
    except (ValueError, LookupError, TypeError):
        raise NotSealed(f"{SEALED} is damaged") from None
    claims = parse(checksums)
    digests = {path: claim.digest for path, claim in claims.items()}
    if digest_of((path, sha256) for path, sha256 in digests.items() if counts_as_data(path)) != digest:
        raise NotSealed(f"`digest` in {SEALED} is not that of the files in {CHECKSUMS}")
    digests[CHECKSUMS] = files.sha256_of_bytes(checksums)
    if digest_of(digests.items()) != seal:
        raise NotSealed(f"`seal` in {SEALED} is not that of the files in {CHECKSUMS}")
    claims[CHECKSUMS] = FileClaim(len(checksums), digests[CHECKSUMS])
    claims[SEALED] = FileClaim(len(sealed), files.sha256_of_bytes(sealed))
    return Checklist(seal, digest, claims)
