"""Identifiers: the words of the source that may identify a patient, each stored as a hash of 64 bits.

A value is split into words at all other characters, so that ``Name^Given``, ``name given`` and ``Given_Name`` are the
same. Hashes instead of texts keep ten million files within some hundred megabytes, and a lost file is no list of names.
"""

from __future__ import annotations

import functools
import hashlib
import os
import re
import struct
import warnings
import weakref
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, cast

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

from dicomzarr.dicom.dates_in_numbers import may_be_date
from dicomzarr.dicom.standard_uids import is_standard_uid
from dicomzarr.dicom.vr import LABEL_TAGS, LABELS, TEXT_VRS, VRS, kind_of
from dicomzarr.privacy.grouped_numbers import numbers_in_groups
from dicomzarr.privacy.words import KANA, is_placeholder, joined_names, unspaced_runs, words_of
from dicomzarr.system import files, shortage

IDENTIFIERS = "identifiers.npy"  # in the folder of caches
MAX_WORDS = 4  # of one identifier; a longer text has one identifier for each sequence of so many words
_DECIMAL = re.compile(r" *[-+]?[0-9]*\.[0-9]+(?:[eE][-+]?[0-9]+)? *")  # a measure, where a syntax does not say so
DIGITS = re.compile(r"[0-9.]+\Z")
_CONTROL = re.compile(rb"[\0-\x1a\x1c-\x1f\x7f]")  # no part of a text in any character set; escapes may be
_ITEM = b"\xfe\xff\x00\xe0"
_IMPLICIT = struct.Struct("<HHI").unpack_from
_NAMES = ("PN", "path")  # each word of these is an identifier; of other texts only the sequence is
_HASHED = ("PN", "LO", "SH", "UI", "path", "")  # whose plain digests are identifiers too
_DIGESTS = (hashlib.md5, hashlib.sha1, hashlib.sha256, blake3)
_MAX_PARTS = 1024  # additions before they are merged
_MAX_SEEN = 1 << 18  # values that a `Gatherer` caches
_MAX_LENGTH_SEEN = 4096  # bytes of such a value: longer ones, such as the segments of a file, are rarely the same


def weight_of(word: str) -> int:
    """Return the weight of a word: its number of characters; those that write a syllable or a word count three."""
    return len(word) if word.isascii() else sum(3 if letter >= _IDEOGRAPHS else 1 for letter in word)


_IDEOGRAPHS = "\u2e80"  # from here on: Han, Kana, Hangul


def hash_of_words(words: Sequence[str]) -> int:
    """Return the hash of 64 bits of a sequence of words."""
    return int.from_bytes(hashlib.blake2b(" ".join(words).encode("utf-8", "replace"), digest_size=8).digest(), "big")


def hash_of_part(word: str) -> int:
    """Return the hash of a word as a part: it is one of several words of an identifier."""
    return hash_of_words(("", word))


def hash_of_run(name: str) -> int:
    """Return the hash of a name that is searched for within longer runs of letters without spaces."""
    return hash_of_words(("", "", name))


def hash_of_start(pair: str) -> int:
    """Return the hash of the first two letters of a name that is searched for within longer runs."""
    return hash_of_words(("", "", "", pair))


def hash_of_number(number: int) -> int:
    """Return the hash of a number, which is no word: it has neither sign nor leading zeros."""
    return int.from_bytes(hashlib.blake2b(b"# %d" % number, digest_size=8).digest(), "big")


def hash_of_digest(digest: bytes | str) -> int:
    """Return the first 64 bits of a plain digest, such as SHA-256, given as bytes or hex."""
    return int(digest[:16], 16) if isinstance(digest, str) else int.from_bytes(digest[:8], "big")


def identifiers_of(kind: str, value: bytes, charset: bytes = b"") -> Iterator[int]:
    """Yield the identifiers of one value, as hashes of 64 bits.

    Parameters
    ----------
    kind : str
        The VR, "" where the syntax has none, or ``path`` for one part of a path. With ``SQ`` the value is the items of
        a sequence, in a little endian syntax; the last item may be cut. With `LABELS` only `LABEL_TAGS` of them count.
    value : bytes
        As stored in the file, with padding.
    charset : bytes
        Specific Character Set (0008,0005) of the file.

    Notes
    -----
    A UID of the standard and a placeholder identify nobody: alone, among several values, or in a longer text or name,
    of which only the other words count.
    """
    if kind in ("SQ", LABELS):
        charsets = [charset]
        for inner, within in _nested(value, LABEL_TAGS if kind == LABELS else None):
            if inner == CHARSET:  # of an item; the texts after it may be of it, or of items around it
                charsets.append(within.strip(b" \0"))
                continue
            for one in dict.fromkeys(charsets) if _depends_on_charset(within) else charsets[:1]:
                yield from identifiers_of(inner, within, one)
        return
    value = value.strip(b" \0")
    kind = "" if kind == "UN" else kind
    if not value or (not kind and _CONTROL.search(value)):
        return
    texts = _texts(value, kind, charset)
    if kind == "" and not all(text.isprintable() for text in texts):
        return  # a private element of an implicit syntax that holds no text
    for text in texts:
        for part in text.split("\\") if kind != "path" else (text,):
            if kind == "" and _DECIMAL.fullmatch(part):
                yield from map(hash_of_number, numbers_of(kind, part))
                continue
            words = words_of(part)
            yield from map(hash_of_words, _sequences(words, single=kind in _NAMES))
            if len(words) > 1:
                yield from map(hash_of_part, filter(_is_part, words))
            if kind == "PN":
                yield from (hash_of_words([name]) for name in joined_names(part) if not is_placeholder(name))
            if kind in _NAMES and not part.isascii():
                for group in part.split("="):  # of a name: in letters, in ideographs, and as it sounds
                    yield from unspaced_names(group, MIN_RUN, MIN_RUN_OF_KANA)
            if len(part) >= MIN_DIGITS:
                yield from map(hash_of_number, numbers_of(kind, part))
                for digits in numbers_in_groups(part):
                    if is_placeholder(digits):
                        continue
                    yield hash_of_words([digits])
                    if len(digits) <= _MOST_DIGITS:
                        yield hash_of_number(int(digits))
    if kind in _HASHED and not is_standard_uid(value.decode("latin-1")):
        yield from (hash_of_digest(digest(value).digest()) for digest in _DIGESTS)


def identifiers_of_root(root: bytes) -> Iterator[int]:
    """Yield the identifiers of the path up to a source folder: its last words in a row, and its plain digests.

    Parameters
    ----------
    root : bytes
        Absolute, or as the user typed it.

    Notes
    -----
    The words of the folder's own name are a row too. Single words are no identifiers: the folder is often called as the
    dataset, the project or the host.
    """
    for text in _texts(root, "path", b""):
        for part in (text, text.rstrip("/").rpartition("/")[2]):
            words = words_of(part)[-MAX_WORDS:]
            if len(words) > 1 and sum(map(weight_of, words)) >= MIN_WEIGHT:
                yield hash_of_words(words)
                yield from map(hash_of_part, filter(_is_part, words))
    yield from (hash_of_digest(digest(root).digest()) for digest in _DIGESTS)


def unspaced_names(name: str, least: int, least_of_kana: int) -> Iterator[int]:
    """Yield the identifiers of a name of Chinese, Japanese or Korean as texts have it, with nothing between its parts.

    Parameters
    ----------
    name : str
    least, least_of_kana : int
        Letters of what is searched for within longer words, and of that in Kana alone.
    """
    for runs in unspaced_runs(words_of(name)):
        for start in range(len(runs)):
            for end in range(start + 1, min(start + MAX_WORDS, len(runs)) + 1):
                joined = "".join(runs[start:end])
                if end > start + 1 and 2 <= len(joined) <= MAX_RUN:
                    yield hash_of_words([joined])
                if (least_of_kana if _KANA.fullmatch(joined) else least) <= len(joined) <= MAX_RUN:
                    yield hash_of_start(joined[:2])
                    yield hash_of_run(joined)


_KANA = re.compile(f"[{KANA}]+")


def _nested(items: bytes, tags: frozenset[int] | None) -> Iterator[tuple[str, bytes]]:
    """Yield VR and bytes of the texts within the items of a sequence (PS3.5 7.5), at any depth; only `tags`, if given.

    Specific Character Set (0008,0005) of an item has the kind `CHARSET`.
    """
    position = 0
    while position + 8 <= len(items):
        group, element, length = _IMPLICIT(items, position)
        vr, start = items[position + 4 : position + 6].decode("latin-1"), position + 8
        if group == 0xFFFE:  # enter an item, skip a delimiter
            position = start
            continue
        if vr in VRS and VRS[vr].is_long:
            length, start = int.from_bytes(items[start : start + 4], "little"), start + 4
        elif vr in VRS:
            length = items[position + 6] | items[position + 7] << 8
        else:
            vr = ""
        if vr == "SQ" or length == 0xFFFFFFFF or items.startswith(_ITEM, start):
            position = start
            continue
        value = items[start : start + length]
        if (group, element) == (0x0008, 0x0005):
            yield CHARSET, value
        elif tags is not None and group << 16 | element not in tags:
            pass
        elif (kind := kind_of(group << 16 | element, vr)) in TEXT_VRS or not kind:
            yield kind, value
        position = start + length


def _texts(value: bytes, kind: str, charset: bytes) -> set[str]:
    """Return the value decoded as UTF-8, else Latin-1, and in the character sets of its file."""
    if not _depends_on_charset(value):
        return {value.decode("ascii")}
    texts = set() if kind == "path" else _decoded(value, charset)
    try:
        texts.add(value.decode("utf-8"))
    except UnicodeDecodeError:
        texts.add(value.decode("latin-1"))
    return texts


def _depends_on_charset(value: bytes) -> bool:
    return not value.isascii() or b"\x1b" in value


def _decoded(value: bytes, charset: bytes) -> set[str]:
    """Return a text decoded in the character sets of its file (PS3.3 C.12.1.1.2), if pydicom knows them."""
    from pydicom.charset import decode_bytes
    from pydicom.valuerep import PN_DELIMS, TEXT_VR_DELIMS

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return {decode_bytes(value, _encodings(charset), PN_DELIMS | TEXT_VR_DELIMS)}
    except Exception as error:  # the messages of pydicom quote the value
        shortage.refuse_at_value(error)
        return set()


@functools.lru_cache(maxsize=256)
def _encodings(charset: bytes) -> list[str]:
    from pydicom.charset import convert_encodings

    encodings: list[str] = convert_encodings([term.strip() for term in charset.decode("latin-1").split("\\")])
    return encodings


def numbers_of(kind: str, text: str) -> list[int]:
    """Return the numbers of a text that identify where they occur as a number: eight digits or more.

    Parameters
    ----------
    kind : str
        As for `identifiers_of`.
    text : str
        One value, decoded.

    Notes
    -----
    Digits with separators, such as a telephone number or a date, are one number. Of a UID the long components count,
    and dates: shorter components are those of registered roots, and many. Of a date with a time, the date counts alone
    too. JSON and arrays hold a number of more than 15 digits rounded to a double.
    """
    if kind == "UI":
        found = [int(part) for part in text.split(".") if MIN_DIGITS <= len(part) <= _MOST_DIGITS and _counts(part)]
    else:
        found = [int(run) for run in _RUN_OF_DIGITS.findall(text)]
        if not found and _SEPARATED.fullmatch(text):
            digits = "".join(filter(str.isdecimal, text))
            found = [int(digits)] if len(digits) >= MIN_DIGITS else []
        found += [number // 10**6 for number in found if number > 10**13 and may_be_date(number)]
    if not found:
        return found
    found += [int(float(number)) for number in found if number > _LARGEST_EXACT and int(float(number)) != number]
    return [number for number in found if number >= MIN_NUMBER and not is_placeholder(str(number))]


_MOST_DIGITS = 64  # of a number; Python converts no text of thousands of digits
_RUN_OF_DIGITS = re.compile(r"(?<!\d)\d{8,40}(?!\d)")
_SEPARATED = re.compile(r"[+(]*\d[\d ()+/.-]{7,30}")
_MIN_COMPONENT = 10  # digits of a component of a UID
_LARGEST_EXACT = 1 << 53


def _counts(component: str) -> bool:
    return component.isdecimal() and (len(component) >= _MIN_COMPONENT or may_be_date(int(component)))


def _is_part(word: str) -> bool:
    return len(word) >= MIN_PART and not DIGITS.match(word)


def _sequences(words: list[str], *, single: bool) -> Iterator[Sequence[str]]:
    """Yield the sequences of words that are identifiers; with `single` also each word, and two words reversed."""
    weights = [0 if is_standard_uid(word) or is_placeholder(word) else weight_of(word) for word in words]
    if sum(weights) < MIN_WEIGHT:
        return
    for start in range(max(len(words) - MAX_WORDS, 0) + 1):
        end = start + MAX_WORDS
        if all(weights[start:end]) or sum(weights[start:end]) >= MIN_WEIGHT:
            yield words[start:end]
    if single:
        yield from ([word] for word, weight in zip(words, weights, strict=True) if weight >= MIN_WEIGHT)
        if len(words) == 2:
            yield words[::-1]


MIN_DIGITS = 8  # of a number that is searched: a date, or a long id; shorter numbers occur everywhere
MIN_NUMBER = 10 ** (MIN_DIGITS - 1)
MIN_PART = 4  # characters of a word that is stored as a part; shorter words would exclude little
# Letters of a name that is searched for within a run of Han, Kana and Hangul: shorter ones are parts of many words.
MIN_RUN, MIN_RUN_OF_KANA, MAX_RUN = 3, 5, 16
MIN_WEIGHT = 5  # characters of an identifier; shorter words occur everywhere
CHARSET = "CS"  # the kind of Specific Character Set (0008,0005), the only text of this VR that is gathered


class Gatherer:
    """Collects the identifiers of many files; repeated values cost one look-up."""

    def __init__(self) -> None:
        self._seen: set[tuple[str, bytes] | tuple[str, bytes, bytes]] = set()
        self._new: set[int] = set()

    def add(self, path: bytes, texts: Iterable[tuple[str, bytes]]) -> None:
        """Add the path of a file, relative to its source, and the texts of its header.

        A text of the kind `CHARSET` gives the character sets of the texts after it.
        """
        seen, charset = self._seen, b""
        if len(seen) > _MAX_SEEN:
            seen.clear()
        for item in texts:
            if item not in seen:
                if item[0] == CHARSET:
                    charset = item[1]
                    continue
                if len(item[1]) > _MAX_LENGTH_SEEN:
                    pass
                elif not _depends_on_charset(item[1]):
                    seen.add(item)
                elif (key := (*item, charset)) in seen:  # the same bytes are other texts in other character sets
                    continue
                else:
                    seen.add(key)
                self._new.update(identifiers_of(*item, charset))
        for part in path.split(b"/"):
            if ("path", part) not in seen:
                seen.add(("path", part))
                self._new.update(identifiers_of("path", part))

    def take(self) -> list[int]:
        """Return the identifiers that are new since the last call, sorted."""
        new, self._new = sorted(self._new), set()
        return new


def distinct(hashes: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return the distinct hashes, sorted; faster than `np.unique` where parts are sorted already."""
    ordered = np.sort(hashes, kind="stable")
    return ordered[np.concatenate(([True], ordered[1:] != ordered[:-1]))] if len(ordered) else ordered


class IdentifierFile:
    """The identifiers of a source: a file of sorted hashes, and a second file with the additions of the current run.

    Identifiers are only ever added. Each addition is written before the index rows of the same files, so that an
    interrupted run loses none.

    Parameters
    ----------
    path : Path
        Of the file.
    code : str
        Digest of the code that gathers; a file of other code is not used.
    """

    def __init__(self, path: Path, code: str) -> None:
        self._path, self._additions_path = path, path.with_suffix(".more")
        self._code = int.from_bytes(hashlib.sha256(code.encode()).digest()[:8], "big")
        self._parts: list[NDArray[np.uint64]] = []
        self._stream: IO[bytes] | None = None  # of the additions
        self._resumes = False

    def load(self) -> bool:
        """Read the identifiers on disk; return False where this code did not write them, or some are lost."""
        base, additions = self._base(), self._additions()
        is_complete = base is not None if additions is None else bool(additions[1]) <= (base is not None)
        if not is_complete:
            return False
        self._resumes = additions is not None
        self._parts = [part for part in (base, None if additions is None else additions[2:]) if part is not None]
        return True

    def _base(self) -> NDArray[np.uint64] | None:
        try:
            stored = np.load(self._path, allow_pickle=False)
        except (OSError, ValueError, EOFError):
            return None
        is_valid = stored.dtype == np.uint64 and stored.ndim == 1 and len(stored) and int(stored[0]) == self._code
        return stored[1:] if is_valid else None

    def _additions(self) -> NDArray[np.uint64] | None:
        """Return the additions of an interrupted run, after the code and whether there was a base file."""
        try:
            data = self._additions_path.read_bytes()
        except OSError:
            return None
        stored = np.frombuffer(data[: len(data) // 8 * 8], np.uint64)
        return stored if len(stored) >= 2 and int(stored[0]) == self._code else None

    def add(self, identifiers: Sequence[int]) -> None:
        """Add identifiers, in memory and to the file of additions."""
        if not len(identifiers):
            return
        part = np.array(identifiers, np.uint64)
        if self._stream is None:
            self._stream = self._open_additions()
        self._stream.write(part.tobytes())
        self._parts.append(part)
        if len(self._parts) > _MAX_PARTS:
            self._parts = [self._merged()]

    def _open_additions(self) -> IO[bytes]:
        """Open the file of additions: append to that of an interrupted run, or start a new one."""
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        handle = os.open(self._additions_path, flags, files.PRIVATE_FILE)
        stream = open(handle, "r+b", buffering=0)  # noqa: SIM115 - open until `save`
        weakref.finalize(self, stream.close)  # where the run is interrupted before
        if self._resumes:
            stream.truncate(stream.seek(0, os.SEEK_END) // 8 * 8)
            stream.seek(0, os.SEEK_END)
        else:
            stream.truncate(0)
            stream.write(np.array([self._code, bool(self._parts)], np.uint64).tobytes())
        return stream

    def _merged(self) -> NDArray[np.uint64]:
        return distinct(np.concatenate([np.empty(0, np.uint64), *self._parts]))

    def save(self) -> None:
        """Write all identifiers atomically, readable by the owner alone, and remove the file of additions."""
        identifiers = self._merged()
        self._parts = [identifiers]
        with files.replacing(self._path, private=True) as stream:
            np.save(stream, np.concatenate([np.array([self._code], np.uint64), identifiers]), allow_pickle=False)
        if self._stream is not None:
            self._stream.close()
            self._stream = None
        self._additions_path.unlink(missing_ok=True)


_MAX_IN_SET = 200_000  # identifiers; more take too much memory as a set


def read_identifiers(path: Path) -> tuple[frozenset[int] | _SortedHashes, int, NDArray[np.uint64]]:
    """Read a file of identifiers.

    Returns
    -------
    identifiers : container of int
        For tests of membership.
    code : int
        First 64 bits of the digest of the code that gathered them.
    array : ndarray of uint64
        The same identifiers, sorted.
    """
    stored: NDArray[np.uint64] = np.load(path, allow_pickle=False)
    array = stored[1:]
    return frozenset(array.tolist()) if len(array) < _MAX_IN_SET else _SortedHashes(array), int(stored[0]), array


class _SortedHashes:
    """Membership in a sorted array; the first bits of a hash select a few neighbours, which are compared."""

    def __init__(self, hashes: NDArray[np.uint64]) -> None:
        bits = min(max(len(hashes).bit_length() - 3, 1), 26)
        shift = np.uint64(64 - bits)
        firsts = np.searchsorted(hashes, np.arange(1 << bits, dtype=np.uint64) << shift)
        self._shift = 64 - bits
        self._starts = memoryview(np.append(firsts, len(hashes)).astype(np.uint64).data)
        self._hashes = memoryview(np.ascontiguousarray(hashes).data)

    def __contains__(self, number: object) -> bool:
        first = cast(int, number) >> self._shift
        return number in self._hashes[self._starts[first] : self._starts[first + 1]]
