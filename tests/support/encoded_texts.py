"""Texts in the encodings in which a file may contain them."""

from __future__ import annotations

import base64


def forms(text: str) -> list[bytes]:
    """Return the encodings in which a file may contain a text."""
    raw = text.encode()
    return [
        raw,
        raw.lower(),
        raw.upper(),
        text.encode("utf-16-le"),
        base64.b64encode(raw).rstrip(b"=")[:-1],
        raw.hex().encode(),
    ]


def hits(texts: list[str], data: bytes) -> list[str]:
    """Return the texts that the data contain, in any encoding."""
    return [text for text in texts if any(form in data for form in forms(text))]
