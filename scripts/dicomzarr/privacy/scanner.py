"""Looks for needles in bytes and names: as they stand, and through encodings and compressions.

A finding is a fixed code and a place. What was found is never told: it is what must not get out.
"""

from __future__ import annotations

import base64
import binascii
import bz2
import contextlib
import csv
import functools
import html
import io
import json
import lzma
import re
import urllib.parse
import zipfile
import zlib
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from dataclasses import dataclass

from dicomzarr.privacy.identifiers import (
    DIGITS,
    LEAST,
    LEAST_PART,
    LONGEST,
    needle,
    needle_of_hash,
    needle_of_part,
    weight_of,
    words_of,
)

# What a finding means; see docs/data-policy.md.
CODES = {
    "value_in_file": "a value of the source stands in a file",
    "value_encoded": "a value of the source stands in a file, encoded or compressed",
    "value_in_name": "a value of the source stands in the name of a file or folder",
    "hash_of_value": "the plain hash of a value of the source stands in a file or a name: who knows the value finds it",
}
LEAST_DIGITS = 8  # of a number that counts: a date, or a long id; shorter ones are everywhere
LEAST_HIDDEN = 8  # characters of what counts in bytes that are no text, where short words come by chance
LEAST_IN_PIXELS = 12
DEEPEST = 3  # encodings within each other
_MOST_CLEAN = 1 << 20  # strings of JSON that are remembered
LARGEST = 64 << 20  # bytes of one compressed part, once inflated; what lies beyond is not looked at

# Texts within other bytes: ASCII and the two-byte characters of UTF-8, and Latin-1 in UTF-16 of either order.
_RUN = re.compile(rb"(?:[\t\n\r\x20-\x7e]|[\xc3-\xdf][\x80-\xbf]){8,}")
_WIDE = (re.compile(rb"(?:[\t\n\r\x20-\x7e\xa0-\xff]\0){5,}"), re.compile(rb"(?:\0[\t\n\r\x20-\x7e\xa0-\xff]){5,}"))
_ORDERS = (b"\xff\xfe", b"\xfe\xff")  # of the bytes of UTF-16
_BASE64 = re.compile(r"[A-Za-z0-9+/]{8,}={0,2}|[A-Za-z0-9_-]{8,}={0,2}")
_BEFORE_DATA = ";base64,"
_FEW = 8  # parts in hex that are searched one by one
_HEX = re.compile(r"(?:[0-9a-fA-F]{2}){5,}")
_HASH = re.compile(r"[0-9a-f]{16,}\Z")
_LEAST_HASH = 16
_NUMERIC = frozenset("0123456789.")
_STRING = re.compile(r'"((?:[^"\\]|\\.)*)"')
# What JSON is made of, once its strings are gone.
_REST_OF_JSON = re.compile(r"(?:[\s\[\]{},:]|true|false|null|-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)*+")
_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4}))")
# The id of an array: of its series, whole or as the report shortens it, and of the volume.
_DATA = re.compile(r"data:[\w/+.-]+;base64,[A-Za-z0-9+/]+=*")
_ARRAY = re.compile(r"\b[0-9a-f]{8}(?:[0-9a-f]{8}|…)/[0-9a-f]{8}\b")
# Columns of the dataset's own tables that hold numbers, which could look like dates.
_NUMBERS = re.compile(
    r"((source|stored|expected|exported|pixel)_)?bytes|(declared|observed)_m(in|ax)|frames\w*|files|rows|columns|ratio|offset"
)


@dataclass(frozen=True, slots=True)
class Leak:
    """A finding: a key of `CODES`, and the number of its line, 0 where that cannot be said."""

    code: str
    line: int = 0


class Scanner:
    """Tells whether bytes hold a needle.

    Parameters
    ----------
    needles : container of int
        What must not be found.
    own : frozenset of str
        Words of this project and of plain English, in lower case: what consists of these alone says nothing.
    known : tuple of str
        Texts that may stand where they are, such as the place of the source as the user typed it.

    Notes
    -----
    Ids of arrays are taken out before: among the eight hex digits of many a volume there is one that is a date.
    Pictures within pages are searched once decoded, not letter by letter.
    """

    def __init__(self, needles: Container[int], own: frozenset[str], known: tuple[str, ...] = ()) -> None:
        self._needles, self._own = needles, own
        self._clean: set[str] = set()
        self._known = sorted((text for text in known if len(text) > 1), key=len, reverse=True)

    def name(self, name: str) -> Leak | None:
        """Return what the name of a file or folder gives away."""
        found = self._text(name, LEAST) or self._encoded(name, 0)
        return None if found is None else Leak("hash_of_value" if found == "hash_of_value" else "value_in_name")

    def content(self, data: bytes, name: str = "", least: int = LEAST) -> Leak | None:
        """Return the first finding in the content of a file, whose name tells how to read it."""
        text = None if b"\0" in data[:4096] else _decoded(data)
        if text is not None and name.endswith(".csv"):
            found = self._csv(text)
        elif text is not None and name.endswith((".json", ".jsonl")):
            found = self._json(text)
        else:
            found = self._bytes(data, 0, least)
        if found is None:
            return None
        return Leak(found, 0 if text is None else self._line(text))

    # ---- texts

    def _json(self, text: str) -> str | None:
        """Search keys and strings; those met before were clean. Numbers are no text: they could look like dates."""
        if not _REST_OF_JSON.fullmatch(_STRING.sub("", text)):
            return self._text(text, LEAST) or self._encoded(text, 0)
        new = [one for one in dict.fromkeys(_STRING.findall(text)) if one not in self._clean]
        plain = "\n".join(_unescaped(one) if "\\" in one else one for one in new)
        found = self._text(plain, LEAST) or self._encoded(_ARRAY.sub(" ", plain), 0)
        if found is None and len(self._clean) < _MOST_CLEAN:
            self._clean.update(new)
        return found

    def _csv(self, text: str) -> str | None:
        rows = csv.reader(io.StringIO(text))
        try:
            return self.rows(next(rows, []), rows)
        except csv.Error:  # no table, whatever its name says
            return self._text(text, LEAST) or self._encoded(text, 0)

    def rows(self, head: list[str], rows: Iterable[list[str]]) -> str | None:
        """Return the code of what rows of a table hold, but for columns of numbers; `head` is its first row."""
        text = "\n".join([*head, text_of_rows(head, rows)])
        return self._text(text, LEAST) or self._encoded(_ARRAY.sub(" ", text), 0)

    def _line(self, text: str) -> int:
        """Return the number of the first line with a finding, or 0 where no line alone has one."""
        lines = enumerate(text.splitlines(), 1)
        return next((number for number, line in lines if self._text(line, LEAST) or self._encoded(line, 0)), 0)

    def _text(self, text: str, least: int) -> str | None:
        """Return the code of what a text holds as it stands, or once its escapes are resolved."""
        for place in self._known:
            if place in text:
                text = text.replace(place, " ")
        text = without_arrays(text)
        found = self._words(text, least)
        if found is None:
            for other in _resolved(text):
                if self._words(other, least):
                    return "value_encoded"
        return found

    def _words(self, text: str, least: int) -> str | None:
        """Return the code of a needle among the words of a text, alone or up to `LONGEST` together.

        A run of words is looked for if those that are neither our own nor numbers weigh enough, and if each of these
        that is long enough for that is known as a part of a needle.
        """
        words, own = words_of(text), self._own
        weights = [0] * len(words)
        blocked: set[int] = set()
        centres: list[int] = []
        for index, word in enumerate(words):
            if word in own:
                continue
            if len(word) >= _LEAST_HASH and _HASH.match(word) and needle_of_hash(word) in self._needles:
                return "hash_of_value"
            if word[0] in _NUMERIC and DIGITS.match(word):
                if len(word) >= max(least, LEAST_DIGITS) and self._single(word):
                    return "value_in_file"
                weights[index] = 0 if word.isdigit() else len(word)
                continue
            weight = weight_of(word)
            weights[index] = 0 if word.isdigit() else weight
            if weight >= least and self._single(word):
                return "value_in_file"
            if len(word) >= LEAST_PART and needle_of_part(word) not in self._needles:
                blocked.add(index)
            else:
                centres.append(index)
        return "value_in_file" if self._in_sequence(words, weights, blocked, centres, least) else None

    def _in_sequence(
        self, words: list[str], weights: list[int], blocked: set[int], centres: list[int], least: int
    ) -> bool:
        """Return whether a run of words with one of the `centres`, and none that is blocked, is a needle."""
        unseen = 0  # runs that begin earlier hold a centre before, and were looked for with that
        for centre in centres:
            for start in range(max(centre - LONGEST + 1, unseen), centre + 1):
                weight = 0
                for end in range(start, min(start + LONGEST, len(words))):
                    if end in blocked:
                        break
                    weight += weights[end]
                    if weight >= least and start < end >= centre and needle(words[start : end + 1]) in self._needles:
                        return True
            unseen = centre + 1
        return False

    def _single(self, word: str) -> bool:
        return needle([word]) in self._needles

    # ---- bytes

    def _bytes(self, data: bytes, depth: int, least: int) -> str | None:
        if b"\0" not in data[:4096] and (text := _decoded(data)) is not None:
            found = self._text(text, least) or self._encoded(text, depth)
        else:
            runs = [match.group().decode("utf-8", "replace") for match in _RUN.finditer(data)]
            found = self._texts(runs, max(least, LEAST_HIDDEN), depth)
            if found is None and b"\0" in data:
                wide = [m.group().replace(b"\0", b"").decode("latin-1") for form in _WIDE for m in form.finditer(data)]
                wide += [data.decode("utf-16", "replace")] if data[:2] in _ORDERS else []
                found = self._texts(wide, least, depth)
        if found is None and depth < DEEPEST:
            for part in _inflated(data):
                if self._bytes(part, depth + 1, least):
                    return "value_encoded"
        return found

    def _texts(self, texts: list[str], least: int, depth: int) -> str | None:
        for text in texts:
            if found := self._text(text, least) or self._encoded(text, depth):
                return found
        return None

    def _encoded(self, text: str, depth: int) -> str | None:
        """Return the code of what a text holds in base64 or hex."""
        if depth >= DEEPEST:
            return None
        for match in _BASE64.finditer(text):
            run = match.group()
            if run.lower() in self._own or _HASH.match(run):
                continue
            is_whole = text.endswith(_BEFORE_DATA, 0, match.start())
            for data in _from_base64(run, is_whole=is_whole):
                if found := self._part(data, depth + 1):
                    return found
        parts = [bytes.fromhex(run) for run in _HEX.findall(text) if run.lower() not in self._own]
        if len(parts) > _FEW and not self._holds([part for part in parts if not _is_special(part)], depth + 1):
            parts = [part for part in parts if _is_special(part)]
        return next((found for data in parts if (found := self._part(data, depth + 1))), None)

    def _part(self, data: bytes, depth: int) -> str | None:
        """Return the code of what bytes from an encoding hold, or are."""
        if self._is_hash(data):
            return "hash_of_value"
        return "value_encoded" if self._bytes(data, depth, _least_in(data)) else None

    def _is_hash(self, data: bytes) -> bool:
        return len(data) in (16, 20, 32) and needle_of_hash(data) in self._needles

    def _holds(self, parts: Sequence[bytes], depth: int) -> bool:
        """Whether one of many parts may hold something: they are searched together, as digests come by thousands.

        What is found may be made of the end of one and the beginning of the next: then each is to be searched.
        """
        texts: dict[int, list[str]] = {LEAST: [], LEAST_HIDDEN: []}
        binary = []
        for data in parts:
            text = None if b"\0" in data else _text_of_part(data)
            if text is None:
                binary.append(data)
            else:
                texts[_least_in(data)].append(text)
        if any(self._is_hash(data) for data in parts):
            return True
        if any(self._texts(["\n".join(some)], least, depth) for least, some in texts.items()):
            return True
        # What stands before makes it no text; what stands between ends every run, in two bytes a character too.
        return self._bytes(b"\0\1" + b"\1\1".join(binary), depth, LEAST_HIDDEN) is not None


def text_of_rows(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return the cells of a table that are searched, a line each."""
    kept = [number for number, column in enumerate(head) if not _NUMBERS.fullmatch(column)]
    return "\n".join(row[number] for row in rows for number in kept if number < len(row))


def without_arrays(text: str) -> str:
    """Return a text without the ids of arrays, and without pictures."""
    return _ARRAY.sub(" ", _DATA.sub(" ", text))


def _resolved(text: str) -> Iterator[str]:
    """Yield a text without the escapes it may have: of URLs and our own paths, of HTML, of Python and JSON."""
    if "%" in text and (other := urllib.parse.unquote(text)) != text:
        yield other
        text = other
    if "&" in text and (other := html.unescape(text)) != text:
        yield other
        text = other
    if "\\" in text and (other := _ESCAPE.sub(lambda match: chr(int(match[1] or match[2], 16)), text)) != text:
        yield other
        with contextlib.suppress(UnicodeError):
            yield other.encode("latin-1").decode("utf-8")


def _unescaped(string: str) -> str:
    try:
        return str(json.loads(f'"{string}"'))
    except ValueError:
        return string


def _decoded(data: bytes) -> str | None:
    """Return the bytes as text, or None where they are none."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        start = data[:4096]
        if len(start.translate(None, _PRINTABLE)) > len(start) // 20 + 8:
            return None
        text = data.decode("latin-1")
    return text


def _text_of_part(data: bytes) -> str | None:
    """Return short bytes as text, or None where they are none: UTF-8, or Latin-1 without a control character."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return None if data.translate(None, _LATIN_1) else data.decode("latin-1")


_LATIN_1 = bytes((9, 10, 13, *range(0x20, 0x7F), *range(0xA0, 0x100)))
_PRINTABLE = bytes(number for number in range(256) if chr(number).isprintable())


def _mostly_text(data: bytes) -> bool:
    """Whether bytes from an encoding are a text rather than a number that happens to decode."""
    return not data.translate(None, _TEXT_BYTES)


_TEXT_BYTES = bytes((*range(0x20, 0x7F), 9, 10, 13, 0))


def _least_in(data: bytes) -> int:
    """Return how much must be found in bytes from an encoding."""
    return LEAST if _mostly_text(data) else LEAST_HIDDEN


def _from_base64(run: str, *, is_whole: bool) -> Iterator[bytes]:
    bare = run.rstrip("=").translate(_STANDARD)
    # A long run may have swallowed what stood before it.
    for start in (0, 1, 2, 3) if len(bare) > 64 and not is_whole else (0,):
        part = bare[start:]
        part = part[: len(part) - (len(part) % 4 == 1)]
        try:
            yield base64.b64decode(part + "=" * (-len(part) % 4))
        except (binascii.Error, ValueError):
            continue


_STANDARD = str.maketrans("-_", "+/")


# ---- compression


def _is_special(data: bytes) -> bool:
    """Whether bytes may hold what would not be found among others: compressed, or a text in two bytes a character."""
    is_wide = data[:2] in _ORDERS or (b"\0" in data and _mostly_text(data))
    return is_wide or bool(_ANY_MAGIC.search(data)) or _looks_like_blosc(data)


def _looks_like_blosc(data: bytes) -> bool:
    return 16 < len(data) <= LARGEST and data[0] == 2 and int.from_bytes(data[12:16], "little") == len(data)


def _inflated(data: bytes) -> Iterator[bytes]:
    """Yield what compressed parts of the bytes hold, wherever they begin; what only looks compressed gives nothing."""
    for magic, inflate in _MAGICS if _ANY_MAGIC.search(data) else ():
        start = data.find(magic)
        tries = 0
        while start >= 0 and tries < 64:
            try:
                part = inflate(data[start:])
            except Exception:  # it was no such part: whatever a library says of that is of no interest
                part = b""
            if part:
                yield part
            start = data.find(magic, start + 1)
            tries += 1
    if _looks_like_blosc(data):
        try:
            from numcodecs import blosc

            if int.from_bytes(data[4:8], "little") <= LARGEST:
                yield bytes(blosc.decompress(data))
        except Exception:
            return


def _zlib(bits: int) -> Callable[[bytes], bytes]:
    return lambda data: bytes(zlib.decompressobj(bits).decompress(data, LARGEST))


def _zip(data: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        names = archive.namelist()
        parts = [name.encode("utf-8", "replace") for name in names]
        room = LARGEST
        for name in names:
            with archive.open(name) as member:
                parts.append(member.read(room))
                room -= len(parts[-1])
    return b"\n".join(parts)


def _zstd(data: bytes) -> bytes:
    return bytes(_zstd_decoder()(data))


@functools.cache
def _zstd_decoder() -> Callable[[bytes], bytes]:
    import imagecodecs

    return lambda data: bytes(imagecodecs.zstd_decode(data, out=min(LARGEST, 256 * len(data) + 4096)))


_MAGICS: tuple[tuple[bytes, Callable[[bytes], bytes]], ...] = (
    (b"\x1f\x8b\x08", _zlib(31)),
    (b"\x78\x01", _zlib(15)),
    (b"\x78\x5e", _zlib(15)),
    (b"\x78\x9c", _zlib(15)),
    (b"\x78\xda", _zlib(15)),
    (b"\x28\xb5\x2f\xfd", _zstd),
    (b"PK\x03\x04", _zip),
    (b"BZh", lambda data: bz2.BZ2Decompressor().decompress(data, LARGEST)),
    (b"\xfd7zXZ\0", lambda data: lzma.LZMADecompressor().decompress(data, LARGEST)),
)


_ANY_MAGIC = re.compile(b"|".join(re.escape(magic) for magic, _ in _MAGICS))
