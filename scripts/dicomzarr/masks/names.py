"""Names of masks: from a vocabulary of patterns and codes, since labels are free text that may identify a person."""

from __future__ import annotations

import difflib
import math
import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from re import _constants as tokens  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import TYPE_CHECKING, Any

from dicomzarr.masks import coded_concepts
from dicomzarr.vocabulary.errors import ConfigProblem

if TYPE_CHECKING:
    from dicomzarr.masks.model import Code, Description

UNNAMED = "unnamed"
# Patterns are searched in so many characters of a text. A Segment Label or ROI Name may have 64.
SEARCHED = 128
# How many ways of matching a pattern may have in a text of this length, so that no label makes a search last: some
# 100 million a second are tried.
MOST_WAYS = 2**27
# SCT:10200004, NCIt:C113842: Coding Scheme Designator and Code Value.
CODE = re.compile(r"([A-Z0-9][A-Za-z0-9_]{1,15}):([A-Za-z0-9][A-Za-z0-9._^-]{0,63})")
# Coding schemes of structures, and what people write for SCT: their codes are no patterns.
_SCHEME = re.compile(r"\s*(SCT|SRT|SNM3|SNOMED|NCIt|FMA|DCM|UMLS|RADLEX|UBERON)\s*:", re.IGNORECASE)
# A pattern that matches all of these says nothing about a structure.
_UNLIKE = ("qx", "Zw 1", "vk-3", "HJ")
_MANY = 1e100


class Vocabulary:
    """The names that masks can have: those of the configuration, then those of the table of coded concepts.

    Parameters
    ----------
    names : mapping of str to sequence of str, or iterable of such pairs
        The key ``masks.names`` of the configuration: name and its patterns or codes. Where several patterns match, the
        first name counts, so that their order must be kept.

    Raises
    ------
    ConfigProblem
        If a pattern cannot be used, or a code has two names; the first one is named.
    """

    def __init__(self, names: Mapping[str, Sequence[str]] | Iterable[tuple[str, Sequence[str]]] = ()) -> None:
        pairs = list(names.items() if isinstance(names, Mapping) else names)
        self.configured = frozenset(name for name, _ in pairs)
        self._codes: dict[tuple[str, str], str] = {}
        self._patterns: list[tuple[str, re.Pattern[str]]] = []
        self._found: dict[str, str] = {}
        for name, entries in pairs:
            for number, entry in enumerate(entries):
                self._add(name, entry, f"masks.names.{name}.{number}")

    def _add(self, name: str, entry: str, key: str) -> None:
        match, scheme = CODE.fullmatch(entry), _SCHEME.match(entry)
        if scheme and (match is None or match[1] not in coded_concepts.SCHEMES):
            raise ConfigProblem(
                f"config key {key!r}: found {entry!r}, which begins as a code does and is none; needed is scheme:value "
                "without spaces, such as SCT:10200004 or NCIt:C12392"
            )
        if match is None:
            self._patterns.append((name, _compiled(entry, key)))
            return
        other = self._codes.setdefault(_current(match[1], match[2]), name)
        if other != name:
            raise ConfigProblem(
                f"config key {key!r}: the code {entry!r} has the name {other!r} already; a code has one name"
            )

    def name_of(self, description: Description) -> str:
        """Return the name of a mask.

        Configured codes come first, then configured patterns in the label, then in the description, then the table of
        coded concepts.

        Parameters
        ----------
        description : Description

        Returns
        -------
        str
            Empty if nothing matches.
        """
        for code in description.codes:
            name = self._codes.get(_current(code.scheme, code.value), "")
            if name:
                return name
        return (
            self._by_pattern(description.label)
            or self._by_pattern(description.description)
            or name_of_codes(description.codes)
        )

    def _by_pattern(self, text: str) -> str:
        text = text[:SEARCHED]
        if text not in self._found:
            if len(self._found) >= 10_000:
                self._found.clear()
            self._found[text] = next((name for name, pattern in self._patterns if pattern.search(text)), "")
        return self._found[text]


def name_of_codes(codes: Sequence[Code]) -> str:
    """Return the name that the table of coded concepts has for a description.

    The first code decides that is not a generic concept such as "Tissue": the region of a lesion that the table lacks
    is not the name of that lesion. A code for left or right anywhere in the description gives the side of a structure
    that both sides have.

    Parameters
    ----------
    codes : sequence of Code
        The most specific first.

    Returns
    -------
    str
        Empty if the table does not have the concept, or the side contradicts it.
    """
    code = known_code(codes)
    if code is None:
        return ""
    name = coded_concepts.NAMES[_current(code.scheme, code.value)]
    found = {value for scheme, value in (_current(code.scheme, code.value) for code in codes) if scheme == "SCT"}
    sides = [word for value, word in coded_concepts.SIDES.items() if value in found]
    if len(sides) != 1:
        return name
    if name in coded_concepts.PAIRED_NAMES:
        return f"{sides[0]}_{name}"
    other_side = {"left": "right_", "right": "left_"}[sides[0]]
    return "" if name.startswith(other_side) else name


def known_code(codes: Sequence[Code]) -> Code | None:
    """Return the code of a description that is in the table of coded concepts and names it.

    Parameters
    ----------
    codes : sequence of Code
        The most specific first.

    Returns
    -------
    Code or None
        As the file states it.
    """
    current = [_current(code.scheme, code.value) for code in codes]
    is_finding = any(scheme == "SCT" and value in coded_concepts.FINDINGS for scheme, value in current)
    for code, (scheme, value) in zip(codes, current, strict=True):
        if scheme == "SCT" and value in coded_concepts.GENERIC:
            if is_finding and value not in coded_concepts.SIDES:
                return None
            continue
        return code if (scheme, value) in coded_concepts.NAMES else None
    return None


def mask_folder_names(descriptions: Sequence[Description], vocabulary: Vocabulary) -> list[tuple[str, str]]:
    """Return the folder and the name of each mask of one image.

    The first mask of a name has the name as its folder, others ``<name>_2``, ``<name>_3`` ...; numbers that would give
    a name of the vocabulary are left out. Masks without a name are ``unnamed_1``, ``unnamed_2`` ...

    Parameters
    ----------
    descriptions : sequence of Description
        The masks of the image, in an order that does not change from run to run.
    vocabulary : Vocabulary

    Returns
    -------
    list of (str, str)
        Folder, and name; the name is empty if nothing matches. Folders differ.
    """
    names = [vocabulary.name_of(description) for description in descriptions]
    reserved = vocabulary.configured | coded_concepts.ALL_NAMES
    taken: set[str] = set()
    last: dict[str, int] = {}
    folders = []
    for name in names:
        folder = name
        while not folder or folder in taken or (folder != name and folder in reserved):
            last[name] = last.get(name, 1 if name else 0) + 1
            folder = f"{name or UNNAMED}_{last[name]}"
        taken.add(folder)
        folders.append(folder)
    return list(zip(folders, names, strict=True))


def check_masks(masks: Mapping[str, Any]) -> None:
    """Check the key ``masks`` of a configuration beyond what its schema says.

    Parameters
    ----------
    masks : mapping
        Its keys are ``names`` and ``expected``, both optional.

    Raises
    ------
    ConfigProblem
        If a pattern cannot be used, a code has two names, or an expected name can never occur.
    """
    known = Vocabulary(masks.get("names", {})).configured | coded_concepts.ALL_NAMES
    for number, name in enumerate(masks.get("expected", ())):
        if name not in known:
            near = difflib.get_close_matches(name, sorted(known), 1)
            hint = f"did you mean {near[0]!r}? Otherwise" if near else "no mask could have this name:"
            raise ConfigProblem(
                f"config key 'masks.expected.{number}': found {name!r}, which is neither in masks.names nor a coded "
                f"concept; {hint} add it to masks.names"
            )


def _current(scheme: str, value: str) -> tuple[str, str]:
    """Return scheme and value of a code; those of SNOMED CT for its older schemes, where the table has the code."""
    scheme, value = scheme.strip(), value.strip()
    if scheme in coded_concepts.OLDER_SCHEMES:
        if value in coded_concepts.OLDER_CODES:
            return "SCT", coded_concepts.OLDER_CODES[value]
        return "SRT", value
    return scheme, value


# ---- Patterns


def _compiled(pattern: str, key: str) -> re.Pattern[str]:
    """Return a pattern that can be searched in any label: it compiles, is selective, and no text makes it slow."""
    start = f"config key {key!r}: the pattern {pattern!r}"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            compiled = re.compile(pattern)
            ways = _ways(parser.parse(pattern))
    except (re.error, OverflowError, RecursionError) as error:
        reason = error.msg if isinstance(error, re.error) else "too large"
        raise ConfigProblem(f"{start} is no regular expression ({reason}); needed is one of Python's re") from None
    if ways > MOST_WAYS:
        raise ConfigProblem(
            f"{start} could take very long on some labels, since it can match in too many ways; repeat single "
            "characters only (as in 'left.*lung', not '(left|l)+'), with few * or + each, and list several patterns"
        )
    if compiled.search("") or all(compiled.search(text) for text in _UNLIKE):
        raise ConfigProblem(f"{start} matches every label; needed is one that only this structure matches")
    return compiled


_REPEATS = (tokens.MAX_REPEAT, tokens.MIN_REPEAT, tokens.POSSESSIVE_REPEAT)


def _ways(parsed: Any) -> float:
    """Return an upper bound of the ways in which a search can match a pattern in a text of `SEARCHED` characters."""
    parts = list(parsed)
    anchored = bool(parts) and parts[0] == (tokens.AT, tokens.AT_BEGINNING) and not parsed.state.flags & re.MULTILINE
    if parts and parts[-1][0] in _REPEATS and _product(parts[-1][1][2]) == 1:
        parts.pop()  # nothing follows that could fail
    factors = [float(SEARCHED)] * (not anchored)
    _collect(parts, factors)
    # Repeats share the characters of one text: of n lengths each, n^k / k! combinations fit.
    return math.prod(factors) / math.factorial(min(100, sum(factor >= SEARCHED for factor in factors)))


def _collect(parsed: Any, factors: list[float]) -> None:
    """Append the number of ways of each part of a parsed pattern that has several."""
    for operation, argument in parsed:
        if operation is tokens.BRANCH:
            factors.append(sum(_product(branch) for branch in argument[1]))
        elif operation in _REPEATS:
            least, most, body = argument
            least, most = min(int(least), SEARCHED), min(int(most), SEARCHED)
            inner = _product(body)
            if inner == 1:
                factors.append(max(1, min(most - least + 1, SEARCHED)))
            else:  # each repetition multiplies
                factors.append(min(_MANY, most * math.exp(min(most * math.log(inner), 230))))
        elif operation is tokens.SUBPATTERN:
            _collect(argument[3], factors)
        elif operation in (tokens.ASSERT, tokens.ASSERT_NOT):
            _collect(argument[1], factors)
        elif operation is tokens.ATOMIC_GROUP:
            _collect(argument, factors)
        elif operation is tokens.GROUPREF_EXISTS:
            for branch in argument[1:]:
                _collect(branch or (), factors)


def _product(parsed: Any) -> float:
    factors: list[float] = []
    _collect(parsed, factors)
    return min(math.prod(factors, start=1.0), _MANY)
