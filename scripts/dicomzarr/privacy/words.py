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
_MARK = "\u0300"  # the first one
_WORD_WITH_MARKS = re.compile(rf"\d+(?:\.\d+)+|[^\W_]+(?:{_MARK}+[^\W_]*)*")
_SELECTOR = re.compile("[\u034f\u180b-\u180d\u180f\ufe00-\ufe0f\U000e0100-\U000e01ef]")


def words_of(text: str) -> list[str]:
    """Return the words of a text in lower case: runs of letters and digits, and numbers with dots such as UIDs.

    Unicode composition, case, width and the script of digits make no difference, nor do characters without a width of
    their own, such as a soft hyphen. Vowels and tones that are marks, as in Thai and Hindi, are
    part of the word; selectors of a variant of the same letter are left out.
    """
    if text.isascii():
        return _WORD.findall(text.lower())
    text = unicodedata.normalize("NFKC", text).casefold()
    letters = set(text)
    if folded := {ord(letter): _folded(letter) for letter in letters if letter > "\x7f" and _is_folded(letter)}:
        text = text.translate(folded)
    marks = {letter for letter in letters if letter >= _MARK and unicodedata.category(letter) in ("Mn", "Mc")}
    if not marks:
        return _WORD.findall(text)
    text = _SELECTOR.sub("", text)
    one_mark = text.translate(dict.fromkeys(map(ord, marks), _MARK))  # as long as the text
    return [text[slice(*word.span())] for word in _WORD_WITH_MARKS.finditer(one_mark)]


def is_placeholder(word: str) -> bool:
    """Return whether a word stands where a value was removed: XXXXXXXX or 00000000, or a date without end.

    Parameters
    ----------
    word : str
        As `words_of` returns it, or the digits of a number.
    """
    return word == WITHOUT_END or (len(word) >= _MIN_PLACEHOLDER and word.isascii() and word == word[0] * len(word))


WITHOUT_END = "99991231"  # the last date that DICOM can state; cards have it, too, where no day is known
_MIN_PLACEHOLDER = 5  # characters; two equal letters are a name in Chinese


def _is_folded(letter: str) -> bool:
    return unicodedata.category(letter) in ("Cf", "Nd")


def _folded(letter: str) -> str:
    """Return a digit of any script in ASCII, and nothing for a character that formats."""
    return str(unicodedata.digit(letter, ""))


def joined_names(name: str) -> Iterator[str]:
    """Yield family name and given name as one word, in both orders, as names of files and users have them."""
    for group in name.split("="):
        parts = ["".join(words_of(part)) for part in group.split("^")[:2]] if "^" in group else words_of(group)
        if len(parts) == 2 and all(parts) and sum(map(len, parts)) >= _MIN_JOINED:
            yield from ("".join(parts), "".join(parts[::-1]))


_MIN_JOINED = 8  # letters of two names in one word: a shorter one may be another word


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
