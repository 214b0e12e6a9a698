"""Words: what texts are split into before they are compared. A module of its own, for the main process."""

from __future__ import annotations

import re
import unicodedata

_WORD = re.compile(r"\d+(?:\.\d+)+|[^\W_]+")


def words_of(text: str) -> list[str]:
    """Return the words of a text in lower case: runs of letters and digits, and numbers with dots such as UIDs.

    Unicode composition, case and width make no difference.
    """
    return _WORD.findall(text.lower() if text.isascii() else unicodedata.normalize("NFKC", text).casefold())
