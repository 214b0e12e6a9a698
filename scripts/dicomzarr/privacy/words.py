"""Words: what texts are split into before they are compared. A module of its own, for the main process."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Container, Iterable, Iterator

# Letters of scripts without spaces around words or names: Kana, Han and Hangul, composed.
KANA = r"\u3041-\u3096\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff"
_UNSPACED = KANA + r"\u3005-\u3007\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3\uf900-\ufaff\U00020000-\U0003ffff"
_PIECE = re.compile(f"([{_UNSPACED}]+)|[^{_UNSPACED}]+")
_WORD = re.compile(r"\d+(?:\.\d+)+|[^\W_]+")


def words_of(text: str) -> list[str]:
    """Return the words of a text in lower case: runs of letters and digits, and numbers with dots such as UIDs.

    Unicode composition, case and width make no difference.
    """
    return _WORD.findall(text.lower() if text.isascii() else unicodedata.normalize("NFKC", text).casefold())


def unspaced_runs(words: Iterable[str], own_words: Container[str] = ()) -> Iterator[list[str]]:
    """Yield the runs of letters of Chinese, Japanese and Korean in words; those with nothing between them together.

    Parameters
    ----------
    words : iterable of str
        As `words_of` returns them.
    own_words : container of str
        Words that are left out, and part what stands before and after them.
    """
    runs: list[str] = []
    for word in words:
        for run in [""] if word.isascii() or word in own_words else _PIECE.findall(word):
            if run:
                runs.append(run)
            elif runs:
                yield runs
                runs = []
    if runs:
        yield runs
