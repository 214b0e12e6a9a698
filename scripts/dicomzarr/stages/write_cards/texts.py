"""Write texts of the user into YAML and Markdown, so that they stay texts."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any


def yaml_of(values: Mapping[str, Any]) -> str:
    """Return a mapping of texts, numbers, lists and mappings as YAML.

    Keys are those of our own code. Every text is in double quotes, with everything escaped that is not printable: it
    means the same in YAML 1.1 and 1.2, whatever it holds.
    """
    return "".join(f"{line}\n" for line in _mapping(values, ""))


def _mapping(values: Mapping[str, Any], indent: str) -> Iterator[str]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield f"{indent}{key}:"
            yield from _mapping(value, indent + "  ")
        elif isinstance(value, Sequence) and not isinstance(value, str):
            yield f"{indent}{key}:"
            yield from _items(value, indent + "  ")
        else:
            yield f"{indent}{key}: {_scalar(value)}"


def _items(values: Sequence[Any], indent: str) -> Iterator[str]:
    for value in values:
        if isinstance(value, Mapping):
            first, *others = _mapping(value, indent + "  ")
            yield f"{indent}- {first.lstrip()}"
            yield from others
        else:
            yield f"{indent}- {_scalar(value)}"


def _scalar(value: str | int) -> str:
    return quoted(value) if isinstance(value, str) else str(value)


_SHORT = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t"}


def quoted(text: str) -> str:
    """Return a text as a double-quoted scalar of YAML (section 5.7 of YAML 1.2.2)."""
    return (
        '"'
        + "".join(_SHORT.get(letter) or (letter if letter.isprintable() else _escaped(letter)) for letter in text)
        + '"'
    )


def _escaped(letter: str) -> str:
    number = ord(letter)
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


_SPECIAL = re.compile(r"[\\`*_\[\]<>&#|~$@!{}^]")
_AT_START = re.compile(r"^([:+=-]|\d+(?=[.)]))")


def markdown_of(text: str) -> str:
    """Return a text as Markdown that shows just this text: paragraphs stay, and nothing is markup.

    A backslash before punctuation is the character itself (CommonMark 2.4); what begins a list, a rule or an underline
    does so only at the start of a line.
    """
    lines = [_AT_START.sub(_start_escaped, line.strip()) for line in _SPECIAL.sub(r"\\\g<0>", text).split("\n")]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


def _start_escaped(match: re.Match[str]) -> str:
    return f"\\{match[0]}" if not match[0].isdigit() else f"{match[0]}\\"
