"""The attributes that the header index stores, and the conversion of their bytes to numbers and strings.

Both readers use this table and these rules, so that they cannot disagree on a value.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias, cast

from dicomzarr.dicom import head_words
from dicomzarr.dicom.decimals import read_nonstandard
from dicomzarr.dicom.plausible import RANGES, is_plausible
from dicomzarr.dicom.velocity import velocity_encoding
from dicomzarr.dicom.vr import NUMBERS, STRING_VRS
from dicomzarr.headers import attribute_table, private_values, sequence_values
from dicomzarr.headers.attribute_table import ATTRIBUTES, CREATOR, PRIVATE_COMPRESSION, PRIVATE_TAGS

Values: TypeAlias = dict[int, tuple[str, bytes | None]]  # tag to VR and bytes

MAX_TEXT = 4096  # bytes of a text; an identifier, which is hashed, may be as long as a 16-bit length allows
MAX_IDENTIFIER = 65536
MAX_NUMBERS = 65536  # values of one attribute

# Directory Record Sequence: only read to recognise a DICOMDIR.
DIRECTORY_RECORDS = 0x00041220
WANTED = frozenset(ATTRIBUTES) | {DIRECTORY_RECORDS, PRIVATE_COMPRESSION}
PIXEL_REPRESENTATION = 0x00280103

_SPECIAL = {0x0051100F: "coil"}
_OF_COIL = (0x00510010, "SIEMENS MR HEADER")  # creator of the block
_PADDING = b" \0"
_DECIMAL_VRS = ("DS", "FD", "FL")


class Bad(Exception):
    """The element is present and its value is not valid for the attribute; holds nothing of the value."""


class Note(NamedTuple):
    """What is special about an element: it is private, or its value is nonstandard, implausible or unusable."""

    what: str  # private, coil, creator, nonstandard, implausible or bad
    keyword: str
    tag: int = 0  # of private elements alone
    value: object = None


def interpret(values: Values, *, little: bool) -> tuple[dict[str, object], frozenset[str]]:
    """Return attributes by keyword, and the keywords whose element has an unusable value.

    Parameters
    ----------
    values : dict
        Tag to (VR, bytes) as read; VR "" means the VR of PS3.6; bytes None means a sequence or too long a value.
    little : bool
        Whether binary values are little endian (PS3.5 7.3).

    Returns
    -------
    facts : dict
        Keyword to value, as the forms of `ATTRIBUTES` say.
    bad : frozenset of str
        Keywords of unusable values.

    Notes
    -----
    An empty value is an absent attribute (PS3.5 7.4.5 type 2). NaN and infinity are unusable. Values whose VR is US or
    SS depending on Pixel Representation (0028,0103) follow Pixel Representation, whatever VR is written.

    References
    ----------
    DICOM PS3.5 6.2 (VR), PS3.6 6 (attributes).
    """
    vr, value = values.get(PIXEL_REPRESENTATION, ("US", b""))
    signed = is_signed(vr, value, little)
    facts: dict[str, object] = {}
    notes: list[Note] = []
    for tag, (vr, value) in values.items():
        keyword, content = meaning_of(tag, vr, value, little, signed)
        if keyword:
            facts[keyword] = content
        elif content is not None:
            notes.append(content)  # type: ignore[arg-type]
    return facts, finish(facts, notes)


def meaning_of(tag: int, vr: str, value: bytes | None, little: bool, signed: bool) -> tuple[str, object]:
    """Return what an element says.

    Parameters
    ----------
    tag : int
    vr, value
        As in the values of `interpret`.
    little : bool
        Whether binary values are little endian.
    signed : bool
        Whether pixels are signed.

    Returns
    -------
    tuple of str and object
        Keyword and content of the attribute; ("", `Note`) where something is special about the element; ("", None)
        where it is unwanted or empty.
    """
    cache = _CACHE[little, signed]
    item = tag, vr, value
    meaning = cache.get(item)
    if meaning is None:
        meaning = _interpret(tag, vr, value, little, signed)
        if value is not None and (len(value) <= _MAX_CACHED_VALUE or _is_short_sequence(tag, value)):
            if len(cache) >= _MAX_CACHED:
                cache.clear()
            cache[item] = meaning
    return meaning


def finish(facts: dict[str, object], notes: Sequence[Note]) -> frozenset[str]:
    """Add to the facts what the notes hold, and remove what is no fact; return the keywords of unusable values.

    Parameters
    ----------
    facts : dict
        Attributes by keyword; changed.
    notes : sequence of Note
        Of the elements of which something is special, in the order of the file.

    Returns
    -------
    frozenset of str
    """
    maker = facts.pop("Manufacturer", "")
    creator = coil = None
    for note in notes:
        what = note.what
        if what == "creator":
            creator = note
        elif what == "coil" and creator is not None and creator.tag == _OF_COIL[0] and creator.value == _OF_COIL[1]:
            coil = note  # of most MR images of Siemens nothing else is special
        else:
            return _apply(notes, facts, str(maker))
    if coil is not None and coil.value and facts.get("Modality") == "MR":
        facts["coil_string"] = coil.value
    return frozenset()


def _apply(notes: Sequence[Note], facts: dict[str, object], maker: str) -> frozenset[str]:
    """Add to the facts what the notes hold, and what is wrong with numbers; return the keywords of unusable values."""
    of_private, is_all = None, False
    if facts.get("Modality") == "MR":
        meaning, is_all = _private_facts(notes, maker)
        of_private = private_values.add_private(facts, meaning)
    if of_private is None and is_all:
        return frozenset()
    found: dict[str, set[str]] = {"bad": set(), "nonstandard": set(), "implausible": set()}
    for note in notes:
        if not note.tag:
            found[note.what].add(note.keyword)
        if note.what == "nonstandard":
            facts[note.keyword] = note.value
    unreadable, implausible = of_private or ("", "")
    keywords = {
        "unreadable_numbers": found["bad"] & attribute_table.NUMBERS | {unreadable},
        "nonstandard_numbers": found["nonstandard"],
        "implausible_numbers": found["implausible"] | {implausible},
    }
    for name, group in keywords.items():
        if group - {""}:
            facts[name] = sorted(group - {""})
    return frozenset(found["bad"])


def _is_short_sequence(tag: int, value: bytes) -> bool:
    """Return whether a value is a sequence that repeats in a series, and takes long to interpret."""
    return tag in attribute_table.SEQUENCES and len(value) <= _MAX_CACHED_SEQUENCE


def _private_facts(notes: Sequence[Note], maker: str) -> tuple[private_values.PrivateFacts, bool]:
    """Return what the private elements among the notes say, and whether all notes are of private elements."""
    key = (maker, *map(id, notes))
    known = _PRIVATE.get(key)
    if known is None:
        private = {note.tag: note.value for note in notes if note.tag}
        meaning = private_values.private_facts(private, maker)
        if len(_PRIVATE) >= _MAX_CACHED:
            _PRIVATE.clear()
        known = _PRIVATE[key] = (meaning, len(private) == len(notes), tuple(notes))
    return known[0], known[1]


# Private elements repeat in the headers of a series, and so do their notes: they are found by identity. The notes are
# kept with the result, so that no other note gets their identity.
_PRIVATE: dict[tuple[object, ...], tuple[private_values.PrivateFacts, bool, tuple[Note, ...]]] = {}

# Cache of interpreted elements: most values are the same in each file of a series.
_CACHE: dict[tuple[bool, bool], dict[tuple[int, str, bytes | None], tuple[str, object]]] = {
    (little, signed): {} for little in (False, True) for signed in (False, True)
}
_MAX_CACHED = 1 << 14
_MAX_CACHED_SEQUENCE = 2048  # bytes
_MAX_CACHED_VALUE = 64  # bytes; longer values seldom repeat


def _interpret(tag: int, vr: str, value: bytes | None, little: bool, signed: bool) -> tuple[str, object]:
    plain = _PLAIN.get(tag)
    if plain is not None and value:
        keyword, standard_vr, convert, count = plain
        try:
            content = convert(value, standard_vr if vr in ("", "UN") else vr, little, signed)
        except (Bad, ValueError, OverflowError):
            pass
        else:
            if content is None:
                return "", None
            if count < 0 or len(cast(Sequence[object], content)) == count:
                return keyword, content
    row = ATTRIBUTES.get(tag)
    if row is None:
        return "", None
    keyword, _, form = row
    if form == "present":
        return keyword, True
    if value == b"":
        return "", None
    if tag in PRIVATE_TAGS:
        content = _value_of(row, vr, value, little, signed)
        if isinstance(content, Note):
            content = content.value
        return "", Note("creator" if keyword == CREATOR else _SPECIAL.get(tag, "private"), keyword, tag, content)
    if form in sequence_values.FORMS:
        odd: set[str] = set()
        try:
            content = sequence_values.FORMS[form](value, little, odd) if value is not None else None
        except sequence_values.Unreadable as error:
            return "", Note("bad", error.keyword)
        if odd and content is not None:
            return "", Note("nonstandard", keyword, value=content)
        return (keyword, content) if content is not None else ("", None)
    content = _value_of(row, vr, value, little, signed)
    if isinstance(content, Note):
        meant = content.value if isinstance(content.value, list) else [content.value]
        is_whole = content.what != "nonstandard" or len(meant) == attribute_table.COUNTS.get(keyword, len(meant))
        return "", content if is_whole else Note("bad", keyword)
    if content is None:
        return "", None
    numbers: list[Any] = content if isinstance(content, list) else [content]
    if len(numbers) != attribute_table.COUNTS.get(keyword, len(numbers)):
        return "", Note("bad", keyword)
    if (
        isinstance(numbers[0], (int, float))
        and keyword in RANGES
        and not all(is_plausible(keyword, n) for n in numbers)
    ):
        return "", Note("implausible", keyword)
    return keyword, content


def _value_of(row: tuple[str, str, str], vr: str, value: bytes | None, little: bool, signed: bool) -> object:
    """Return the value of an element, None where it is empty, or a note where it is unusable or nonstandard."""
    keyword, standard_vr, form = row
    if value is None:
        return Note("bad", keyword)
    if vr == "" or vr == "UN":
        vr = standard_vr
    try:
        return _FORMS[form](value, vr, little, signed)
    except (Bad, ValueError, OverflowError):
        pass
    if vr in STRING_VRS and standard_vr in _DECIMAL_VRS and len(value) <= MAX_TEXT:
        numbers = read_nonstandard(value.decode("latin-1").split("\\"), keyword)
        single = numbers[0] if numbers is not None and (form == "first" or len(numbers) == 1) else None
        meant = numbers if form == "reals" else single
        if meant is not None:
            first = numbers[0] if numbers else 0.0
            return Note("nonstandard" if is_plausible(keyword, first) else "implausible", keyword, value=meant)
    return Note("bad", keyword)


def is_signed(vr: str, value: bytes | None, little: bool) -> bool:
    """Return whether pixels are signed, as the value of Pixel Representation (0028,0103) says.

    Parameters
    ----------
    vr : str
        Empty or UN: it is read as US.
    value : bytes or None
        As it stands in the header; None if the attribute is absent.
    little : bool
        Whether the value is little endian.

    Returns
    -------
    bool
        False for a value that is no integer.
    """
    if not value or value == b"\0\0":
        return False
    try:
        return _integer(value, vr if vr not in ("", "UN") else "US", little, False) == 1
    except (Bad, ValueError):
        return False


def text_of(value: bytes) -> str:
    """Return a value as a string without padding: spaces, or for UI a NUL.

    Decoding as Latin-1 maps bytes to characters one to one, so that it never fails and two strings are equal only where
    the bytes are.

    Parameters
    ----------
    value : bytes
        A value of a string VR.

    Returns
    -------
    str
        One character for each byte, padding removed.

    References
    ----------
    DICOM PS3.5 6.2.
    """
    return value.strip(_PADDING).decode("latin-1")


def _text(value: bytes, vr: str, little: bool, signed: bool) -> str | None:
    if vr not in STRING_VRS or len(value) > MAX_TEXT:
        raise Bad
    return text_of(value) or None


def _texts(value: bytes, vr: str, little: bool, signed: bool) -> list[str] | None:
    if vr not in STRING_VRS or len(value) > MAX_TEXT:
        raise Bad
    if not text_of(value):
        return None
    return [text_of(part) for part in value.split(b"\\")]


def _id(value: bytes, vr: str, little: bool, signed: bool) -> str | None:
    if len(value) > MAX_IDENTIFIER:
        raise Bad
    return text_of(value) or None


def _numbers(value: bytes, vr: str, little: bool) -> list[float] | list[int]:
    """Return the numbers of a binary or textual value; an empty list where it holds nothing but padding.

    Of a text only spaces may stand before a number (PS3.5 6.2): a 0 there is a byte that was lost, with digits or a
    sign.
    """
    code = NUMBERS.get(vr)
    if code is not None:
        size = struct.calcsize(code)
        count, rest = divmod(len(value), size)
        if rest or count > MAX_NUMBERS:
            raise Bad
        return list(struct.unpack(("<" if little else ">") + str(count) + code, value))
    if vr not in STRING_VRS:
        raise Bad
    value = value.rstrip(_PADDING)
    if not value:
        return []
    # Python accepts underscores between digits, DICOM does not (PS3.5 6.2).
    if b"_" in value or value.count(b"\\") >= MAX_NUMBERS:
        raise Bad
    return [float(part.rstrip(_PADDING)) for part in value.split(b"\\")]


def _reals(value: bytes, vr: str, little: bool, signed: bool) -> list[float] | None:
    numbers = [float(number) for number in _numbers(value, vr, little)]
    for number in numbers:
        if not math.isfinite(number):
            raise Bad
    return numbers or None


def _real(value: bytes, vr: str, little: bool, signed: bool) -> float | None:
    if vr == "DS" and b"\\" not in value and b"_" not in value:
        try:
            number = float(value)
        except ValueError:
            value = value.rstrip(_PADDING)
            if not value:
                return None
            number = float(value)
        if not math.isfinite(number):
            raise Bad
        return number
    numbers = _reals(value, vr, little, signed)
    if numbers is not None and len(numbers) != 1:
        raise Bad
    return numbers[0] if numbers else None


def _integers(value: bytes, vr: str, little: bool, signed: bool) -> list[int] | None:
    if vr in STRING_VRS:
        value = value.rstrip(_PADDING)
        if not value:
            return None
        if b"_" in value or value.count(b"\\") >= MAX_NUMBERS:
            raise Bad
        return [_whole(part.rstrip(_PADDING)) for part in value.split(b"\\")]
    return [_narrow(number) for number in _numbers(value, vr, little)] or None


def _whole(part: bytes) -> int:
    """Return the integer of an IS value; some writers put a decimal string without a fraction there."""
    try:
        number = int(part)
    except ValueError:
        return _narrow(float(part))
    return _narrow(number)


def _narrow(number: float) -> int:
    """Return a number as a 64-bit integer; raise `Bad` if it is none."""
    if not -(2**63) <= number < 2**63 or number != int(number):  # NaN fails the comparison
        raise Bad
    return int(number)


def _integer(value: bytes, vr: str, little: bool, signed: bool) -> int | None:
    if vr == "US" and len(value) == 2:
        return int.from_bytes(value, "little" if little else "big")
    numbers = _integers(value, vr, little, signed)
    if numbers is not None and len(numbers) != 1:
        raise Bad
    return numbers[0] if numbers else None


def _first(value: bytes, vr: str, little: bool, signed: bool) -> float | int | None:
    # Echo Numbers (0018,0086) has a multiplicity of 1-n.
    whole = vr in ("IS", "US", "SS", "UL", "SL")
    numbers = _integers(value, vr, little, signed) if whole else _reals(value, vr, little, signed)
    return numbers[0] if numbers else None


def _pixel(value: bytes, vr: str, little: bool, signed: bool) -> int | None:
    if vr in ("US", "SS"):
        vr = "SS" if signed else "US"
    elif vr in ("UL", "SL"):
        vr = "SL" if signed else "UL"
    elif vr in ("OW", "OB") and len(value) == 2:
        vr = "SS" if signed else "US"
    return _integer(value, vr, little, signed)


def _head(value: bytes, vr: str, little: bool, signed: bool) -> bool | None:
    """Return True where a description names the head, else None; the text itself is not stored."""
    return True if head_words.bytes_name_head(value[:MAX_TEXT]) else None


def _velocity(value: bytes, vr: str, little: bool, signed: bool) -> str | None:
    """Return what a name of a sequence says of the encoding of velocity; the name is not stored."""
    return velocity_encoding(text_of(value[:MAX_TEXT])) or None


_FORMS: dict[str, Callable[[bytes, str, bool, bool], object]] = {
    "text": _text,
    "texts": _texts,
    "id": _id,
    "integer": _integer,
    "integers": _integers,
    "real": _real,
    "reals": _reals,
    "first": _first,
    "pixel": _pixel,
    "head": _head,
    "velocity": _velocity,
}
# Attributes of which nothing but form and count of the values is checked: tag to keyword, VR of PS3.6, conversion, and
# number of values, -1 for any.
_PLAIN = {
    tag: (keyword, vr, _FORMS[form], attribute_table.COUNTS.get(keyword, -1))
    for tag, (keyword, vr, form) in ATTRIBUTES.items()
    if form in _FORMS and tag not in PRIVATE_TAGS and keyword not in RANGES
}
