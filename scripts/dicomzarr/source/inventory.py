"""What the scan found: read by rules, one row an entry of the source, sorted by path."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

# Kinds of entry in the inventory that are not regular files, and what becomes of them.
NOT_FILES = {
    "link": "symbolic_link",
    "linked": "linked",
    "special": "special_file",
    "unreadable_file": "unreadable_file",
    "unreadable_folder": "unreadable_folder",
}


def rows_of(inventory: Path) -> Iterator[list[Any]]:
    """Yield the entries of the inventory, sorted by path."""
    with open(inventory, "rb") as stream:
        next(stream)
        yield from map(orjson.loads, stream)
