"""JSON as the workflow writes it: sorted keys, so that equal values give equal bytes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import orjson


def canonical_json(value: object) -> bytes:
    """Return `value` as JSON with sorted keys and no spaces, ended by a newline: equal values give equal bytes."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8", "surrogateescape") + b"\n"


def json_line(value: object) -> str:
    """Return `value` as JSON in ASCII with sorted keys and without a line break, for files that are lines of these."""
    line = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    if line.isascii():
        return line.decode("ascii")
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def read_json(path: Path) -> Any:
    """Return the JSON value in the file."""
    return orjson.loads(path.read_bytes())
