"""JSON with sorted keys: equal values give equal bytes.

With `--sdm conda` the main process runs in an environment that has Snakemake only: there `json` replaces `orjson`, and
writes the same bytes.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from dicomzarr.system import shared_files

try:
    import orjson
except ImportError:  # in the main process only
    orjson = None  # type: ignore[assignment]


def loads(data: bytes) -> Any:
    """Return the JSON value of `data`; raises ValueError if it is not JSON."""
    return json.loads(data) if orjson is None else orjson.loads(data)


def compact_line(value: object) -> bytes:
    """Return `value` as one line of JSON in UTF-8 with a newline, keys in the given order."""
    if orjson is None:
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode() + b"\n"
    return orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE)


def canonical_json(value: object) -> bytes:
    """Return `value` as JSON with sorted keys, no spaces and a newline: equal values give equal bytes."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8", "surrogateescape") + b"\n"


def json_line(value: object) -> str:
    """Return `value` as JSON in ASCII with sorted keys and without a newline, as one line of a JSON Lines file."""
    if orjson is not None:
        line = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
        if line.isascii():
            return line.decode("ascii")
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def read_json(path: Path) -> Any:
    """Return the JSON value in the file."""
    return loads(shared_files.read_bytes(path))
