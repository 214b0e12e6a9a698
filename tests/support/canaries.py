"""Canaries: texts that must not leave `private/`, and a search for them.

Every canary contains one of `MARKS`, so that a search for the marks finds each canary.
"""

from __future__ import annotations

import os
import re
import zlib
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

WORD = "Qzxwvkcanary"
ROOT = "1.2.826.0.1.3680043.90210.77"
TIME, STAMP = "071539.4711", "18370203071539"
DATES = [f"1837020{day}" for day in range(3, 9)]
MARKS = (WORD[:8], ROOT, TIME, STAMP, *DATES)


def _base64(raw: bytes) -> Iterator[bytes]:
    """Yield the base64 digits of a text that do not depend on the text around it, for each of three alignments."""
    import base64

    for shift in range(3):
        digits = base64.b64encode(bytes(shift) + raw)
        yield digits[-(-8 * shift // 6) : len(digits) - 4 if (shift + len(raw)) % 3 else len(digits)]


@cache
def pattern(extra: tuple[str, ...] = ()) -> re.Pattern[bytes]:
    """Return a pattern that matches a mark or an extra text, in plain text, UTF-16, base64 or hex."""
    forms: set[bytes] = set()
    for mark in (*MARKS, *extra):
        raw = mark.encode()
        forms |= {raw, mark.encode("utf-16-le"), mark.encode("utf-16-be"), raw.hex().encode(), *_base64(raw)}
    return re.compile(b"|".join(map(re.escape, sorted(forms))), re.IGNORECASE)


def unpacked(data: bytes) -> Iterator[bytes]:
    """Yield the bytes of a file, and the decompressed bytes if it is compressed."""
    yield data
    if data[:2] == b"\x1f\x8b":
        yield zlib.decompressobj(31).decompress(data)
    if data[:4] == b"\x28\xb5\x2f\xfd":
        from numcodecs.zstd import Zstd

        yield bytes(Zstd().decode(data))


def leaks(folders: Iterable[Path], private: Path, extra: tuple[str, ...] = ()) -> dict[str, str]:
    """Return the files and folders outside `private` with a canary in name or content, and the canary."""
    canary, leaking = pattern(extra), {}
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            if private in (path, *path.parents):
                continue
            name = str(path.relative_to(folder))
            match = canary.search(os.fsencode(name))
            if not match and path.is_file() and not path.is_symlink():
                match = next(filter(None, map(canary.search, unpacked(path.read_bytes()))), None)
            if match:
                leaking[name] = match.group().decode("latin-1")
    return leaking
