"""The bytes of a list that somebody made by hand or with a spreadsheet → its text."""

from __future__ import annotations

import codecs
import re

_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_WORKBOOKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")  # .xlsx and .ods are zips; .xls
_SEPARATOR_LINE = re.compile(r'"?sep=(\t|[^\w\s"])"?[,;\t]*(?:\r\n|\n|\r|$)', re.IGNORECASE)
_TEXT_OF_A_NUMBER = re.compile(r'="([^"]*)"')
# White space, and characters that nobody sees: marks of direction, which copies from Windows have, of width and order.
_UNSEEN = " \t\r\n\f\v\xa0\u200b\u200e\u200f\u202a\u202c\u202d\u202f\u2060\u2066\u2069\ufeff"


class NoText(ValueError):
    """The bytes are no text.

    Parameters
    ----------
    problem : str
        What they are, for a message: "it is …", without a value of the list.
    line : int
        The line of the first byte that does not fit; 0 if the whole is something else.
    """

    def __init__(self, problem: str, line: int = 0) -> None:
        super().__init__(problem)
        self.problem, self.line = problem, line


def decoded(data: bytes) -> str:
    """Return the text of a list: UTF-8, with or without its mark, or UTF-16 with its mark, as spreadsheets write it.

    Raises
    ------
    NoText
        If it is a workbook of a spreadsheet, or in another encoding. Nothing is guessed: a name in the wrong encoding
        would match nobody.
    """
    if data.startswith(_WORKBOOKS):
        raise NoText("a workbook of a spreadsheet")
    try:
        text = data.decode("utf-16" if data.startswith(_UTF16) else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise NoText("not UTF-8", data.count(b"\n", 0, error.start) + 1) from None
    if "\0" in text:
        raise NoText("not UTF-8, but maybe UTF-16 without its mark", data.count(b"\n", 0, data.index(b"\0")) + 1)
    return text


def without_separator_line(text: str) -> tuple[str, str]:
    """Return the separator that the first line of a table names, as ``sep=;`` of Excel, and the text below that line.

    Returns
    -------
    separator : str
        Empty if there is no such line.
    text : str
        The whole text then.
    """
    match = _SEPARATOR_LINE.match(text)
    return (match[1], text[match.end() :]) if match else ("", text)


def separator_at_ends(text: str, separators: str) -> str:
    """Return the separator with which each line below the first ends, if the list has no other in its first line.

    A spreadsheet writes so a single column beside empty ones.

    Returns
    -------
    str
        Empty if there is none.
    """
    first, *lines = filter(None, (line.rstrip(" ") for line in text.splitlines())) if text.strip() else [""]
    return next((each for each in separators if lines and all(line.endswith(each) for line in lines)), "")


def cell(text: str) -> str:
    """Return what a cell of a table holds, without white space and unseen characters around it.

    ``="0001"``, which keeps a spreadsheet from making a number of a text, is ``0001``.
    """
    plain = text.strip().strip(_UNSEEN)
    match = _TEXT_OF_A_NUMBER.fullmatch(plain)
    return match[1].strip(_UNSEEN) if match else plain
