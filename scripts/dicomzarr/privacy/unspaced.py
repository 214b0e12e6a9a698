"""Find names in texts of Chinese, Japanese and Korean, where a name and what surrounds it are one word.

A header has family name and given name apart, a text has neither a space between them nor around them.
"""

from __future__ import annotations

from collections.abc import Container, Sequence

from dicomzarr.privacy.identifiers import MAX_RUN, MAX_WORDS, hash_of_run, hash_of_start, hash_of_words
from dicomzarr.privacy.words import unspaced_runs

_WEIGHT = 3  # of a character of these scripts, as `identifiers.weight_of` has it


def holds_name(words: Sequence[str], own_words: Container[str], identifiers: Container[int], min_weight: int) -> bool:
    """Return whether words hold a name: within one of them, or over several whose separators are left out.

    Parameters
    ----------
    words : sequence of str
        Of a text, in their order.
    own_words : container of str
        They identify nobody, and no name reaches over one.
    identifiers : container of int
        Hashes of the identifiers.
    min_weight : int
        Of a name.

    Notes
    -----
    One look-up for each pair of characters decides whether longer pieces are looked up.
    """
    least = max(-(-min_weight // _WEIGHT), 2)
    absent: set[str] = set()  # pairs that begin no name
    for runs in unspaced_runs(words, own_words):
        for index, run in enumerate(runs):
            name = run
            for more in runs[index + 1 : index + MAX_WORDS]:
                name += more
                if least <= len(name) <= MAX_RUN and hash_of_words([name]) in identifiers:
                    return True
            text = name[: len(run) + MAX_RUN]
            for start in range(min(len(run), len(text) - 1)):
                pair = text[start : start + 2]
                if pair in absent:
                    continue
                if hash_of_start(pair) not in identifiers:
                    absent.add(pair)
                    continue
                for end in range(start + least, min(start + MAX_RUN, len(text)) + 1):
                    piece = text[start:end]
                    if piece not in own_words and hash_of_run(piece) in identifiers:
                        return True
    return False
