"""Numbers that are written in groups of digits, such as dates and telephone numbers."""

from __future__ import annotations

import datetime
import itertools
import re
from collections.abc import Collection, Container, Iterator

MIN_DIGITS, MAX_GROUPS = 8, 8
_SEPARATOR = "[-/. ]"
_GROUPED = re.compile(f"[0-9]+(?:{_SEPARATOR} ?[0-9]+)+")
_NEEDLE = re.compile(f"[+(]?({_GROUPED.pattern}|[0-9]{{8}})")
_YEARS = range(1850, 2101)


def forms_of(text: str) -> frozenset[str]:
    """Return the forms of a number in groups, or of a date; none if a text is neither.

    Groups are joined by hyphens; a form without groups is a number of its own. A date has all orders of year, month and
    day; of a day and a month that may be each other, both are meant.
    """
    match = _NEEDLE.fullmatch(text.strip())
    if not match:
        return frozenset()
    groups = re.findall("[0-9]+", match[1])
    number = "".join(groups)
    if len(number) < MIN_DIGITS - 2 or len(groups) > MAX_GROUPS:
        return frozenset()
    forms = {form for day in _days(groups, number) for form in _forms_of_day(day)}
    if len(groups) > 1 and len(number) >= MIN_DIGITS:
        forms |= {"-".join(groups), number}
    return frozenset(forms)


def _days(groups: list[str], number: str) -> Iterator[datetime.date]:
    """Yield the days that groups may mean."""
    if len(groups) == 1:
        groups = [number[:4], number[4:6], number[6:]]
    if len(groups) != 3 or max(map(len, groups)) > 4:
        return
    year_first = len(groups[0]) == 4
    if not year_first and len(groups[2]) != 4:
        return
    one, two, three = map(int, groups)
    for year, month, day in [(one, two, three)] if year_first else [(three, two, one), (three, one, two)]:
        if year in _YEARS and 1 <= month <= 12:
            try:
                yield datetime.date(year, month, day)
            except ValueError:
                continue


def _forms_of_day(day: datetime.date) -> Iterator[str]:
    year = f"{day.year}"
    for month, number in itertools.product({f"{day.month}", f"{day.month:02}"}, {f"{day.day}", f"{day.day:02}"}):
        for groups in ((year, month, number), (number, month, year), (month, number, year)):
            yield "-".join(groups)
            if len("".join(groups)) == MIN_DIGITS:
                yield "".join(groups)


def dates_in(text: str) -> Iterator[str]:
    """Yield the dates in a text, as YYYYMMDD: with the year first or last, and one separator between all parts.

    Also those with a time and no separator, such as 20031117T101530.
    """
    for match in _DATE.finditer(text):
        for day in _days(_DIGITS.findall(match.group()), match.group()):
            yield f"{day:%Y%m%d}"


# No part of a longer number in groups: of a UID, a version or an address. The digit in front lets the search skip more.
_DATE = re.compile(
    r"[0-9](?<![0-9].)(?<![0-9][-/.].)(?:[0-9]{3}([-/.])[0-9]{1,2}\1[0-9]{1,2}|[0-9]?([-/.])[0-9]{1,2}\2[0-9]{4}"
    r"|[0-9]{7}(?=[Tt][0-9]{4}))(?![0-9])(?![-/.][0-9])"
)


def separated_in(text: str) -> Iterator[str]:
    """Yield the digits of numbers in groups, such as 010185-1234 and 943 476 5919, as states and hospitals write them.

    One separator between all groups: a hyphen, a slash, a space or an underscore; in the first one also points between
    thousands, as in 12.345.678-5. Neither dates, which have other rules, nor two groups of four digits, such as a span
    of years or the name of a batch, nor single digits.
    """
    for match in _SEPARATED.finditer(text):
        groups = _DIGITS.findall(match.group())
        digits = "".join(groups)
        sizes = [*map(len, groups)]
        if len(digits) >= MIN_DIGITS and sizes != [4, 4] and max(sizes) > 1 and not any(_days(groups, "")):
            yield digits


def uids_in(text: str) -> Iterator[str]:
    """Yield the UIDs in a text whose points are underscores or hyphens, whole and without a number behind them."""
    for match in _UID.finditer(text):
        uid = ".".join(_DIGITS.findall(match.group()))
        yield uid
        yield uid.rpartition(".")[0]


def numbers_in_groups(text: str) -> Iterator[str]:
    """Yield the dates and the numbers in groups in a text, as both searches compare them."""
    yield from dates_in(text)
    yield from separated_in(text)


# No part of a word, of a number with a point, or of a UUID. The digit in front lets the search skip what has none.
_SEPARATED = re.compile(
    r"[0-9](?<![0-9A-Za-z].)(?<![0-9A-Fa-f]{4}-.)(?<![0-9]\..)"
    r"[0-9]*(?:\.[0-9]{3})*([-/_ ])[0-9]+(?:\1[0-9]+)*(?![0-9A-Za-z])(?!-[0-9A-Fa-f]{4})(?!\.[0-9])"
)
_UID = re.compile(r"[12](?<![0-9A-Za-z].)([-_])[0-9]+(?:\1[0-9]+){4,}(?![0-9A-Za-z])")
_DIGITS = re.compile("[0-9]+")


def holds(text: str, forms: Container[str], sizes: Collection[int], least: int = 0) -> bool:
    """Whether a text holds one of these forms of `least` digits or more; `sizes` are the numbers of their groups."""
    for match in _GROUPED.finditer(text):
        groups = re.findall("[0-9]+", match.group())
        for size in sizes:
            for at in range(len(groups) - size + 1):
                form = "-".join(groups[at : at + size])
                if len(form) - size + 1 >= least and form in forms:
                    return True
    return False
