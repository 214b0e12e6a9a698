"""Percent-encode paths and other texts of the source: they can be decoded and are safe in a spreadsheet."""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

# %, control characters (C0, DEL, C1), line separators, marks that turn the direction of text, a character that a
# spreadsheet takes for a formula, and the ! of a folder whose name ends with it: `!/` stands between the path of an
# archive and that of a member. Where the comma is the decimal mark, spreadsheets end a cell at each semicolon, so that
# a formula may begin there; and in East Asia they take the wide forms of these characters, too.
_UNSAFE = re.compile(
    "[%\x00-\x1f\x7f\x80-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
    '|(?<![^;"])[=+\\-@\uff1d\uff0b\uff0d\uff20]|!(?=/)'
)


def encode_path(raw: bytes) -> str:
    """Return a path as text that is safe in a spreadsheet; `decode_path` reverses it.

    Percent-encoded are `%`, control characters, bytes that are not UTF-8, ``= + - @`` at the start or after a semicolon
    or quotation mark, and the ``!`` of a folder whose name ends with it. Everything else stays readable.
    """
    text = raw.decode("utf-8", "surrogateescape")

    def escape(match: re.Match[str]) -> str:
        return "".join(f"%{byte:02X}" for byte in match.group().encode("utf-8", "surrogateescape"))

    return _UNSAFE.sub(escape, text)


def decode_path(text: str) -> bytes:
    """Return the bytes of a path that `encode_path` wrote."""
    return unquote_to_bytes(text) if "%" in text else text.encode()


def encode_text(text: str) -> str:
    """Return a free text as `encode_path` returns a path, for a cell of a private table."""
    return encode_path(text.encode("utf-8", "surrogateescape"))


def decode_text(cell: str) -> str:
    """Return the text that `encode_text` wrote, with U+FFFD for bytes that are not UTF-8."""
    return decode_path(cell).decode("utf-8", "replace")
