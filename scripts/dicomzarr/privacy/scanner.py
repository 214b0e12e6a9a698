"""Search bytes and names for identifiers: as plain text, and through encodings and compressions.

A finding is a fixed code and a line. It never holds the identifier itself.
"""

from __future__ import annotations

import base64
import binascii
import csv
import io
import re
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from dicomzarr.privacy import escapes, grouped_numbers, numbers, unread, unspaced
from dicomzarr.privacy.compressed import inflated, may_be_compressed, starts_compressed
from dicomzarr.privacy.identifiers import (
    DIGITS,
    MAX_WORDS,
    MIN_DIGITS,
    MIN_PART,
    MIN_WEIGHT,
    hash_of_digest,
    hash_of_part,
    hash_of_words,
    weight_of,
)
from dicomzarr.privacy.texts_of_bytes import decoded, is_mostly_text, text_of_part
from dicomzarr.privacy.wide_texts import BYTE_ORDER_MARKS, behind_marks, wide_texts
from dicomzarr.privacy.words import words_of

# Codes of findings and their meaning; see docs/data-policy.md.
CODES = {
    "value_in_file": "a file contains a value of the source",
    "value_encoded": "a file contains a value of the source, encoded or compressed",
    "value_in_name": "the name of a file or folder contains a value of the source",
    "value_in_xattr": "an extended attribute of a file or a folder contains a value of the source",
    "hash_of_value": "a file or a name contains the plain hash of a value of the source, which identifies it",
    numbers.IN_FILE: "a number in a file is a number of the source, such as a date or an id",
    numbers.DATE: "a number that describes an image reads as a date",
}
MIN_WEIGHT_IN_BINARY = 8  # in bytes that are no text, where short words occur by chance
MIN_WEIGHT_IN_PIXELS = 12  # where there are many more such bytes
MAX_DEPTH = 3  # nested encodings
_MAX_CLEAN = 1 << 20  # clean strings of JSON in the cache

# Texts within other bytes: ASCII and the two-byte characters of UTF-8.
_RUN = re.compile(rb"(?:[\t\n\r\x20-\x7e]|[\xc3-\xdf][\x80-\xbf]){8,}")
_BASE64 = re.compile(r"[A-Za-z0-9+/]{8,}={0,2}|[A-Za-z0-9_-]{8,}={0,2}")
_BEFORE_DATA = ";base64,"
_MAX_SINGLE_PARTS = 8  # decoded parts that are searched one by one; more are searched together first
_MAX_SHORT = 4096  # bytes of a part in base64 that is searched together with others
_HEX = re.compile(r"(?:[0-9a-fA-F]{2}){5,}")
_HASH = re.compile(r"[0-9a-f]{16,}\Z")
_MIN_HASH = 16
_NUMBERED = re.compile(r"([^\W\d_]{5,})\d{1,4}|\d{1,4}([^\W\d_]{5,})")
_NUMERIC = frozenset("0123456789.")
_STRING = re.compile(r'"([^"\\]*+(?:\\.[^"\\]*+)*+)"')
# JSON without its strings.
_REST_OF_JSON = re.compile(r"(?:[\s\[\]{},:]|true|false|null|-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)*+")
# Office documents within their zip: a word has tags in it where its spelling was checked or its form changes.
_TAG, _END_OF_PARAGRAPH = re.compile(r"<[^>]*>"), re.compile(r"</\w+:(?:p|h|tab|br|t[cr])>|<\w+:(?:tab|br)\b[^>]*>")
_DATA = re.compile(r"data:[\w/+.-]+;base64,[A-Za-z0-9+/]+=*")
# Short numbers in a row, as in the data of the report. No identifier has more than `MAX_WORDS` words, and none has only
# such numbers, so those in the middle belong to none.
_NUMBER, _ENDS = f"(?:[0-9]{{1,{MIN_DIGITS - 1}}},)", f"{{{MAX_WORDS - 1}}}"
_NUMBERS_IN_A_ROW = re.compile(f"(?<=,)({_NUMBER}{_ENDS}){_NUMBER}+({_NUMBER}{_ENDS})")
# Sizes such as 512x512, since a folder may be called so, and histograms. Whatever else stands in a column is searched.
_SIZE = re.compile(r"[0-9.]*(?:x[0-9.]*)*")
_FORMS = {"shape": _SIZE, "spacing_mm": _SIZE, "histogram": re.compile(r"[0-9A-Za-z_-]{48}")}
# The id of an array: of its series, whole or shortened as in the report, and of the volume; in exports also with `_`.
_ARRAY = re.compile(r"\b[0-9a-f]{8}(?:[0-9a-f]{8}|…)[/_][0-9a-f]{8}(?![0-9A-Za-z])")
# Columns of numbers in the tables of the dataset; a number could look like a date.
_NUMERIC_CELL = re.compile(r"-?[0-9]*(?:\.[0-9]*)?(?:e[-+]?[0-9]+)?(?:[ :][0-9]+)*")
_NUMBERS = re.compile(
    r"((source|stored|expected|exported|pixel)_)?bytes|(observed|unpadded)_m(in|ax)|frames\w*|files|rows|columns"
    r"|ratio|offset|voxels|volume_ml|slices|outside|maximum_fraction|(unused_)?contours|planes|boxes"
)


@dataclass(frozen=True, slots=True)
class Leak:
    """A finding: a key of `CODES`; the number of its line, 0 where unknown; the name of the attribute of a number."""

    code: str
    line: int = 0
    attribute: str = ""


@dataclass(frozen=True, slots=True)
class Allowed:
    """What may occur beside words of this project, whatever the source says.

    Attributes
    ----------
    places : tuple of str
        Texts, such as the path of the source as the user typed it.
    lines : re.Pattern or None
        Lines or words: who started a run, and how; names that this project gives to files of frames.
    shipped : sequence of bytes
        Contents of files of this project that HTML pages hold as they are: their style and scripts. Exactly these bytes
        are left out, and nothing near them.
    """

    places: tuple[str, ...] = ()
    lines: re.Pattern[str] | None = None
    shipped: Sequence[bytes] = ()


_NOTHING = Allowed()


class Scanner:
    """Search for identifiers in texts, bytes and names.

    Parameters
    ----------
    identifiers : container of int
        Hashes of the identifiers, as `identifiers.identifiers_of` yields them.
    own_words : frozenset of str
        Words of this project and of plain English, in lower case, which identify nobody.
    allowed : Allowed
        What else is no finding.
    with_numbers : bool
        Search numbers in JSON and tables; those of Snakemake are times and sizes.
    with_dates : bool
        A number that reads as a date is a finding, whatever the identifiers are.
    grouped : frozenset of str
        Numbers in groups, as `grouped_numbers.forms_of` returns them.

    Attributes
    ----------
    missed : set of str
        Why some of what was searched could not be read: keys of `unread.REASONS`. Whoever asks empties it.

    Notes
    -----
    Ids of arrays are removed before the search: among many volumes some id of eight hex digits equals a date. Pictures
    within pages are searched after decoding, not as text.
    """

    def __init__(
        self,
        identifiers: Container[int],
        own_words: frozenset[str],
        allowed: Allowed = _NOTHING,
        *,
        with_numbers: bool = True,
        with_dates: bool = True,
        grouped: frozenset[str] = frozenset(),
    ) -> None:
        self._grouped, self._sizes = grouped, {form.count("-") + 1 for form in grouped if "-" in form}
        self._with_numbers, self._with_dates = with_numbers, with_dates
        self._known_lines = allowed.lines
        self._shipped = [part for part in allowed.shipped if part]
        self._identifiers, self._own_words = identifiers, own_words
        self._clean: set[str] = set()
        self.missed: set[str] = set()
        self._known_places = sorted((text for text in allowed.places if len(text) > 1), key=len, reverse=True)

    def name(self, name: str) -> Leak | None:
        """Search the name of a file or folder."""
        if self._known_lines and self._known_lines.fullmatch(name):
            return None
        code = self._text(name, MIN_WEIGHT) or self._encoded(name, 0, MIN_WEIGHT)
        return None if code is None else Leak("hash_of_value" if code == "hash_of_value" else "value_in_name")

    def content(self, data: bytes, name: str = "", min_weight: int = MIN_WEIGHT) -> Leak | None:
        """Return the first finding in the content of a file, or None.

        Parameters
        ----------
        data : bytes
            The content, or a large piece of it.
        name : str
            Of the file: ``.csv``, ``.json`` and ``.jsonl`` are parsed.
        min_weight : int
            Weight of the shortest words to report in content that is not parsed.
        """
        if name.endswith(".html"):
            for part in self._shipped:
                data = data.replace(part, b"\n" * part.count(b"\n") + b" ")  # lines keep their numbers
        text = None if b"\0" in data[:4096] or data[:2] in BYTE_ORDER_MARKS else decoded(data)
        if text is not None and name.endswith(".csv"):
            code = self._csv(text)
        elif text is not None and name.endswith((".json", ".jsonl")):
            parts = _STRING.split(text)
            rest, strings = "".join(parts[::2]), parts[1::2]
            code = self._json(rest, strings) if _REST_OF_JSON.fullmatch(rest) else self._bytes(data, 0, min_weight)
            if code is None and self._with_numbers:
                found = numbers.in_json(text, rest, self._identifiers, self._own_words, with_dates=self._with_dates)
                return found and Leak(found[0][0], found[1], found[0][1])
        else:
            code = self._bytes(data, 0, min_weight)
        if code is None:
            return None
        return Leak(code, 0 if text is None else self._line(text))

    def array(self, chunk: Path) -> Leak | None:
        """Search the numbers of a small array beside an image, which is one file."""
        try:
            values = numbers.values_of(chunk)
        except (ValueError, KeyError, TypeError):
            return self.content(chunk.read_bytes())
        found = numbers.in_array(values, self._identifiers, with_dates=self._with_dates)
        return None if (code := found or self._bytes_of(values.ravel().tolist())) is None else Leak(code)

    # ---- texts

    def _json(self, rest: str, strings: Sequence[str]) -> str | None:
        """Search keys and strings, except those cached as clean; `rest` is the JSON without strings."""
        strings = [string for string in dict.fromkeys(strings) if string not in self._clean]
        plain = "\n".join(escapes.unescaped(string) if "\\" in string else string for string in strings)
        code = self._text(plain, MIN_WEIGHT) or self._encoded(_ARRAY.sub(" ", plain), 0, MIN_WEIGHT)
        if code is None and len(self._clean) < _MAX_CLEAN:
            self._clean.update(strings)
        return code or next(filter(None, map(self._bytes_of, escapes.lists_of(rest))), None)

    def _bytes_of(self, values: Sequence[float]) -> str | None:
        """Return the code of a finding in the bytes that the numbers of a list may be."""
        return next(filter(None, (self._part(data, 1, MIN_WEIGHT) for data in escapes.bytes_of_numbers(values))), None)

    def _csv(self, text: str) -> str | None:
        rows = csv.reader(io.StringIO(text))
        try:
            return self.rows(next(rows, []), rows)
        except csv.Error:  # not a table, in spite of its name
            return self._text(text, MIN_WEIGHT) or self._encoded(text, 0, MIN_WEIGHT)

    def rows(self, head: list[str], rows: Iterable[list[str]]) -> str | None:
        """Return the code of the first finding in rows of a table, except columns of numbers; `head` is row 1."""
        text = "\n".join([*head, text_of_rows(head, rows)])
        code = self._text(text, MIN_WEIGHT) or self._encoded(_ARRAY.sub(" ", text), 0, MIN_WEIGHT)
        return code or self._number(text)

    def _number(self, text: str) -> str | None:
        """Return the code of a finding if a number among the cells of a table is one of the source."""
        is_found = self._with_numbers and numbers.in_text(_ARRAY.sub(" ", text), self._identifiers, self._own_words)
        return numbers.IN_FILE if is_found else None

    def _line(self, text: str) -> int:
        """Return the number of the first line with a finding, or 0 where the finding is not in one line."""

        def find(line: str) -> str | None:
            code = self._text(line, MIN_WEIGHT) or self._encoded(line, 0, MIN_WEIGHT)
            return code or self._number(line.replace(",", " "))

        lines = enumerate(text.splitlines(), 1)
        return next((number for number, line in lines if find(line)), 0)

    def _text(self, text: str, min_weight: int) -> str | None:
        """Return the code of the first finding in a text, as it is or after its escapes are resolved."""
        for place in self._known_places:
            if place in text:
                text = text.replace(place, " ")
        if self._known_lines:
            text = self._known_lines.sub(" ", text)
        text = without_arrays(text)
        code = self._words(text, min_weight)
        if code is None:
            for resolved in escapes.resolved(text):
                if self._words(resolved, min_weight):
                    return "value_encoded"
        return code

    def _words(self, text: str, min_weight: int) -> str | None:
        """Return the code of an identifier among the words of a text, of one word or up to `MAX_WORDS`.

        A run of words is looked up only if its weight suffices, without own words and numbers, and if each of its other
        words of `MIN_PART` characters is a part of an identifier.
        """
        least = min_weight if min_weight >= MIN_WEIGHT_IN_PIXELS else 0  # dark voxels are full of digits and hyphens
        if self._sizes and grouped_numbers.holds(text, self._grouped, self._sizes, least):
            return "value_in_file"
        if self._with_numbers and (self._has_date(text, least) or self._has_separated(text, least)):
            return "value_in_file"
        if any(len(uid) >= least and self._single(uid) for uid in grouped_numbers.uids_in(text)):
            return "value_in_file"
        words, own_words = words_of(_NUMBERS_IN_A_ROW.sub(r"\1\2", text)), self._own_words
        weights = [0] * len(words)
        blocked: set[int] = set()
        centres: list[int] = []
        for index, word in enumerate(words):
            if word in own_words:
                continue
            if len(word) >= _MIN_HASH and _HASH.match(word) and hash_of_digest(word) in self._identifiers:
                return "hash_of_value"
            if word[0] in _NUMERIC and DIGITS.match(word):
                digits = max(min_weight, MIN_DIGITS)
                if len(word) >= digits and (self._single(word) or self._whole(word, digits)):
                    return "value_in_file"
                weights[index] = 0 if word.isdigit() else len(word)
                continue
            weight = weight_of(word)
            weights[index] = 0 if word.isdigit() else weight
            if weight >= min_weight and (self._single(word) or self._numbered(word, min_weight)):
                return "value_in_file"
            if len(word) >= MIN_PART and hash_of_part(word) not in self._identifiers:
                blocked.add(index)
            else:
                centres.append(index)
        is_found = self._in_sequence(words, weights, blocked, centres, min_weight) or (
            not text.isascii() and unspaced.holds_name(words, own_words, self._identifiers, min_weight)
        )
        return "value_in_file" if is_found else None

    def _has_date(self, text: str, least: int) -> bool:
        """Whether a text has a date of the source in another form, such as 2003-11-17 or 17.11.2003."""
        for form in grouped_numbers.dates_in(text) if least <= MIN_DIGITS else ():
            if numbers.is_identifier(int(form), self._identifiers) and form not in self._own_words:
                return True
        return False

    def _has_separated(self, text: str, least: int) -> bool:
        """Whether a text has a number of the source in groups, such as 010185-1234, which may have none there."""
        return any(
            len(digits) >= least and digits not in self._own_words and self._single(digits)
            for digits in grouped_numbers.separated_in(text)
        )

    def _in_sequence(
        self, words: list[str], weights: list[int], blocked: set[int], centres: list[int], min_weight: int
    ) -> bool:
        """Return whether a run of words that contains one of the `centres` and no blocked word is an identifier."""
        unseen = 0  # runs that start earlier contain an earlier centre and were looked up with it
        for centre in centres:
            for start in range(max(centre - MAX_WORDS + 1, unseen), centre + 1):
                weight = 0
                for end in range(start, min(start + MAX_WORDS, len(words))):
                    if end in blocked:
                        break
                    weight += weights[end]
                    if (
                        weight >= min_weight
                        and start < end >= centre
                        and hash_of_words(words[start : end + 1]) in self._identifiers
                    ):
                        return True
            unseen = centre + 1
        return False

    def _numbered(self, word: str, min_weight: int) -> bool:
        """Whether a word with a short number behind or before it, such as name01, is an identifier without it."""
        match = None if word.isalpha() else _NUMBERED.fullmatch(word)
        name: str = (match[1] or match[2]) if match else ""
        return weight_of(name) >= min_weight and name not in self._own_words and self._single(name)

    def _whole(self, word: str, least: int) -> bool:
        """Whether the whole part of a number such as 20031117.0, of `least` digits or more, is an identifier."""
        whole, dot, _ = word.partition(".")
        return bool(dot) and len(whole) >= least and self._single(whole)

    def _single(self, word: str) -> bool:
        return hash_of_words([word]) in self._identifiers

    # ---- bytes

    def _bytes(self, data: bytes, depth: int, min_weight: int) -> str | None:
        self.missed |= unread.reasons_of(data)
        if b"\0" not in data[:4096] and (text := decoded(data)) is not None:
            code = self._text(text, min_weight) or self._encoded(_ARRAY.sub(" ", text), depth, min_weight)
            if code is None and depth and text.startswith("<?xml"):
                code = self._words(_TAG.sub("", _END_OF_PARAGRAPH.sub(" ", text)), min_weight)
        else:
            runs = [match.group().decode("utf-8", "replace") for match in _RUN.finditer(data)]
            if min_weight < MIN_WEIGHT_IN_PIXELS:  # voxels have no marks
                runs += behind_marks(runs)
            code = self._texts(runs, max(min_weight, MIN_WEIGHT_IN_BINARY), depth)
        if code is None and (b"\0" in data or data[:2] in BYTE_ORDER_MARKS):
            code = self._texts(wide_texts(data), min_weight, depth)
        if code is None and depth < MAX_DEPTH:
            for part in inflated(data, self.missed.add):
                if self._bytes(part, depth + 1, min_weight):
                    return "value_encoded"
        elif code is None and starts_compressed(data):
            self.missed.add("too_deep")
        return code

    def _texts(self, texts: list[str], min_weight: int, depth: int) -> str | None:
        for text in texts:
            if code := self._text(text, min_weight) or self._encoded(text, depth, min_weight):
                return code
        return None

    def _encoded(self, text: str, depth: int, min_weight: int) -> str | None:
        """Return the code of the first finding in parts of a text that are base64 or hex."""
        if depth >= MAX_DEPTH:
            return None
        short: list[bytes] = []
        for match in _BASE64.finditer(text):
            run = match.group()
            if run.lower() in self._own_words or _HASH.match(run):
                continue
            is_whole = text.endswith(_BEFORE_DATA, 0, match.start())
            for data in _from_base64(run, is_whole=is_whole):
                if len(data) <= _MAX_SHORT:
                    short.append(data)
                elif code := self._part(data, depth + 1, min_weight):
                    return code
        digits = [bytes.fromhex(run) for run in _HEX.findall(text) if run.lower() not in self._own_words]
        texts = self._parts(short, depth + 1, min_weight, decoded)
        return texts or self._parts(digits, depth + 1, min_weight, text_of_part)

    def _parts(
        self, parts: Sequence[bytes], depth: int, around: int, text_of: Callable[[bytes], str | None]
    ) -> str | None:
        """Return the code of the first finding in decoded bytes; many are searched together first.

        `text_of` says what is a text among those that are searched together. Alone, each is what `decoded` says.
        """
        if len(parts) > _MAX_SINGLE_PARTS:
            special: list[bytes] = []
            others: list[bytes] = []
            for part in parts:
                (special if _is_special(part) else others).append(part)
            if not self._holds(others, depth, around, text_of):
                parts = special
        return next((code for data in parts if (code := self._part(data, depth, around))), None)

    def _part(self, data: bytes, depth: int, around: int) -> str | None:
        """Return the code of the first finding in decoded bytes, or of the bytes themselves if they are a digest."""
        if self._is_hash(data):
            return "hash_of_value"
        return "value_encoded" if self._bytes(data, depth, _min_weight_in(data, around)) else None

    def _is_hash(self, data: bytes) -> bool:
        return len(data) in (16, 20, 32) and hash_of_digest(data) in self._identifiers

    def _holds(self, parts: Sequence[bytes], depth: int, around: int, text_of: Callable[[bytes], str | None]) -> bool:
        """Whether one of many parts may have a finding; they are searched together, since digests occur by thousands.

        A finding may span the end of one part and the beginning of the next: the caller then searches each part.
        """
        texts: dict[int, list[str]] = {}
        binary = []
        for data in parts:
            text = None if b"\0" in data else text_of(data)
            if text is None:
                binary.append(data)
            else:
                texts.setdefault(_min_weight_in(data, around), []).append(text)
        if any(self._is_hash(data) for data in parts):
            return True
        if any(self._texts(["\n".join(lines)], min_weight, depth) for min_weight, lines in texts.items()):
            return True
        # The prefix makes the bytes binary; the separator ends every run of characters, of one byte or of two.
        return self._bytes(b"\0\1" + b"\1\1".join(binary), depth, max(around, MIN_WEIGHT_IN_BINARY)) is not None


def text_of_rows(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return the cells of a table that are searched, one per line."""
    forms = {number: _FORMS[column] for number, column in enumerate(head) if column in _FORMS}
    forms |= {number: _NUMERIC_CELL for number, column in enumerate(head) if _NUMBERS.fullmatch(column)}
    return "\n".join(
        cell
        for row in rows
        for number, cell in enumerate(row)
        if not ((form := forms.get(number)) and form.fullmatch(cell))
    )


def without_arrays(text: str) -> str:
    """Return a text without the ids of arrays, and without pictures."""
    return _ARRAY.sub(" ", _DATA.sub(" ", text))


def _min_weight_in(data: bytes, around: int) -> int:
    """Return the weight that a finding in decoded bytes must have, by that of what they stand in."""
    if around >= MIN_WEIGHT_IN_PIXELS:
        return around
    return MIN_WEIGHT if is_mostly_text(data) else MIN_WEIGHT_IN_BINARY


def _from_base64(run: str, *, is_whole: bool) -> Iterator[bytes]:
    bare = run.rstrip("=").translate(_STANDARD)
    # A long run may include characters before the encoded data.
    for start in (0, 1, 2, 3) if len(bare) > 64 and not is_whole else (0,):
        part = bare[start:]
        part = part[: len(part) - (len(part) % 4 == 1)]
        try:
            yield base64.b64decode(part + "=" * (-len(part) % 4))
        except (binascii.Error, ValueError):
            continue


_STANDARD = str.maketrans("-_", "+/")


def _is_special(data: bytes) -> bool:
    """Whether bytes cannot be searched together with others: compressed, or a text of two bytes per character."""
    is_wide = data[:2] in BYTE_ORDER_MARKS or (b"\0" in data and is_mostly_text(data))
    return is_wide or may_be_compressed(data)
