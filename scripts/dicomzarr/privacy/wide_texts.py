"""Texts among bytes that are no text otherwise: of two or four bytes for each character, or behind a mark."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator, Sequence

# Latin-1 in UTF-16 of either order.
_WIDE = (re.compile(rb"(?:[\t\n\r\x20-\x7e\xa0-\xff]\0){5,}"), re.compile(rb"(?:\0[\t\n\r\x20-\x7e\xa0-\xff]){5,}"))
BYTE_ORDER_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
# An array of texts (.npy), whose characters have four bytes, and a text of such characters with its mark.
_FOUR_BYTES = re.compile(rb"\x93NUMPY[^\n]{4,4096}'(?P<order>[<>])U[0-9][^\n]*\n|\xff\xfe\0\0|\0\0\xfe\xff")


def wide_texts(data: bytes) -> list[str]:
    """Return the texts of UTF-16, with the mark any character of it, and of bytes that say that they are UTF-32."""
    texts = [m.group().replace(b"\0", b"").decode("latin-1") for form in _WIDE for m in form.finditer(data)]
    texts += [data.decode("utf-16", "replace")] if data[:2] in BYTE_ORDER_MARKS else []
    if found := _FOUR_BYTES.match(data):
        is_big = found["order"] == b">" or found.group() == codecs.BOM_UTF32_BE
        text = data[found.end() :].decode("utf-32-be" if is_big else "utf-32-le", "replace")
        texts.append(text.replace("\0", "\n"))
    return texts


def behind_marks(runs: Sequence[str]) -> Iterator[str]:
    """Yield the beginnings of texts within bytes behind letters that may be no part of them.

    Such as the type of a chunk of PNG, of four letters, or a length that reads as a letter.
    """
    for size in (1, 4):
        heads = [run[size:_MAX_HEAD] for run in runs if run[: size + 1].isalpha()]
        if heads:
            yield "\n".join(heads)


_MAX_HEAD = 128  # characters of a run whose first words are searched once more
