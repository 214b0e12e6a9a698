"""Headers of files that are bytes in memory, as both readers see them."""

from __future__ import annotations

import json
import zlib

from made_up_headers import (
    BIG,
    DEFLATED,
    EXPLICIT,
    IMPLICIT,
    meta,
)

from dicomzarr.headers.classify import Header, read_header
from dicomzarr.vocabulary.reasons import REASONS

NATIVE = (EXPLICIT, IMPLICIT, BIG)


def read(data: bytes, *, use_fast: bool = True) -> Header:
    return read_header(lambda length, offset: data[offset : offset + length], len(data), use_fast=use_fast)


def read_texts(data: bytes) -> list[tuple[str, bytes]]:
    """Return the texts that the privacy search gets."""
    texts: list[tuple[str, bytes]] = []
    read_header(lambda length, offset: data[offset : offset + length], len(data), texts)
    return texts


def both(data: bytes) -> Header:
    """Read with the fast reader and with pydicom alone; the results must agree."""
    answer = read(data)
    assert answer == read(data, use_fast=False)
    json.dumps(answer.facts, allow_nan=False)
    return answer


def reason_of(data: bytes) -> tuple[str, str]:
    answer = both(data)
    assert not answer.reason or REASONS[answer.reason].outcome == answer.outcome
    return answer.outcome, answer.reason


def deflated(content: bytes, syntax: str = DEFLATED) -> bytes:
    squeeze = zlib.compressobj(wbits=-15)
    return meta(syntax) + squeeze.compress(content) + squeeze.flush()
