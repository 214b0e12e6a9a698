"""Percent-encode paths of the source: the text can be decoded and is safe in a spreadsheet."""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

# %, control characters (C0, DEL, C1), line separators, marks that turn the direction of text, a leading character that
# a spreadsheet takes for a formula, and the ! of a folder whose name ends with it: `!/` stands between the path of an
# archive and that of a member.
_UNSAFE = re.compile("[%\x00-\x1f\x7f\x80-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]|^[=+\\-@]|!(?=/)")


def encode_path(raw: bytes) -> str:
    """Return a path as text that is safe in a spreadsheet; `decode_path` reverses it.

    Percent-encoded are `%`, control characters, bytes that are not UTF-8, a leading ``= + - @`` and the ``!`` of a
    folder whose name ends with it. Everything else stays readable.
    """
    text = raw.decode("utf-8", "surrogateescape")

    def escape(match: re.Match[str]) -> str:
        return "".join(f"%{byte:02X}" for byte in match.group().encode("utf-8", "surrogateescape"))

    return _UNSAFE.sub(escape, text)


def decode_path(text: str) -> bytes:
    """Return the bytes of a path that `encode_path` wrote."""
    return unquote_to_bytes(text) if "%" in text else text.encode()
