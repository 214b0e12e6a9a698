"""Check the config key `card`, beyond what the schema can: licence, ORCID, date and characters."""

from __future__ import annotations

import datetime
import difflib
import re
import unicodedata
from collections.abc import Iterator, Mapping
from typing import Any

from dicomzarr.vocabulary.errors import ConfigProblem

OTHER = "other"  # a licence without an SPDX identifier
_REFUSED = ("Cc", "Cs", "Zl", "Zp")  # Unicode categories: control characters, surrogates, separators of lines
TEXT_BREAKS = "\n\t"  # in the description; all other texts are one line


def with_text_date(card: Any) -> Any:
    """Return the card with its date as text: YAML reads ``2026-11-30`` as a date, unless it is in quotes."""
    if isinstance(card, Mapping) and isinstance(card.get("date_released"), datetime.date):
        return {**card, "date_released": card["date_released"].isoformat()}
    return card


def check_card(card: Mapping[str, Any]) -> None:
    """Check the card; the schema has been checked before.

    Raises
    ------
    ConfigProblem
        If a text has control characters, the licence is no SPDX identifier, a date is none, or an ORCID is mistyped.
    """
    for key, text in _texts(card, "card"):
        allowed = TEXT_BREAKS if key == "card.description" else ""
        bad = next(
            (letter for letter in text if unicodedata.category(letter) in _REFUSED and letter not in allowed), None
        )
        if bad is not None:
            more = "" if allowed else " and line breaks"
            raise ConfigProblem(
                f"config key {key!r}: found the character {bad!r}; control characters{more} are not allowed"
            )
        if not text.strip():
            raise ConfigProblem(f"config key {key!r}: found only spaces; write it, or leave the key out")
    _check_license(card)
    _check_date(card.get("date_released"))
    for number, author in enumerate(card.get("authors", ())):
        _check_author(author, f"card.authors.{number}")


def _texts(value: Any, key: str) -> Iterator[tuple[str, str]]:
    """Yield every text of the card with its key."""
    if isinstance(value, str):
        yield key, value
    items = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
    for name, item in items:
        yield from _texts(item, f"{key}.{name}")


def _check_license(card: Mapping[str, Any]) -> None:
    found = card.get("license")
    if found is None:
        if "license_url" in card:
            raise ConfigProblem(
                "config key 'card.license' is missing; with license_url it is needed: an SPDX identifier, or other"
            )
        return
    if found == OTHER:
        if "license_url" not in card:
            raise ConfigProblem(
                "config key 'card.license_url' is missing; with license: other it is needed: the address of its text"
            )
        return
    if _spdx(found) != found:
        near = difflib.get_close_matches(found, _COMMON, 1)
        better = _spdx(found) or (near[0] if near else "")
        hint = f"did you mean {better!r}?" if better else "see https://spdx.org/licenses"
        raise ConfigProblem(
            f"config key 'card.license': found {found[:100]!r}, needed is an SPDX identifier such as CC-BY-4.0, or "
            f"other; {hint}"
        )


# For the hint of a mistyped licence: those that datasets often have.
_COMMON = (
    "CC0-1.0", "CC-BY-4.0", "CC-BY-SA-4.0", "CC-BY-NC-4.0", "CC-BY-ND-4.0", "CC-BY-NC-SA-4.0", "CC-BY-NC-ND-4.0",
    "CC-BY-3.0", "ODC-By-1.0", "ODbL-1.0", "PDDL-1.0", "CDLA-Permissive-2.0", "MIT", "Apache-2.0", "other",
)  # fmt: skip


def _spdx(text: str) -> str:
    """Return the SPDX identifier of one licence as SPDX spells it, empty if there is none."""
    if not _IDENTIFIER.fullmatch(text) or text.lower().startswith("licenseref-"):
        return ""
    try:  # installed with Snakemake
        from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression
    except ImportError:  # before packaging 24.2, which a Snakemake of one's own may have: not compared with the list
        return text
    try:
        return canonicalize_license_expression(text)
    except InvalidLicenseExpression:
        return ""


_IDENTIFIER = re.compile(r"[A-Za-z0-9.-]{1,64}")


def _check_date(found: str | None) -> None:
    try:
        datetime.date.fromisoformat(found or "2000-01-01")
    except ValueError:
        raise ConfigProblem(
            f"config key 'card.date_released': found {found!r}, needed is a day of the calendar such as 2026-11-30"
        ) from None


def _check_author(author: Mapping[str, str], key: str) -> None:
    """Refuse a person whose family name is unknown, and an ORCID whose check digit is wrong (ISO 7064, mod 11-2)."""
    personal = sorted({"orcid", "affiliation"} & set(author))
    if personal and "," not in author["name"]:
        raise ConfigProblem(
            f"config key '{key}.name': found no comma; an author with {' and '.join(personal)} is a person, written "
            "Family, Given"
        )
    if not author["name"].partition(",")[0].strip():
        raise ConfigProblem(f"config key '{key}.name': found no family name before the comma")
    digits = author.get("orcid", "").replace("-", "")
    if digits:
        total = 0
        for digit in digits[:-1]:
            total = (total + int(digit)) * 2
        if "0123456789X"[(12 - total % 11) % 11] != digits[-1]:
            raise ConfigProblem(
                f"config key '{key}.orcid': found {author['orcid']!r}, whose last digit does not match the others; "
                "compare it with https://orcid.org"
            )
