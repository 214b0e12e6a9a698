"""Words of the configuration, of this run and of earlier ones: they are the user's own, not the source's.

Snakemake keeps params in its notes and logs, also those of a configuration that has changed since, and an export shows
words of its configuration until it is made again. So they are remembered where they stand.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from dicomzarr.privacy.grouped_numbers import MIN_DIGITS, numbers_in_groups
from dicomzarr.privacy.words import words_of
from dicomzarr.system import digested_json, files

_FILE = "configured_words.json"  # in `.snakemake/`, and in the folder of caches for what the dataset shows
_MIN_NUMBER = 10 ** (MIN_DIGITS - 1)
_SHORTEST = 3  # letters of a word that is remembered; shorter ones are never searched


def texts_in(value: Any) -> Iterator[str]:
    """Yield the texts in a configuration: names of keys and values, at any depth.

    Parameters
    ----------
    value : mapping, list, text or other value
    """
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, content in value.items():
            yield str(key)
            yield from texts_in(content)
    elif isinstance(value, (list, tuple)):
        for content in value:
            yield from texts_in(content)


def numbers_in(value: Any) -> Iterator[str]:
    """Yield the whole numbers in a configuration that a search would look for, such as a seed that reads as a date.

    Parameters
    ----------
    value : mapping, list, number or other value
    """
    if isinstance(value, int) and abs(value) >= _MIN_NUMBER:
        yield str(abs(value))
    elif isinstance(value, (Mapping, list, tuple)):
        for content in value.values() if isinstance(value, Mapping) else value:
            yield from numbers_in(content)


def remembered(folder: Path) -> frozenset[str]:
    """Return the words that are remembered in a folder, in lower case; none if there are none or they are damaged."""
    try:
        return frozenset(map(str, digested_json.read_record(folder / _FILE)["words"]))
    except (OSError, ValueError, KeyError, TypeError):
        return frozenset()


def remember(folder: Path, texts: Iterable[str]) -> frozenset[str]:
    """Add the words of these texts to those that are remembered in a folder, and return all."""
    known = remembered(folder)
    words = known.union(
        word for text in texts for word in (*words_of(text), *numbers_in_groups(text)) if len(word) >= _SHORTEST
    )
    if words != known:
        folder.mkdir(parents=True, exist_ok=True)
        record = digested_json.record_json({"words": sorted(words)})
        files.write_private_if_changed(folder / _FILE, record)
    return words
