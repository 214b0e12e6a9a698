"""What is looked for: the words of the source that may identify a patient, each as a number of 64 bits.

A value counts by its words, whatever stands between them: ``Name^Given``, ``name given`` and ``Given_Name`` are one.
Numbers instead of texts keep ten million files in some hundred megabytes, and a lost file from being a list of names.
"""

from __future__ import annotations

import functools
import hashlib
import os
import re
import struct
import unicodedata
import warnings
import weakref
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, cast

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

from dicomzarr.dicom.standard_uids import is_standard_uid
from dicomzarr.dicom.vr import TEXT_VRS, VRS
from dicomzarr.system import files

NEEDLES = "needles.npy"  # their file in the folder of caches
LONGEST = 4  # words of a needle; a longer text has one for each of its words
_WORD = re.compile(r"\d+(?:\.\d+)+|[^\W_]+")
DIGITS = re.compile(r"[0-9.]+\Z")
_ITEM = b"\xfe\xff\x00\xe0"
_IMPLICIT = struct.Struct("<HHI").unpack_from
_NAMES = ("PN", "path")  # every single word of these counts, of other texts the whole
_IDS = ("PN", "LO", "SH", "UI", "path", "")  # whose plain hashes are looked for too
_HASHES = (hashlib.md5, hashlib.sha1, hashlib.sha256, blake3)
_MANY = 1024  # additions that are kept apart
_MAX_SEEN = 1 << 18  # values that a reader of headers remembers


def words_of(text: str) -> list[str]:
    """Return the words of a text in lower case: runs of letters and digits, and numbers with dots such as UIDs.

    However Unicode composes a letter, and whichever case or width it has, the word is the same.
    """
    return _WORD.findall(text.lower() if text.isascii() else unicodedata.normalize("NFKC", text).casefold())


def weight_of(word: str) -> int:
    """Return how much a word says: its letters, those of scripts that write a syllable or a word with one threefold."""
    return len(word) if word.isascii() else sum(3 if letter >= _IDEOGRAPHS else 1 for letter in word)


_IDEOGRAPHS = "\u2e80"  # from here on: Han, Kana, Hangul


def needle(words: Sequence[str]) -> int:
    """Return the number that stands for a sequence of words."""
    return int.from_bytes(hashlib.blake2b(" ".join(words).encode("utf-8", "replace"), digest_size=8).digest(), "big")


def needle_of_part(word: str) -> int:
    """Return the number that says of a word that it is one of several of a needle."""
    return needle(("", word))


def needle_of_hash(digest: bytes | str) -> int:
    """Return the number that stands for a plain hash, bytes or hex: its first 64 bits."""
    return int(digest[:16], 16) if isinstance(digest, str) else int.from_bytes(digest[:8], "big")


def needles_of(kind: str, value: bytes, charset: bytes = b"") -> Iterator[int]:
    """Yield the needles of one value.

    Parameters
    ----------
    kind : str
        The VR, "" where the syntax has none, or ``path`` for one part of a path. ``SQ`` stands for the items of a
        sequence, in whichever little endian syntax, the last of which may be cut.
    value : bytes
        As it stands in the file, padding included.
    charset : bytes
        Specific Character Set (0008,0005) of the file.

    Notes
    -----
    A UID of the standard identifies nobody, wherever it stands: alone, among several values, or in a longer text or
    name, which counts by its other words.
    """
    if kind == "SQ":
        for inner, within in _nested(value):
            yield from needles_of(inner, within, charset)
        return
    value = value.strip(b" \0")
    if not value:
        return
    texts = _texts(value, kind, charset)
    if kind == "" and not all(text.isprintable() for text in texts):
        return  # a private element of an implicit syntax that holds no text
    for text in texts:
        for part in text.split("\\") if kind != "path" else (text,):
            words = words_of(part)
            yield from map(needle, _sequences(words, single=kind in _NAMES))
            if len(words) > 1:
                yield from map(needle_of_part, filter(_is_part, words))
    if kind in _IDS and not is_standard_uid(value.decode("latin-1")):
        yield from (needle_of_hash(make(value).digest()) for make in _HASHES)


def _nested(items: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield VR and bytes of the texts within the items of a sequence (PS3.5 7.5), at any depth."""
    position = 0
    while position + 8 <= len(items):
        group, element, length = _IMPLICIT(items, position)
        vr, start = items[position + 4 : position + 6].decode("latin-1"), position + 8
        if group == 0xFFFE:  # an item is walked into, a delimiter passed over
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
        if vr in TEXT_VRS:
            yield vr, value
        elif not vr:
            yield "", value
        position = start + length


def _texts(value: bytes, kind: str, charset: bytes) -> set[str]:
    """Return how the bytes read: in UTF-8, else in Latin-1, and as the file says that they are to be read."""
    if value.isascii() and b"\x1b" not in value:
        return {value.decode("ascii")}
    found = set() if kind == "path" else _decoded(value, charset)
    try:
        found.add(value.decode("utf-8"))
    except UnicodeDecodeError:
        found.add(value.decode("latin-1"))
    return found


def _decoded(value: bytes, charset: bytes) -> set[str]:
    """Return how a text reads in the character sets of its file (PS3.3 C.12.1.1.2), if those are known."""
    from pydicom.charset import decode_bytes
    from pydicom.valuerep import PN_DELIMS, TEXT_VR_DELIMS

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return {decode_bytes(value, _encodings(charset), PN_DELIMS | TEXT_VR_DELIMS)}
    except Exception:  # what pydicom says of it quotes the value
        return set()


@functools.lru_cache(maxsize=256)
def _encodings(charset: bytes) -> list[str]:
    from pydicom.charset import convert_encodings

    found: list[str] = convert_encodings([term.strip() for term in charset.decode("latin-1").split("\\")])
    return found


def _is_part(word: str) -> bool:
    return len(word) >= LEAST_PART and not DIGITS.match(word)


def _sequences(words: list[str], *, single: bool) -> Iterator[Sequence[str]]:
    weights = [0 if is_standard_uid(word) else weight_of(word) for word in words]
    if sum(weights) < LEAST:
        return
    for start in range(max(len(words) - LONGEST, 0) + 1):
        end = start + LONGEST
        if all(weights[start:end]) or sum(weights[start:end]) >= LEAST:
            yield words[start:end]
    if single:
        yield from ([word] for word, weight in zip(words, weights, strict=True) if weight >= LEAST)
        if len(words) == 2:
            yield words[::-1]


LEAST_PART = 4  # characters of a word that is known as a part of a needle: of shorter ones that would say little
LEAST = 5  # characters of what is looked for: shorter words are everywhere
CHARSET = "CS"  # the kind of Specific Character Set, the only text of this VR that is gathered


class Gatherer:
    """Collects the needles of many files; values met before cost a look-up."""

    def __init__(self) -> None:
        self._seen: set[tuple[str, bytes]] = set()
        self._new: set[int] = set()

    def add(self, path: bytes, texts: Iterable[tuple[str, bytes]]) -> None:
        """Take in the path of a file, relative to its source, and the texts of its header.

        The kind `CHARSET` among the texts says how those after it are to be read.
        """
        seen, charset = self._seen, b""
        if len(seen) > _MAX_SEEN:
            seen.clear()
        for item in texts:
            if item not in seen:
                if item[0] == CHARSET:
                    charset = item[1]
                    continue
                seen.add(item)
                self._new.update(needles_of(*item, charset))
        for part in path.split(b"/"):
            if ("path", part) not in seen:
                seen.add(("path", part))
                self._new.update(needles_of("path", part))

    def take(self) -> list[int]:
        """Return what is new since the last call, sorted."""
        new, self._new = sorted(self._new), set()
        return new


def distinct(numbers: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return the distinct numbers, sorted; runs that are sorted already cost little, which `np.unique` does not use."""
    ordered = np.sort(numbers, kind="stable")
    return ordered[np.concatenate(([True], ordered[1:] != ordered[:-1]))] if len(ordered) else ordered


class Needles:
    """The needles of a source, as a file of sorted numbers that only grows; one beside it holds what a run adds.

    Each addition is on its way to the disk before the rows are that it was gathered with, so that an interrupted run
    loses none.

    Parameters
    ----------
    path : Path
        Of the file.
    code : str
        Digest of the code that gathers; what other code gathered is not taken over.
    """

    def __init__(self, path: Path, code: str) -> None:
        self._path, self._more_path = path, path.with_suffix(".more")
        self._code = int.from_bytes(hashlib.sha256(code.encode()).digest()[:8], "big")
        self._parts: list[NDArray[np.uint64]] = []
        self._more: IO[bytes] | None = None
        self._takes_up = False

    def load(self) -> bool:
        """Take over what is on disk; return False where it is not all that this code gathered."""
        base, more = self._base(), self._additions()
        whole = base is not None if more is None else bool(more[1]) <= (base is not None)
        if not whole:
            return False
        self._takes_up = more is not None
        self._parts = [part for part in (base, None if more is None else more[2:]) if part is not None]
        return True

    def _base(self) -> NDArray[np.uint64] | None:
        try:
            known = np.load(self._path, allow_pickle=False)
        except (OSError, ValueError, EOFError):
            return None
        fits = known.dtype == np.uint64 and known.ndim == 1 and len(known) and int(known[0]) == self._code
        return known[1:] if fits else None

    def _additions(self) -> NDArray[np.uint64] | None:
        """Return the additions of an interrupted run after two numbers: the code, and whether there was a base."""
        try:
            data = self._more_path.read_bytes()
        except OSError:
            return None
        found = np.frombuffer(data[: len(data) // 8 * 8], np.uint64)
        return found if len(found) >= 2 and int(found[0]) == self._code else None

    def add(self, needles: Sequence[int]) -> None:
        """Add needles."""
        if not len(needles):
            return
        part = np.array(needles, np.uint64)
        if self._more is None:
            self._more = self._begin()
        self._more.write(part.tobytes())
        self._parts.append(part)
        if len(self._parts) > _MANY:
            self._parts = [self._all()]

    def _begin(self) -> IO[bytes]:
        """Open the file of additions: go on with the one taken over, or begin another."""
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        handle = os.open(self._more_path, flags, files.PRIVATE_FILE)
        stream = open(handle, "r+b", buffering=0)  # noqa: SIM115 - it stays open until all is saved
        weakref.finalize(self, stream.close)  # where a run is interrupted before
        if self._takes_up:
            stream.truncate(stream.seek(0, os.SEEK_END) // 8 * 8)
            stream.seek(0, os.SEEK_END)
        else:
            stream.truncate(0)
            stream.write(np.array([self._code, bool(self._parts)], np.uint64).tobytes())
        return stream

    def _all(self) -> NDArray[np.uint64]:
        return distinct(np.concatenate([np.empty(0, np.uint64), *self._parts]))

    def save(self) -> None:
        """Write all needles, whole or not at all, for the owner alone."""
        found = self._all()
        self._parts = [found]
        with files.replacing(self._path, private=True) as stream:
            np.save(stream, np.concatenate([np.array([self._code], np.uint64), found]), allow_pickle=False)
        if self._more is not None:
            self._more.close()
            self._more = None
        self._more_path.unlink(missing_ok=True)


_FEW = 200_000  # needles that a set may hold


def read_needles(path: Path) -> tuple[frozenset[int] | _Sorted, int, NDArray[np.uint64]]:
    """Return the needles in a file: what says whether a number is among them, what gathered them, and as an array.

    The array is sorted.
    """
    whole: NDArray[np.uint64] = np.load(path, allow_pickle=False)
    found = whole[1:]
    return frozenset(found.tolist()) if len(found) < _FEW else _Sorted(found), int(whole[0]), found


class _Sorted:
    """Membership in a sorted array, where a set would take too much memory: by the first bits to a few neighbours."""

    def __init__(self, needles: NDArray[np.uint64]) -> None:
        bits = min(max(len(needles).bit_length() - 3, 1), 26)
        shift = np.uint64(64 - bits)
        firsts = np.searchsorted(needles, np.arange(1 << bits, dtype=np.uint64) << shift)
        self._shift = 64 - bits
        self._starts = memoryview(np.append(firsts, len(needles)).astype(np.uint64).data)
        self._needles = memoryview(np.ascontiguousarray(needles).data)

    def __contains__(self, number: object) -> bool:
        first = cast(int, number) >> self._shift
        return number in self._needles[self._starts[first] : self._starts[first + 1]]
