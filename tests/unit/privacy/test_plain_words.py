"""The cached plain words are those of the files, and the scanner looks up every run of words that counts."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import ROOT
from hypothesis import given
from hypothesis import strategies as st

from dicomzarr.dicom import head_words
from dicomzarr.privacy import plain_words
from dicomzarr.privacy.identifiers import (
    DIGITS,
    MAX_WORDS,
    MIN_DIGITS,
    MIN_WEIGHT,
    Gatherer,
    hash_of_digest,
    hash_of_part,
    hash_of_words,
    weight_of,
    words_of,
)
from dicomzarr.privacy.scanner import _HASH, Scanner
from dicomzarr.system import digested_json


@pytest.fixture
def read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], frozenset[str]]:
    monkeypatch.setattr(plain_words, "WORD_LISTS", tmp_path / "cache")
    (tmp_path / "project" / "docs").mkdir(parents=True)
    (tmp_path / "project" / "README.md").write_text("Rhabarber and uint16")

    def own() -> frozenset[str]:
        plain_words.own_words.cache_clear()
        return plain_words.own_words(tmp_path / "project")

    return own


def test_words_are_those_of_the_files(read: Callable[[], frozenset[str]], tmp_path: Path) -> None:
    first = read()
    assert {"rhabarber", "uint16", "monday"} <= first and "zyxwolf" not in first
    cache = tmp_path / "cache" / "own.words"
    assert set(json.loads(cache.read_bytes())["words"]) == first == read()
    (tmp_path / "project" / "docs" / "page.md").write_text("Holunder")
    assert read() == first | {"holunder"}
    (tmp_path / "project" / "README.md").unlink()
    assert read() == (first | {"holunder"}) - {"rhabarber", "uint16", "and"}
    cached = cache.read_bytes()
    other_cache = tmp_path / "project" / "scripts" / "__pycache__" / "code_digest.json"
    other_cache.parent.mkdir(parents=True)
    other_cache.write_text('{"zyxwolf": 1}')
    assert "zyxwolf" not in read() and cache.read_bytes() == cached


def test_the_cache_is_not_a_source_of_own_words() -> None:
    plain_words.own_words.cache_clear()
    first = plain_words.own_words(ROOT)
    assert (
        plain_words.WORD_LISTS / "own.words"
    ).exists() and "annotatedstringformatmixin" in plain_words.snakemake_words() - first
    plain_words.own_words.cache_clear()
    assert plain_words.own_words(ROOT) == first


def test_a_damaged_cache_is_not_used(read: Callable[[], frozenset[str]], tmp_path: Path) -> None:
    first = read()
    cache = tmp_path / "cache" / "own.words"
    cache.write_bytes(cache.read_bytes().replace(b"rhabarber", b"zyxwolfxx"))
    assert read() == first
    cache.write_bytes(b"")
    assert read() == first
    cache.write_bytes(digested_json.record_json({"key": "of other files", "words": ["zyxwolf"]}))
    assert read() == first
    cache.unlink()
    cache.mkdir()
    assert read() == first


# ---- which runs of words are looked up


def by_definition(text: str, min_weight: int, identifiers: frozenset[int], own: frozenset[str]) -> bool:
    """Whether a text holds an identifier; each word and each run of words is looked up."""
    words = words_of(text)
    weights = [0 if word in own or word.isdigit() else weight_of(word) for word in words]
    for index, word in enumerate(words):
        if word in own:
            continue
        if _HASH.match(word) and hash_of_digest(word) in identifiers:
            return True
        long_enough = len(word) >= max(min_weight, MIN_DIGITS) if DIGITS.match(word) else weight_of(word) >= min_weight
        if long_enough and hash_of_words([word]) in identifiers:
            return True
        if DIGITS.match(word):
            continue
        for start, end in itertools.product(range(len(words)), range(len(words) + 1)):
            is_run = start <= index < end and 2 <= end - start <= MAX_WORDS and sum(weights[start:end]) >= min_weight
            if is_run and hash_of_words(words[start:end]) in identifiers:
                return True
    return False


WORDS = [  # of several scripts
    "ab",
    "cd1",
    "wolf",
    "anna",
    "zyxwolf",
    "1937",
    "19370203",
    "12.5",
    "1.2.840.99",
    "دوم",
    "狼",
    "٣٤٥٦",
    "fein",
    "x",
]
TEXTS = st.lists(st.sampled_from([*WORDS, "ours", "0123456789abcdef"]), max_size=9).map(" ".join)


@given(st.lists(st.tuples(st.sampled_from(["PN", "LO", "path"]), TEXTS), max_size=3), TEXTS, st.sampled_from([5, 8]))
def test_the_scanner_finds_the_runs_of_words_of_the_definition(
    values: list[tuple[str, str]], text: str, min_weight: int
) -> None:
    gatherer = Gatherer()
    gatherer.add(b"", [(kind, value.encode()) for kind, value in values])
    identifiers, own = frozenset(gatherer.take()), frozenset({"ours", "anna"})
    code = Scanner(identifiers, own, with_numbers=False)._words(text, min_weight)
    assert (code is not None) == by_definition(text, min_weight, identifiers, own)
    assert MIN_WEIGHT == 5 and (hash_of_part("ours") in identifiers) <= any("ours" in value for _, value in values)


def test_words_that_are_only_looked_for_are_no_own_words() -> None:
    words = " ".join(head_words.WORDS.values())
    names = {"kiefer", "chin", "bravo", "pan", "orr", "stirn"}
    assert names <= {word for entry in words.casefold().split() for word in entry.strip("-").split("_")}
    assert not names & plain_words.own_words(ROOT)
