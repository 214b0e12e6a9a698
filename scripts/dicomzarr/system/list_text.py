"""The bytes of a list that somebody made by hand or with a spreadsheet → its text."""

from __future__ import annotations

import codecs

_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_WORKBOOKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")  # .xlsx and .ods are zips; .xls


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
