"""Bytes as text: what is one, whole or as a part that was decoded, and what is a number or a digest."""

from __future__ import annotations


def decoded(data: bytes) -> str | None:
    """Return the bytes as text, or None where they are not text."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        start = data[:4096]
        if len(start.translate(None, _PRINTABLE)) > len(start) // 20 + 8:
            return None
        text = data.decode("latin-1")
    return text


def text_of_part(data: bytes) -> str | None:
    """Return short bytes as text, or None where they are not: UTF-8, or Latin-1 without control characters."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return None if data.translate(None, _LATIN_1) else data.decode("latin-1")


_LATIN_1 = bytes((9, 10, 13, *range(0x20, 0x7F), *range(0xA0, 0x100)))
_PRINTABLE = bytes(number for number in range(256) if chr(number).isprintable())


def is_mostly_text(data: bytes) -> bool:
    """Whether decoded bytes are a text rather than a number or a digest."""
    return not data.translate(None, _TEXT_BYTES)


_TEXT_BYTES = bytes((*range(0x20, 0x7F), 9, 10, 13, 0))
