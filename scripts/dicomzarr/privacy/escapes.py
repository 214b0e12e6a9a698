"""Texts that stand in escapes: of URLs and encoded paths, of HTML, of Python and JSON; and texts that are numbers."""

from __future__ import annotations

import contextlib
import html
import json
import re
import struct
import urllib.parse
from collections.abc import Iterator, Sequence
from operator import ge, le

_PERCENT = re.compile("%[0-9a-fA-F]{2}")
_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4}))")
# A list of JSON whose numbers may be the bytes of a text, or its characters, or words of two bytes.
_MIN_NUMBERS = 5
_MOST_SORTED = 10  # a text of ordered characters has no more: 0123456789
_LIST = re.compile(rf"\[\s*(?:\d{{1,5}}(?:\.0)?\s*,\s*){{{_MIN_NUMBERS - 1},}}\d{{1,5}}(?:\.0)?\s*\]")
_WHOLE = re.compile(r"\d+(?:\.0)?")


def resolved(text: str) -> Iterator[str]:
    """Yield a text with its escapes resolved: those of URLs and encoded paths, of HTML, of Python and JSON.

    Bytes that are percent-encoded and not UTF-8 are Latin-1: so are paths of older systems in the private tables.
    """
    for _ in range(2):  # an encoded path within a URL is encoded twice
        if "%" in text and _PERCENT.search(text):
            text = urllib.parse.unquote(text, errors="surrogateescape").translate(_AS_LATIN_1)
            yield text
    if "&" in text and (other := html.unescape(text)) != text:
        yield other
        text = other
    if "\\" in text and (other := _ESCAPE.sub(lambda match: chr(int(match[1] or match[2], 16)), text)) != text:
        yield other
        lines = []  # each by itself: texts that are searched together are lines
        for line in other.split("\n"):
            with contextlib.suppress(UnicodeError):
                lines.append(line.encode("latin-1").decode("utf-8"))
        yield "\n".join(lines)


_AS_LATIN_1 = {0xDC00 + byte: byte for byte in range(0x80, 0x100)}


def unescaped(string: str) -> str:
    """Return a string of JSON, given without its quotation marks, without escapes."""
    try:
        return str(json.loads(f'"{string}"'))
    except ValueError:
        return string


def lists_of(rest: str) -> Iterator[list[int]]:
    """Yield the lists of small whole numbers in JSON, given without its strings."""
    for match in _LIST.finditer(rest):
        yield [int(number.partition(".")[0]) for number in _WHOLE.findall(match.group())]


def bytes_of_numbers(numbers: Sequence[float]) -> Iterator[bytes]:
    """Yield the bytes that numbers may be: a text that was taken for a table of values is such a list.

    Parameters
    ----------
    numbers : sequence of float

    Yields
    ------
    bytes
        A byte for each number; or two, in either order, if one is larger than a byte. None if they are fewer than five,
        not whole, or do not fit; or if they are indices, as of the files of a volume.
    """
    if len(numbers) < _MIN_NUMBERS or not all(0 <= number <= 0xFFFF and number == int(number) for number in numbers):
        return
    whole = list(map(int, numbers))
    if _are_indices(whole):
        return
    if max(whole) <= 0xFF:
        yield bytes(whole)
    else:
        yield from (struct.pack(f"{order}{len(whole)}H", *whole) for order in "<>")


def _are_indices(numbers: Sequence[int]) -> bool:
    """Return whether numbers never descend or never ascend, and are no text: one is no character, or they are many."""
    is_sorted = all(map(le, numbers, numbers[1:])) or all(map(ge, numbers, numbers[1:]))
    return is_sorted and (min(numbers) < ord(" ") or len(numbers) > _MOST_SORTED)
