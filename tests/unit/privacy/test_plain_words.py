"""The words that do not count are kept beside the bytecode, and are those of the files all the same."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import ROOT
from hypothesis import given
from hypothesis import strategies as st

from dicomzarr.privacy import plain_words
from dicomzarr.privacy.identifiers import (
    DIGITS,
    LEAST,
    LONGEST,
    Gatherer,
    needle,
    needle_of_hash,
    needle_of_part,
    weight_of,
    words_of,
)
from dicomzarr.privacy.scanner import _HASH, LEAST_DIGITS, Scanner
from dicomzarr.system import digested_json


@pytest.fixture
def read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], frozenset[str]]:
    monkeypatch.setattr(plain_words, "KEPT", tmp_path / "kept")
    (tmp_path / "project" / "docs").mkdir(parents=True)
    (tmp_path / "project" / "README.md").write_text("Rhabarber and uint16")

    def own() -> frozenset[str]:
        plain_words.own_words.cache_clear()
        return plain_words.own_words(tmp_path / "project")

    return own


def test_words_are_those_of_the_files(read: Callable[[], frozenset[str]], tmp_path: Path) -> None:
    first = read()
    assert {"rhabarber", "uint16", "monday"} <= first and "zyxwolf" not in first
    kept = tmp_path / "kept" / "own.words"
    assert set(json.loads(kept.read_bytes())["words"]) == first == read()
    (tmp_path / "project" / "docs" / "page.md").write_text("Holunder")
    assert read() == first | {"holunder"}
    (tmp_path / "project" / "README.md").unlink()
    assert read() == (first | {"holunder"}) - {"rhabarber", "uint16", "and"}


def test_what_is_kept_is_no_file_of_the_project() -> None:
    plain_words.own_words.cache_clear()
    first = plain_words.own_words(ROOT)
    assert (
        plain_words.KEPT / "own.words"
    ).exists() and "annotatedstringformatmixin" in plain_words.snakemakes_words() - first
    plain_words.own_words.cache_clear()
    assert plain_words.own_words(ROOT) == first


def test_a_damaged_list_is_none(read: Callable[[], frozenset[str]], tmp_path: Path) -> None:
    first = read()
    kept = tmp_path / "kept" / "own.words"
    kept.write_bytes(kept.read_bytes().replace(b"rhabarber", b"zyxwolfxx"))
    assert read() == first
    kept.write_bytes(b"")
    assert read() == first
    kept.write_bytes(digested_json.record_json({"key": "of other files", "words": ["zyxwolf"]}))
    assert read() == first
    kept.unlink()
    kept.mkdir()
    assert read() == first


# ---- which runs of words are looked for


def by_definition(text: str, least: int, needles: frozenset[int], own: frozenset[str]) -> bool:
    """Whether a text holds a needle, each word and each run of words looked for."""
    found = words_of(text)
    weights = [0 if word in own or word.isdigit() else weight_of(word) for word in found]
    for index, word in enumerate(found):
        if word in own:
            continue
        if _HASH.match(word) and needle_of_hash(word) in needles:
            return True
        long_enough = len(word) >= max(least, LEAST_DIGITS) if DIGITS.match(word) else weight_of(word) >= least
        if long_enough and needle([word]) in needles:
            return True
        if DIGITS.match(word):
            continue
        for start, end in itertools.product(range(len(found)), range(len(found) + 1)):
            is_run = start <= index < end and 2 <= end - start <= LONGEST and sum(weights[start:end]) >= least
            if is_run and needle(found[start:end]) in needles:
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
def test_runs_are_found_by_any_way_through_the_words(said: list[tuple[str, str]], text: str, least: int) -> None:
    gatherer = Gatherer()
    gatherer.add(b"", [(kind, value.encode()) for kind, value in said])
    needles, own = frozenset(gatherer.take()), frozenset({"ours", "anna"})
    found = Scanner(needles, own)._words(text, least)
    assert (found is not None) == by_definition(text, least, needles, own)
    assert LEAST == 5 and (needle_of_part("ours") in needles) <= any("ours" in value for _, value in said)
