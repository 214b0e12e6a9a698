"""Format numbers and words for readers: digit groups, byte units, short ids, code."""

from __future__ import annotations

import re
from collections.abc import Iterable

from markupsafe import Markup

THIN = "\u202f"  # narrow no-break space: groups digits, and keeps a number and its unit on one line
MINUS = "\u2212"
TIMES = "\u00d7"
UNKNOWN = "\u2013"
_NUMBER = re.compile(r"\d+(\.\d*)?([eE][-+]?\d+)?")
_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")


def grouped(number: int) -> str:
    """Return a whole number with thin spaces between groups of three digits, from five digits on."""
    text = f"{number:,}" if abs(number) >= 10_000 else str(number)
    return text.replace(",", THIN).replace("-", MINUS)


def count(number: int, noun: str, plural: str = "") -> str:
    """Return a number with its noun, such as ``1 file`` or ``2 files``.

    Parameters
    ----------
    number : int
    noun : str
        Singular.
    plural : str
        By default the singular with an ``s``.
    """
    return f"{grouped(number)} {noun if number == 1 else plural or noun + 's'}"


def byte_size(number: int) -> str:
    """Return bytes in decimal units with three significant digits, such as ``1.25 MB``."""
    value, unit = float(number), 0
    while value >= 999.5 and unit < len(_UNITS) - 1:
        value, unit = value / 1000, unit + 1
    digits = 0 if unit == 0 or value >= 99.95 else 1 if value >= 9.995 else 2
    return f"{value:.{digits}f}{THIN}{_UNITS[unit]}"


def percent(part: float, whole: float) -> str:
    """Return a share in per cent, ``–`` if the whole is zero."""
    if not whole:
        return UNKNOWN
    share = 100 * part / whole
    if 0 < share < 0.1:
        return f"<{THIN}0.1{THIN}%"
    if share >= 9.95 or share == 0:
        return f"{grouped(round(share))}{THIN}%"
    return f"{share:.1f}{THIN}%"


def coded(text: str) -> Markup:
    """Return a text whose words between backticks are code, as in Markdown."""
    parts = enumerate(text.split("`"))
    return Markup("").join(Markup("<code>{}</code>").format(part) if place % 2 else part for place, part in parts)


def by(numbers: Iterable[object]) -> str:
    """Return sizes joined by a multiplication sign, such as ``32×512×512``."""
    return TIMES.join(str(number) for number in numbers)


def spacing(parts: Iterable[str]) -> str:
    """Return spacings with at most four significant digits, such as ``2.5×0.4883×0.4883``, ``–`` for unknown ones."""
    return by(f"{float(part):.4g}" if _NUMBER.fullmatch(part) else part or UNKNOWN for part in parts)


def short(array: str) -> str:
    """Return an array's path with half of the series id, enough to find it in a table."""
    series, _, volume = array.partition("/")
    return f"{series[:8]}…/{volume}" if len(series) > 8 else array
