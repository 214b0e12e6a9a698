"""Patterns of masks.names: what is refused when the configuration is read, and that no label makes a search last."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import ROOT

from dicomzarr.masks.model import Description
from dicomzarr.masks.names import Vocabulary, check_masks
from dicomzarr.vocabulary.errors import ConfigProblem
from dicomzarr.workflow import settings


@pytest.mark.parametrize("pattern", ["(", "[a", "*liver", "liver(?i)", "a{99999999999}", "(?P<n>a)(?P<n>b)", "\\"])
def test_what_is_no_regular_expression_is_refused(pattern: str) -> None:
    with pytest.raises(ConfigProblem, match=r"config key 'masks.names.liver.1': .* is no regular expression \(") as e:
        Vocabulary({"liver": ["liver", pattern]})
    assert "\n" not in str(e.value)


@pytest.mark.parametrize("pattern", [".*", ".", "|", "liver|", "a*", "^", "$", "()", r"\b", r"\S+", "(?i)[a-z]", "x?"])
def test_what_matches_every_label_is_refused(pattern: str) -> None:
    with pytest.raises(ConfigProblem, match="matches every label; needed is one that only this structure matches"):
        Vocabulary({"liver": [pattern]})


SECONDS = 30  # of processor time, for what takes a fraction of one; what is wrong takes minutes

# Each takes minutes or longer on some text of 64 characters.
SLOW = [
    r"(a+)+b",
    r"(\w+\s*)+liver",
    r"(a|a)*b",
    r"(a|ab|b)*c",
    r"((a?)*)*b",
    r"(x+x+)+y",
    r"(?=(a+)+b)c",
    r"(a{1,60}){1,60}b",
    "a?" * 40 + "a" * 40,
    r".*a.*a.*a.*a.*a.*x",
]


@pytest.mark.parametrize("pattern", SLOW)
def test_what_can_match_in_too_many_ways_is_refused(pattern: str) -> None:
    start = time.process_time()
    with pytest.raises(ConfigProblem, match="'masks.names.liver.0'.* could take very long .*list several patterns"):
        Vocabulary({"liver": [pattern]})
    assert time.process_time() - start < SECONDS


USUAL = [
    r"(?i)^(liver|leber|hepar)",
    r"(?i)tumou?r|lesion|gtv",
    r"(?i)^(left|l|lt)[ _.-]*(kidney|niere)s?\b",
    r".*left.*upper.*lobe.*",
    r"^\s*GTV[-_ ]?[a-z]?\d{1,2}\s*$",
    r"(?i)\bcouch( ?(outer|inner))?\b",
    r"(?:ab){2,}c",
    r"^.*a.*a.*a.*x",
]


@pytest.mark.parametrize("pattern", USUAL)
def test_usual_patterns_are_accepted_and_fast_on_hostile_labels(pattern: str) -> None:
    vocabulary = Vocabulary({"name": [pattern]})
    start = time.process_time()
    for part in ("a", "ab", "left upper ", "l", " ", "GTV", "1", "lesio", "\0", "couch outer "):
        text = (part * 10_000)[:10_000]
        vocabulary.name_of(Description("RTSTRUCT", 1, label=text, description=text[1:]))
    assert time.process_time() - start < SECONDS


def test_a_text_is_searched_in_its_first_characters() -> None:
    vocabulary = Vocabulary({"liver": ["liver"]})
    assert vocabulary.name_of(Description("SEG", 1, label="x" * 123 + "liver")) == "liver"
    assert vocabulary.name_of(Description("SEG", 1, label="x" * 124 + "liver")) == ""


@pytest.mark.parametrize("name", ["liver", "left_kidney", "tumour", "left_rib_12"])
def test_an_expected_name_is_a_configured_one_or_a_coded_concept(name: str) -> None:
    check_masks({"names": {"tumour": ["gtv"]}, "expected": [name]})


@pytest.mark.parametrize(
    ("masks", "words"),
    [
        ({"expected": ["livr"]}, ("'masks.expected.0'", "'livr'", "did you mean 'liver'?", "add it to masks.names")),
        ({"expected": ["liver", "qqqq"]}, ("'masks.expected.1'", "no mask could have this name")),
        ({"expected": ["unnamed_1"]}, ("'masks.expected.0'",)),
        ({"names": {"liver": ["("]}}, ("'masks.names.liver.0'", "is no regular expression", "needed is")),
        ({"names": {"liver": []}}, ("'masks.names.liver'", "a list of regular expressions")),
        ({"names": {"liver": "liver"}}, ("'masks.names.liver'", "'liver' (text)", "a list of regular expressions")),
        ({"names": {"Liver": ["liver"]}}, ("'Liver'",)),
        ({"names": {"unnamed": ["liver"]}}, ("'unnamed'",)),
        ({"names": {"unnamed_3": ["liver"]}}, ("'unnamed_3'",)),
        ({"name": {}}, ("'masks.name' is not known", "did you mean 'names'")),
    ],
)
def test_a_wrong_key_is_named_before_any_work(
    masks: dict[str, Any], words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = yaml.safe_load((ROOT / "config.yaml").read_text()) | {"masks": masks}
    with pytest.raises(ConfigProblem) as caught:
        settings.check_keys(config)
    for word in ("config key", *words):
        assert word in str(caught.value)


def test_the_example_of_the_configuration_is_valid() -> None:
    text = (ROOT / "config.yaml").read_text()
    example = text[text.index("#   masks:\n") : text.index("\nmasks: {}")]
    masks = yaml.safe_load("\n".join(line.removeprefix("# ") for line in example.splitlines()))["masks"]
    check_masks(masks)
    assert Vocabulary(masks["names"]).name_of(Description("RTSTRUCT", 1, label="GTV 1".lower())) == "tumour"
