"""Text for a terminal or a file: its width, colours, amounts and durations."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import textwrap
from dataclasses import dataclass
from typing import TextIO

WIDEST, NARROWEST = 100, 40  # columns of our lines
_COMMAND = re.compile(r"(?<=: )\./run .*$")  # ends a text
_COLOURS = {"bold": "1", "red": "31", "green": "32", "yellow": "33", "dim": "2"}


@dataclass(frozen=True, slots=True)
class Screen:
    """Where lines are written to.

    Attributes
    ----------
    columns : int
        The longest line.
    live : bool
        Whether a line can be overwritten: a terminal that knows how to return its cursor.
    coloured : bool
        Whether colours are wanted and shown (https://no-color.org).
    """

    columns: int = 80
    live: bool = False
    coloured: bool = False

    @classmethod
    def of(cls, out: TextIO) -> Screen:
        """Return the screen of a stream; a file and a pipe have 80 columns, no colours and no live line."""
        if not _is_terminal(out):
            return cls()
        columns = shutil.get_terminal_size().columns
        with contextlib.suppress(OSError):
            columns = os.get_terminal_size(out.fileno()).columns or columns
        capable = os.environ.get("TERM", "dumb") != "dumb"
        fitting = max(NARROWEST, min(columns - 1, WIDEST))
        return cls(fitting, capable, capable and not os.environ.get("NO_COLOR"))

    def coloured_text(self, text: str, colour: str) -> str:
        """Return a text in a colour, or as it is on a screen without colours."""
        return f"\x1b[{_COLOURS[colour]}m{text}\x1b[0m" if self.coloured and text else text

    def wrapped(self, label: str, text: str, indent: int, right: str = "") -> list[str]:
        """Return lines that fit: a label, then a text that continues below itself, and a word at the right edge.

        Parameters
        ----------
        label, text : str
            A command at the end of the text stays on one line, since users copy it.
        indent : int
            Column at which the text begins.
        right : str
            Ends the first line.
        """
        room = self.columns - indent - (len(right) + 2 if right else 0)
        parts = _wrapped(text, max(room, 16)) or [""]
        if right:
            first = f"{label:<{indent}}{parts[0]}"
            first = f"{first:<{self.columns - len(right)}}{right}"
            return [first.rstrip(), *(f"{'':<{indent}}{part}" for part in parts[1:])]
        lines = [label] if label and len(parts[0]) > room else []
        for part in parts:
            if len(part) > room:  # a path or a command, which would not be one if it were broken
                lines.append(f"  {part}")
            else:
                lines.append(f"{'' if lines else label:<{indent}}{part}".rstrip())
        return lines


def _wrapped(text: str, room: int) -> list[str]:
    """Return a text in lines of this length; paths, and a command at its end, are not broken."""
    whole = _COMMAND.sub(lambda command: command[0].replace(" ", "\0"), text)
    lines = textwrap.wrap(whole, room, break_long_words=False, break_on_hyphens=False)
    return [line.replace("\0", " ") for line in lines]


def _is_terminal(out: TextIO) -> bool:
    try:
        return out.isatty()
    except ValueError:  # closed
        return False


def amount(size: float) -> str:
    """Return a number of bytes in the unit that fits."""
    for limit, unit in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB")):
        if size >= limit:
            return f"{size / limit:.1f} {unit}"
    return f"{size / 1e3:.0f} kB"


def duration(seconds: float) -> str:
    """Return a duration: tenths of seconds below ten seconds."""
    if seconds < 9.95:
        return f"{max(seconds, 0.0):.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def counted(number: int, noun: str, plural: str = "") -> str:
    """Return a number with its noun: `1 array`, `2 arrays`."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def shown_path(path: str) -> str:
    """Return a path as a user in the current folder would type it: relative if it is below that folder."""
    relative = os.path.relpath(path)
    return os.path.abspath(path) if relative.startswith("..") else relative
